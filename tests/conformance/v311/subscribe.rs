//! Section 3.8: SUBSCRIBE.

use super::scene::{FAILURE, ILL_FORMED, QOS_1, QOS_2, RETAIN, Scene, subscribe};
use crate::harness::ADMIN;
use crate::harness::raw::{PUBACK, SUBACK, SUBSCRIBE, data, packet};

#[test]
fn v311_3_8_1_1_the_flags_of_subscribe_are_0010() {
    let scene = Scene::open();
    let sound = subscribe(1, &[("a", 0)]);
    for flags in (0..16).filter(|flags| *flags != 0b0010) {
        scene.is_cut_off(&[&[SUBSCRIBE & 0xF0 | flags], &sound[1..]].concat());
    }
}

#[test]
fn v311_3_8_3_1_a_filter_is_utf_8() {
    let mut scene = Scene::open();
    for filter in ILL_FORMED {
        let body = [&[0, 1], &data(filter)[..], &[0]].concat();
        scene.is_cut_off(&packet(SUBSCRIBE, &body));
        // Nor does a sound filter beside it help.
        let body = [&[0, 1], &data("a")[..], &[0], &data(filter), &[0]].concat();
        scene.is_cut_off(&packet(SUBSCRIBE, &body));
    }
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("Straße/日本/+", 0);
    scene.publish(0, "Straße/日本/\u{10FFFD}", b"");
    assert_eq!(subscriber.receive().topic, "Straße/日本/\u{10FFFD}");
}

#[test]
fn v311_3_8_3_2_a_server_without_wildcards_rejects_filters_that_have_them() {
    let scene = Scene::secure("\n[mqtt]\nwildcard_subscription_available = false\n");
    let mut client = scene.user("client", ADMIN);
    let filters = [("a", 2), ("a/+", 0), ("#", 1), ("a/b", 1), ("$share/group/+", 2)];
    client.send(&subscribe(1, &filters));
    client.expect_packet(SUBACK, &[0, 1, 2, FAILURE, FAILURE, 1, FAILURE]);
}

#[test]
fn v311_3_8_3_3_a_subscribe_has_at_least_one_filter_and_qos() {
    let scene = Scene::open();
    scene.is_cut_off(&subscribe(1, &[]));
    // A filter without its QoS.
    scene.is_cut_off(&packet(SUBSCRIBE, &[&[0, 1], &data("a")[..]].concat()));
    scene.is_cut_off(&packet(SUBSCRIBE, &[&[0, 1], &data("a")[..], &[0], &data("b")].concat()));
    // A QoS that is none, and reserved bits.
    for qos in [3, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF] {
        scene.is_cut_off(&subscribe(1, &[("a", qos)]));
    }
}

#[test]
fn v311_3_8_4_1_a_subscribe_is_answered_with_suback() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    for _ in 0..2 {
        client.send(&subscribe(1, &[("a", 0)]));
        assert_eq!(client.read().first, SUBACK);
    }
}

#[test]
fn v311_3_8_4_2_a_suback_has_the_packet_identifier_of_its_subscribe() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    client.send(&[subscribe(0x1234, &[("a", 0)]), subscribe(0xFFFF, &[("b", 1)])].concat());
    client.expect_packet(SUBACK, &[0x12, 0x34, 0]);
    client.expect_packet(SUBACK, &[0xFF, 0xFF, 1]);
}

#[test]
fn v311_3_8_4_3_a_subscription_to_the_same_filter_replaces_the_one_before() {
    let mut scene = Scene::open();
    scene.publish(RETAIN | QOS_2, "a/b", b"retained");
    let mut subscriber = scene.client("subscriber");
    for qos in [2, 0, 1, 1] {
        subscriber.subscribe("a/+", qos);
        // What is retained comes again.
        let retained = subscriber.take();
        assert_eq!((retained.retain, retained.qos), (true, qos));
        scene.publish(QOS_2, "a/b", b"live");
        let live = subscriber.take();
        assert_eq!((live.retain, live.qos), (false, qos), "and one subscription is left");
        subscriber.expect_silence();
    }
    subscriber.unsubscribe("a/+");
    scene.publish(QOS_2, "a/b", b"live");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_8_4_3_replacing_a_subscription_interrupts_no_flow() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 1);
    scene.publish(QOS_1, "a", b"in flight");
    let (_, id) = subscriber.receive_with_id();
    subscriber.subscribe("a", 1);
    scene.publish(QOS_1, "a", b"next");
    let (next, next_id) = subscriber.receive_with_id();
    assert_eq!(next.payload, b"next");
    assert_ne!(next_id, id);
    subscriber.acknowledge(PUBACK, id);
    subscriber.acknowledge(PUBACK, next_id);
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_8_4_4_several_filters_are_as_several_subscribes_with_one_answer() {
    let mut scene = Scene::open();
    scene.publish(RETAIN | QOS_2, "c/d", b"retained");
    let mut subscriber = scene.client("subscriber");
    subscriber.send(&subscribe(1, &[("a", 0), ("b", 1), ("c/#", 2), ("a", 1)]));
    subscriber.expect_packet(SUBACK, &[0, 1, 0, 1, 2, 1]);
    let retained = subscriber.take();
    assert_eq!((retained.retain, retained.qos, &retained.payload[..]), (true, 2, &b"retained"[..]));
    // The last "a" has replaced the first.
    for (topic, qos) in [("a", 1), ("b", 1), ("c/d", 2)] {
        scene.publish(QOS_2, topic, b"");
        let message = subscriber.take();
        assert_eq!((message.topic.as_str(), message.qos), (topic, qos));
    }
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_8_4_4_a_filter_that_stands_twice_takes_one_place() {
    let scene = Scene::secure("\n[mqtt]\nmax_subscriptions = 2\n");
    let mut subscriber = scene.user("subscriber", ADMIN);
    let filters = [("a", 0), ("a", 1), ("b", 2), ("c", 0), ("b", 1), ("a", 2)];
    subscriber.send(&subscribe(1, &filters));
    subscriber.expect_packet(SUBACK, &[0, 1, 0, 1, 2, FAILURE, 1, 2]);
}

#[test]
fn v311_3_8_4_6_the_qos_of_a_message_is_the_lower_of_published_and_granted() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    for granted in 0..=2 {
        subscriber.subscribe("a", granted);
        for (published, flags) in [(0, 0), (1, QOS_1), (2, QOS_2)] {
            scene.publish(flags, "a", b"");
            assert_eq!(subscriber.take().qos, granted.min(published));
            scene.publish(RETAIN | flags, "r", b"x");
            let mut late = scene.client("late");
            late.subscribe("r", granted);
            assert_eq!(late.take().qos, granted.min(published));
        }
    }
}
