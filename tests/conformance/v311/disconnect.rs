//! Section 3.14: DISCONNECT. What becomes of the will is in `will.rs`.

use super::scene::{QOS_1, RETAIN, Scene, V311, publish};
use crate::harness::raw::{Connect, DISCONNECT, PINGREQ, Will, packet};

#[test]
fn v311_3_14_1_1_the_reserved_bits_of_disconnect_are_zero() {
    let scene = Scene::open();
    let mut witness = scene.client("witness");
    witness.subscribe("will", 0);
    for flags in 1..16 {
        let will = Some(Will::new("will", b"a fault"));
        let mut client = scene.connect(&Connect { will, ..Connect::new(V311, "client") }).0;
        client.send(&packet(DISCONNECT | flags, &[]));
        client.expect_end();
        // It is no DISCONNECT: the will is sent.
        assert_eq!(witness.receive().payload, b"a fault");
    }
}

#[test]
fn v311_3_14_4_1_the_connection_ends_after_disconnect_though_the_client_leaves_it_open() {
    let scene = Scene::open();
    for clean in [true, false] {
        let mut client = scene.connect(&Connect { clean, ..Connect::new(V311, "client") }).0;
        client.send(&packet(DISCONNECT, &[]));
        client.expect_end();
    }
}

#[test]
fn v311_3_14_4_2_nothing_after_disconnect_is_processed() {
    let mut scene = Scene::open();
    let mut client = scene.client("client");
    let after = [packet(PINGREQ, &[]), publish(RETAIN | QOS_1, 1, "a", b"too late")].concat();
    client.send(&[packet(DISCONNECT, &[]), after.clone()].concat());
    client.expect_end();
    scene.nothing_is_retained_at("a");
    // As long as the client has not noticed the end.
    let mut client = scene.client("client");
    client.send(&packet(DISCONNECT, &[]));
    client.send(&after);
    client.expect_end();
    scene.nothing_is_retained_at("a");
}
