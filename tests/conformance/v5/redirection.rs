//! Section 4.11: clients that are sent to another server, in CONNACK and DISCONNECT.

use rustix::process::Signal;

use super::scene::{ConnAck, Scene, long_property};
use super::stage::{properties_at, size};
use crate::harness::ADMIN;
use crate::harness::raw::{CONNACK, Connect, DISCONNECT};

const SERVER_REFERENCE: u8 = 0x1C;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const USE_ANOTHER_SERVER: u8 = 0x9C;
const SERVER_MOVED: u8 = 0x9D;
const REFERENCE: &str = "a.example.com:8883 b.example.com";

fn redirecting(settings: &str) -> Scene {
    Scene::secure(&format!("\n[mqtt]\nserver_reference = \"{REFERENCE}\"\n{settings}"))
}

/// A client that takes packets of at most `limit` bytes.
fn connect(limit: u32) -> Connect<'static> {
    let properties = long_property(MAXIMUM_PACKET_SIZE, limit);
    Connect { properties, ..Connect::new(5, "client").login(ADMIN) }
}

fn reference() -> (u8, Vec<u8>) {
    (SERVER_REFERENCE, REFERENCE.as_bytes().to_vec())
}

#[test]
fn v5_3_14_2_1_a_disconnect_that_redirects_says_why_and_where_to() {
    for (moved, reason) in [(false, USE_ANOTHER_SERVER), (true, SERVER_MOVED)] {
        let scene = redirecting(&format!("server_moved = {moved}\n"));
        let mut client = scene.accepted(&connect(1_000));
        scene.signal(Signal::TERM);
        let farewell = client.expect(DISCONNECT);
        assert_eq!(farewell.reason(), reason);
        assert!(properties_at(&farewell, 1).contains(&reference()), "{farewell:02x?}");
        client.expect_end();
    }
}

#[test]
fn v5_3_2_2_8_a_connack_that_redirects_says_why_and_where_to() {
    for (moved, reason) in [(false, USE_ANOTHER_SERVER), (true, SERVER_MOVED)] {
        let scene = redirecting(&format!("server_moved = {moved}\nredirect = \"always\"\n"));
        // Nobody is asked who he is first.
        for connect in [connect(1_000), Connect { login: None, ..connect(1_000) }] {
            let mut client = scene.stranger();
            client.send(&connect.encode());
            let answer = ConnAck::read(&client.expect(CONNACK));
            assert_eq!((answer.flags, answer.reason), (0, reason));
            assert!(answer.properties.contains(&reference()), "{answer:02x?}");
            client.expect_end();
        }
    }
}

#[test]
fn v5_3_1_2_24_a_connack_that_redirects_is_no_larger_than_the_client_takes() {
    let scene = redirecting("redirect = \"always\"\n");
    let mut referred = 0;
    for limit in 1..100 {
        let Some(answer) = scene.refused(&connect(limit).encode()) else {
            assert!(limit < 5, "{limit}");
            continue;
        };
        assert!(answer.size <= limit as usize, "{limit}: {answer:02x?}");
        assert_eq!(answer.reason, USE_ANOTHER_SERVER);
        let is_referred = answer.properties.contains(&reference());
        assert_eq!(is_referred, limit as usize >= 5 + 3 + REFERENCE.len(), "{limit}");
        referred += usize::from(is_referred);
    }
    assert!(referred > 0);
}

#[test]
fn v5_3_1_2_24_a_disconnect_that_redirects_is_no_larger_than_the_client_takes() {
    const BARE: u32 = 30;
    let scene = redirecting("");
    let mut client = scene.accepted(&connect(BARE));
    scene.signal(Signal::TERM);
    let farewell = client.expect(DISCONNECT);
    assert_eq!(farewell.reason(), USE_ANOTHER_SERVER);
    assert!(size(&farewell) <= BARE as usize, "{farewell:02x?}");
}
