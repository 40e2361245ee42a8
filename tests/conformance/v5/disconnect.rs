//! DISCONNECT (3.14).

use super::scene::{MALFORMED, PROTOCOL_ERROR, text_property};
use super::stage::{
    QOS_1, Stage, TAKEN_OVER, Version5, maximum_packet_size, properties_at, publish, size,
};
use crate::harness::ADMIN;
use crate::harness::raw::{
    AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PINGRESP, RawClient, SUBACK, Will, data,
    packet,
};

const REASON_STRING: u8 = 0x1F;
const SESSION_EXPIRY: u8 = 0x11;

/// The reason codes of DISCONNECT that a server may send.
const OF_SERVERS: [u8; 27] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1,
];

/// What ends a connection by the client's fault, each in a way of its own.
fn faults() -> Vec<Vec<u8>> {
    vec![
        packet(PINGREQ | 1, &[]),
        packet(SUBACK, &[0, 1, 0, 0]),
        Connect::new(5, "clumsy").encode(),
        // What is wrong with it has a reason code of CONNACK alone.
        packet(CONNECT, &[&data("MQTT")[..], &[6, 2, 0, 0, 0, 0, 1, b'x']].concat()),
        packet(AUTH, &[0x18, 0]),
        publish(0, "a/#", None, &[], ""),
        publish(0, "", None, &[], ""),
        publish(0, "t", None, &[0x23, 0, 0], ""),
        super::stage::subscribe(1, &[], &[("a/#/b", 0)]),
        vec![0x00, 0],
    ]
}

/// A client whose CONNECT has a will, of which `watcher` would hear.
fn with_will(stage: &Stage) -> (RawClient, RawClient) {
    let mut watcher = stage.client("watcher");
    watcher.subscribed("will", 0);
    let will = Some(Will::new("will", b"the will"));
    (stage.connected(&Connect { will, ..Connect::new(5, "testator") }), watcher)
}

#[test]
fn v5_3_14_0_1_no_disconnect_before_a_connack_that_accepts() {
    let stage = Stage::open();
    let bad_method = Connect { properties: text_property(0x15, "NONE"), ..Connect::new(5, "x") };
    let reserved_flag = [&data("MQTT")[..], &[5, 3, 0, 0, 0, 0, 1, b'x']].concat();
    for bytes in [
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
        packet(AUTH, &[]),
        publish(0, "t", None, &[], "m"),
        vec![0x00, 0],
        packet(CONNECT, &reserved_flag),
        packet(CONNECT, &[&data("MQTT")[..], &[6, 2, 0, 0, 0, 0, 1, b'x']].concat()),
        bad_method.encode(),
    ] {
        let mut client = stage.stranger();
        client.send(&bytes);
        if let Some(answer) = client.read_or_end() {
            assert!(answer.first == CONNACK && answer.reason() >= 0x80, "{answer:?}");
            client.expect_end();
        }
    }
    // A fault right behind the CONNECT does not overtake its answer.
    let mut client = stage.stranger();
    client.send(&[Connect::new(5, "hasty").encode(), packet(PINGREQ | 1, &[])].concat());
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client.expect_disconnect(MALFORMED);
    // Also not where logging in takes a while.
    let stage = Stage::secure();
    let mut client = stage.stranger();
    let connect = Connect::new(5, "hasty").login(ADMIN).encode();
    client.send(&[connect, packet(SUBACK, &[0, 1, 0, 0])].concat());
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client.expect_disconnect(PROTOCOL_ERROR);
}

#[test]
fn v5_3_14_1_1_a_disconnect_with_reserved_bits_is_malformed() {
    let stage = Stage::open();
    for flags in 1..16 {
        stage.client("clumsy").provokes(&packet(DISCONNECT | flags, &[]), &[MALFORMED]);
    }
}

#[test]
fn v5_3_14_2_1_disconnect_has_one_of_its_reason_codes() {
    let stage = Stage::open();
    for bytes in faults() {
        stage.client("clumsy").provokes(&bytes, &OF_SERVERS);
    }
    for reason in [0x01, 0x02, 0x10, 0x18, 0x84, 0x86, 0x91, 0x92, 0xFF] {
        let bytes = packet(DISCONNECT, &[reason]);
        stage.client("clumsy").provokes(&bytes, &[MALFORMED, PROTOCOL_ERROR]);
    }
    // Each that a client may send is taken.
    for reason in [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98] {
        let mut client = stage.client("client");
        client.send(&packet(DISCONNECT, &[reason]));
        client.expect_end();
    }
}

#[test]
fn v5_3_14_2_2_the_broker_sends_no_session_expiry_interval() {
    let stage = Stage::open();
    let no_expiry = |mut client: RawClient| {
        let frame = client.expect(DISCONNECT);
        let found = properties_at(&frame, 1);
        assert!(found.iter().all(|(id, _)| *id != SESSION_EXPIRY), "{found:?}");
        frame
    };
    for bytes in faults() {
        let mut client = stage.lasting("clumsy");
        client.send(&bytes);
        no_expiry(client);
    }
    let first = stage.lasting("client");
    let _second = stage.lasting("client");
    assert_eq!(no_expiry(first).reason(), TAKEN_OVER);
}

#[test]
fn v5_3_14_2_3_no_reason_string_makes_the_disconnect_too_large() {
    let stage = Stage::open();
    let fault = packet(AUTH, &[0x18, 0]);
    for (limit, has_reason_string) in [(24, false), (1_000, true)] {
        let mut client = stage.client_with("clumsy", &maximum_packet_size(limit));
        client.send(&fault);
        let frame = client.expect(DISCONNECT);
        assert!(size(&frame) <= limit as usize, "{frame:?}");
        let found = properties_at(&frame, 1);
        assert_eq!(found.iter().any(|(id, _)| *id == REASON_STRING), has_reason_string);
        client.expect_end();
    }
}

#[test]
fn v5_3_14_2_4_no_user_property_makes_the_disconnect_too_large() {
    const LITTLE: u32 = 24;
    let stage = Stage::open();
    for bytes in faults() {
        let mut client = stage.client_with("clumsy", &maximum_packet_size(LITTLE));
        client.send(&bytes);
        let frame = client.expect(DISCONNECT);
        assert!(size(&frame) <= LITTLE as usize, "{frame:?}");
        client.expect_end();
    }
}

#[test]
fn v5_3_14_4_1_nothing_follows_a_disconnect() {
    let stage = Stage::open();
    // What came behind the fault is not answered.
    for bytes in faults() {
        let mut client = stage.client("clumsy");
        client.subscribed("t", 1);
        let more = [publish(QOS_1, "t", Some(1), &[], "late"), packet(PINGREQ, &[])].concat();
        client.provokes(&[bytes, more].concat(), &OF_SERVERS);
    }
    // And what a client sends behind its own DISCONNECT is not taken.
    let mut watcher = stage.client("watcher");
    watcher.subscribed("t", 0);
    let mut client = stage.client("client");
    client.send(&[packet(DISCONNECT, &[]), publish(0, "t", None, &[], "late")].concat());
    client.expect_end();
    stage.client("another").says("t", "marker");
    watcher.hears("marker");
}

#[test]
fn v5_3_14_4_2_the_sender_of_a_disconnect_closes_the_connection() {
    let stage = Stage::open();
    for bytes in faults() {
        let mut client = stage.client("clumsy");
        client.send(&bytes);
        client.expect(DISCONNECT);
        client.expect_end();
    }
    let mut first = stage.client("client");
    let mut second = stage.client("client");
    first.expect_disconnect(TAKEN_OVER);
    second.send(&packet(PINGREQ, &[]));
    second.expect(PINGRESP);
}

#[test]
fn v5_3_14_4_3_a_normal_disconnect_takes_the_will_along() {
    let stage = Stage::open();
    for bytes in [packet(DISCONNECT, &[]), packet(DISCONNECT, &[0]), packet(DISCONNECT, &[0, 0])] {
        let (mut client, mut watcher) = with_will(&stage);
        client.send(&bytes);
        client.expect_end();
        stage.client("another").publishes(QOS_1, "will", &[], "marker");
        watcher.hears("marker");
    }
    // Any other leaves it.
    let (mut client, mut watcher) = with_will(&stage);
    client.send(&packet(DISCONNECT, &[0x04]));
    client.expect_end();
    watcher.hears("the will");
}
