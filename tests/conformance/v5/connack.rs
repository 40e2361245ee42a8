//! Sections 3.2.0, 3.2.2.1, 3.2.2.2 and 3.2.2.3.7: when CONNACK comes, and what it says.

use super::scene::{
    CLEAN, ConnAck, LONG, PROTOCOL_ERROR, Reading, Scene, USER_NAME, WILL, connect_packet,
    text_property, user_property,
};
use crate::harness::raw::{
    self, CONNACK, CONNECT, Connect, PINGREQ, PUBACK, PUBLISH, Will, data, packet,
};
use crate::harness::{ADMIN, DEVICE1};
use rustix::process::Signal;

const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;

/// Table 3-1, from 0x80.
const REFUSALS: [u8; 21] = [
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];

/// CONNECT packets that a server with users refuses, each for a reason of its own.
fn refusable() -> Vec<Vec<u8>> {
    let named = |id: &'static str| Connect::new(5, id).login(ADMIN);
    let will = |topic: &'static str| Some(Will::new(topic, b""));
    let unknown_method = text_property(0x15, "UNKNOWN");
    vec![
        packet(CONNECT, &[&data("MQTT")[..], &[6, CLEAN, 0, 0, 0], &data("x")].concat()),
        connect_packet(CLEAN | 1, &[&data("x")]),
        connect_packet(CLEAN, &[&data(b"\xFF")]),
        connect_packet(CLEAN | USER_NAME, &[&data("x"), &data(ADMIN.0)]),
        Connect { properties: vec![0x21, 0, 0], ..named("x") }.encode(),
        Connect { properties: unknown_method, ..named("x") }.encode(),
        Connect { will: will("a/#"), ..named("x") }.encode(),
        Connect { will: will("devices/device2/state"), ..Connect::new(5, "x").login(DEVICE1) }
            .encode(),
        Connect::new(5, "x").encode(),
        Connect::new(5, "x").login((ADMIN.0, "wrong")).encode(),
        named("a\nb").encode(),
        [&[CONNECT][..], &raw::variable_byte_integer(1 << 20), &data("MQTT"), &[5]].concat(),
    ]
}

#[test]
fn v5_3_2_0_1_nothing_comes_before_connack() {
    let scene = Scene::open();
    let mut client = scene.accepted(&Connect::new(5, "x").keep_session(true, LONG));
    assert_eq!(client.subscribe(5, "a", 1), 1);
    client.send(&raw::publish_with(5, PUBLISH | 1 << 1, "a", Some(1), &[], b"half received"));
    client.read();
    client.break_off();
    let mut publisher = scene.client("publisher");
    publisher.send(&raw::publish_with(5, PUBLISH | 1 << 1, "a", Some(1), &[], b"missed"));
    publisher.expect(PUBACK);
    // Messages wait, and requests come with CONNECT in one segment.
    let mut client = scene.stranger();
    let connect = Connect::new(5, "x").keep_session(false, LONG).encode();
    let requests = [raw::subscribe(5, 1, "b", 0), packet(PINGREQ, &[]), raw::publish(5, "b", b"")];
    client.send(&[connect, requests.concat()].concat());
    let first = client.read();
    assert_eq!((first.first, first.reason()), (CONNACK, 0));
    // Two messages that waited, SUBACK, PINGRESP, and the message of its own.
    for _ in 0..5 {
        assert_ne!(client.read().first, CONNACK);
    }
}

#[test]
fn v5_3_2_0_1_a_connect_that_is_refused_is_followed_by_nothing_else() {
    let scene = Scene::secure("");
    for bytes in refusable() {
        let mut client = scene.stranger();
        client.send(&[&bytes[..], &packet(PINGREQ, &[])].concat());
        if let Some(answer) = client.read_or_end() {
            assert_eq!(answer.first, CONNACK, "{answer:02x?}");
            client.expect_end();
        }
    }
}

#[test]
fn v5_3_2_0_2_there_is_one_connack() {
    let scene = Scene::open();
    let connect = Connect::new(5, "x").encode();
    let mut client = scene.client("x");
    client.expect_nothing();
    client.send(&connect);
    client.expect_disconnect(PROTOCOL_ERROR);
}

#[test]
fn v5_3_2_2_1_the_reserved_flags_of_connack_are_0() {
    let scene = Scene::open();
    for clean in [true, false, false, true] {
        let connect = Connect::new(5, "x").keep_session(clean, LONG);
        assert_eq!(scene.welcomed(&connect).1.flags & 0xFE, 0);
    }
    let scene = Scene::secure("");
    for bytes in refusable() {
        assert_eq!(scene.refused(&bytes).map_or(0, |answer| answer.flags & 0xFE), 0);
    }
}

#[test]
fn v5_3_2_2_2_a_clean_start_has_no_session_present() {
    let scene = Scene::open();
    let clean = Connect::new(5, "x").keep_session(true, LONG);
    // Without a session, with one that waits, and with one that is in use.
    let (first, answer) = scene.welcomed(&clean);
    assert_eq!((answer.flags, answer.reason), (0, 0));
    first.leave();
    let (_second, answer) = scene.welcomed(&clean);
    assert_eq!((answer.flags, answer.reason), (0, 0));
    let (_third, answer) = scene.welcomed(&clean);
    assert_eq!((answer.flags, answer.reason), (0, 0));
}

#[test]
fn v5_3_2_2_3_session_present_says_whether_there_was_a_session() {
    let scene = Scene::open();
    let connect = Connect::new(5, "x").keep_session(false, LONG);
    let (first, answer) = scene.welcomed(&connect);
    assert_eq!((answer.flags, answer.reason), (0, 0));
    first.leave();
    let (_second, answer) = scene.welcomed(&connect);
    assert_eq!((answer.flags, answer.reason), (1, 0));
    let (third, answer) = scene.welcomed(&connect);
    assert_eq!((answer.flags, answer.reason), (1, 0));
    // Its end is set to now.
    third.leave();
    let (last, answer) = scene.welcomed(&Connect { clean: false, ..Connect::new(5, "x") });
    assert_eq!((answer.flags, answer.reason), (1, 0));
    last.leave();
    let (_, answer) = scene.welcomed(&connect);
    assert_eq!((answer.flags, answer.reason), (0, 0));
}

#[test]
fn v5_3_2_2_3_a_session_that_has_expired_is_not_present() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let will = Some(Will { properties: vec![0x18, 0, 0, 0, 9], ..Will::new("wills", b"") });
    let connect = Connect { will, ..Connect::new(5, "x").keep_session(true, 1) };
    scene.accepted(&connect).break_off();
    // A will that waits for longer than the session comes at its end.
    subscriber.message();
    let (_, answer) = scene.welcomed(&Connect::new(5, "x").keep_session(false, LONG));
    assert_eq!((answer.flags, answer.reason), (0, 0));
}

#[test]
fn v5_3_2_2_6_a_refusal_has_no_session_present() {
    let scene = Scene::secure("");
    let owned = Connect::new(5, "x").login(ADMIN).keep_session(true, LONG);
    scene.accepted(&owned).leave();
    let refused = Connect { clean: false, ..owned.clone() };
    let mut unknown_method = refused.clone();
    unknown_method.properties.extend(text_property(0x15, "UNKNOWN"));
    let mut malformed = refused.encode();
    malformed[9] |= 1;
    for bytes in [
        refused.clone().login((ADMIN.0, "wrong")).encode(),
        refused.clone().login(DEVICE1).encode(),
        Connect { login: None, ..refused.clone() }.encode(),
        unknown_method.encode(),
        malformed,
    ] {
        let answer = scene.refused(&bytes).expect("a refusal");
        assert!(answer.reason >= 0x80 && answer.flags == 0, "{answer:02x?}");
    }
    // It was there all the time.
    assert!(scene.welcomed(&refused).1.has_session());
}

#[test]
fn v5_3_2_2_7_a_refusal_is_the_end_of_the_connection() {
    let scene = Scene::secure("");
    let mut reasons = std::collections::BTreeSet::new();
    for bytes in refusable() {
        let mut client = scene.stranger();
        client.send(&bytes);
        let answer = ConnAck::read(&client.expect(CONNACK));
        assert!(answer.reason >= 0x80, "{answer:02x?}");
        reasons.insert(answer.reason);
        client.expect_end();
    }
    assert!(reasons.len() >= 8, "{reasons:02x?}");
}

#[test]
fn v5_3_2_2_8_whatever_is_wrong_connack_has_a_reason_code_of_its_table() {
    let secure = Scene::secure("");
    for bytes in refusable() {
        let answer = secure.refused(&bytes).expect("a refusal");
        assert!(REFUSALS.contains(&answer.reason), "{answer:02x?} for {bytes:02x?}");
    }
    // Every byte of a CONNECT with everything in it, changed in some ways.
    let scene = Scene::open();
    let will = Will { properties: user_property("a", "b"), ..Will::new("topic", b"payload") };
    let connect = Connect { will: Some(will), ..Connect::new(5, "x").keep_session(false, 1) };
    let connect = connect.encode();
    for at in 2..connect.len() {
        for change in [0x01, 0x02, 0x40, 0x80, 0xFF] {
            let mut changed = connect.clone();
            changed[at] ^= change;
            let mut client = scene.stranger();
            client.send(&changed);
            let Some(answer) = client.read_or_end() else { continue };
            assert_eq!(answer.first, CONNACK);
            // An older version has return codes of its own.
            if answer.body.len() > 2 && answer.reason() != 0 {
                assert!(REFUSALS.contains(&answer.reason()), "{answer:02x?} for {changed:02x?}");
            }
        }
    }
}

#[test]
fn v5_3_2_2_16_a_client_without_an_identifier_is_told_the_one_it_gets() {
    let scene = Scene::open();
    let mut kept = Vec::new();
    for _ in 0..10 {
        let nameless = Connect::new(5, "").keep_session(false, LONG);
        let (client, answer) = scene.welcomed(&nameless);
        let id = answer.property(ASSIGNED_CLIENT_IDENTIFIER).expect("an identifier").to_vec();
        // New: no session had it, neither one in use nor one that waits.
        assert!(!answer.has_session() && !kept.contains(&id));
        kept.push(id);
        client.leave();
    }
    let (_, answer) = scene.welcomed(&Connect::new(5, "named"));
    assert_eq!(answer.property(ASSIGNED_CLIENT_IDENTIFIER), None);
}

#[test]
fn v5_3_2_2_16_the_will_of_a_client_without_an_identifier_is_its_own() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let payload = [&data("")[..], &[0], &data("wills"), &data("nameless")];
    let mut client = scene.stranger();
    client.send(&connect_packet(CLEAN | WILL, &payload));
    let answer = ConnAck::read(&client.expect(CONNACK));
    assert!(answer.property(ASSIGNED_CLIENT_IDENTIFIER).is_some());
    client.break_off();
    assert_eq!(subscriber.message().payload, b"nameless");
}

#[test]
fn v5_3_2_2_8_a_server_that_is_stopping_refuses_with_a_reason_code_of_the_table() {
    let scene = Scene::open();
    let mut clients = (0..200).map(|_| scene.stranger()).collect::<Vec<_>>();
    // All of it waits for the server at once.
    scene.signal(Signal::STOP);
    scene.signal(Signal::TERM);
    for client in &mut clients {
        client.send(&Connect::new(5, "").encode());
    }
    scene.signal(Signal::CONT);
    for client in &mut clients {
        let answer = client.read_or_end().map(|frame| ConnAck::read(&frame).reason);
        let fits = answer.is_none_or(|reason| reason == 0 || REFUSALS.contains(&reason));
        assert!(fits, "{answer:02x?}");
    }
}
