//! Section 3.3.1.3: RETAIN.

use super::scene::{QOS_1, QOS_2, RETAIN, Scene};
use crate::harness::ADMIN;
use crate::harness::raw::Received;

fn is(message: &Received, retain: bool, qos: u8, payload: &[u8]) {
    let found = (message.retain, message.qos, &message.payload[..]);
    assert_eq!(found, (retain, qos, payload));
}

#[test]
fn v311_3_3_1_5_a_retained_message_is_kept_with_its_qos_for_later_subscribers() {
    let mut scene = Scene::open();
    for (flags, qos) in [(0, 0), (QOS_1, 1), (QOS_2, 2)] {
        scene.publish(RETAIN | flags, "a", &[b'x', qos]);
        for _ in 0..2 {
            is(&scene.retained_at("a"), true, qos, &[b'x', qos]);
            is(&scene.retained_at("#"), true, qos, &[b'x', qos]);
        }
        scene.nothing_is_retained_at("b");
    }
}

#[test]
fn v311_3_3_1_6_a_new_subscription_gets_the_last_retained_message_of_every_topic_it_matches() {
    let mut scene = Scene::open();
    for payload in [b"old", b"new"] {
        for topic in ["a/1", "a/2", "a/2/x", "b"] {
            scene.publish(RETAIN | QOS_1, topic, payload);
        }
    }
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a/#", 1);
    let mut topics = [(); 3].map(|()| {
        let message = subscriber.take();
        is(&message, true, 1, b"new");
        message.topic
    });
    topics.sort_unstable();
    assert_eq!(topics, ["a/1", "a/2", "a/2/x"]);
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_3_1_7_a_retained_message_of_qos_0_replaces_the_one_before() {
    let mut scene = Scene::open();
    for flags in [0, QOS_1, QOS_2] {
        scene.publish(RETAIN | flags, "a", b"before");
        scene.publish(RETAIN, "a", b"after");
        is(&scene.retained_at("a"), true, 0, b"after");
    }
}

#[test]
fn v311_3_3_1_7_a_retained_message_of_qos_0_for_which_there_is_no_room_leaves_none() {
    let mut scene =
        Scene::secure("\n[broker]\nmax_retained_bytes = 1000\nsys_interval_seconds = 0\n");
    let mut subscriber = scene.user("subscriber", ADMIN);
    subscriber.subscribe("a", 1);
    scene.publish(RETAIN | QOS_1, "a", b"before");
    is(&subscriber.take(), false, 1, b"before");
    let large = [b'x'; 2_000];
    scene.publish(RETAIN, "a", &large);
    // Those who are here get it; those who come later must not take the old one for the last.
    is(&subscriber.take(), false, 0, &large);
    let mut late = scene.user("late", ADMIN);
    late.subscribe("a", 1);
    scene.nothing_comes_to(&mut late);
}

#[test]
fn v311_3_3_1_8_a_message_for_a_new_subscription_has_retain() {
    let mut scene = Scene::open();
    scene.publish(RETAIN | QOS_2, "a", b"x");
    for (qos, filter) in [(0, "a"), (1, "+"), (2, "#")] {
        let mut subscriber = scene.client("subscriber");
        subscriber.subscribe(filter, qos);
        is(&subscriber.take(), true, qos, b"x");
    }
}

#[test]
fn v311_3_3_1_9_a_message_for_an_established_subscription_has_no_retain() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 2);
    let mut away = scene.lasting("away");
    away.subscribe("a", 2);
    away.disconnect();
    for (flags, qos) in [(0, 0), (QOS_1, 1), (QOS_2, 2)] {
        scene.publish(RETAIN | flags, "a", b"x");
        is(&subscriber.take(), false, qos, b"x");
    }
    let mut back = scene.lasting("away");
    for qos in [1, 2] {
        is(&back.take(), false, qos, b"x");
    }
}

#[test]
fn v311_3_3_1_10_an_empty_retained_message_is_passed_on_and_removes_what_was_retained() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 2);
    for (flags, qos) in [(0, 0), (QOS_1, 1), (QOS_2, 2)] {
        scene.publish(RETAIN | QOS_1, "a", b"x");
        is(&subscriber.take(), false, 1, b"x");
        scene.publish(RETAIN | flags, "a", b"");
        is(&subscriber.take(), false, qos, b"");
        scene.nothing_is_retained_at("a");
    }
}

#[test]
fn v311_3_3_1_11_an_empty_message_is_not_retained() {
    let mut scene = Scene::open();
    for flags in [0, QOS_1, QOS_2] {
        scene.publish(RETAIN | flags, "a", b"");
        scene.nothing_is_retained_at("a");
    }
}

#[test]
fn v311_3_3_1_12_a_message_without_retain_changes_nothing_that_is_retained() {
    let mut scene = Scene::open();
    scene.publish(RETAIN | QOS_1, "a", b"kept");
    for flags in [0, QOS_1, QOS_2] {
        scene.publish(flags, "a", b"passing");
        scene.publish(flags, "a", b"");
        scene.publish(flags, "b", b"passing");
        is(&scene.retained_at("a"), true, 1, b"kept");
        scene.nothing_is_retained_at("b");
    }
}
