//! Shared subscriptions (4.8.2).

use super::scene::{MALFORMED, PROTOCOL_ERROR};
use super::stage::{BAD_FILTER, QOS_1, QOS_2, Stage, Version5, answer, subscribe};
use crate::harness::raw::{Connect, PUBACK, PUBREC, RawClient};

/// Fails unless a subscription to `filter` is refused.
fn is_refused(stage: &Stage, filter: &str) {
    let bytes = subscribe(1, &[], &[(filter, 0)]);
    let reasons = [BAD_FILTER, MALFORMED, PROTOCOL_ERROR];
    stage.client("clumsy").provokes(&bytes, &reasons);
}

/// Two members of a group: the first, whose session lasts, has `payload` in flight; the second
/// came later, and also hears what is said to "marker".
fn first_has_a_message(stage: &Stage, flags: u8) -> (RawClient, u16, RawClient) {
    let mut first = stage.lasting("first");
    first.subscribed("$share/group/t", 2);
    stage.client("publisher").publishes(flags, "t", &[], "m");
    let id = first.hears("m").id.expect("a packet identifier");
    let mut second = stage.client("second");
    second.subscribed("$share/group/t", 2);
    second.subscribed("marker", 2);
    (first, id, second)
}

/// Fails unless the next thing that `second` hears is said now.
fn has_heard_nothing(stage: &Stage, second: &mut RawClient) {
    stage.client("publisher").publishes(QOS_2, "marker", &[], "marker");
    second.hears("marker");
}

#[test]
fn v5_4_8_2_1_a_shared_subscription_begins_with_share_and_names_a_group() {
    let stage = Stage::open();
    for filter in ["$share", "$share/", "$share//", "$share//t", "$share///t"] {
        is_refused(&stage, filter);
    }
    let mut members = ["first", "second"].map(|id| stage.client(id));
    for member in &mut members {
        // One character will do.
        member.subscribed("$share/g/t", 0);
        member.subscribed("marker", 0);
    }
    let mut publisher = stage.client("publisher");
    for _ in 0..10 {
        publisher.says("t", "m");
    }
    publisher.says("marker", "marker");
    let mut heard = 0;
    for member in &mut members {
        while member.message().payload == b"m" {
            heard += 1;
        }
    }
    assert_eq!(heard, 10, "each message goes to one of them");
}

#[test]
fn v5_4_8_2_2_the_group_name_has_no_wildcard_and_a_filter_behind_it() {
    let stage = Stage::open();
    for filter in [
        "$share/group",
        "$share/group/",
        "$share/+/t",
        "$share/#",
        "$share/#/t",
        "$share/gr+up/t",
        "$share/group#/t",
        "$share/group/a#",
        "$share/group/#/a",
    ] {
        is_refused(&stage, filter);
    }
    let mut member = stage.client("member");
    member.subscribed("$share/group/a/+/#", 0);
    stage.client("publisher").says("a/b/c", "m");
    assert_eq!(member.hears("m").topic, "a/b/c");
}

#[test]
fn v5_4_8_2_3_each_member_gets_messages_with_its_granted_qos() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    let mut members = [("none", 0), ("once at least", 1), ("once", 2)].map(|(id, granted)| {
        let mut member = stage.client(id);
        member.subscribed("$share/group/t", granted);
        member.subscribed("marker", granted);
        (member, granted)
    });
    for _ in 0..30 {
        publisher.publishes(QOS_2, "t", &[], "m");
    }
    publisher.publishes(QOS_2, "marker", &[], "marker");
    for (member, granted) in &mut members {
        let mut heard = 0;
        loop {
            let received = member.takes();
            assert_eq!(received.qos, *granted);
            if received.payload == b"marker" {
                break;
            }
            heard += 1;
        }
        assert!(heard > 0, "the member with QoS {granted} had no share");
    }
}

#[test]
fn v5_4_8_2_4_a_delivery_that_has_begun_is_completed_to_the_same_member() {
    let stage = Stage::open();
    let (first, id, mut second) = first_has_a_message(&stage, QOS_2);
    first.leaves();
    has_heard_nothing(&stage, &mut second);
    let mut first = stage.back("first");
    let received = first.hears("m");
    assert_eq!((received.id, received.qos), (Some(id), 2));
    first.completes(&received);
    first.leaves();
    stage.back("first").hears_nothing();
}

#[test]
fn v5_4_8_2_5_a_delivery_that_has_begun_ends_with_the_session() {
    let stage = Stage::open();
    // By a clean start.
    let (first, _, mut second) = first_has_a_message(&stage, QOS_2);
    first.leaves();
    stage.client("first").hears_nothing();
    has_heard_nothing(&stage, &mut second);
    second.leaves();
    // By a connection that the session does not outlive.
    let mut first = stage.connected(&Connect::new(5, "first"));
    first.subscribed("$share/group/t", 2);
    stage.client("publisher").publishes(QOS_2, "t", &[], "m");
    first.hears("m");
    let mut second = stage.client("second");
    second.subscribed("$share/group/t", 2);
    second.subscribed("marker", 2);
    first.leaves();
    has_heard_nothing(&stage, &mut second);
}

#[test]
fn v5_4_8_2_6_a_message_that_a_member_refuses_goes_to_no_other() {
    for (flags, first_byte) in [(QOS_1, PUBACK), (QOS_2, PUBREC)] {
        let stage = Stage::open();
        let (mut first, id, mut second) = first_has_a_message(&stage, flags);
        first.send(&answer(first_byte, id, 0x80));
        first.hears_nothing();
        has_heard_nothing(&stage, &mut second);
        first.leaves();
        has_heard_nothing(&stage, &mut second);
        stage.back("first").hears_nothing();
    }
}
