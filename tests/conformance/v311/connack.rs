//! Section 3.2: CONNACK.

use super::scene::{Scene, V311, connect_as, connect_with, subscribe};
use crate::harness::raw::{CONNACK, Connect, PINGREQ, PINGRESP, SUBACK, packet};
use crate::harness::{DEVICE1, DEVICE2};

/// A lasting session of `DEVICE1`, which is away.
fn with_a_session() -> Scene {
    let scene = Scene::secure("");
    let connect = Connect { clean: false, ..Connect::new(V311, "client") };
    scene.connect(&connect.login(DEVICE1)).0.disconnect();
    scene
}

/// What is refused, and with which return code, although the client has a session.
fn refusals() -> Vec<(Vec<u8>, u8)> {
    let connect = Connect { clean: false, ..Connect::new(V311, "client") };
    vec![
        (connect_as("MQTT", 3, 0, &[b"client"]), 1),
        (connect.clone().login(DEVICE2).encode(), 2),
        (connect.clone().login((DEVICE1.0, "wrong")).encode(), 4),
        (connect.encode(), 5),
    ]
}

#[test]
fn v311_3_2_0_1_the_first_packet_from_the_server_is_connack() {
    let scene = Scene::open();
    let mut client = scene.stranger();
    let connect = connect_with(0x02, &[b"client"]);
    client.send(&[connect, packet(PINGREQ, &[]), subscribe(1, &[("a", 0)])].concat());
    client.expect_packet(CONNACK, &[0, 0]);
    client.expect_packet(PINGRESP, &[]);
    client.expect_packet(SUBACK, &[0, 1, 0]);
}

#[test]
fn v311_3_2_2_1_a_clean_session_is_not_present() {
    let scene = Scene::open();
    // Without and with a session that ends here; the flags are 0 to the last bit.
    for _ in 0..2 {
        let mut client = scene.stranger();
        client.send(&connect_with(0x02, &[b"client"]));
        client.expect_packet(CONNACK, &[0, 0]);
        scene.lasting("client").disconnect();
    }
}

#[test]
fn v311_3_2_2_2_a_stored_session_is_present() {
    let scene = Scene::open();
    scene.lasting("client").disconnect();
    for _ in 0..2 {
        let mut client = scene.stranger();
        client.send(&connect_with(0x00, &[b"client"]));
        client.expect_packet(CONNACK, &[1, 0]);
    }
}

#[test]
fn v311_3_2_2_3_without_a_stored_session_none_is_present() {
    let scene = Scene::open();
    scene.client("client").disconnect();
    let mut client = scene.stranger();
    client.send(&connect_with(0x00, &[b"client"]));
    client.expect_packet(CONNACK, &[0, 0]);
}

#[test]
fn v311_3_2_2_4_a_refusal_says_that_no_session_is_present() {
    let scene = with_a_session();
    for (bytes, code) in refusals() {
        let mut client = scene.stranger();
        client.send(&bytes);
        client.expect_packet(CONNACK, &[0, code]);
    }
    let connect = Connect { clean: false, ..Connect::new(V311, "client") };
    assert!(scene.connect(&connect.login(DEVICE1)).1, "it was there all the time");
}

#[test]
fn v311_3_2_2_5_a_refusal_ends_the_connection() {
    let scene = with_a_session();
    for (bytes, code) in refusals() {
        scene.is_refused(&bytes, code);
    }
}

#[test]
fn v311_3_2_2_6_what_no_return_code_fits_ends_the_connection_without_a_connack() {
    let scene = Scene::open();
    for bytes in [
        // A will without a topic, a will with a wildcard in its topic, a reserved flag.
        connect_with(0x06, &[b"client", b"", b""]),
        connect_with(0x06, &[b"client", b"a/#", b""]),
        connect_with(0x03, &[b"client"]),
        // Something behind the end, and nothing where something should be.
        connect_with(0x02, &[b"client", b"more"]),
        connect_with(0x02, &[]),
    ] {
        scene.is_hung_up_on(&bytes);
    }
}
