//! Sections 3.3 and 3.6: PUBLISH and what answers it, without RETAIN.

use super::scene::{DUP, ILL_FORMED, QOS_1, QOS_2, Scene, V311, publish};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, data, packet};
use crate::harness::{ADMIN, DEVICE1};

#[test]
fn v311_3_3_1_1_a_publish_that_is_sent_again_has_dup() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    for (flags, qos) in [(QOS_1, 1), (QOS_2, 2)] {
        scene.publish(flags, "a", b"");
        let first = subscriber.receive();
        assert_eq!((first.qos, first.dup), (qos, false));
        for _ in 0..2 {
            subscriber.break_off();
            subscriber = scene.lasting("subscriber");
            let again = subscriber.receive();
            assert_eq!((again.qos, again.dup, again.id), (qos, true, first.id));
        }
        match (qos, first.id) {
            (1, Some(id)) => subscriber.acknowledge(PUBACK, id),
            (_, id) => subscriber.complete(id.expect("QoS 2")),
        }
    }
}

#[test]
fn v311_3_3_1_2_a_qos_0_publish_has_no_dup() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 0);
    for flags in [0, QOS_1, QOS_1 | DUP, QOS_2, QOS_2 | DUP] {
        scene.publish(flags, "a", b"");
        subscriber.expect_packet(PUBLISH, b"\0\x01a");
    }
    scene.is_cut_off(&publish(DUP, 0, "a", b""));
}

#[test]
fn v311_3_3_1_3_dup_is_not_passed_on() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 2);
    for flags in [QOS_1 | DUP, QOS_2 | DUP] {
        scene.publish(flags, "a", b"");
        assert!(!subscriber.take().dup);
    }
}

#[test]
fn v311_3_3_1_4_both_qos_bits_at_once_end_the_connection() {
    let scene = Scene::open();
    for flags in [QOS_1 | QOS_2, QOS_1 | QOS_2 | DUP] {
        scene.is_cut_off(&publish(flags, 1, "a", b""));
    }
}

#[test]
fn v311_3_3_2_1_the_topic_name_comes_first_and_is_utf_8() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("#", 2);
    for (flags, topic) in [(0, "plain"), (QOS_1, "Straße/日本"), (QOS_2, "\u{10FFFD}")] {
        scene.publish(flags, topic, b"payload");
        let frame = subscriber.read();
        assert!(frame.body.starts_with(&data(topic)), "{frame:?}");
        let message = frame.publish(V311);
        assert_eq!(message.payload, b"payload");
        match (message.qos, message.id) {
            (1, Some(id)) => subscriber.acknowledge(PUBACK, id),
            (2, Some(id)) => subscriber.complete(id),
            _ => {}
        }
    }
    for topic in ILL_FORMED {
        scene.is_cut_off(&packet(PUBLISH, &data(topic)));
    }
    scene.is_cut_off(&packet(PUBLISH, &[]));
    scene.is_cut_off(&packet(PUBLISH, &[0, 2, b'a']));
}

#[test]
fn v311_3_3_2_2_a_topic_name_with_a_wildcard_ends_the_connection() {
    let scene = Scene::open();
    for topic in ["#", "+", "a/#", "a/+/b", "+/a", "a+", "a#b"] {
        for flags in [0, QOS_1, QOS_2] {
            scene.is_cut_off(&publish(flags, 1, topic, b""));
        }
    }
}

#[test]
fn v311_3_3_2_3_what_a_subscriber_gets_matches_its_filter_and_has_the_topic_it_was_published_to() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("sport/+/player1", 0);
    subscriber.subscribe("sport/golf/#", 0);
    for topic in [
        "sport/tennis/player1",
        "sport/tennis/player2",
        "sport/tennis/player1/ranking",
        "sport/golf",
        "sport/golf/a/b",
        "sport",
        "Sport/golf",
    ] {
        scene.publish(0, topic, topic.as_bytes());
    }
    for topic in ["sport/tennis/player1", "sport/golf", "sport/golf/a/b"] {
        let message = subscriber.receive();
        assert_eq!((message.topic.as_str(), &message.payload[..]), (topic, topic.as_bytes()));
    }
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_3_3_4_1_each_qos_has_its_answer() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    client.send(&publish(0, 0, "a", b""));
    client.expect_silence();
    client.send(&publish(QOS_1, 10, "a", b""));
    client.expect_packet(PUBACK, &[0, 10]);
    client.expect_silence();
    client.send(&publish(QOS_2, 10, "a", b""));
    client.expect_packet(PUBREC, &[0, 10]);
    client.expect_silence();
    client.acknowledge(PUBREL, 10);
    client.expect_packet(PUBCOMP, &[0, 10]);
    client.expect_silence();
}

#[test]
fn v311_3_3_4_1_each_of_many_at_once_has_its_answer() {
    let scene = Scene::open();
    let mut client = scene.client("client");
    for (flags, answer) in [(QOS_1, PUBACK), (QOS_2, PUBREC)] {
        // Identifiers that rise and fall. That the answers come in the order of the messages is
        // more than the standard asks of a server.
        let ids = (0..50).map(|number| 1 + number * 37 % 50).collect::<Vec<u16>>();
        let all = ids.iter().flat_map(|id| publish(flags, *id, "a", b"")).collect::<Vec<_>>();
        client.send(&all);
        for id in ids {
            client.expect_packet(answer, &id.to_be_bytes());
        }
    }
}

#[test]
fn v311_3_3_5_1_of_overlapping_subscriptions_the_highest_qos_counts() {
    let mut scene = Scene::open();
    for (number, filters) in
        [["a/b", "a/+", "#"], ["#", "a/b", "a/+"], ["a/+", "#", "a/b"]].iter().enumerate()
    {
        let mut subscriber = scene.client(&format!("subscriber {number}"));
        for granted in [[1, 2, 0], [0, 1, 0], [0, 0, 2]] {
            for (filter, qos) in filters.iter().zip(granted) {
                subscriber.subscribe(filter, qos);
            }
            scene.publish(QOS_2, "a/b", b"");
            // More copies may come, within their subscriptions, but this broker sends one.
            let highest = granted.into_iter().max();
            assert_eq!(Some(subscriber.take().qos), highest, "{filters:?} {granted:?}");
            subscriber.expect_silence();
        }
    }
}

#[test]
fn v311_3_3_5_2_a_publish_that_is_not_allowed_is_acknowledged_or_ends_the_connection() {
    let mut scene = Scene::secure("");
    let mut witness = scene.user("witness", ADMIN);
    witness.subscribe("#", 2);
    let mut client = scene.user("client", DEVICE1);
    client.send(&publish(QOS_1, 1, "devices/device2/a", b""));
    client.expect_packet(PUBACK, &[0, 1]);
    client.send(&publish(QOS_2, 2, "devices/device2/a", b""));
    client.expect_packet(PUBREC, &[0, 2]);
    client.acknowledge(PUBREL, 2);
    client.expect_packet(PUBCOMP, &[0, 2]);
    client.publish(QOS_1, "devices/device1/a", b"allowed");
    assert_eq!(witness.take().payload, b"allowed");
    witness.unsubscribe("#");
    scene.nothing_comes_to(&mut witness);
}

#[test]
fn v311_3_6_1_1_the_flags_of_pubrel_are_0010() {
    let scene = Scene::open();
    for flags in (0..16).filter(|flags| *flags != 0b0010) {
        let mut client = scene.client("client");
        client.send(&publish(QOS_2, 1, "a", b""));
        client.expect_packet(PUBREC, &[0, 1]);
        client.send(&packet(PUBREL & 0xF0 | flags, &[0, 1]));
        client.expect_end();
    }
}
