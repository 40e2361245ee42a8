//! Section 3.10: UNSUBSCRIBE.

use super::scene::{ILL_FORMED, QOS_1, QOS_2, Scene, UNSUBACK, publish, subscribe, unsubscribe};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, UNSUBSCRIBE, data, packet};

#[test]
fn v311_3_10_1_1_the_flags_of_unsubscribe_are_0010() {
    let scene = Scene::open();
    let sound = unsubscribe(1, &["a"]);
    for flags in (0..16).filter(|flags| *flags != 0b0010) {
        scene.is_cut_off(&[&[UNSUBSCRIBE & 0xF0 | flags], &sound[1..]].concat());
    }
}

#[test]
fn v311_3_10_3_1_filters_are_utf_8_one_after_the_other() {
    let scene = Scene::open();
    for filter in ILL_FORMED {
        scene.is_cut_off(&packet(UNSUBSCRIBE, &[&[0, 1], &data(filter)[..]].concat()));
        let body = [&[0, 1], &data("a")[..], &data(filter)].concat();
        scene.is_cut_off(&packet(UNSUBSCRIBE, &body));
    }
    // A byte between two of them.
    let body = [&[0, 1], &data("a")[..], &[0], &data("b")].concat();
    scene.is_cut_off(&packet(UNSUBSCRIBE, &body));
}

#[test]
fn v311_3_10_3_2_an_unsubscribe_has_at_least_one_filter() {
    let scene = Scene::open();
    scene.is_cut_off(&unsubscribe(1, &[]));
}

#[test]
fn v311_3_10_4_1_filters_are_compared_character_by_character() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a/+", 0);
    // These match it or are matched by it, and are not it.
    for other in ["#", "a/#", "a/b", "+/+", "a/+/", "/a/+", "A/+", "a"] {
        subscriber.unsubscribe(other);
    }
    scene.publish(0, "a/b", b"still");
    assert_eq!(subscriber.receive().payload, b"still");
    subscriber.unsubscribe("a/+");
    scene.publish(0, "a/b", b"no longer");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_10_4_2_no_new_message_comes_after_unsubscribe() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    for qos in 0..=2 {
        subscriber.subscribe("a", qos);
        scene.publish(QOS_2, "a", b"subscribed");
        assert_eq!(subscriber.take().payload, b"subscribed");
        subscriber.unsubscribe("a");
        for flags in [0, QOS_1, QOS_2] {
            scene.publish(flags, "a", b"unsubscribed");
        }
        scene.nothing_comes_to(&mut subscriber);
    }
}

#[test]
fn v311_3_10_4_3_deliveries_of_qos_1_and_2_that_have_begun_are_completed() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    for flags in [QOS_1, QOS_2, QOS_2] {
        scene.publish(flags, "a", &[flags]);
    }
    let (_, once) = subscriber.receive_with_id();
    let (_, twice) = subscriber.receive_with_id();
    let (_, released) = subscriber.receive_with_id();
    subscriber.unsubscribe("a");
    // On this connection, and on the next.
    subscriber.acknowledge(PUBREC, released);
    subscriber.expect_packet(PUBREL, &released.to_be_bytes());
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    assert_eq!(subscriber.receive_with_id().1, once);
    assert_eq!(subscriber.receive_with_id().1, twice);
    subscriber.expect_packet(PUBREL, &released.to_be_bytes());
    subscriber.acknowledge(PUBCOMP, released);
    subscriber.acknowledge(PUBACK, once);
    subscriber.complete(twice);
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_10_4_4_an_unsuback_has_the_packet_identifier_of_its_unsubscribe() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    client.subscribe("a", 0);
    client.send(&[unsubscribe(0x1234, &["a"]), unsubscribe(0xFFFF, &["b"])].concat());
    client.expect_packet(UNSUBACK, &[0x12, 0x34]);
    client.expect_packet(UNSUBACK, &[0xFF, 0xFF]);
}

#[test]
fn v311_3_10_4_5_an_unsubscribe_that_removes_nothing_is_acknowledged() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    client.unsubscribe("never");
    client.subscribe("a", 0);
    client.unsubscribe("a");
    client.unsubscribe("a");
}

#[test]
fn v311_3_10_4_6_several_filters_are_as_several_unsubscribes_with_one_answer() {
    let mut scene = Scene::open();
    let mut client = scene.client("client");
    client.send(&subscribe(1, &[("a", 0), ("b", 0), ("c", 0)]));
    client.expect_packet(SUBACK, &[0, 1, 0, 0, 0]);
    client.send(&unsubscribe(2, &["a", "never", "c", "a"]));
    client.expect_packet(UNSUBACK, &[0, 2]);
    client.expect_silence();
    for topic in ["a", "c", "b"] {
        client.send(&publish(0, 0, topic, b""));
    }
    assert_eq!(client.receive().topic, "b");
    scene.nothing_comes_to(&mut client);
}
