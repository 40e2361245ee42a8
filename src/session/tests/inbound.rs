//! Messages from the client.

use std::num::NonZeroU16;
use std::time::Duration;

use super::super::*;
use super::driver::{Driver, KEY, ack, connect, publish, qos1, qos2};
use crate::codec::{Ack, Delivery, Property, SubscriptionIds};
use crate::message::QoS;

fn open(receive_maximum: u16) -> Driver {
    Driver::open_with(&connect(Version::V5), &settings(receive_maximum), None)
}

fn settings(receive_maximum: u16) -> Settings {
    let receive_maximum = NonZeroU16::new(receive_maximum).expect("not 0");
    Settings { receive_maximum, ..Settings::default() }
}

#[test]
fn a_message_reaches_the_broker_with_all_that_belongs_to_it() {
    let properties = Property::encode_all([Property::User("n", "v"), Property::ContentType("t")]);
    let mut packet = publish("a/b", Delivery::AtMostOnce);
    packet.retain = true;
    packet.message_expiry_interval = Some(5);
    packet.properties = properties.clone().into();
    let mut driver = open(1);
    driver.say(Packet::Publish(packet));
    let [message] = &driver.publishes()[..] else { panic!("not one message") };
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("a/b", &b"payload"[..]));
    assert_eq!((message.qos, message.retain), (QoS::AtMostOnce, true));
    assert_eq!(message.properties, properties);
    assert_eq!(message.expiry, Some(driver.now.instant + Duration::from_secs(5)));
    assert_eq!(message.publisher, Some(KEY));
    assert!(driver.heard().is_empty());
}

#[test]
fn a_message_is_acknowledged_with_what_the_broker_says_of_it() {
    for reason in [
        ReasonCode::Success,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::NotAuthorized,
        ReasonCode::QuotaExceeded,
    ] {
        let mut driver = open(2);
        driver.say(qos1(1));
        driver.say(qos2(2));
        assert_eq!(driver.publishes().len(), 2);
        assert!(driver.heard().is_empty(), "not before the broker has it");
        driver.published(1, reason);
        driver.published(2, reason);
        let said =
            [Packet::PubAck(Ack { reason, ..ack(1) }), Packet::PubRec(Ack { reason, ..ack(2) })];
        assert_eq!(driver.heard(), said);
    }
}

#[test]
fn acknowledgements_leave_in_the_order_in_which_the_messages_came() {
    let mut driver = open(9);
    for packet in [qos1(3), qos2(1), qos1(2)] {
        driver.say(packet);
    }
    driver.published(2, ReasonCode::Success);
    driver.published(1, ReasonCode::Success);
    assert!(driver.heard().is_empty());
    driver.published(3, ReasonCode::Success);
    let said = [Packet::PubAck(ack(3)), Packet::PubRec(ack(1)), Packet::PubAck(ack(2))];
    assert_eq!(driver.heard(), said);
}

#[test]
fn a_qos_2_message_is_published_once_however_often_it_is_sent_before_its_release() {
    let mut driver = open(9);
    driver.say(qos2(1));
    driver.say(qos2(1));
    assert_eq!(driver.publishes().len(), 1);
    assert!(driver.heard().is_empty(), "it is acknowledged once it is known");
    driver.published(1, ReasonCode::Success);
    driver.say(qos2(1));
    assert!(driver.publishes().is_empty());
    assert_eq!(driver.heard(), [Packet::PubRec(ack(1)), Packet::PubRec(ack(1))]);
    driver.say(Packet::PubRel(ack(1)));
    assert_eq!(driver.heard(), [Packet::PubComp(ack(1))]);
    driver.say(qos2(1));
    assert_eq!(driver.publishes().len(), 1, "the identifier is free for another message");
}

#[test]
fn a_qos_2_message_that_is_refused_is_forgotten() {
    let mut driver = open(9);
    driver.say(qos2(1));
    driver.published(1, ReasonCode::QuotaExceeded);
    driver.publishes();
    driver.say(qos2(1));
    assert_eq!(driver.publishes().len(), 1, "it is a message like any other");
}

#[test]
fn a_release_of_nothing_is_answered_in_each_version_as_it_can_say_it() {
    let reason = ReasonCode::PacketIdentifierNotFound;
    let mut driver = Driver::open(Version::V5);
    driver.say(Packet::PubRel(ack(4)));
    assert_eq!(driver.heard(), [Packet::PubComp(Ack { reason, ..ack(4) })]);
    let mut driver = Driver::open(Version::V311);
    driver.say(Packet::PubRel(ack(4)));
    assert_eq!(driver.bytes(), [0x70, 2, 0, 4]);
}

#[test]
fn a_client_in_3_x_hears_success_where_it_was_not_allowed() {
    let mut driver = Driver::open(Version::V311);
    driver.say(qos1(1));
    driver.say(qos2(2));
    driver.published(1, ReasonCode::NotAuthorized);
    driver.published(2, ReasonCode::NotAuthorized);
    driver.say(Packet::PubRel(ack(2)));
    assert_eq!(driver.bytes(), [0x40, 2, 0, 1, 0x50, 2, 0, 2, 0x70, 2, 0, 2]);
    assert_eq!(driver.closed(), None);
}

#[test]
fn a_client_in_3_x_loses_its_connection_where_the_message_was_lost() {
    let mut driver = Driver::open(Version::V311);
    driver.say(qos1(1));
    driver.published(1, ReasonCode::QuotaExceeded);
    assert!(driver.bytes().is_empty());
    assert_eq!(driver.closed(), Some(Closed::ByBroker(ReasonCode::QuotaExceeded)));
}

#[test]
fn more_messages_than_the_receive_maximum_end_the_connection() {
    for packet in [qos1(3), qos2(3)] {
        let mut driver = open(2);
        driver.say(qos1(1));
        driver.say(qos2(2));
        assert_eq!(driver.publishes().len(), 2);
        driver.say(packet);
        assert_eq!(driver.violation(), Some(ReasonCode::ReceiveMaximumExceeded));
        assert!(driver.publishes().is_empty());
    }
}

#[test]
fn qos_0_messages_and_repeated_ones_are_not_held_against_the_receive_maximum() {
    let mut driver = open(1);
    driver.say(qos2(1));
    driver.published(1, ReasonCode::Success);
    for _ in 0..3 {
        driver.say(Packet::Publish(publish("a", Delivery::AtMostOnce)));
        driver.say(qos2(1));
    }
    assert_eq!(driver.closed(), None);
}

#[test]
fn a_message_ceases_to_count_with_puback_pubcomp_or_a_pubrec_that_refuses_it() {
    let mut driver = open(1);
    driver.say(qos1(1));
    driver.published(1, ReasonCode::Success);
    driver.say(qos2(2));
    driver.published(2, ReasonCode::NotAuthorized);
    driver.say(qos2(3));
    driver.published(3, ReasonCode::Success);
    driver.say(Packet::PubRel(ack(3)));
    driver.say(qos1(4));
    assert_eq!(driver.closed(), None);
    driver.say(qos1(5));
    assert_eq!(driver.violation(), Some(ReasonCode::ReceiveMaximumExceeded));
}

#[test]
fn a_client_in_3_x_was_never_told_a_receive_maximum() {
    let mut driver = Driver::open_with(&connect(Version::V311), &settings(1), None);
    for packet_id in 1..=300 {
        driver.say(qos1(packet_id));
    }
    assert_eq!(driver.publishes().len(), 300);
}

#[test]
fn a_subscription_identifier_in_a_clients_publish_ends_the_connection() {
    let mut packet = publish("a", Delivery::AtMostOnce);
    packet.subscription_ids = SubscriptionIds::from_slice(&[1]);
    let mut driver = open(1);
    driver.say(Packet::Publish(packet));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn r08_a_topic_of_too_many_levels_ends_the_connection() {
    let endless = &*"/".repeat(65_535).leak();
    let mut driver = open(1);
    driver.say(Packet::Publish(publish(endless, Delivery::AtMostOnce)));
    assert_eq!(driver.violation(), Some(ReasonCode::TopicNameInvalid));
}

#[test]
fn topics_that_share_a_slot_of_the_memory_are_not_confused() {
    let mut driver = open(1);
    let topics = (0..100).map(|n| &*format!("t/{n}").leak()).collect::<Vec<_>>();
    for _ in 0..2 {
        for topic in &topics {
            driver.say(Packet::Publish(publish(topic, Delivery::AtMostOnce)));
        }
        let found = driver.publishes();
        assert!(found.iter().map(|it| it.topic.as_str()).eq(topics.iter().copied()));
    }
}

#[test]
fn a_qos_2_message_that_was_lost_is_taken_when_a_3_x_client_sends_it_again() {
    let mut driver = Driver::open(Version::V311);
    driver.say(qos2(1));
    driver.published(1, ReasonCode::QuotaExceeded);
    assert_eq!(driver.closed(), Some(Closed::ByBroker(ReasonCode::QuotaExceeded)));
    let image = driver.session.leave().expect("a session").image;
    let mut driver = Driver::open_with(&connect(Version::V311), &settings(9), Some(image));
    driver.say(qos2(1));
    assert_eq!(driver.publishes().len(), 1);
}

#[test]
fn an_outcome_counts_even_where_its_acknowledgement_has_to_wait() {
    let mut driver = open(9);
    driver.say(qos1(1));
    driver.say(qos2(2));
    driver.published(2, ReasonCode::NotAuthorized);
    let image = driver.leave().image;
    assert!(image.received.is_empty(), "it was not published");
}

#[test]
fn a_release_before_its_acknowledgement_ends_the_connection() {
    let mut driver = open(1);
    driver.say(qos2(1));
    driver.say(Packet::PubRel(ack(1)));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn acknowledgements_that_wait_for_their_turn_are_bounded_by_the_receive_maximum() {
    let mut driver = open(3);
    driver.say(qos1(1));
    for _ in 0..2 {
        driver.say(qos2(2));
        driver.published(2, ReasonCode::NotAuthorized);
    }
    driver.say(qos2(2));
    assert_eq!(driver.violation(), Some(ReasonCode::ReceiveMaximumExceeded));
}
