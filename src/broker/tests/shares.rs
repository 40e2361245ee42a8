//! Shared subscriptions: each message to one member, and to another where that one has no room.

use super::driver::{Driver, Visit, broker_with, id, positive, publish};
use crate::broker::{Settings, ShareStrategy};
use crate::codec::{Delivery, ReasonCode};
use crate::message::QoS;

fn settings(shared_subscriptions: ShareStrategy) -> Settings {
    Settings { shared_subscriptions, max_queued_messages: positive(2), ..Settings::default() }
}

#[test]
fn members_take_turns_and_a_full_one_is_passed_over() {
    for strategy in [ShareStrategy::LeastLoaded, ShareStrategy::RoundRobin] {
        let broker = broker_with(settings(strategy));
        let (mut one, _) = Driver::enter(&broker, Visit::of("one"));
        let (mut other, _) = Driver::enter(&broker, Visit::of("other"));
        let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
        one.subscribe("$share/group/t", QoS::AtLeastOnce);
        other.subscribe("$share/group/t", QoS::AtLeastOnce);
        one.subscribe("own", QoS::AtLeastOnce);

        for _ in 0..2 {
            assert_eq!(publisher.publish("t", false), ReasonCode::Success);
        }
        assert_eq!((one.topics(), other.topics()), (vec!["t"], vec!["t"]), "{strategy:?}");

        for _ in 0..2 {
            publisher.publish("own", false);
        }
        for _ in 0..2 {
            publisher.publish("t", false);
        }
        assert_eq!(other.topics(), ["t", "t"], "{strategy:?}");
        assert_eq!(one.topics(), ["own", "own"], "{strategy:?}");
    }
}

#[test]
fn connected_members_are_preferred_and_an_absent_one_keeps_what_no_other_can_take() {
    let broker = broker_with(settings(ShareStrategy::LeastLoaded));
    let (mut one, _) = Driver::enter(&broker, Visit::of("one"));
    let (mut other, _) = Driver::enter(&broker, Visit::of("other"));
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
    one.subscribe("$share/group/t", QoS::AtLeastOnce);
    other.subscribe("$share/group/t", QoS::AtLeastOnce);
    one.client.on_lost(one.now);

    for _ in 0..4 {
        publisher.publish("t", false);
    }
    assert_eq!(other.topics().len(), 2);
    let (mut one, is_resumed) = Driver::enter(&broker, Visit::of("one"));
    assert_eq!((is_resumed, one.topics().len()), (true, 2));
}

#[test]
fn u10_what_a_member_leaves_unacknowledged_or_unread_goes_to_another() {
    let broker = broker_with(Settings::default());
    let visit = Visit { expiry: 0, receive_maximum: 2, ..Visit::of("leaves") };
    let (mut leaves, _) = Driver::enter(&broker, visit);
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
    leaves.subscribe("$share/group/#", QoS::AtLeastOnce);
    for topic in ["a", "b", "c", "d"] {
        assert_eq!(publisher.publish(topic, false), ReasonCode::Success);
    }
    assert_eq!(leaves.topics(), ["a", "b"], "as many as its window allows");
    leaves.acknowledge(1);
    assert_eq!(leaves.topics(), ["c"]);

    let (mut stays, _) = Driver::enter(&broker, Visit::of("stays"));
    stays.subscribe("$share/group/#", QoS::AtLeastOnce);
    stays.subscribe("$share/other/#", QoS::AtLeastOnce);
    leaves.client.on_lost(leaves.now);
    assert_eq!(stays.topics(), ["b", "c", "d"]);
}

#[test]
fn a_qos_2_message_that_was_on_its_way_to_a_member_goes_to_nobody_else() {
    let broker = broker_with(Settings::default());
    let (mut leaves, _) = Driver::enter(&broker, Visit { expiry: 0, ..Visit::of("leaves") });
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
    leaves.subscribe("$share/group/t", QoS::ExactlyOnce);
    publisher.say(&publish("t", Delivery::ExactlyOnce(id(1)), false));
    assert_eq!(leaves.topics(), ["t"]);

    let (mut stays, _) = Driver::enter(&broker, Visit::of("stays"));
    stays.subscribe("$share/group/t", QoS::ExactlyOnce);
    leaves.client.on_lost(leaves.now);
    assert_eq!(stays.topics(), Vec::<&str>::new());
}
