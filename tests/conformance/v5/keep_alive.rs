//! Sections 3.1.2.10 and 3.2.2.3.14: keep alive, the client's and the server's.

use std::time::Instant;

use super::scene::{Reading, Scene};
use crate::harness::ADMIN;
use crate::harness::raw::{Connect, PINGREQ, PINGRESP, RawClient, Will, packet};

const SERVER_KEEP_ALIVE: u8 = 0x13;
const TIMEOUT: u8 = 0x8D;
/// A server that lets nobody be silent for more than a second.
const IMPATIENT: &str = "\n[mqtt]\nmax_keep_alive_seconds = 1\n";

fn with_keep_alive(id: &str, keep_alive: u16) -> Connect<'_> {
    Connect { keep_alive, ..Connect::new(5, id) }
}

/// Waits for the end of a client that says nothing, and fails unless it has come after one and a
/// half times `keep_alive` seconds: not sooner, and not much later.
fn expect_timeout(client: &mut RawClient, since: Instant, keep_alive: f32) {
    client.expect_disconnect(TIMEOUT);
    let waited = since.elapsed().as_secs_f32();
    let due = keep_alive * 1.5;
    assert!((due - 0.1..due + 5.0).contains(&waited), "{waited} s instead of {due} s");
}

fn ping(client: &mut RawClient) {
    client.send(&packet(PINGREQ, &[]));
    client.expect(PINGRESP);
}

#[test]
fn v5_3_1_2_22_pingreq_keeps_a_client_alive_that_has_nothing_else_to_say() {
    let scene = Scene::open();
    let since = Instant::now();
    let mut pinging = scene.accepted(&with_keep_alive("pinging", 2));
    // Clients that are silent for 1.5 s each are the clock.
    for _ in 0..4 {
        let mut silent = scene.accepted(&with_keep_alive("silent", 1));
        silent.expect_disconnect(TIMEOUT);
        ping(&mut pinging);
    }
    assert!(since.elapsed().as_secs_f32() > 4.0, "{:?}", since.elapsed());
}

#[test]
fn v5_3_1_2_21_a_client_that_goes_by_its_own_keep_alive_is_cut_off_by_the_servers() {
    let scene = Scene::secure(IMPATIENT);
    let since = Instant::now();
    let (mut client, answer) = scene.welcomed(&with_keep_alive("x", 600).login(ADMIN));
    assert_eq!(answer.property(SERVER_KEEP_ALIVE), Some(&[0, 1][..]));
    expect_timeout(&mut client, since, 1.0);
}

#[test]
fn v5_3_1_2_22_a_client_that_is_silent_for_too_long_is_cut_off() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    for keep_alive in [1, 2] {
        let will = Some(Will::new("wills", b"silent"));
        let since = Instant::now();
        let mut client = scene.accepted(&Connect { will, ..with_keep_alive("x", keep_alive) });
        expect_timeout(&mut client, since, keep_alive.into());
        // As if the network had failed.
        assert_eq!(subscriber.message().payload, b"silent");
    }
}

#[test]
fn v5_3_1_2_22_one_and_a_half_times_is_not_twice() {
    let scene = Scene::open();
    let since = Instant::now();
    // Long enough that a busy machine does not make 6 s into 8 s.
    let mut client = scene.accepted(&with_keep_alive("x", 4));
    client.expect_disconnect(TIMEOUT);
    let waited = since.elapsed().as_secs_f32();
    assert!((5.9..8.0).contains(&waited), "{waited} s instead of 6 s");
}

#[test]
fn v5_3_1_2_22_half_a_packet_is_no_packet() {
    let scene = Scene::open();
    let since = Instant::now();
    let mut client = scene.accepted(&with_keep_alive("x", 1));
    client.send(&[PINGREQ]);
    expect_timeout(&mut client, since, 1.0);
}

#[test]
fn v5_3_2_2_21_the_keep_alive_that_the_server_sends_is_the_one_that_counts() {
    let scene = Scene::secure(IMPATIENT);
    // Even where the client wanted none.
    for keep_alive in [0, 2, u16::MAX] {
        let since = Instant::now();
        let connect = with_keep_alive("x", keep_alive).login(ADMIN);
        let (mut client, answer) = scene.welcomed(&connect);
        assert_eq!(answer.property(SERVER_KEEP_ALIVE), Some(&[0, 1][..]));
        expect_timeout(&mut client, since, 1.0);
    }
}

#[test]
fn v5_3_2_2_22_without_one_from_the_server_the_clients_keep_alive_counts() {
    let scene = Scene::open();
    let since = Instant::now();
    let (mut patient, answer) = scene.welcomed(&with_keep_alive("patient", 600));
    assert_eq!(answer.property(SERVER_KEEP_ALIVE), None);
    for keep_alive in [1, 2] {
        let (mut silent, answer) = scene.welcomed(&with_keep_alive("silent", keep_alive));
        assert_eq!(answer.property(SERVER_KEEP_ALIVE), None);
        silent.expect_disconnect(TIMEOUT);
    }
    assert!(since.elapsed().as_secs_f32() > 4.0, "{:?}", since.elapsed());
    patient.expect_nothing();
}
