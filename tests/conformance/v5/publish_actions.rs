//! PUBLISH, what follows from it: answers, overlapping subscriptions, flow control (3.3.4).

use super::scene::{MALFORMED, PROTOCOL_ERROR};
use super::stage::{
    QOS_1, QOS_2, RETAIN, Stage, TOO_MANY, Version5, publish, receive_maximum, subscribe,
    subscription_ids,
};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBREC, PUBREL, RawClient, SUBACK};

/// Subscribes with a Subscription Identifier.
fn subscribed_as(client: &mut RawClient, id: u8, filter: &str, qos: u8) {
    client.send(&subscribe(1, &[0x0B, id], &[(filter, qos)]));
    assert_eq!(client.expect(SUBACK).body.last(), Some(&qos));
}

#[test]
fn v5_3_3_4_1_a_publish_is_answered_as_its_qos_asks() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.says("t", "m");
    client.hears_nothing();
    client.send(&publish(QOS_1, "t", Some(7), &[], "m"));
    assert_eq!(client.acknowledged(PUBACK).0, 7);
    client.send(&publish(QOS_2, "t", Some(8), &[], "m"));
    assert_eq!(client.acknowledged(PUBREC).0, 8);
    client.acknowledges(PUBREL, 8);
    assert_eq!(client.acknowledged(PUBCOMP), (8, 0));
    client.hears_nothing();
}

#[test]
fn v5_3_3_4_2_overlapping_subscriptions_deliver_with_the_highest_qos_of_them() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    for (qos_of_first, qos_of_second) in [(0, 2), (2, 0), (1, 2), (0, 1)] {
        let mut subscriber = stage.client("subscriber");
        subscriber.subscribed("a/#", qos_of_first);
        subscriber.subscribed("a/+", qos_of_second);
        publisher.publishes(QOS_2, "a/b", &[], "m");
        assert_eq!(subscriber.hears("m").qos, qos_of_first.max(qos_of_second));
    }
}

#[test]
fn v5_3_3_4_3_the_subscription_identifier_of_an_overlapping_subscription_is_sent() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("a/#", 0);
    subscribed_as(&mut subscriber, 9, "a/+", 0);
    stage.client("publisher").says("a/b", "m");
    assert_eq!(subscription_ids(&subscriber.hears("m")), [9]);
}

#[test]
fn v5_3_3_4_4_one_copy_has_the_identifiers_of_all_matching_subscriptions() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscribed_as(&mut subscriber, 1, "a/#", 0);
    subscribed_as(&mut subscriber, 2, "a/+", 2);
    subscribed_as(&mut subscriber, 3, "a/b", 1);
    subscribed_as(&mut subscriber, 4, "b/#", 1);
    subscriber.subscribed("+/b", 0);
    let mut publisher = stage.client("publisher");
    publisher.says("a/b", "m");
    publisher.says("b/c", "marker");
    assert_eq!(subscription_ids(&subscriber.hears("m")), [1, 2, 3]);
    assert_eq!(subscription_ids(&subscriber.hears("marker")), [4]);
}

#[test]
fn v5_3_3_4_5_each_of_several_copies_has_the_identifier_of_its_subscription() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    // A share gets a copy of its own.
    subscribed_as(&mut subscriber, 1, "$share/group/t", 0);
    subscribed_as(&mut subscriber, 2, "t", 0);
    stage.client("publisher").says("t", "m");
    let mut copies = [subscriber.hears("m"), subscriber.hears("m")].map(|m| subscription_ids(&m));
    copies.sort_unstable();
    assert_eq!(copies, [[1], [2]]);
}

#[test]
fn v5_3_3_4_6_a_subscription_identifier_from_a_client_is_refused() {
    let stage = Stage::open();
    let bytes = publish(0, "t", None, &[0x0B, 1], "");
    stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR, MALFORMED]);
}

#[test]
fn v5_3_3_4_7_more_than_the_receive_maximum_in_flight_is_refused() {
    let stage = Stage::open_with(&[("MQTT_RECEIVE_MAXIMUM", 3)]);
    let mut client = stage.client("client");
    for id in 1..=3 {
        client.send(&publish(QOS_2, "t", Some(id), &[], ""));
        assert_eq!(client.acknowledged(PUBREC).0, id);
    }
    // One that is complete makes room for another.
    client.acknowledges(PUBREL, 2);
    client.expect(PUBCOMP);
    client.send(&publish(QOS_2, "t", Some(4), &[], ""));
    assert_eq!(client.acknowledged(PUBREC).0, 4);
    client.provokes(&publish(QOS_2, "t", Some(5), &[], ""), &[TOO_MANY]);
}

#[test]
fn v5_3_3_4_7_the_receive_maximum_begins_anew_with_each_connection() {
    let stage = Stage::open_with(&[("MQTT_RECEIVE_MAXIMUM", 2)]);
    let mut client = stage.lasting("client");
    for id in [1, 2] {
        client.send(&publish(QOS_2, "t", Some(id), &[], ""));
        client.expect(PUBREC);
    }
    client.leaves();
    // Nothing of an earlier connection fills the window of this one (4.9).
    let mut client = stage.back("client");
    for id in [3, 4] {
        client.send(&publish(QOS_2, "t", Some(id), &[], ""));
        assert_eq!(client.acknowledged(PUBREC).0, id);
    }
    client.provokes(&publish(QOS_2, "t", Some(5), &[], ""), &[TOO_MANY]);
}

#[test]
fn v5_3_3_4_9_what_is_retained_keeps_to_the_clients_receive_maximum() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    for topic in ["a", "b", "c"] {
        publisher.publishes(RETAIN | QOS_1, topic, &[], "m");
    }
    let mut subscriber = stage.client_with("subscriber", &receive_maximum(2));
    subscriber.subscribed("+", 1);
    let first = subscriber.message();
    subscriber.message();
    subscriber.hears_nothing();
    subscriber.completes(&first);
    subscriber.message();
}

#[test]
fn v5_3_3_4_9_no_more_than_the_clients_receive_maximum_is_sent() {
    for flags in [QOS_1, QOS_2] {
        let stage = Stage::open();
        let mut subscriber = stage.client_with("subscriber", &receive_maximum(2));
        subscriber.subscribed("t", 2);
        let mut publisher = stage.client("publisher");
        for payload in ["1", "2", "3", "4"] {
            publisher.publishes(flags, "t", &[], payload);
        }
        let first = subscriber.hears("1");
        subscriber.hears("2");
        subscriber.hears_nothing();
        subscriber.completes(&first);
        subscriber.hears("3");
        subscriber.hears_nothing();
    }
}

#[test]
fn v5_3_3_4_10_a_full_window_delays_nothing_but_messages() {
    let stage = Stage::open();
    let mut client = stage.client_with("client", &receive_maximum(1));
    client.subscribed("t", 1);
    let mut publisher = stage.client("publisher");
    publisher.publishes(QOS_1, "t", &[], "1");
    publisher.publishes(QOS_1, "t", &[], "2");
    client.hears("1");
    client.hears_nothing();
    client.subscribed("other", 2);
    client.publishes(QOS_1, "elsewhere", &[], "m");
    client.publishes(QOS_2, "elsewhere", &[], "m");
    publisher.says("other", "QoS 0 needs no room");
    client.hears("QoS 0 needs no room");
}
