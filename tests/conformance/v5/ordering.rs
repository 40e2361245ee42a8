//! The order of messages (4.6).

use super::stage::{QOS_1, QOS_2, Stage, Version5, publish, receive_maximum};
use crate::harness::raw::{PUBACK, PUBREC, RawClient};

const MESSAGES: usize = 200;

/// Publishes [`MESSAGES`] numbers without waiting for any acknowledgement.
fn counts(publisher: &mut RawClient, flags: u8, topic: &str) {
    for number in 0..MESSAGES {
        let id = u16::try_from(number).expect("few messages") + 1;
        let id = (flags > 0).then_some(id);
        publisher.send(&publish(flags, topic, id, &[], &number.to_string()));
    }
    for _ in 0..MESSAGES {
        match flags {
            QOS_1 => assert!(publisher.acknowledged(PUBACK).1 < 0x80),
            QOS_2 => assert!(publisher.acknowledged(PUBREC).1 < 0x80),
            _ => {}
        }
    }
}

/// Hears all the numbers in their order.
fn hears_in_order(subscriber: &mut RawClient) {
    for number in 0..MESSAGES {
        assert_eq!(subscriber.takes().payload, number.to_string().as_bytes());
    }
}

#[test]
fn v5_4_6_0_5_messages_of_a_topic_and_qos_are_sent_in_the_order_in_which_a_client_sent_them() {
    let stage = Stage::open();
    for flags in [0, QOS_1, QOS_2] {
        let mut wide = stage.client("wide");
        wide.subscribed("t", 2);
        let mut narrow = stage.client_with("narrow", &receive_maximum(3));
        narrow.subscribed("t", 2);
        counts(&mut stage.client("publisher"), flags, "t");
        hears_in_order(&mut wide);
        hears_in_order(&mut narrow);
    }
}

#[test]
fn v5_4_6_0_6_every_topic_is_ordered_for_subscriptions_that_are_not_shared() {
    let stage = Stage::open();
    for (topic, filter) in [("a", "a"), ("a/b/c", "a/+/c"), ("/", "#"), ("größe/", "+/+")] {
        for flags in [QOS_1, QOS_2] {
            // Part is delivered at once, the rest when the client comes back.
            let mut subscriber = stage.lasting("subscriber");
            subscriber.subscribed(filter, 2);
            let mut publisher = stage.client("publisher");
            publisher.publishes(flags, topic, &[], "first");
            let received = subscriber.hears("first");
            subscriber.leaves();
            counts(&mut publisher, flags, topic);
            let mut subscriber = stage.back_with("subscriber", &receive_maximum(7));
            assert_eq!(subscriber.takes().id, received.id);
            hears_in_order(&mut subscriber);
        }
    }
}
