//! Section 3.1.3.1: the client identifier.

use super::scene::{ILL_FORMED, QOS_1, Scene, V311, connect_with, publish};
use crate::harness::raw::{CONNACK, Connect, Will};
use crate::harness::{DEVICE1, DEVICE2};

const CLEAN: u8 = 0x02;
const IDENTIFIER_REJECTED: u8 = 2;

#[test]
fn v311_3_1_3_2_a_session_is_that_of_its_client_id() {
    let mut scene = Scene::open();
    for (id, filter) in [("one", "a"), ("two", "b")] {
        let mut client = scene.lasting(id);
        client.subscribe(filter, 1);
        client.disconnect();
    }
    for topic in ["a", "b"] {
        scene.publish(QOS_1, topic, b"");
    }
    for (id, topic) in [("two", "b"), ("one", "a")] {
        let (mut client, session_present) = scene.resume(id);
        assert!(session_present, "{id}");
        assert_eq!(client.take().topic, topic, "{id}");
        scene.nothing_comes_to(&mut client);
    }
    assert!(!scene.resume("ONE").1, "another client id");
}

#[test]
fn v311_3_1_3_3_a_client_id_is_the_first_of_the_payload() {
    let scene = Scene::open();
    scene.is_hung_up_on(&connect_with(CLEAN, &[]));
    // The identifier, not the will topic that follows it, is what a second client takes over.
    let will = Some(Will::new("topic", b""));
    let mut first = scene.connect(&Connect { will, ..Connect::new(V311, "client") }).0;
    let mut other = scene.client("topic");
    first.expect_silence();
    let _second = scene.client("client");
    first.expect_end();
    other.expect_silence();
}

#[test]
fn v311_3_1_3_4_a_client_id_is_utf_8() {
    let scene = Scene::open();
    for id in ILL_FORMED {
        scene.is_hung_up_on(&connect_with(CLEAN, &[id]));
    }
    let _welcome = scene.client("Gerät-日本");
}

#[test]
fn v311_3_1_3_5_a_client_id_of_1_to_23_letters_and_digits_is_allowed() {
    let scene = Scene::open();
    let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for length in 1..=23 {
        for id in [&letters[..length], &letters[letters.len() - length..]] {
            scene.client(id).disconnect();
        }
    }
    for middle in (0..letters.len() - 23).step_by(23) {
        scene.client(&letters[middle..middle + 23]).disconnect();
    }
}

#[test]
fn v311_3_1_3_6_a_client_without_an_id_is_given_one_that_nobody_else_has() {
    let scene = Scene::open();
    let mut clients = [(); 5].map(|()| scene.client(""));
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe(&format!("{number}"), 0);
    }
    // All of them are connected, each with a session of its own.
    for (number, client) in clients.iter_mut().enumerate() {
        let topic = number.to_string();
        client.send(&publish(0, 0, &topic, b""));
        assert_eq!(client.receive().topic, topic);
        client.expect_silence();
    }
}

#[test]
fn v311_3_1_3_7_a_client_without_an_id_must_ask_for_a_clean_session() {
    let scene = Scene::open();
    scene.client("").disconnect();
    let mut client = scene.stranger();
    client.send(&connect_with(0, &[b""]));
    assert_ne!(client.expect(CONNACK).body[1], 0);
}

#[test]
fn v311_3_1_3_8_a_lasting_session_without_an_id_is_refused_with_return_code_2() {
    let scene = Scene::open();
    scene.is_refused(&connect_with(0, &[b""]), IDENTIFIER_REJECTED);
}

#[test]
fn v311_3_1_3_9_a_client_id_that_is_rejected_is_answered_with_return_code_2() {
    let scene = Scene::secure("");
    let mut owner = scene.user("client", DEVICE1);
    // It is another user's.
    let connect = Connect::new(V311, "client").login(DEVICE2);
    scene.is_refused(&connect.encode(), IDENTIFIER_REJECTED);
    owner.expect_silence();
    // No broker has a use for an identifier of 64 KiB.
    let long = "x".repeat(60_000);
    let connect = Connect::new(V311, &long).login(DEVICE1);
    scene.is_refused(&connect.encode(), IDENTIFIER_REJECTED);
}
