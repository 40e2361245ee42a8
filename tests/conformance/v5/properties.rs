//! Section 2.2.2: properties.

use super::scene::{CLEAN, MALFORMED, Scene, WILL, connect_packet};
use crate::harness::raw::{self, CONNECT, PUBLISH, SUBACK, SUBSCRIBE, UNSUBSCRIBE, data, packet};

#[test]
fn v5_2_2_2_1_a_server_without_properties_to_send_says_that_their_length_is_0() {
    let scene = Scene::open();
    let mut client = scene.client("x");
    client.send(&raw::subscribe(5, 1, "a", 0));
    assert_eq!(client.expect(SUBACK).body, [0, 1, 0, 0]);
    client.send(&raw::publish(5, "a", b"payload"));
    assert_eq!(client.read().body, b"\0\x01a\0payload");
    client.send(&packet(UNSUBSCRIBE, &[0, 2, 0, 0, 1, b'a']));
    assert_eq!(client.read().body, [0, 2, 0, 0]);
    // A refusal to a client that has room for no more than its reason code.
    let method = [&[14, 0x27, 0, 0, 0, 5, 0x15][..], &data("SCRAM-")].concat();
    let connect = [&data("MQTT")[..], &[5, CLEAN, 0, 0], &method, &data("x")].concat();
    let mut refused = scene.stranger();
    refused.send(&packet(CONNECT, &connect));
    assert_eq!(refused.read().body.len(), 3);
}

#[test]
fn v5_2_2_2_1_a_packet_without_a_property_length_is_malformed() {
    let scene = Scene::open();
    for bytes in [
        packet(PUBLISH, &data("a")),
        packet(SUBSCRIBE, &[&[0, 1], &data("abc")[..], &[0]].concat()),
        packet(UNSUBSCRIBE, &[&[0, 1], &data("abc")[..]].concat()),
    ] {
        scene.disconnected_with(MALFORMED, &bytes);
    }
    // The first byte of the client identifier's length is read as the property length.
    let connect = [&data("MQTT")[..], &[5, CLEAN, 0, 0], &data("x")].concat();
    scene.refused_with(MALFORMED, &packet(CONNECT, &connect));
    let will = connect_packet(CLEAN | WILL, &[&data("x"), &data("topic"), &data("payload")]);
    scene.refused_with(MALFORMED, &will);
}
