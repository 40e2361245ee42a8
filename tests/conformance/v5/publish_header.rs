//! PUBLISH, the fixed header: DUP, QoS, RETAIN (3.3.1).

use super::scene::MALFORMED;
use super::stage::{DUP, QOS_1, QOS_2, RETAIN, Stage, UNSUBACK, Version5, publish, unsubscribe};
use crate::harness::raw::RawClient;

/// Subscription options: Retain Handling, and Retain As Published.
const SEND_RETAINED: u8 = 0x00;
const SEND_RETAINED_IF_NEW: u8 = 0x10;
const DO_NOT_SEND_RETAINED: u8 = 0x20;
const RETAIN_AS_PUBLISHED: u8 = 0x08;

/// A stage on which `topic` has a retained message.
fn with_retained(topic: &str, payload: &str) -> (Stage, RawClient) {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    publisher.publishes(RETAIN | QOS_1, topic, &[], payload);
    (stage, publisher)
}

#[test]
fn v5_3_3_1_1_a_message_sent_again_has_the_dup_flag() {
    for flags in [QOS_1, QOS_2] {
        let stage = Stage::open();
        let mut subscriber = stage.lasting("subscriber");
        subscriber.subscribed("t", 2);
        stage.client("publisher").publishes(flags, "t", &[], "once");
        assert!(!subscriber.hears("once").dup);
        subscriber.leaves();
        assert!(stage.back("subscriber").hears("once").dup);
    }
}

#[test]
fn v5_3_3_1_2_the_dup_flag_of_qos_0_is_0() {
    let stage = Stage::open();
    stage.client("clumsy").provokes(&publish(DUP, "t", None, &[], ""), &[MALFORMED]);
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("t", 0);
    // Even where the message came in with it.
    let mut publisher = stage.client("publisher");
    publisher.publishes(QOS_1 | DUP, "t", &[], "m");
    let received = subscriber.hears("m");
    assert_eq!((received.qos, received.dup), (0, false));
}

#[test]
fn v5_3_3_1_3_the_dup_flag_of_the_publisher_is_not_passed_on() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("t", 2);
    for flags in [QOS_1, QOS_2] {
        stage.client("publisher").publishes(flags | DUP, "t", &[], "m");
        assert!(!subscriber.hears("m").dup);
    }
}

#[test]
fn v5_3_3_1_4_a_publish_with_both_qos_bits_is_malformed() {
    let stage = Stage::open();
    for flags in [QOS_1 | QOS_2, QOS_1 | QOS_2 | RETAIN, QOS_1 | QOS_2 | DUP] {
        let bytes = publish(flags, "t", Some(1), &[], "m");
        stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
    }
}

#[test]
fn v5_3_3_1_5_a_retained_message_replaces_the_one_before() {
    let (stage, mut publisher) = with_retained("t", "first");
    for (flags, payload) in [(0, "second"), (QOS_1, "third"), (QOS_2, "fourth")] {
        publisher.publishes(RETAIN | flags, "t", &[], payload);
        // QoS 0 has no answer: the PINGRESP behind it says that it has been worked off.
        publisher.hears_nothing();
        let mut subscriber = stage.client("subscriber");
        subscriber.subscribed("t", 2);
        let received = subscriber.hears(payload);
        assert_eq!((received.retain, received.qos << 1), (true, flags));
        subscriber.completes(&received);
        subscriber.hears_nothing();
    }
}

#[test]
fn v5_3_3_1_6_an_empty_retained_message_is_passed_on_and_removes_the_retained_one() {
    let (stage, mut publisher) = with_retained("t", "kept");
    let mut present = stage.client("present");
    present.subscribed("t", DO_NOT_SEND_RETAINED);
    publisher.publishes(RETAIN | QOS_1, "t", &[], "");
    present.hears("");
    let mut later = stage.client("later");
    later.subscribed("t", 0);
    publisher.says("t", "marker");
    later.hears("marker");
}

#[test]
fn v5_3_3_1_7_an_empty_retained_message_is_not_kept() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    publisher.publishes(RETAIN | QOS_1, "t", &[], "");
    let mut later = stage.client("later");
    later.subscribed("t", 0);
    publisher.says("t", "marker");
    later.hears("marker");
}

#[test]
fn v5_3_3_1_8_a_message_that_is_not_retained_leaves_the_retained_one_alone() {
    let (stage, mut publisher) = with_retained("t", "kept");
    for payload in ["passing", ""] {
        publisher.publishes(QOS_1, "t", &[], payload);
        publisher.publishes(QOS_1, "other", &[], payload);
        let mut later = stage.client("later");
        later.subscribed("+", 0);
        later.hears("kept");
        publisher.says("t", "marker");
        later.hears("marker");
    }
}

#[test]
fn v5_3_3_1_9_retain_handling_0_sends_all_that_match_each_time() {
    let (stage, mut publisher) = with_retained("a/1", "1");
    publisher.publishes(RETAIN | QOS_1, "a/2", &[], "2");
    publisher.publishes(RETAIN | QOS_1, "b/3", &[], "3");
    let mut subscriber = stage.client("subscriber");
    for _ in 0..2 {
        subscriber.subscribed("a/+", SEND_RETAINED);
        let mut topics = [subscriber.message(), subscriber.message()].map(|m| m.topic);
        topics.sort_unstable();
        assert_eq!(topics, ["a/1", "a/2"]);
        publisher.says("a/x", "marker");
        subscriber.hears("marker");
    }
}

#[test]
fn v5_3_3_1_10_retain_handling_1_sends_to_a_new_subscription_alone() {
    let (stage, mut publisher) = with_retained("t", "kept");
    let mut subscriber = stage.lasting("subscriber");
    subscriber.subscribed("+", SEND_RETAINED_IF_NEW);
    assert!(subscriber.hears("kept").retain);
    subscriber.subscribed("+", SEND_RETAINED_IF_NEW);
    publisher.says("x", "marker");
    subscriber.hears("marker");
    // A subscription is not new because its session has been resumed.
    subscriber.leaves();
    let mut subscriber = stage.back("subscriber");
    subscriber.subscribed("+", SEND_RETAINED_IF_NEW);
    publisher.says("x", "marker");
    subscriber.hears("marker");
    // But it is after it has ended.
    subscriber.send(&unsubscribe(1, &[], &["+"]));
    subscriber.expect(UNSUBACK);
    subscriber.subscribed("+", SEND_RETAINED_IF_NEW);
    subscriber.hears("kept");
}

#[test]
fn v5_3_3_1_11_retain_handling_2_sends_nothing() {
    let (stage, mut publisher) = with_retained("t", "kept");
    let mut subscriber = stage.client("subscriber");
    for _ in 0..2 {
        subscriber.subscribed("t", DO_NOT_SEND_RETAINED);
        publisher.says("t", "marker");
        subscriber.hears("marker");
    }
}

#[test]
fn v5_3_3_1_12_without_retain_as_published_the_flag_is_cleared() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("t", 1);
    let mut publisher = stage.client("publisher");
    for flags in [0, RETAIN, QOS_1, QOS_1 | RETAIN] {
        publisher.publishes(flags, "t", &[], "m");
        let received = subscriber.hears("m");
        assert!(!received.retain, "{flags:#04x}");
        subscriber.completes(&received);
    }
}

#[test]
fn v5_3_3_1_13_with_retain_as_published_the_flag_is_kept() {
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("t", 1 | RETAIN_AS_PUBLISHED);
    let mut publisher = stage.client("publisher");
    for flags in [0, RETAIN, QOS_1, QOS_1 | RETAIN] {
        publisher.publishes(flags, "t", &[], "m");
        let received = subscriber.hears("m");
        assert_eq!(received.retain, flags & RETAIN != 0, "{flags:#04x}");
        subscriber.completes(&received);
    }
}
