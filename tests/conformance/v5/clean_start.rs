//! Sections 3.1.2.4, 3.1.2.11.2 and 3.1.4: sessions that are discarded, resumed, kept and taken
//! over.

use super::scene::{LONG, Reading, Scene};
use crate::harness::raw::{
    self, Connect, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, packet,
};

const AT_LEAST_ONCE: u8 = PUBLISH | 1 << 1;
const EXACTLY_ONCE: u8 = PUBLISH | 2 << 1;
const DUP: u8 = 0x08;
const TAKEN_OVER: u8 = 0x8E;

/// Leaves a session `x` behind, subscribed to `a`, for which a message waits.
fn leave_a_session(scene: &Scene) {
    let mut client = scene.accepted(&Connect::new(5, "x").keep_session(true, LONG));
    assert_eq!(client.subscribe(5, "a", 1), 1);
    client.leave();
    publish(scene, "a", b"missed");
}

/// Publishes, and waits until the broker has taken it over.
fn publish(scene: &Scene, topic: &str, payload: &[u8]) {
    let mut publisher = scene.client("publisher");
    publisher.send(&raw::publish_with(5, AT_LEAST_ONCE, topic, Some(1), &[], payload));
    publisher.expect(PUBACK);
}

fn resume(scene: &Scene) -> RawClient {
    let (client, answer) = scene.welcomed(&Connect::new(5, "x").keep_session(false, LONG));
    assert!(answer.has_session());
    client
}

#[test]
fn v5_3_1_2_4_clean_start_discards_the_session_that_was() {
    let scene = Scene::open();
    leave_a_session(&scene);
    let clean = Connect::new(5, "x").keep_session(true, LONG);
    let (mut client, answer) = scene.welcomed(&clean);
    assert!(!answer.has_session());
    // Neither the message that waited nor the subscription is left.
    client.expect_nothing();
    publish(&scene, "a", b"more");
    client.expect_nothing();
    // What goes on later is the new session.
    client.leave();
    resume(&scene).expect_nothing();
}

#[test]
fn v5_3_1_2_4_clean_start_forgets_what_was_half_received() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("a", 0);
    let exactly_once = raw::publish_with(5, EXACTLY_ONCE, "a", Some(7), &[], b"");
    let mut client = scene.accepted(&Connect::new(5, "x").keep_session(true, LONG));
    client.send(&exactly_once);
    client.expect(PUBREC);
    subscriber.message();
    client.break_off();
    let mut client = scene.client("x");
    client.send(&exactly_once);
    client.expect(PUBREC);
    subscriber.message();
}

#[test]
fn v5_3_1_2_5_without_clean_start_a_session_goes_on() {
    let scene = Scene::open();
    leave_a_session(&scene);
    let mut client = resume(&scene);
    let missed = client.message();
    assert_eq!((missed.payload.as_slice(), missed.dup), (&b"missed"[..], false));
    publish(&scene, "a", b"live");
    assert_eq!(client.message().payload, b"live");
}

#[test]
fn v5_3_1_2_5_a_session_that_goes_on_knows_what_was_half_done() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("b", 0);
    let mut client = scene.accepted(&Connect::new(5, "x").keep_session(true, LONG));
    assert_eq!(client.subscribe(5, "a", 2), 2);
    // One that the client has half sent, and one that it has half received.
    let half_sent = |dup| raw::publish_with(5, EXACTLY_ONCE | dup, "b", Some(7), &[], b"once");
    client.send(&half_sent(0));
    client.expect(PUBREC);
    assert_eq!(subscriber.message().payload, b"once");
    scene.client("publisher").send(&raw::publish_with(5, EXACTLY_ONCE, "a", Some(1), &[], b"m"));
    let half_received = client.message().id.expect("QoS 2");
    client.break_off();

    let mut client = resume(&scene);
    let again = client.message();
    assert_eq!((again.id, again.dup), (Some(half_received), true));
    client.send(&raw::acknowledge(PUBREC, half_received));
    assert_eq!(client.expect(PUBREL).acknowledged(), (half_received, 0));
    client.send(&half_sent(DUP));
    assert_eq!(client.expect(PUBREC).acknowledged(), (7, 0));
    client.send(&raw::acknowledge(PUBREL, 7));
    assert_eq!(client.expect(PUBCOMP).acknowledged(), (7, 0));
    subscriber.expect_nothing();
}

#[test]
fn v5_3_1_2_6_without_clean_start_and_without_a_session_a_new_one_begins() {
    let scene = Scene::open();
    let connect = Connect::new(5, "x").keep_session(false, LONG);
    let (mut client, answer) = scene.welcomed(&connect);
    assert!(!answer.has_session());
    assert_eq!(client.subscribe(5, "a", 1), 1);
    client.leave();
    publish(&scene, "a", b"missed");
    assert_eq!(resume(&scene).message().payload, b"missed");
}

#[test]
fn v5_3_1_2_23_a_session_with_an_expiry_interval_outlives_its_connection() {
    let scene = Scene::open();
    for seconds in [LONG, u32::MAX] {
        for ends_well in [true, false] {
            let mut client = scene.accepted(&Connect::new(5, "x").keep_session(true, seconds));
            assert_eq!(client.subscribe(5, "a", 1), 1);
            if ends_well {
                client.leave()
            } else {
                client.break_off()
            }
            let mut client = resume(&scene);
            publish(&scene, "a", b"message");
            assert_eq!(client.message().payload, b"message");
        }
    }
}

#[test]
fn v5_3_1_2_23_a_session_without_an_expiry_interval_ends_with_its_connection() {
    let scene = Scene::open();
    for connect in [Connect::new(5, "x"), Connect::new(5, "x").keep_session(true, 0)] {
        let mut client = scene.accepted(&connect);
        assert_eq!(client.subscribe(5, "a", 1), 1);
        client.leave();
        let (_, answer) = scene.welcomed(&Connect { clean: false, ..connect });
        assert!(!answer.has_session());
    }
}

#[test]
fn v5_3_1_4_3_a_newer_connection_takes_the_place_of_the_one_that_was() {
    let scene = Scene::open();
    for clean in [true, false] {
        for kept in [0, LONG] {
            let connect = Connect::new(5, "x").keep_session(clean, kept);
            let mut earlier = scene.accepted(&connect);
            let mut newer = scene.accepted(&connect);
            earlier.expect_disconnect(TAKEN_OVER);
            newer.expect_nothing();
        }
    }
}

#[test]
fn v5_3_1_4_3_of_many_connections_with_one_identifier_the_last_one_stays() {
    let scene = Scene::open();
    let mut clients = (0..20).map(|_| scene.client("x")).collect::<Vec<_>>();
    let mut last = clients.pop().expect("twenty");
    for mut client in clients {
        client.expect_disconnect(TAKEN_OVER);
    }
    last.expect_nothing();
}

#[test]
fn v5_3_1_4_4_a_take_over_obeys_clean_start() {
    let scene = Scene::open();
    let mut first = scene.accepted(&Connect::new(5, "x").keep_session(true, LONG));
    assert_eq!(first.subscribe(5, "a", 0), 0);
    // The session goes on with its subscription.
    let mut second = resume(&scene);
    first.expect_disconnect(TAKEN_OVER);
    publish(&scene, "a", b"to the second");
    assert_eq!(second.message().payload, b"to the second");
    // It ends where the next connection starts clean.
    let clean = Connect::new(5, "x").keep_session(true, LONG);
    let (mut third, answer) = scene.welcomed(&clean);
    assert!(!answer.has_session());
    second.expect_disconnect(TAKEN_OVER);
    publish(&scene, "a", b"to nobody");
    third.expect_nothing();
}

#[test]
fn v5_3_1_4_4_a_session_without_an_expiry_interval_is_not_taken_over() {
    let scene = Scene::open();
    let mut earlier = scene.client("x");
    assert_eq!(earlier.subscribe(5, "a", 0), 0);
    let (mut newer, answer) = scene.welcomed(&Connect::new(5, "x").keep_session(false, LONG));
    assert!(!answer.has_session());
    earlier.expect_disconnect(TAKEN_OVER);
    publish(&scene, "a", b"to nobody");
    newer.expect_nothing();
    newer.send(&packet(DISCONNECT, &[]));
    newer.expect_end();
}
