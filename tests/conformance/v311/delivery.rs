//! Sections 4.3 to 4.5: the delivery protocols of QoS 0, 1 and 2, resending, and taking over.

use super::scene::{DUP, QOS_1, QOS_2, Scene, publish};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL};

#[test]
fn v311_4_3_1_1_a_qos_0_delivery_is_one_publish_with_qos_0_and_no_dup() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 0);
    scene.publish(0, "a", b"x");
    subscriber.expect_packet(PUBLISH, b"\0\x01ax");
    subscriber.break_off();
    // Nothing waits for an answer, so nothing is sent again.
    let mut subscriber = scene.lasting("subscriber");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_3_2_1_a_qos_1_delivery_is_unacknowledged_until_its_puback() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 1);
    for payload in [b"one", b"two"] {
        scene.publish(QOS_1, "a", payload);
    }
    let (one, one_id) = subscriber.receive_with_id();
    let (two, two_id) = subscriber.receive_with_id();
    assert_eq!(([one.qos, two.qos], [one.dup, two.dup]), ([1, 1], [false, false]));
    assert_ne!(one_id, two_id, "an identifier in use");
    // The acknowledgement of the second is not that of the first.
    subscriber.acknowledge(PUBACK, two_id);
    subscriber.expect_silence();
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    let (again, id) = subscriber.receive_with_id();
    assert_eq!((again.dup, id, &again.payload[..]), (true, one_id, &b"one"[..]));
    subscriber.acknowledge(PUBACK, one_id);
    scene.nothing_comes_to(&mut subscriber);
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_3_2_2_after_puback_the_same_identifier_is_a_new_message_whatever_its_dup() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 0);
    let mut client = scene.client("client");
    for flags in [QOS_1, QOS_1 | DUP, QOS_1] {
        client.send(&publish(flags, 7, "a", &[flags]));
        client.expect_packet(PUBACK, &[0, 7]);
        assert_eq!(subscriber.receive().payload, [flags]);
    }
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_3_3_1_a_qos_2_delivery_is_sent_until_pubrec_and_released_until_pubcomp() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    for payload in [b"one", b"two"] {
        scene.publish(QOS_2, "a", payload);
    }
    let (one, one_id) = subscriber.receive_with_id();
    let (two, two_id) = subscriber.receive_with_id();
    assert_eq!(([one.qos, two.qos], [one.dup, two.dup]), ([2, 2], [false, false]));
    assert_ne!(one_id, two_id, "an identifier in use");
    subscriber.acknowledge(PUBREC, one_id);
    subscriber.expect_packet(PUBREL, &one_id.to_be_bytes());
    // The PUBLISH is not sent again after its PUBREL; the PUBREL is until PUBCOMP.
    for _ in 0..2 {
        subscriber.break_off();
        subscriber = scene.lasting("subscriber");
        subscriber.expect_packet(PUBREL, &one_id.to_be_bytes());
        let (again, id) = subscriber.receive_with_id();
        assert_eq!((again.dup, id, &again.payload[..]), (true, two_id, &b"two"[..]));
    }
    subscriber.acknowledge(PUBCOMP, one_id);
    subscriber.complete(two_id);
    scene.nothing_comes_to(&mut subscriber);
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_3_3_2_a_qos_2_message_is_taken_once_until_it_is_released() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("a", 0);
    let mut client = scene.lasting("client");
    for round in 0..2 {
        // Again with and without DUP, and on another connection: acknowledged, not passed on.
        for flags in [QOS_2, QOS_2 | DUP, QOS_2] {
            client.send(&publish(flags, 7, "a", &[round]));
            client.expect_packet(PUBREC, &[0, 7]);
        }
        client.break_off();
        client = scene.lasting("client");
        client.send(&publish(QOS_2 | DUP, 7, "a", &[round]));
        client.expect_packet(PUBREC, &[0, 7]);
        // A PUBREL is answered however often it comes.
        for _ in 0..2 {
            client.acknowledge(PUBREL, 7);
            client.expect_packet(PUBCOMP, &[0, 7]);
        }
        // After PUBCOMP, the same identifier is a new message: the next round.
        assert_eq!(subscriber.receive().payload, [round]);
        subscriber.expect_silence();
    }
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_4_0_1_what_is_unacknowledged_is_sent_again_with_its_identifier_when_the_client_returns() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    for flags in [QOS_1, QOS_2, QOS_2, QOS_1] {
        scene.publish(flags, "a", &[flags]);
    }
    let sent = [(); 4].map(|()| subscriber.receive_with_id());
    let [_, _, (_, released), (_, acknowledged)] = &sent;
    subscriber.acknowledge(PUBREC, *released);
    subscriber.expect_packet(PUBREL, &released.to_be_bytes());
    subscriber.acknowledge(PUBACK, *acknowledged);
    subscriber.expect_silence();
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    for (message, id) in &sent[..2] {
        let (again, again_id) = subscriber.receive_with_id();
        assert_eq!((again.dup, again_id, again.qos), (true, *id, message.qos));
        assert_eq!(again.payload, message.payload);
    }
    subscriber.expect_packet(PUBREL, &released.to_be_bytes());
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_5_0_1_what_the_server_has_taken_goes_to_every_session_that_subscribes_to_it() {
    let mut scene = Scene::open();
    let mut here = scene.client("here");
    here.subscribe("a/#", 2);
    let mut away = scene.lasting("away");
    away.subscribe("a/+", 2);
    away.disconnect();
    let mut other = scene.lasting("other");
    other.subscribe("b", 2);
    other.disconnect();
    for flags in [QOS_1, QOS_2] {
        // Acknowledged means taken.
        scene.publish(flags, "a/b", &[flags]);
    }
    let mut back = scene.lasting("away");
    for flags in [QOS_1, QOS_2] {
        assert_eq!(here.take().payload, [flags]);
        assert_eq!(back.take().payload, [flags]);
    }
    let mut other = scene.lasting("other");
    scene.nothing_comes_to(&mut other);
}
