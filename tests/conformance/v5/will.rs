//! Sections 3.1.2.5 and 3.1.3.2.2: when a will is published, and when it is not.

use super::scene::{CLEAN, LONG, MALFORMED, Reading, Scene, WILL, connect_packet, long_property};
use crate::harness::raw::{
    self, Connect, DISCONNECT, PINGRESP, RawClient, Will, data, packet, properties,
};

const WILL_DELAY: u8 = 0x18;

/// A client with the will `payload` on `wills`, that waits for `delay` seconds.
fn with_will(id: &'static str, payload: &'static str, delay: u32) -> Connect<'static> {
    let will = Will {
        properties: if delay > 0 { long_property(WILL_DELAY, delay) } else { Vec::new() },
        ..Will::new("wills", payload.as_bytes())
    };
    Connect { will: Some(will), ..Connect::new(5, id) }
}

fn expect_will(subscriber: &mut RawClient, payload: &str) {
    let will = subscriber.message();
    assert_eq!(String::from_utf8_lossy(&will.payload), payload);
}

/// Waits until the broker has taken note of the end of the connection of `x`.
fn resume(scene: &Scene) -> RawClient {
    scene.accepted(&Connect::new(5, "x").keep_session(false, LONG))
}

#[test]
fn v5_3_1_2_7_a_will_is_kept_with_the_session_and_published_when_that_ends() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    for (id, payload) in [("x", "of x"), ("y", "of y")] {
        let connect = with_will(id, payload, LONG).keep_session(true, LONG);
        scene.accepted(&connect).break_off();
    }
    // The session of `y` ends, because a client of that name starts clean. That of `x` does not.
    let _y = scene.client("y");
    expect_will(&mut subscriber, "of y");
    subscriber.expect_nothing();
    let _x = scene.client("x");
    expect_will(&mut subscriber, "of x");
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_2_7_a_session_that_expires_ends_and_its_will_is_published() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    scene.accepted(&with_will("x", "expired", LONG).keep_session(true, 1)).break_off();
    expect_will(&mut subscriber, "expired");
}

#[test]
fn v5_3_1_2_8_a_will_is_published_when_the_network_fails() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    scene.accepted(&with_will("x", "broken off", 0)).break_off();
    expect_will(&mut subscriber, "broken off");
}

#[test]
fn v5_3_1_2_8_a_will_is_published_when_the_client_falls_silent() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let connect = Connect { keep_alive: 1, ..with_will("x", "silent", 0) };
    let mut silent = scene.accepted(&connect);
    expect_will(&mut subscriber, "silent");
    silent.expect_disconnect(0x8D);
}

#[test]
fn v5_3_1_2_8_a_will_is_published_unless_disconnect_says_that_all_is_normal() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    for reason in [0x04, 0x80, 0x83, 0x93, 0x96, 0x99] {
        let mut client = scene.accepted(&with_will("x", "disconnect", 0));
        client.send(&packet(DISCONNECT, &[reason]));
        client.expect_end();
        expect_will(&mut subscriber, "disconnect");
    }
    for normal in [packet(DISCONNECT, &[]), packet(DISCONNECT, &[0]), packet(DISCONNECT, &[0, 0])] {
        let mut client = scene.accepted(&with_will("x", "normal", 0));
        client.send(&normal);
        client.expect_end();
        subscriber.expect_nothing();
    }
}

#[test]
fn v5_3_1_2_8_a_will_is_published_when_the_server_ends_the_connection() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let mut clumsy = scene.accepted(&with_will("x", "clumsy", 0));
    clumsy.send(&packet(PINGRESP, &[]));
    expect_will(&mut subscriber, "clumsy");
    clumsy.expect_disconnect(0x82);
    // A newer connection takes over.
    let mut earlier = scene.accepted(&with_will("x", "taken over", 0));
    let _newer = scene.client("x");
    expect_will(&mut subscriber, "taken over");
    earlier.expect_disconnect(0x8E);
}

#[test]
fn v5_3_1_2_8_a_will_with_a_delay_is_published_after_it() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let connected = std::time::Instant::now();
    for (id, delay) in [("later", 2), ("sooner", 1)] {
        scene.accepted(&with_will(id, id, delay).keep_session(true, LONG)).break_off();
    }
    expect_will(&mut subscriber, "sooner");
    assert!(connected.elapsed().as_secs_f32() > 0.9, "{:?}", connected.elapsed());
    expect_will(&mut subscriber, "later");
    assert!(connected.elapsed().as_secs_f32() > 1.9, "{:?}", connected.elapsed());
}

#[test]
fn v5_3_1_2_9_a_will_that_is_announced_and_not_all_there_is_malformed() {
    let scene = Scene::open();
    let whole = [&data("x")[..], &[0], &data("a"), &data("will")].concat();
    // All but some of the last bytes, down to a client identifier and no will at all.
    for length in 3..whole.len() {
        let cut_off = connect_packet(CLEAN | WILL, &[&whole[..length]]);
        scene.refused_with(MALFORMED, &cut_off);
    }
    scene.refused_with(MALFORMED, &connect_packet(CLEAN, &[&whole]));
    let mut client = scene.stranger();
    client.send(&connect_packet(CLEAN | WILL, &[&whole]));
    assert_eq!(client.read().reason(), 0);
}

#[test]
fn v5_3_1_2_10_a_will_is_published_once() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    scene.accepted(&with_will("x", "once", 0).keep_session(true, LONG)).break_off();
    expect_will(&mut subscriber, "once");
    // The session goes on without a will, and ends.
    resume(&scene).break_off();
    resume(&scene).break_off();
    let _clean = scene.client("x");
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_2_10_a_will_is_forgotten_with_a_normal_disconnect() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    for delay in [0, LONG] {
        scene.accepted(&with_will("x", "normal", delay).keep_session(true, LONG)).leave();
        resume(&scene).break_off();
        resume(&scene).leave();
        scene.client("x").leave();
        subscriber.expect_nothing();
    }
}

#[test]
fn v5_3_1_3_9_a_will_is_not_sent_when_the_client_is_back_before_its_delay() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    scene.accepted(&with_will("x", "too late", 1).keep_session(true, LONG)).break_off();
    let mut back = resume(&scene);
    // A clock that every broker has: a will that comes after the other would have.
    scene.accepted(&with_will("clock", "2 s", 2).keep_session(true, LONG)).break_off();
    expect_will(&mut subscriber, "2 s");
    back.expect_nothing();
}

#[test]
fn v5_3_1_3_9_a_will_is_not_sent_when_the_session_is_taken_over_and_goes_on() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let mut earlier = scene.accepted(&with_will("x", "too late", 1).keep_session(true, LONG));
    let mut newer = resume(&scene);
    earlier.expect_disconnect(0x8E);
    scene.accepted(&with_will("clock", "2 s", 2).keep_session(true, LONG)).break_off();
    expect_will(&mut subscriber, "2 s");
    newer.expect_nothing();
}

#[test]
fn v5_3_1_3_9_a_will_is_sent_at_once_when_a_take_over_ends_the_session() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let mut earlier = scene.accepted(&with_will("x", "ended", LONG).keep_session(true, LONG));
    let mut newer = scene.client("x");
    expect_will(&mut subscriber, "ended");
    earlier.expect_disconnect(0x8E);
    newer.expect_nothing();
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_3_9_a_will_waits_for_the_end_of_the_session_or_of_its_delay_whichever_is_first() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    // No session outlives these connections, whatever the delay says.
    scene.accepted(&with_will("x", "at once", LONG)).break_off();
    expect_will(&mut subscriber, "at once");
    let mut client = scene.accepted(&with_will("x", "ended", LONG).keep_session(true, LONG));
    let ends_session = properties(5, &long_property(0x11, 0));
    client.send(&packet(DISCONNECT, &[&[0x04], &ends_session[..]].concat()));
    expect_will(&mut subscriber, "ended");
    client.expect_end();
    // The client that comes too late finds the will gone.
    scene.accepted(&with_will("y", "after 1 s", 1).keep_session(true, LONG)).break_off();
    expect_will(&mut subscriber, "after 1 s");
    let mut back = scene.accepted(&Connect::new(5, "y").keep_session(false, LONG));
    back.send(&raw::publish(5, "wills", b"I am back"));
    expect_will(&mut subscriber, "I am back");
}
