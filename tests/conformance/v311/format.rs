//! Sections 1.5.3, 2.2.2 and 2.3.1: strings, flags of the fixed header, packet identifiers.

use std::collections::HashSet;

use super::scene::{
    Client, DUP, ILL_FORMED, QOS_1, QOS_2, Scene, UNSUBACK, connect_with, publish, subscribe,
    unsubscribe,
};
use crate::harness::raw::{
    self, CONNACK, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK,
    SUBSCRIBE, UNSUBSCRIBE, data, packet,
};

/// PUBLISH, SUBSCRIBE and UNSUBSCRIBE with `text` where a string belongs.
fn packets_with_string(text: &[u8]) -> [Vec<u8>; 3] {
    let filter = [&[0, 1], &data(text)[..]].concat();
    [
        packet(PUBLISH, &data(text)),
        packet(SUBSCRIBE, &[&filter[..], &[0]].concat()),
        packet(UNSUBSCRIBE, &filter),
    ]
}

#[test]
fn v311_1_5_3_1_ill_formed_utf_8_ends_the_connection() {
    let scene = Scene::open();
    for text in ILL_FORMED {
        scene.is_hung_up_on(&connect_with(0x02, &[text]));
        packets_with_string(text).iter().for_each(|bytes| scene.is_cut_off(bytes));
    }
}

#[test]
fn v311_1_5_3_2_a_null_character_ends_the_connection() {
    let scene = Scene::open();
    for text in [&b"\0"[..], b"a\0", b"\0a"] {
        scene.is_hung_up_on(&connect_with(0x02, &[text]));
        packets_with_string(text).iter().for_each(|bytes| scene.is_cut_off(bytes));
    }
}

#[test]
fn v311_1_5_3_3_a_zero_width_no_break_space_is_a_character_like_others() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("\u{FEFF}a", 0);
    for topic in ["a", "\u{FEFF}\u{FEFF}a", "a\u{FEFF}", "\u{FEFF}a"] {
        scene.publish(0, topic, b"");
    }
    assert_eq!(subscriber.receive().topic, "\u{FEFF}a");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_2_2_2_1_the_reserved_flags_of_what_the_server_sends_are_those_of_the_table() {
    let mut scene = Scene::open();
    let mut client = scene.stranger();
    client.send(&connect_with(0x02, &[b"client"]));
    client.expect_packet(CONNACK, &[0, 0]);
    client.send(&subscribe(1, &[("a", 2)]));
    client.expect_packet(SUBACK, &[0, 1, 2]);
    client.send(&unsubscribe(2, &["b"]));
    client.expect_packet(UNSUBACK, &[0, 2]);
    client.send(&publish(QOS_1, 3, "b", b""));
    client.expect_packet(PUBACK, &[0, 3]);
    client.send(&publish(QOS_2, 4, "b", b""));
    client.expect_packet(PUBREC, &[0, 4]);
    client.acknowledge(PUBREL, 4);
    client.expect_packet(PUBCOMP, &[0, 4]);
    client.send(&packet(PINGREQ, &[]));
    client.expect_packet(PINGRESP, &[]);
    scene.publish(QOS_2, "a", b"");
    let (_, id) = client.receive_with_id();
    client.acknowledge(PUBREC, id);
    client.expect_packet(PUBREL, &id.to_be_bytes());
}

#[test]
fn v311_2_2_2_2_invalid_flags_end_the_connection() {
    let scene = Scene::open();
    scene.is_hung_up_on(&[&[0x11], &connect_with(0x02, &[b"client"])[1..]].concat());
    let sound = [
        raw::acknowledge(PUBACK, 1),
        raw::acknowledge(PUBREC, 1),
        raw::acknowledge(PUBREL, 1),
        raw::acknowledge(PUBCOMP, 1),
        subscribe(1, &[("a", 0)]),
        unsubscribe(1, &["a"]),
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
    ];
    for mut bytes in sound {
        let first = bytes[0];
        for flags in (0..16).filter(|flags| *flags != first & 0x0F) {
            bytes[0] = first & 0xF0 | flags;
            scene.is_cut_off(&bytes);
        }
    }
}

#[test]
fn v311_2_3_1_1_a_packet_identifier_of_zero_ends_the_connection() {
    let mut scene = Scene::open();
    for bytes in [
        publish(QOS_1, 0, "a", b""),
        publish(QOS_2, 0, "a", b""),
        subscribe(0, &[("a", 0)]),
        unsubscribe(0, &["a"]),
    ] {
        scene.is_cut_off(&bytes);
    }
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 2);
    for flags in [QOS_1, QOS_2] {
        scene.publish(flags, "a", b"");
        assert_ne!(subscriber.take().id, Some(0));
    }
}

#[test]
fn v311_2_3_1_3_an_identifier_is_that_of_one_packet_until_it_is_acknowledged_and_then_free() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 0);
    let mut client = scene.lasting("client");
    client.send(&publish(QOS_2, 1, "a", b"lost"));
    client.expect_packet(PUBREC, &[0, 1]);
    client.break_off();
    // Sent again with its identifier it is the same message; with another it would be a second one.
    let mut client = scene.lasting("client");
    for id in [1, 2] {
        client.send(&publish(QOS_2 | DUP, id, "a", b"lost"));
        client.expect_packet(PUBREC, &id.to_be_bytes());
        client.acknowledge(PUBREL, id);
        client.expect_packet(PUBCOMP, &id.to_be_bytes());
        assert_eq!(subscriber.receive().payload, b"lost");
    }
    scene.nothing_comes_to(&mut subscriber);
    for payload in [b"first", b"again"] {
        for flags in [QOS_1, QOS_2] {
            client.publish(flags, "a", payload);
            assert_eq!(subscriber.receive().payload, payload);
        }
        client.send(&subscribe(1, &[("b", 1)]));
        client.expect_packet(SUBACK, &[0, 1, 1]);
        client.send(&unsubscribe(1, &["b"]));
        client.expect_packet(UNSUBACK, &[0, 1]);
    }
}

#[test]
fn v311_2_3_1_4_the_server_gives_each_message_an_unused_identifier_and_keeps_it_when_it_resends() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    let receive_all = |subscriber: &mut Client, dup| {
        let messages = (0..20).map(|_| subscriber.receive());
        let seen = messages.inspect(|message| assert_eq!(message.dup, dup));
        seen.map(|message| (message.id.expect("QoS 1 or 2"), message.payload)).collect::<Vec<_>>()
    };
    for number in 0..20 {
        scene.publish(if number % 2 == 0 { QOS_1 } else { QOS_2 }, "a", &[number]);
    }
    let sent = receive_all(&mut subscriber, false);
    let ids = sent.iter().map(|(id, _)| *id).collect::<HashSet<_>>();
    assert_eq!(ids.len(), 20, "{sent:?}");
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    assert_eq!(receive_all(&mut subscriber, true), sent);
}

#[test]
fn v311_2_3_1_5_a_qos_0_publish_has_no_packet_identifier() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 0);
    for flags in [0, QOS_1, QOS_2] {
        scene.publish(flags, "a", b"payload");
        subscriber.expect_packet(PUBLISH, b"\0\x01apayload");
    }
}

#[test]
fn v311_2_3_1_6_an_acknowledgement_has_the_identifier_of_its_publish() {
    let mut scene = Scene::open();
    let mut client = scene.client("client");
    for id in [1, 2, 255, 256, 0x8000, u16::MAX] {
        client.send(&publish(QOS_1, id, "a", b""));
        client.expect_packet(PUBACK, &id.to_be_bytes());
        client.send(&publish(QOS_2 | DUP, id, "a", b""));
        client.expect_packet(PUBREC, &id.to_be_bytes());
        client.acknowledge(PUBREL, id);
        client.expect_packet(PUBCOMP, &id.to_be_bytes());
    }
    client.subscribe("b", 2);
    scene.publish(QOS_2, "b", b"");
    let (_, id) = client.receive_with_id();
    client.acknowledge(PUBREC, id);
    client.expect_packet(PUBREL, &id.to_be_bytes());
}

#[test]
fn v311_2_3_1_7_suback_and_unsuback_have_the_identifier_of_the_request() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    for id in [1, 2, 255, 256, 0x8000, u16::MAX] {
        let [high, low] = id.to_be_bytes();
        client.send(&subscribe(id, &[("a", 1)]));
        client.expect_packet(SUBACK, &[high, low, 1]);
        client.send(&unsubscribe(id, &["a"]));
        client.expect_packet(UNSUBACK, &[high, low]);
    }
}
