//! Flow control (4.9).

use super::stage::{QOS_1, QOS_2, Stage, Version5, answer, publish, receive_maximum};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBREC, PUBREL, RawClient};

/// A subscriber that takes `maximum` messages at once, for whom ten of `flags` wait.
fn with_ten_waiting(stage: &Stage, maximum: u16, flags: u8) -> RawClient {
    let mut subscriber = stage.client_with("subscriber", &receive_maximum(maximum));
    subscriber.subscribed("t", 2);
    let mut publisher = stage.client("publisher");
    for number in 0..10 {
        publisher.publishes(flags, "t", &[], &number.to_string());
    }
    subscriber
}

#[test]
fn v5_4_9_0_1_the_first_quota_is_not_0_and_not_above_the_receive_maximum() {
    let stage = Stage::open();
    for flags in [QOS_1, QOS_2] {
        for maximum in [1, 3, 10] {
            let mut subscriber = with_ten_waiting(&stage, maximum, flags);
            let mut heard = Vec::new();
            for number in 0..maximum {
                heard.push(subscriber.hears(&number.to_string()));
            }
            subscriber.hears_nothing();
            subscriber.completes(&heard[0]);
        }
    }
}

#[test]
fn v5_4_9_0_2_each_message_takes_from_the_quota_and_at_0_there_is_none() {
    let stage = Stage::open();
    let mut subscriber = with_ten_waiting(&stage, 1, QOS_1);
    for number in 0..10 {
        let received = subscriber.hears(&number.to_string());
        subscriber.hears_nothing();
        // A failure gives back as much as a success.
        let id = received.id.expect("a packet identifier");
        subscriber.send(&answer(PUBACK, id, if number % 2 == 0 { 0 } else { 0x80 }));
    }
    subscriber.leaves();

    let mut subscriber = with_ten_waiting(&stage, 1, QOS_2);
    for number in 0..10 {
        let id = subscriber.hears(&number.to_string()).id.expect("a packet identifier");
        if number % 2 == 0 {
            // A PUBREC that succeeds gives nothing back yet.
            subscriber.acknowledges(PUBREC, id);
            assert_eq!(subscriber.release(), id);
            subscriber.hears_nothing();
            subscriber.acknowledges(PUBCOMP, id);
        } else {
            subscriber.hears_nothing();
            subscriber.send(&answer(PUBREC, id, 0x80));
        }
    }
    subscriber.hears_nothing();
}

#[test]
fn v5_4_9_0_3_all_other_packets_are_answered_while_the_quota_is_0() {
    let stage = Stage::open();
    let mut client = with_ten_waiting(&stage, 1, QOS_2);
    let id = client.hears("0").id.expect("a packet identifier");
    client.hears_nothing();
    client.subscribed("other", 1);
    client.send(&publish(QOS_1, "elsewhere", Some(1), &[], "m"));
    assert_eq!(client.acknowledged(PUBACK).0, 1);
    client.send(&publish(QOS_2, "elsewhere", Some(2), &[], "m"));
    assert_eq!(client.acknowledged(PUBREC).0, 2);
    client.acknowledges(PUBREL, 2);
    assert_eq!(client.acknowledged(PUBCOMP), (2, 0));
    client.says("other", "QoS 0");
    client.hears("QoS 0");
    client.send(&super::stage::unsubscribe(3, &[], &["other"]));
    client.expect(super::stage::UNSUBACK);
    client.acknowledges(PUBREC, id);
    assert_eq!(client.release(), id);
}
