//! Section 3.1.4: what a server does with a CONNECT.

use super::scene::{
    CLEAN, LONG, PASSWORD, Reading, Scene, USER_NAME, WILL, connect_packet, long_property,
    text_property, user_property,
};
use crate::harness::raw::{
    self, CONNACK, CONNECT, Connect, PUBLISH, SUBACK, SUBSCRIBE, UNSUBSCRIBE, Will, data, packet,
    properties,
};
use crate::harness::{ADMIN, DEVICE1};

const BAD_LOGIN: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const BAD_METHOD: u8 = 0x8C;

/// A CONNECT with these properties.
fn with_properties(encoded: &[u8]) -> Vec<u8> {
    Connect { properties: encoded.to_vec(), ..Connect::new(5, "x") }.encode()
}

/// A CONNECT with a will of these properties.
fn with_will_properties(encoded: &[u8]) -> Vec<u8> {
    let will = Will { properties: encoded.to_vec(), ..Will::new("a", b"") };
    Connect { will: Some(will), ..Connect::new(5, "x") }.encode()
}

#[test]
fn v5_3_1_4_1_a_connect_of_the_wrong_form_ends_the_connection() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("#", 0);
    let id = data("x");
    for bytes in [
        // Cut off in the protocol name, the version, the flags, the keep alive, the properties.
        packet(CONNECT, &[]),
        packet(CONNECT, &[0, 4, b'M', b'Q']),
        packet(CONNECT, &data("MQTT")),
        packet(CONNECT, &[&data("MQTT")[..], &[5]].concat()),
        packet(CONNECT, &[&data("MQTT")[..], &[5, CLEAN, 0]].concat()),
        packet(CONNECT, &[&data("MQTT")[..], &[5, CLEAN, 0, 0]].concat()),
        packet(CONNECT, &[&data("MQTT")[..], &[5, CLEAN, 0, 0, 9, 0x11]].concat()),
        // Something behind the end.
        connect_packet(CLEAN, &[&id, &[0]]),
        connect_packet(CLEAN | WILL, &[&id, &[0], &data("a"), &data("b"), &data("c")]),
        // Flags that contradict each other.
        connect_packet(CLEAN | 0x08, &[&id]),
        connect_packet(CLEAN | 0x20, &[&id]),
        connect_packet(CLEAN | WILL | 0x18, &[&id, &[0], &data("a"), &data("b")]),
        // Will topics that are none.
        connect_packet(CLEAN | WILL, &[&id, &[0], &data("a/#"), &data("b")]),
        connect_packet(CLEAN | WILL, &[&id, &[0], &data("+"), &data("b")]),
        connect_packet(CLEAN | WILL, &[&id, &[0], &data(""), &data("b")]),
        // User name and password that are not there.
        connect_packet(CLEAN | USER_NAME | PASSWORD, &[&id, &data("user")]),
    ] {
        scene.refused(&bytes);
    }
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_4_1_properties_that_connect_does_not_have_end_the_connection() {
    let scene = Scene::open();
    let twice = |property: &[u8]| property.repeat(2);
    for bytes in [
        // Values that are not allowed.
        with_properties(&[0x21, 0, 0]),
        with_properties(&long_property(0x27, 0)),
        with_properties(&[0x19, 2]),
        with_properties(&[0x17, 2]),
        // Data of a method that is not named.
        with_properties(&text_property(0x16, "proof")),
        // Twice what stands there once.
        with_properties(&twice(&long_property(0x11, 1))),
        with_properties(&twice(&[0x21, 0, 1])),
        with_properties(&twice(&long_property(0x27, 1))),
        with_properties(&twice(&[0x22, 0, 1])),
        with_properties(&twice(&[0x19, 0])),
        with_properties(&twice(&[0x17, 0])),
        with_properties(&twice(&text_property(0x15, "SCRAM-SHA-1"))),
        // Properties of other packets, and of none.
        with_properties(&[0x01, 0]),
        with_properties(&long_property(0x02, 1)),
        with_properties(&long_property(0x18, 1)),
        with_properties(&text_property(0x12, "x")),
        with_properties(&[0x24, 1]),
        with_properties(&text_property(0x1F, "why")),
        with_properties(&[0x00]),
        with_properties(&[0x7F, 0]),
        with_properties(&[0x80, 0x01, 0]),
        // The same of a will.
        with_will_properties(&twice(&long_property(0x18, 1))),
        with_will_properties(&twice(&[0x01, 0])),
        with_will_properties(&twice(&long_property(0x02, 1))),
        with_will_properties(&twice(&text_property(0x03, "a"))),
        with_will_properties(&twice(&text_property(0x08, "a"))),
        with_will_properties(&twice(&text_property(0x09, "a"))),
        with_will_properties(&[0x01, 2]),
        with_will_properties(&text_property(0x08, "a/#")),
        with_will_properties(&long_property(0x11, 1)),
        with_will_properties(&[0x23, 0, 1]),
        with_will_properties(&[0x0B, 1]),
    ] {
        scene.refused(&bytes);
    }
    // What may come more than once.
    let notes = user_property("a", "b").repeat(2);
    let mut client = scene.stranger();
    client.send(&with_properties(&notes));
    assert_eq!(client.expect(CONNACK).reason(), 0);
}

#[test]
fn v5_3_1_4_2_a_client_that_may_not_connect_is_sent_away() {
    let scene = Scene::secure("");
    let connect = Connect::new(5, "x");
    let user = ADMIN.0;
    scene.refused_with(NOT_AUTHORIZED, &connect.encode());
    let no_password = connect_packet(CLEAN | USER_NAME, &[&data("x"), &data(user)]);
    scene.refused_with(BAD_LOGIN, &no_password);
    for login in [(user, "wrong"), (user, ""), ("nobody", ADMIN.1), ("", "")] {
        scene.refused_with(BAD_LOGIN, &connect.clone().login(login).encode());
    }
    let unknown_method = text_property(0x15, "UNKNOWN");
    let connect = Connect { properties: unknown_method, ..connect.login(ADMIN) };
    scene.refused_with(BAD_METHOD, &connect.encode());
}

#[test]
fn v5_3_1_4_2_a_client_that_may_not_leave_its_will_is_sent_away() {
    let scene = Scene::secure("");
    let mut subscriber = scene.accepted(&Connect::new(5, "subscriber").login(ADMIN));
    assert_eq!(subscriber.subscribe(5, "#", 0), 0);
    let will = Some(Will::new("devices/device2/state", b"forged"));
    let connect = Connect { will, ..Connect::new(5, "x").login(DEVICE1) };
    scene.refused_with(NOT_AUTHORIZED, &connect.encode());
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_4_5_a_connect_that_is_accepted_is_answered_with_connack_0() {
    let scene = Scene::open();
    let every_property = [
        long_property(0x11, LONG),
        vec![0x21, 0, 10],
        long_property(0x27, 1_000),
        vec![0x22, 0, 10],
        vec![0x19, 1],
        vec![0x17, 0],
        user_property("a", "b"),
    ];
    for connect in [
        Connect::new(5, "x"),
        Connect { keep_alive: 60, clean: false, ..Connect::new(5, "x") },
        Connect { properties: every_property.concat(), ..Connect::new(5, "x") },
        Connect { will: Some(Will::new("a", b"")), ..Connect::new(5, "x") },
        Connect::new(5, ""),
    ] {
        let mut client = scene.stranger();
        client.send(&connect.encode());
        let answer = client.read();
        assert_eq!((answer.first, answer.reason()), (CONNACK, 0));
        client.expect_nothing();
    }
}

#[test]
fn v5_3_1_4_6_what_follows_a_refused_connect_is_not_processed() {
    let scene = Scene::secure("");
    let mut subscriber = scene.accepted(&Connect::new(5, "subscriber").login(ADMIN));
    assert_eq!(subscriber.subscribe(5, "#", 0), 0);
    let behind = [
        raw::publish(5, "a", b"smuggled"),
        raw::publish_with(5, PUBLISH | 1 << 1 | 1, "a", Some(1), &[], b"smuggled and retained"),
        packet(SUBSCRIBE, &[&[0, 2], &properties(5, &[])[..], &data("a"), &[0]].concat()),
        packet(UNSUBSCRIBE, &[0, 3, 0, 0, 1, b'a']),
    ]
    .concat();
    let mut malformed = Connect::new(5, "x").login(ADMIN).encode();
    malformed[9] |= 1;
    let unknown_method = text_property(0x15, "UNKNOWN");
    for refused in [
        Connect::new(5, "x").encode(),
        Connect::new(5, "x").login((ADMIN.0, "wrong")).encode(),
        Connect { properties: unknown_method, ..Connect::new(5, "x").login(ADMIN) }.encode(),
        malformed,
    ] {
        // One CONNACK, and no answer to anything behind it.
        assert!(scene.refused(&[refused, behind.clone()].concat()).is_some());
    }
    subscriber.expect_nothing();
    assert_eq!(subscriber.subscribe(5, "+", 0), 0);
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_4_6_what_follows_an_accepted_connect_is_processed() {
    let scene = Scene::secure("");
    let mut client = scene.stranger();
    let connect = Connect::new(5, "x").login(ADMIN).encode();
    let (subscribe, publish) = (raw::subscribe(5, 1, "a", 0), raw::publish(5, "a", b"early"));
    client.send(&[connect, subscribe, publish].concat());
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client.expect(SUBACK);
    assert_eq!(client.message().payload, b"early");
}
