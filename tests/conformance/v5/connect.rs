//! Sections 3.1.0, 3.1.2.1 to 3.1.2.3 and 3.1.3: when CONNECT comes, and what it looks like.

use super::scene::{
    CLEAN, ConnAck, MALFORMED, PASSWORD, PROTOCOL_ERROR, Reading, Scene, USER_NAME, WILL,
    connect_packet, user_property,
};
use crate::harness::ADMIN;
use crate::harness::raw::{
    self, AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL,
    UNSUBSCRIBE, data, packet, properties,
};

const UNSUPPORTED_VERSION: u8 = 0x84;

#[test]
fn v5_3_1_0_1_a_first_packet_that_is_not_connect_ends_the_connection_and_does_nothing() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("#", 0);
    for first in [
        raw::publish(5, "a", b"smuggled"),
        raw::subscribe(5, 1, "a", 0),
        packet(UNSUBSCRIBE, &[0, 1, 0, 0, 1, b'a']),
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
        packet(AUTH, &[]),
        packet(CONNACK, &[0, 0, 0]),
        raw::acknowledge(PUBACK, 1),
        raw::acknowledge(PUBREC, 1),
        raw::acknowledge(PUBREL, 1),
        raw::acknowledge(PUBCOMP, 1),
        vec![0x00, 0],
    ] {
        let mut client = scene.stranger();
        // A CONNECT that comes too late changes nothing.
        client.send(&[first, Connect::new(5, "late").encode()].concat());
        client.expect_end();
    }
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_0_2_a_second_connect_is_a_protocol_error_and_ends_the_connection() {
    let scene = Scene::open();
    for second in [Connect::new(5, "clumsy"), Connect::new(5, "another"), Connect::new(4, "clumsy")]
    {
        scene.disconnected_with(PROTOCOL_ERROR, &second.encode());
    }
    // Both in one segment: the first is answered, the second is not.
    let mut client = scene.stranger();
    client.send(&Connect::new(5, "twice").encode().repeat(2));
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client.expect_disconnect(PROTOCOL_ERROR);
}

#[test]
fn v5_3_1_2_1_another_protocol_name_is_refused() {
    let scene = Scene::open();
    for name in ["mqtt", "MQTt", "MQT", "MQTTT", "", "HTTP", "MQIsdp", "\u{FEFF}MQTT", " MQTT"] {
        let body = [&data(name)[..], &[5, CLEAN, 0, 0, 0], &data("x")].concat();
        let answer = scene.refused(&packet(CONNECT, &body));
        let reason = answer.map_or(UNSUPPORTED_VERSION, |answer| answer.reason);
        assert_eq!(reason, UNSUPPORTED_VERSION, "{name:?}");
    }
}

#[test]
fn v5_3_1_2_2_a_version_that_the_server_does_not_speak_is_refused() {
    let scene = Scene::open();
    let version = |version: u8| {
        packet(CONNECT, &[&data("MQTT")[..], &[version, CLEAN, 0, 0, 0], &data("x")].concat())
    };
    for unknown in [6, 7, 0x7F, 0x85, 0xFF] {
        scene.refused_with(UNSUPPORTED_VERSION, &version(unknown));
    }
    // Older than 3.1.1: whatever is said, it is no welcome.
    for unknown in [0, 1, 2, 3] {
        let mut client = scene.stranger();
        client.send(&version(unknown));
        if let Some(answer) = client.read_or_end() {
            assert_ne!(answer.reason(), 0, "{answer:?}");
            client.expect_end();
        }
    }
}

#[test]
fn v5_3_1_2_3_a_reserved_connect_flag_that_is_set_is_malformed() {
    let scene = Scene::open();
    scene.refused_with(MALFORMED, &connect_packet(1, &[&data("x")]));
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | 1, &[&data("x")]));
    let payload = [&data("x")[..], &[0], &data("a"), &data("will")].concat();
    scene.refused_with(MALFORMED, &connect_packet(CLEAN | WILL | 1, &[&payload]));
}

#[test]
fn v5_3_1_3_1_the_fields_of_the_payload_are_read_in_their_order() {
    let scene = Scene::secure("");
    let mut subscriber = scene.accepted(&Connect::new(5, "subscriber").login(ADMIN));
    assert_eq!(subscriber.subscribe(5, "#", 0), 0);
    let (user, password) = ADMIN;
    let note = user_property("name", "value");
    let all = CLEAN | WILL | USER_NAME | PASSWORD;
    let (id, will_properties) = (data("x"), properties(5, &note));
    let (topic, payload) = (data("topic"), data("payload"));
    let (user, password) = (data(user), data(password));
    let mut client = scene.stranger();
    let in_order = [&id[..], &will_properties, &topic, &payload, &user, &password];
    client.send(&connect_packet(all, &in_order));
    assert_eq!(ConnAck::read(&client.expect(CONNACK)).reason, 0);
    client.break_off();
    let will = subscriber.message();
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("topic", &b"payload"[..]));
    assert_eq!(will.properties, note);
    // The same fields with two neighbours exchanged.
    for at in 0..in_order.len() - 1 {
        let mut exchanged = in_order;
        exchanged.swap(at, at + 1);
        let mut client = scene.stranger();
        client.send(&connect_packet(all, &exchanged));
        let accepted = client.read_or_end().is_some_and(|answer| answer.reason() == 0);
        // Topic and payload look alike, but are not each other.
        assert_eq!(accepted, at == 2, "{at}");
        if accepted {
            client.break_off();
            let will = subscriber.message();
            assert_eq!((will.topic.as_str(), &will.payload[..]), ("payload", &b"topic"[..]));
        }
    }
    subscriber.expect_nothing();
}
