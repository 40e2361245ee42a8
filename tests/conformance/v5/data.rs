//! Section 1.5: data representation.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::scene::{
    CLEAN, MALFORMED, Reading, Scene, USER_NAME, WILL, connect_packet, read_variable_byte_integer,
    text_property, user_property,
};
use crate::harness::PATIENCE;
use crate::harness::raw::{
    self, CONNECT, Connect, DISCONNECT, PINGREQ, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, data, packet,
    properties, variable_byte_integer,
};

/// What is no UTF-8: bytes that never stand, or not alone; surrogates; overlong forms; above
/// U+10FFFF.
const ILL_FORMED: [&[u8]; 8] = [
    &[0xFF],
    &[b'a', 0x80],
    &[b'a', 0xC3],
    &[0xED, 0xA0, 0x80],
    &[0xED, 0xBF, 0xBF],
    &[0xC0, 0x80],
    &[0xE0, 0x80, 0xAF],
    &[0xF4, 0x90, 0x80, 0x80],
];

const NULL: [&[u8]; 3] = [&[0], &[b'a', 0], &[0, b'/', b'a']];

/// CONNECT packets with `text` in the place of each of their strings.
fn connects_with(text: &[u8]) -> Vec<Vec<u8>> {
    let id = data("x");
    let with_property =
        [&data("MQTT")[..], &[5, CLEAN, 0, 0], &properties(5, &user_property("a", text)), &id];
    vec![
        connect_packet(CLEAN, &[&data(text)]),
        connect_packet(CLEAN | WILL, &[&id, &[0], &data(text), &data("payload")]),
        connect_packet(CLEAN | USER_NAME, &[&id, &data(text)]),
        packet(CONNECT, &with_property.concat()),
    ]
}

/// Packets of a connected client with `text` in the place of each of their strings.
fn packets_with(text: &[u8]) -> Vec<Vec<u8>> {
    let publish = |with: &[u8]| raw::publish_with(5, PUBLISH, "a", None, with, b"");
    vec![
        packet(PUBLISH, &[&data(text)[..], &[0]].concat()),
        publish(&text_property(0x03, text)),
        publish(&text_property(0x08, text)),
        packet(SUBSCRIBE, &[&[0, 1, 0], &data(text)[..], &[0]].concat()),
        packet(UNSUBSCRIBE, &[&[0, 1, 0], &data(text)[..]].concat()),
        packet(DISCONNECT, &[&[0][..], &properties(5, &text_property(0x1F, text))].concat()),
    ]
}

fn every_string_is_refused_that_has(texts: &[&[u8]]) {
    let scene = Scene::open();
    for text in texts {
        for bytes in connects_with(text) {
            scene.refused_with(MALFORMED, &bytes);
        }
        for bytes in packets_with(text) {
            scene.disconnected_with(MALFORMED, &bytes);
        }
    }
}

#[test]
fn v5_1_5_4_1_a_string_that_is_not_utf_8_is_malformed_wherever_it_stands() {
    every_string_is_refused_that_has(&ILL_FORMED);
}

#[test]
fn v5_1_5_4_2_a_string_with_a_null_character_is_malformed_wherever_it_stands() {
    every_string_is_refused_that_has(&NULL);
}

#[test]
fn v5_1_5_4_3_a_zero_width_no_break_space_stays_in_a_topic() {
    let scene = Scene::open();
    let mut with_it = scene.subscriber("\u{FEFF}a", 0);
    let mut without_it = scene.subscriber("a", 0);
    let mut publisher = scene.client("publisher");
    let note = user_property("\u{FEFF}name", "value\u{FEFF}");
    publisher.send(&raw::publish_with(5, PUBLISH, "\u{FEFF}a", None, &note, b"marked"));
    publisher.send(&raw::publish(5, "a", b"bare"));
    let marked = with_it.message();
    assert_eq!((marked.topic.as_str(), &marked.payload[..]), ("\u{FEFF}a", &b"marked"[..]));
    assert_eq!(marked.properties, note);
    assert_eq!(without_it.message().payload, b"bare");
    with_it.expect_nothing();
}

#[test]
fn v5_1_5_4_3_a_zero_width_no_break_space_tells_client_identifiers_apart() {
    let scene = Scene::open();
    let mut with_it = scene.client("\u{FEFF}a");
    let mut without_it = scene.client("a");
    with_it.expect_nothing();
    without_it.expect_nothing();
}

#[test]
fn v5_1_5_5_1_an_integer_in_more_bytes_than_it_needs_is_malformed() {
    let scene = Scene::open();
    // A Remaining Length of 0 and of 4, a Property Length of 0, a subscription identifier of 1.
    for bytes in [
        vec![PINGREQ, 0x80, 0x00],
        vec![PUBLISH, 0x84, 0x00, 0, 1, b'a', 0],
        packet(PUBLISH, &[0, 1, b'a', 0x80, 0x00]),
        packet(SUBSCRIBE, &[0, 1, 3, 0x0B, 0x81, 0x00, 0, 1, b'a', 0]),
    ] {
        scene.disconnected_with(MALFORMED, &bytes);
    }
    let connect = Connect::new(5, "x").encode();
    let with_needless_byte = [&[CONNECT, connect[1] | 0x80, 0], &connect[2..]].concat();
    scene.refused_with(MALFORMED, &with_needless_byte);
}

#[test]
fn v5_1_5_5_1_an_integer_of_more_than_four_bytes_is_malformed() {
    let scene = Scene::open();
    for bytes in [
        vec![PINGREQ, 0x80, 0x80, 0x80, 0x80, 0x00],
        vec![PUBLISH, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        packet(PUBLISH, &[0, 1, b'a', 0x80, 0x80, 0x80, 0x80, 0x00]),
    ] {
        scene.disconnected_with(MALFORMED, &bytes);
    }
}

#[test]
fn v5_1_5_5_1_the_server_writes_lengths_in_as_few_bytes_as_they_need() {
    let scene = Scene::open();
    let mut subscriber = Wire::subscribed(scene.port(), "a");
    let mut publisher = scene.client("publisher");
    // Remaining Length: 4 bytes of topic and property length, then the payload.
    for length in [4, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        publisher.send(&raw::publish(5, "a", &vec![b'x'; length - 4]));
        let (header, body) = subscriber.packet();
        assert_eq!(header[1..], variable_byte_integer(length));
        assert_eq!(body.len(), length);
    }
    // Property Length: 6 bytes of identifier, lengths and name, then the value.
    for length in [6, 127, 128, 16_383, 16_384] {
        let with = user_property("n", vec![b'v'; length - 6]);
        assert_eq!(with.len(), length);
        publisher.send(&raw::publish_with(5, PUBLISH, "a", None, &with, b""));
        let (_, body) = subscriber.packet();
        assert!(body[3..].starts_with(&variable_byte_integer(length)), "{:02x?}", &body[3..7]);
    }
}

#[test]
fn v5_1_5_7_1_both_strings_of_a_pair_are_well_formed_or_the_packet_is_malformed() {
    let scene = Scene::open();
    for text in ILL_FORMED.into_iter().chain(NULL) {
        for pair in [user_property(text, "value"), user_property("name", text)] {
            let pair = properties(5, &pair);
            let connect = [&data("MQTT")[..], &[5, CLEAN, 0, 0], &pair, &data("x")].concat();
            scene.refused_with(MALFORMED, &packet(CONNECT, &connect));
            for bytes in [
                packet(PUBLISH, &[&data("a")[..], &pair].concat()),
                packet(SUBSCRIBE, &[&[0, 1], &pair[..], &data("a"), &[0]].concat()),
                packet(UNSUBSCRIBE, &[&[0, 1], &pair[..], &data("a")].concat()),
                packet(DISCONNECT, &[&[0], &pair[..]].concat()),
            ] {
                scene.disconnected_with(MALFORMED, &bytes);
            }
        }
    }
}

/// A client that sees the fixed header as it came.
struct Wire(TcpStream);

impl Wire {
    fn subscribed(port: u16, filter: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut wire = Self(stream);
        wire.0.write_all(&Connect::new(5, "wire").encode()).expect("it reads");
        wire.packet();
        wire.0.write_all(&raw::subscribe(5, 1, filter, 0)).expect("it reads");
        wire.packet();
        wire
    }

    /// The fixed header of the next packet, and what follows it.
    fn packet(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut header = vec![0; 2];
        self.0.read_exact(&mut header).expect("a packet");
        while header.last().is_some_and(|byte| byte & 0x80 != 0) {
            header.push(0);
            let last = header.len() - 1;
            self.0.read_exact(&mut header[last..]).expect("more of the length");
        }
        let mut body = vec![0; read_variable_byte_integer(&header[1..]).0];
        self.0.read_exact(&mut body).expect("the rest of the packet");
        (header, body)
    }
}
