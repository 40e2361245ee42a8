//! The delivery protocols of QoS 0, 1 and 2 (4.3).

use std::time::Duration;

use super::stage::{
    DUP, NOT_AUTHORIZED, QOS_1, QOS_2, Stage, Version5, answer, expires_after, let_pass, publish,
};
use crate::harness::raw::{PUBACK, PUBCOMP, PUBREC, PUBREL, RawClient};
use crate::harness::{ADMIN, DEVICE1};

/// A subscriber whose session lasts, and somebody who publishes to it.
fn cast(stage: &Stage) -> (RawClient, RawClient) {
    let mut subscriber = stage.lasting("subscriber");
    subscriber.subscribed("t", 2);
    (subscriber, stage.client("publisher"))
}

/// Leaves, and comes back with the same session.
fn again(stage: &Stage, subscriber: RawClient) -> RawClient {
    subscriber.leaves();
    stage.back("subscriber")
}

/// The packet identifier of the next message, which is `payload`.
fn id_of(subscriber: &mut RawClient, payload: &str) -> u16 {
    subscriber.hears(payload).id.expect("a packet identifier")
}

/// Each of several messages in flight has an identifier of its own.
fn identifiers_are_unused(flags: u8) {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    let mut used = Vec::new();
    for number in 0..20 {
        publisher.publishes(flags, "t", &[], &number.to_string());
        let id = id_of(&mut subscriber, &number.to_string());
        assert!(id > 0 && !used.contains(&id), "{id} in {used:?}");
        used.push(id);
    }
    // Those that are in flight stay taken over a new connection.
    let mut subscriber = again(&stage, subscriber);
    for (number, id) in used.iter().enumerate() {
        assert_eq!(id_of(&mut subscriber, &number.to_string()), *id);
    }
    publisher.publishes(flags, "t", &[], "new");
    let id = id_of(&mut subscriber, "new");
    assert!(!used.contains(&id), "{id} in {used:?}");
}

/// The first delivery of a message has its QoS, an identifier, and no DUP flag.
fn first_delivery_is_plain(flags: u8) {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for dup in [0, DUP] {
        publisher.publishes(flags | dup, "t", &[], "m");
        let received = subscriber.hears("m");
        assert_eq!((received.qos << 1, received.dup), (flags, false));
        assert!(received.id.is_some_and(|id| id > 0));
        subscriber.completes(&received);
    }
}

#[test]
fn v5_4_3_1_1_qos_0_is_sent_with_qos_0_and_without_dup() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.says("t", "m");
    let received = subscriber.hears("m");
    assert_eq!((received.qos, received.dup, received.id), (0, false, None));
}

#[test]
fn v5_4_3_2_1_qos_1_each_message_gets_an_unused_identifier() {
    identifiers_are_unused(QOS_1);
}

#[test]
fn v5_4_3_2_2_qos_1_is_first_sent_with_qos_1_and_without_dup() {
    first_delivery_is_plain(QOS_1);
}

#[test]
fn v5_4_3_2_3_qos_1_is_unacknowledged_until_its_puback() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.publishes(QOS_1, "t", &[], "1");
    publisher.publishes(QOS_1, "t", &[], "2");
    let first = id_of(&mut subscriber, "1");
    let second = id_of(&mut subscriber, "2");
    for _ in 0..2 {
        subscriber = again(&stage, subscriber);
        assert_eq!(id_of(&mut subscriber, "1"), first);
        assert_eq!(id_of(&mut subscriber, "2"), second);
    }
    subscriber.acknowledges(PUBACK, first);
    let mut subscriber = again(&stage, subscriber);
    assert_eq!(id_of(&mut subscriber, "2"), second);
    subscriber.acknowledges(PUBACK, second);
    again(&stage, subscriber).hears_nothing();
}

#[test]
fn v5_4_3_2_4_qos_1_is_answered_with_a_puback_of_its_identifier() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for id in [1, 65_535, 0x1234] {
        publisher.send(&publish(QOS_1, "t", Some(id), &[], "m"));
        assert_eq!(publisher.acknowledged(PUBACK), (id, 0));
        subscriber.hears("m");
    }
}

#[test]
fn v5_4_3_2_5_qos_1_after_its_puback_an_identifier_is_that_of_a_new_message() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for (flags, payload) in [(0, "1"), (DUP, "2"), (0, "3")] {
        publisher.send(&publish(QOS_1 | flags, "t", Some(1), &[], payload));
        assert_eq!(publisher.acknowledged(PUBACK), (1, 0));
        subscriber.hears(payload);
    }
}

#[test]
fn v5_4_3_3_1_qos_2_each_message_gets_an_unused_identifier() {
    identifiers_are_unused(QOS_2);
}

#[test]
fn v5_4_3_3_2_qos_2_is_first_sent_with_qos_2_and_without_dup() {
    first_delivery_is_plain(QOS_2);
}

#[test]
fn v5_4_3_3_3_qos_2_is_unacknowledged_until_its_pubrec() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.publishes(QOS_2, "t", &[], "m");
    let id = id_of(&mut subscriber, "m");
    for _ in 0..2 {
        subscriber = again(&stage, subscriber);
        assert_eq!(id_of(&mut subscriber, "m"), id);
    }
    subscriber.acknowledges(PUBREC, id);
    assert_eq!(subscriber.release(), id);
    // From here on it is the PUBREL that is sent again.
    assert_eq!(again(&stage, subscriber).release(), id);
}

#[test]
fn v5_4_3_3_4_qos_2_a_pubrec_is_answered_with_a_pubrel_of_its_identifier() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for reason in [0x00, 0x10] {
        publisher.publishes(QOS_2, "t", &[], "m");
        let id = id_of(&mut subscriber, "m");
        subscriber.send(&answer(PUBREC, id, reason));
        assert_eq!(subscriber.acknowledged(PUBREL), (id, 0));
        subscriber.acknowledges(PUBCOMP, id);
    }
    // A failure is not.
    publisher.publishes(QOS_2, "t", &[], "m");
    let id = id_of(&mut subscriber, "m");
    subscriber.send(&answer(PUBREC, id, 0x80));
    subscriber.hears_nothing();
}

#[test]
fn v5_4_3_3_5_qos_2_the_pubrel_is_unacknowledged_until_its_pubcomp() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.publishes(QOS_2, "t", &[], "m");
    let id = id_of(&mut subscriber, "m");
    subscriber.acknowledges(PUBREC, id);
    assert_eq!(subscriber.release(), id);
    for _ in 0..2 {
        subscriber = again(&stage, subscriber);
        assert_eq!(subscriber.release(), id);
    }
    subscriber.acknowledges(PUBCOMP, id);
    again(&stage, subscriber).hears_nothing();
}

#[test]
fn v5_4_3_3_6_qos_2_after_the_pubrel_the_publish_is_not_sent_again() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.publishes(QOS_2, "t", &[], "m");
    let id = id_of(&mut subscriber, "m");
    subscriber.acknowledges(PUBREC, id);
    assert_eq!(subscriber.release(), id);
    let mut subscriber = again(&stage, subscriber);
    assert_eq!(subscriber.release(), id);
    subscriber.hears_nothing();
    // Not even when the PUBREC comes once more.
    subscriber.acknowledges(PUBREC, id);
    assert_eq!(subscriber.release(), id);
    subscriber.acknowledges(PUBCOMP, id);
    subscriber.hears_nothing();
}

#[test]
fn v5_4_3_3_7_qos_2_does_not_expire_once_it_has_been_sent() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    publisher.publishes(QOS_2, "t", &expires_after(1), "m");
    let id = id_of(&mut subscriber, "m");
    subscriber.leaves();
    let_pass(Duration::from_millis(1_100));
    let mut subscriber = stage.back("subscriber");
    assert_eq!(id_of(&mut subscriber, "m"), id);
    subscriber.acknowledges(PUBREC, id);
    assert_eq!(subscriber.release(), id);
}

#[test]
fn v5_4_3_3_8_qos_2_is_answered_with_a_pubrec_of_its_identifier() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for id in [1, 65_535, 0x1234] {
        publisher.send(&publish(QOS_2, "t", Some(id), &[], "m"));
        assert_eq!(publisher.acknowledged(PUBREC), (id, 0));
        subscriber.hears("m");
    }
}

#[test]
fn v5_4_3_3_9_qos_2_after_a_pubrec_that_fails_an_identifier_is_that_of_a_new_message() {
    let stage = Stage::secure();
    let mut subscriber = stage.user("subscriber", ADMIN);
    subscriber.subscribed("devices/#", 0);
    let mut device = stage.user("device", DEVICE1);
    device.send(&publish(QOS_2, "devices/device2/x", Some(1), &[], "refused"));
    assert_eq!(device.acknowledged(PUBREC), (1, NOT_AUTHORIZED));
    device.send(&publish(QOS_2 | DUP, "devices/device1/x", Some(1), &[], "new"));
    assert_eq!(device.acknowledged(PUBREC), (1, 0));
    subscriber.hears("new");
}

#[test]
fn v5_4_3_3_10_qos_2_until_its_pubrel_an_identifier_is_that_of_the_same_message() {
    let stage = Stage::open();
    let (mut subscriber, _) = cast(&stage);
    let mut publisher = stage.lasting("publisher");
    publisher.send(&publish(QOS_2, "t", Some(1), &[], "m"));
    assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
    publisher.send(&publish(QOS_2 | DUP, "t", Some(1), &[], "m"));
    assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
    publisher.leaves();
    // The session remembers it.
    let mut publisher = stage.back("publisher");
    publisher.send(&publish(QOS_2 | DUP, "t", Some(1), &[], "m"));
    assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
    publisher.acknowledges(PUBREL, 1);
    assert_eq!(publisher.acknowledged(PUBCOMP), (1, 0));
    publisher.publishes(QOS_2, "t", &[], "marker");
    subscriber.hears("m");
    subscriber.hears("marker");
}

#[test]
fn v5_4_3_3_11_qos_2_a_pubrel_is_answered_with_a_pubcomp_of_its_identifier() {
    let stage = Stage::open();
    let mut publisher = stage.lasting("publisher");
    for id in [1, 65_535, 0x1234] {
        publisher.send(&publish(QOS_2, "t", Some(id), &[], "m"));
        publisher.expect(PUBREC);
        publisher.acknowledges(PUBREL, id);
        assert_eq!(publisher.acknowledged(PUBCOMP), (id, 0));
        // Once more, as after a connection that was lost: whatever the reason, it is answered.
        publisher.acknowledges(PUBREL, id);
        assert_eq!(publisher.acknowledged(PUBCOMP).0, id);
    }
    publisher.send(&publish(QOS_2, "t", Some(7), &[], "m"));
    publisher.expect(PUBREC);
    publisher.leaves();
    let mut publisher = stage.back("publisher");
    publisher.acknowledges(PUBREL, 7);
    assert_eq!(publisher.acknowledged(PUBCOMP), (7, 0));
}

#[test]
fn v5_4_3_3_12_qos_2_after_its_pubcomp_an_identifier_is_that_of_a_new_message() {
    let stage = Stage::open();
    let (mut subscriber, mut publisher) = cast(&stage);
    for (flags, payload) in [(0, "1"), (DUP, "2"), (0, "3")] {
        publisher.send(&publish(QOS_2 | flags, "t", Some(1), &[], payload));
        assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
        publisher.acknowledges(PUBREL, 1);
        assert_eq!(publisher.acknowledged(PUBCOMP), (1, 0));
        subscriber.hears(payload);
    }
}

#[test]
fn v5_4_3_3_13_qos_2_the_acknowledgements_go_on_when_the_message_has_expired() {
    let stage = Stage::open();
    let mut subscriber = stage.lasting("subscriber");
    subscriber.subscribed("t", 2);
    subscriber.leaves();
    let mut publisher = stage.client("publisher");
    let bytes = publish(QOS_2, "t", Some(1), &expires_after(1), "m");
    publisher.send(&bytes);
    assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
    let_pass(Duration::from_millis(1_100));
    stage.back("subscriber").hears_nothing();
    publisher.send(&bytes);
    assert_eq!(publisher.acknowledged(PUBREC), (1, 0));
    publisher.acknowledges(PUBREL, 1);
    assert_eq!(publisher.acknowledged(PUBCOMP), (1, 0));
}
