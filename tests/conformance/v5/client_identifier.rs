//! Section 3.1.3.1: client identifier.

use super::scene::{CLEAN, LONG, MALFORMED, Reading, Scene, connect_packet};
use crate::harness::raw::{self, CONNECT, Connect, PUBACK, PUBLISH, data, packet};
use crate::harness::{ADMIN, DEVICE1};

const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
const INVALID: u8 = 0x85;

#[test]
fn v5_3_1_3_2_the_client_identifier_tells_sessions_apart() {
    let scene = Scene::open();
    for id in ["one", "two"] {
        let mut client = scene.accepted(&Connect::new(5, id).keep_session(true, LONG));
        assert_eq!(client.subscribe(5, &format!("for/{id}"), 1), 1);
        client.leave();
    }
    let mut publisher = scene.client("publisher");
    for id in ["one", "two"] {
        let topic = format!("for/{id}");
        publisher.send(&raw::publish_with(5, PUBLISH | 1 << 1, &topic, Some(1), &[], b""));
        publisher.expect(PUBACK);
    }
    for id in ["one", "two"] {
        let resume = Connect::new(5, id).keep_session(false, LONG);
        let (mut client, answer) = scene.welcomed(&resume);
        assert!(answer.has_session());
        assert_eq!(client.message().topic, format!("for/{id}"));
        client.expect_nothing();
    }
    let similar = Connect::new(5, "One").keep_session(false, LONG);
    assert!(!scene.welcomed(&similar).1.has_session());
}

#[test]
fn v5_3_1_3_3_a_connect_without_a_client_identifier_is_malformed() {
    let scene = Scene::open();
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[]));
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&[0]]));
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&[0, 2, b'x']]));
}

#[test]
fn v5_3_1_3_4_a_client_identifier_that_is_no_utf_8_string_is_malformed() {
    let scene = Scene::open();
    for bad in [&b"x\xFF"[..], b"\xED\xA0\x80", b"x\0", b"\xC0\x80", b"\xF8\x88\x80\x80\x80"] {
        scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&data(bad)]));
    }
    scene.client("жук-🐞").expect_nothing();
}

#[test]
fn v5_3_1_3_5_identifiers_of_1_to_23_letters_and_digits_are_allowed() {
    const ALLOWED: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let scene = Scene::open();
    for at in 0..ALLOWED.len() {
        scene.client(&ALLOWED[at..=at]).leave();
        let end = ALLOWED.len().min(at + 23);
        scene.client(&ALLOWED[at..end]).leave();
    }
    for length in 1..=23 {
        scene.client(&"x".repeat(length)).leave();
    }
}

#[test]
fn v5_3_1_3_6_clients_without_an_identifier_get_one_each() {
    let scene = Scene::open();
    let mut seen = Vec::new();
    let mut clients = Vec::new();
    for clean in [true, false, true, false] {
        let (client, answer) = scene.welcomed(&Connect { clean, ..Connect::new(5, "") });
        let id = answer.property(ASSIGNED_CLIENT_IDENTIFIER).expect("an identifier").to_vec();
        assert!(!id.is_empty() && !seen.contains(&id), "{id:02x?}");
        assert!(!answer.has_session());
        seen.push(id);
        clients.push(client);
    }
    // None has taken another's place.
    for client in &mut clients {
        client.expect_nothing();
    }
}

#[test]
fn v5_3_1_3_7_an_assigned_identifier_serves_as_if_the_client_had_chosen_it() {
    let scene = Scene::open();
    let (mut client, answer) = scene.welcomed(&Connect::new(5, "").keep_session(true, LONG));
    let id = answer.property(ASSIGNED_CLIENT_IDENTIFIER).expect("an identifier").to_vec();
    let id = String::from_utf8(id).expect("UTF-8");
    assert_eq!(client.subscribe(5, "a", 1), 1);
    client.break_off();
    let (mut client, answer) = scene.welcomed(&Connect::new(5, &id).keep_session(false, LONG));
    assert!(answer.has_session());
    assert_eq!(answer.property(ASSIGNED_CLIENT_IDENTIFIER), None);
    client.send(&raw::publish(5, "a", b"to myself"));
    assert_eq!(client.message().payload, b"to myself");
}

#[test]
fn v5_3_1_3_8_a_client_whose_identifier_is_refused_is_told_so_and_sent_away() {
    let scene = Scene::secure("");
    let named = |id: &str| Connect::new(5, id).login(ADMIN).encode();
    scene.refused_with(INVALID, &named(&"x".repeat(2_000)));
    scene.refused_with(INVALID, &named("line\nfeed"));
    // An identifier belongs to whoever used it first, as long as there is a session.
    let mut owner = scene.accepted(&Connect::new(5, "x").login(DEVICE1));
    scene.refused_with(INVALID, &named("x"));
    owner.expect_nothing();
}

#[test]
fn v5_3_1_3_8_nothing_follows_the_refusal_of_an_identifier() {
    let scene = Scene::open();
    let too_long = connect_packet(CLEAN, &[&data("x".repeat(2_000))]);
    let behind = [raw::publish(5, "a", b""), packet(CONNECT, &[])].concat();
    scene.refused_with(INVALID, &[too_long, behind].concat());
}
