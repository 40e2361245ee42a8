//! Section 2.2.1: packet identifier.

use std::collections::HashSet;

use super::scene::{PROTOCOL_ERROR, Reading, Scene};
use crate::harness::raw::{
    self, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBSCRIBE, packet,
};

const AT_LEAST_ONCE: u8 = PUBLISH | 1 << 1;
const EXACTLY_ONCE: u8 = PUBLISH | 2 << 1;
const UNSUBACK: u8 = 0xB0;
/// Identifiers whose two bytes differ, and the extremes.
const IDS: [u16; 4] = [1, 0x0102, 0x0201, u16::MAX];

#[test]
fn v5_2_2_1_2_a_publish_of_qos_0_has_no_packet_identifier() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("a", 2);
    let mut low = scene.subscriber("#", 0);
    let mut publisher = scene.client("publisher");
    // Published with QoS 0, and granted QoS 0: the body is topic, property length and payload.
    publisher.send(&raw::publish(5, "a", b"pay"));
    assert_eq!(subscriber.read().body, b"\0\x01a\0pay");
    assert_eq!(low.read().body, b"\0\x01a\0pay");
    publisher.send(&raw::publish_with(5, AT_LEAST_ONCE, "b", Some(1), &[], b"pay"));
    assert_eq!(low.read().body, b"\0\x01b\0pay");
}

#[test]
fn v5_2_2_1_2_what_a_client_sends_as_an_identifier_with_qos_0_is_not_taken_for_one() {
    let scene = Scene::open();
    // Its first byte is read as a property length, which is then wrong.
    scene.disconnected_with(0x81, &packet(PUBLISH, &[0, 1, b'a', 0x7F, 0x01]));
}

#[test]
fn v5_2_2_1_3_a_packet_identifier_of_0_is_a_protocol_error() {
    let scene = Scene::open();
    for bytes in [
        raw::publish_with(5, AT_LEAST_ONCE, "a", Some(0), &[], b""),
        raw::publish_with(5, EXACTLY_ONCE, "a", Some(0), &[], b""),
        raw::subscribe(5, 0, "a", 0),
        packet(UNSUBSCRIBE, &[0, 0, 0, 0, 1, b'a']),
    ] {
        scene.disconnected_with(PROTOCOL_ERROR, &bytes);
    }
}

#[test]
fn v5_2_2_1_4_the_server_uses_identifiers_that_are_neither_0_nor_in_use() {
    const MESSAGES: u16 = 200;
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("a", 2);
    let mut publisher = scene.client("publisher");
    let mut in_use = HashSet::new();
    for number in 0..MESSAGES {
        let first = if number % 2 == 0 { AT_LEAST_ONCE } else { EXACTLY_ONCE };
        publisher.send(&raw::publish_with(5, first, "a", Some(number + 1), &[], b""));
        let message = subscriber.message();
        let id = message.id.expect("QoS 1 or 2");
        assert_ne!(id, 0);
        assert!(in_use.insert(id), "{id} is in use");
        // Every other one is acknowledged, and may be used again.
        if number % 4 == 0 {
            subscriber.send(&raw::acknowledge(PUBACK, id));
            in_use.remove(&id);
        }
    }
}

#[test]
fn v5_2_2_1_4_identifiers_that_come_round_leave_out_those_in_use() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("a", 1);
    let mut publisher = scene.client("publisher");
    let publish = raw::publish_with(5, AT_LEAST_ONCE, "a", Some(1), &[], b"");
    publisher.send(&publish);
    let held = subscriber.message().id.expect("QoS 1");
    // Twice round all the others, in runs that no buffer fears.
    for _ in 0..2 * 66 {
        publisher.send(&publish.repeat(1_000));
        for _ in 0..1_000 {
            let id = subscriber.message().id.expect("QoS 1");
            assert!(id != 0 && id != held);
            subscriber.send(&raw::acknowledge(PUBACK, id));
        }
        for _ in 0..1_000 {
            publisher.expect(PUBACK);
        }
    }
}

#[test]
fn v5_2_2_1_5_acknowledgements_have_the_identifier_of_their_publish() {
    let scene = Scene::open();
    let mut client = scene.client("x");
    for id in IDS {
        client.send(&raw::publish_with(5, AT_LEAST_ONCE, "a", Some(id), &[], b""));
        assert_eq!(client.expect(PUBACK).acknowledged().0, id);
        client.send(&raw::publish_with(5, EXACTLY_ONCE, "a", Some(id), &[], b""));
        assert_eq!(client.expect(PUBREC).acknowledged().0, id);
        client.send(&raw::acknowledge(PUBREL, id));
        assert_eq!(client.expect(PUBCOMP).acknowledged().0, id);
    }
}

#[test]
fn v5_2_2_1_5_a_release_has_the_identifier_of_the_publish_that_the_server_sent() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("a", 2);
    let mut publisher = scene.client("publisher");
    let ids = [7, 9].map(|id| {
        publisher.send(&raw::publish_with(5, EXACTLY_ONCE, "a", Some(id), &[], b""));
        subscriber.message().id.expect("QoS 2")
    });
    for id in ids.into_iter().rev() {
        subscriber.send(&raw::acknowledge(PUBREC, id));
        assert_eq!(subscriber.expect(PUBREL).acknowledged().0, id);
        subscriber.send(&raw::acknowledge(PUBCOMP, id));
    }
}

#[test]
fn v5_2_2_1_6_suback_and_unsuback_have_the_identifier_of_what_they_answer() {
    let scene = Scene::open();
    let mut client = scene.client("x");
    for id in IDS {
        client.send(&raw::subscribe(5, id, "a", 0));
        assert_eq!(client.expect(SUBACK).acknowledged().0, id);
        client.send(&packet(UNSUBSCRIBE, &[&id.to_be_bytes()[..], &[0, 0, 1, b'a']].concat()));
        assert_eq!(client.expect(UNSUBACK).acknowledged().0, id);
    }
}
