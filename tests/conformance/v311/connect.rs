//! Sections 3.1, 3.1.2 and 3.1.4: CONNECT as a whole, its protocol, its keep alive, its answer.

use std::time::Instant;

use super::scene::{QOS_1, RETAIN, Scene, V311, connect_as, connect_with, publish, subscribe};
use crate::harness::raw::{
    self, AUTH, CONNACK, Connect, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBREL, Will, packet,
};

#[test]
fn v311_3_1_0_1_the_first_packet_must_be_connect() {
    let mut scene = Scene::open();
    for first in [
        publish(0, 0, "a", b"early"),
        publish(RETAIN | QOS_1, 1, "a", b"early"),
        subscribe(1, &[("a", 0)]),
        raw::acknowledge(PUBACK, 1),
        raw::acknowledge(PUBREL, 1),
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
        packet(AUTH, &[]),
        packet(CONNACK, &[0, 0]),
        packet(0, &[]),
    ] {
        scene.is_hung_up_on(&first);
        // Nor does a CONNECT that follows mend it.
        scene.is_hung_up_on(&[first, connect_with(0x02, &[b"late"])].concat());
    }
    scene.nothing_is_retained_at("a");
}

#[test]
fn v311_3_1_0_2_a_second_connect_ends_the_connection() {
    let scene = Scene::open();
    for id in [b"clumsy", b"second"] {
        scene.is_cut_off(&connect_with(0x02, &[id]));
    }
}

#[test]
fn v311_3_1_2_1_a_connect_of_another_protocol_is_not_processed() {
    let scene = Scene::open();
    let mut bystander = scene.client("client");
    for name in ["", "M", "MQT", "mqtt", "MQTTT", "MQIsdp", "HTTP", "\u{FEFF}MQTT"] {
        let mut client = scene.stranger();
        client.send(&connect_as(name, V311, 0x02, &[b"client"]));
        let welcome = client.read_or_end().filter(|answer| answer.body.get(1) == Some(&0));
        assert_eq!(welcome, None, "{name}");
        client.expect_end();
    }
    // Processing it would have thrown this one out.
    bystander.expect_silence();
}

#[test]
fn v311_3_1_2_2_an_unsupported_protocol_level_is_answered_with_return_code_1() {
    let scene = Scene::open();
    // A server that speaks 5.0 answers those above it in the words of 5.0 (`v5_3_1_2_2_…`).
    for level in 0..=3 {
        scene.is_refused(&connect_as("MQTT", level, 0x02, &[b"client"]), 1);
    }
}

#[test]
fn v311_3_1_2_3_the_reserved_connect_flag_must_be_zero() {
    let scene = Scene::open();
    for flags in [0x01, 0x03] {
        scene.is_hung_up_on(&connect_with(flags, &[b"client"]));
    }
}

#[test]
fn v311_3_1_2_24_a_client_that_pings_within_its_keep_alive_stays_connected() {
    let scene = Scene::open();
    let connect = |id, keep_alive| {
        let connect = Connect { keep_alive, ..Connect::new(V311, id) };
        scene.connect(&connect).0
    };
    let mut lively = connect("lively", 3);
    let since = Instant::now();
    // Each silent client takes a second and a half, and so measures the time between two pings.
    for _ in 0..4 {
        connect("silent", 1).expect_end();
        lively.expect_silence();
    }
    assert!(since.elapsed().as_secs_f32() > 4.5, "too early to show anything");
}

#[test]
fn v311_3_1_2_24_a_client_that_is_silent_for_one_and_a_half_keep_alives_is_disconnected() {
    let scene = Scene::open();
    let mut witness = scene.client("witness");
    witness.subscribe("will", 0);
    let will = Some(Will::new("will", b"gone"));
    // Long enough that a busy machine does not make one and a half times look like twice.
    let connect = Connect { keep_alive: 4, will, ..Connect::new(V311, "silent") };
    let since = Instant::now();
    let mut silent = scene.connect(&connect).0;
    silent.expect_end();
    let waited = since.elapsed().as_secs_f32();
    assert!((5.9..8.0).contains(&waited), "{waited} s instead of 6 s");
    // As if the network had failed: the will is sent.
    assert_eq!(witness.receive().payload, b"gone");
}

#[test]
fn v311_3_1_4_1_a_connect_that_is_not_as_it_should_be_ends_the_connection_without_a_connack() {
    let scene = Scene::open();
    let sound = connect_with(0x02, &[b"client"]);
    let [fixed_header, rest] = [&sound[..2], &sound[2..]];
    let with_more = [fixed_header, rest, &[0]].concat();
    let length = |bytes: &[u8], length: usize| {
        let mut bytes = bytes.to_vec();
        bytes[1] = u8::try_from(length).expect("a short packet");
        bytes
    };
    // Bytes behind the end, and an end before each of its bytes.
    scene.is_hung_up_on(&length(&with_more, rest.len() + 1));
    for end in 0..rest.len() {
        scene.is_hung_up_on(&length(&sound[..2 + end], end));
    }
    // A Remaining Length of five bytes.
    scene.is_hung_up_on(&[&[0x10, 0x80, 0x80, 0x80, 0x80, 0x00], rest].concat());
    scene.is_hung_up_on(&connect_with(0x01, &[b"client"]));
    scene.is_hung_up_on(&connect_with(0x1E, &[b"client", b"will", b""]));
    scene.is_hung_up_on(&connect_with(0x42, &[b"client", b"password"]));
}

#[test]
fn v311_3_1_4_2_a_newer_connection_of_a_client_id_ends_the_older() {
    let scene = Scene::open();
    for clean in [true, false] {
        let connect = Connect { clean, ..Connect::new(V311, "client") };
        let mut older = scene.connect(&connect).0;
        let mut newer = scene.connect(&connect).0;
        older.expect_end();
        newer.expect_silence();
    }
}

#[test]
fn v311_3_1_4_3_clean_session_is_processed_at_connect() {
    let mut scene = Scene::open();
    let mut client = scene.lasting("client");
    client.subscribe("a", 0);
    client.disconnect();
    let (mut resumed, session_present) = scene.resume("client");
    assert!(session_present);
    scene.publish(0, "a", b"kept");
    assert_eq!(resumed.receive().payload, b"kept");
    resumed.disconnect();
    let (mut fresh, session_present) = scene.connect(&Connect::new(V311, "client"));
    assert!(!session_present);
    scene.publish(0, "a", b"forgotten");
    scene.nothing_comes_to(&mut fresh);
}

#[test]
fn v311_3_1_4_4_a_connect_is_acknowledged_with_return_code_0() {
    let scene = Scene::open();
    let mut client = scene.stranger();
    client.send(&connect_with(0x02, &[b"client"]));
    client.expect_packet(CONNACK, &[0, 0]);
    client.send(&packet(PINGREQ, &[]));
    client.expect_packet(PINGRESP, &[]);
}

#[test]
fn v311_3_1_4_5_nothing_that_follows_a_refused_connect_is_processed() {
    let mut scene = Scene::open();
    let refused = [
        // Code 2: a session that is to last, of nobody.
        connect_with(0x00, &[b""]),
        // Code 1.
        connect_as("MQTT", 3, 0x02, &[b"client"]),
        // No word.
        connect_with(0x01, &[b"client"]),
    ];
    for connect in refused {
        let mut client = scene.stranger();
        let after = publish(RETAIN | QOS_1, 1, "a", b"never");
        client.send(&[connect, after, subscribe(2, &[("#", 0)])].concat());
        if let Some(answer) = client.read_or_end() {
            assert_eq!(answer.first, CONNACK, "{answer:?}");
            client.expect_end();
        }
        scene.nothing_is_retained_at("a");
    }
}
