//! Sessions that go on with another connection.

use std::num::NonZeroU16;

use super::super::*;
use super::driver::{
    Driver, ack, connect, connect_within, granted, id, message, outbound, published, qos1, qos2,
};
use crate::codec;
use crate::message::QoS;

fn resume(connect: &codec::Connect<'_>, image: Image) -> Driver {
    Driver::open_with(connect, &Settings::default(), Some(image))
}

/// What a client leaves that was sent QoS 1, QoS 2, and QoS 2 which it has received.
fn three_in_flight() -> Image {
    let mut driver = Driver::open(Version::V5);
    driver.deliver("one", QoS::AtLeastOnce);
    driver.deliver("two", QoS::ExactlyOnce);
    driver.deliver("three", QoS::ExactlyOnce);
    driver.say(Packet::PubRec(ack(3)));
    driver.leave().image
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_its_order_with_dup_and_its_identifier() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut driver = resume(&connect(version), three_in_flight());
        let packets = driver.heard();
        assert_eq!(published(&packets), [("one", true, Some(1)), ("two", true, Some(2))]);
        assert_eq!(packets[2..], [Packet::PubRel(ack(3))]);
        assert_eq!(driver.session.window(), 256 - 3);
    }
}

#[test]
fn what_is_sent_again_keeps_to_the_new_window_and_new_messages_come_after_it() {
    let mut driver = resume(&connect_within(1, 1_000), three_in_flight());
    assert_eq!(published(&driver.heard()), [("one", true, Some(1))]);
    assert_eq!(driver.session.window(), 0);
    driver.say(Packet::PubAck(ack(1)));
    assert_eq!(published(&driver.heard()), [("two", true, Some(2))]);
    driver.say(Packet::PubRec(ack(2)));
    assert_eq!(driver.heard(), [Packet::PubRel(ack(2))]);
    driver.say(Packet::PubComp(ack(2)));
    assert_eq!(driver.heard(), [Packet::PubRel(ack(3))]);
    assert_eq!(driver.session.window(), 0);
    driver.say(Packet::PubComp(ack(3)));
    assert_eq!(driver.session.window(), 1);
    driver.deliver("four", QoS::AtLeastOnce);
    assert_eq!(published(&driver.heard()), [("four", false, Some(4))]);
}

#[test]
fn what_the_new_connection_cannot_take_is_dropped_and_the_rest_is_sent() {
    let mut driver = Driver::open(Version::V5);
    let large = Outbound { message: message("l", &[0; 100]), ..outbound("l", QoS::AtLeastOnce) };
    driver.take(Input::Deliver(large));
    driver.deliver("small", QoS::AtLeastOnce);
    let image = driver.leave().image;
    let mut driver = Driver::new(&Settings::default(), Version::V5);
    driver.welcome(&connect_within(1, 50), Some(image));
    assert!(matches!(driver.actions()[..], [Action::Dropped(Dropped::TooLarge)]));
    assert_eq!(published(&driver.heard()), [("small", true, Some(2))]);
}

#[test]
fn a_session_survives_many_connections_that_come_to_nothing() {
    let mut image = three_in_flight();
    for _ in 0..5 {
        image = resume(&connect_within(1, 1_000), image).leave().image;
    }
    assert_eq!(image.in_flight.len(), 3);
    assert_eq!(published(&resume(&connect(Version::V5), image).heard()).len(), 2);
}

#[test]
fn an_acknowledgement_that_comes_late_counts() {
    let mut driver = resume(&connect_within(1, 1_000), three_in_flight());
    driver.heard();
    driver.say(Packet::PubRec(ack(2)));
    driver.say(Packet::PubComp(ack(3)));
    assert_eq!(driver.closed(), None);
    assert_eq!(driver.heard(), [Packet::PubRel(ack(2))]);
    driver.say(Packet::PubComp(ack(2)));
    driver.say(Packet::PubAck(ack(1)));
    assert!(driver.heard().is_empty());
    assert!(driver.leave().image.in_flight.is_empty());
}

#[test]
fn r17_a_qos_2_message_is_known_to_the_next_connection() {
    let mut driver = Driver::open(Version::V311);
    driver.say(qos2(1));
    driver.published(1, ReasonCode::Success);
    let image = driver.leave().image;
    assert_eq!(image.received.len(), 1);
    let mut driver = resume(&connect(Version::V311), image);
    driver.say(qos2(1));
    assert!(driver.publishes().is_empty());
    assert_eq!(driver.heard(), [Packet::PubRec(ack(1))]);
    driver.say(Packet::PubRel(ack(1)));
    assert!(driver.leave().image.received.is_empty());
}

#[test]
fn a_qos_1_message_that_was_not_acknowledged_is_published_again() {
    let mut driver = Driver::open(Version::V5);
    driver.say(qos1(1));
    let mut driver = resume(&connect(Version::V5), driver.leave().image);
    driver.say(qos1(1));
    assert_eq!(driver.publishes().len(), 1);
}

#[test]
fn subscriptions_go_on() {
    let mut driver = Driver::open(Version::V5);
    let outcomes = vec![Ok(granted("a", QoS::AtLeastOnce))];
    driver.take(Input::Subscribed { packet_id: id(1), outcomes });
    let driver = resume(&connect(Version::V5), driver.leave().image);
    assert_eq!(driver.session.subscriptions().map(Subscriptions::len), Some(1));
}

#[test]
fn a_session_that_does_not_go_on_begins_with_nothing() {
    let mut driver = Driver::open(Version::V5);
    assert!(driver.heard().is_empty());
    driver.deliver("a", QoS::AtLeastOnce);
    assert_eq!(published(&driver.heard()), [("a", false, Some(1))]);
}

#[test]
fn packet_identifiers_go_on_where_the_last_connection_ended() {
    let settings = Settings { max_inflight: NonZeroU16::MIN, ..Settings::default() };
    let mut image = None;
    for packet_id in 1..5 {
        let mut driver = Driver::open_with(&connect(Version::V5), &settings, image);
        driver.deliver("a", QoS::AtLeastOnce);
        assert_eq!(published(&driver.heard()), [("a", false, Some(packet_id))]);
        driver.say(Packet::PubAck(ack(packet_id)));
        image = Some(driver.leave().image);
    }
}

#[test]
fn r12_what_the_client_may_no_longer_receive_is_not_sent_again() {
    let mut image = three_in_flight();
    assert_eq!(
        image.in_flight.keep_allowed(|message| message.topic.as_str() != "one", &mut Vec::new()),
        1
    );
    let packets = resume(&connect(Version::V5), image).heard();
    assert_eq!(published(&packets), [("two", true, Some(2))]);
    assert_eq!(packets[1..], [Packet::PubRel(ack(3))], "the client has that one already");
}

/// What a client leaves that has sent QoS 2 messages 1 to `count` and released none.
fn unreleased(count: u16, settings: &Settings) -> Image {
    let mut driver = Driver::open_with(&connect(Version::V5), settings, None);
    for packet_id in 1..=count {
        driver.say(qos2(packet_id));
        driver.published(packet_id, ReasonCode::Success);
    }
    assert_eq!(driver.closed(), None);
    driver.leave().image
}

fn receiving(receive_maximum: u16) -> Settings {
    let receive_maximum = NonZeroU16::new(receive_maximum).expect("not 0");
    Settings { receive_maximum, ..Settings::default() }
}

#[test]
fn r14_messages_that_an_earlier_connection_did_not_release_are_not_held_against_the_next() {
    let settings = receiving(2);
    let image = unreleased(2, &settings);
    let mut driver = Driver::open_with(&connect(Version::V5), &settings, Some(image));
    driver.say(qos2(8));
    driver.say(qos1(9));
    assert_eq!(driver.closed(), None);
    driver.say(Packet::PubRel(ack(1)));
    driver.say(Packet::PubRel(ack(2)));
    driver.say(qos1(10));
    assert_eq!(driver.violation(), Some(ReasonCode::ReceiveMaximumExceeded));
}

#[test]
fn a_message_of_an_earlier_connection_that_is_sent_again_counts_once() {
    let settings = receiving(2);
    let image = unreleased(2, &settings);
    let mut driver = Driver::open_with(&connect(Version::V5), &settings, Some(image));
    driver.say(qos2(1));
    driver.say(qos2(1));
    driver.say(qos1(9));
    assert_eq!(driver.closed(), None);
    driver.say(qos2(2));
    assert_eq!(driver.violation(), Some(ReasonCode::ReceiveMaximumExceeded));
}

#[test]
fn r14_every_identifier_may_be_left_unreleased_and_the_session_recovers() {
    let image = unreleased(u16::MAX, &receiving(u16::MAX));
    assert_eq!(image.received.len(), 65_535);
    let mut driver = Driver::open_with(&connect(Version::V5), &receiving(1), Some(image));
    for packet_id in 1..=u16::MAX {
        driver.say(qos2(packet_id));
        driver.say(Packet::PubRel(ack(packet_id)));
    }
    driver.say(qos1(1));
    assert_eq!(driver.publishes().len(), 1, "the rest were known");
    assert!(driver.leave().image.received.is_empty());
}

#[test]
fn a_qos_2_message_that_is_no_longer_sent_is_released_so_that_its_identifier_is_free_on_both_sides()
{
    let mut image = three_in_flight();
    assert_eq!(
        image.in_flight.keep_allowed(|message| message.topic.as_str() != "two", &mut Vec::new()),
        1
    );
    assert_eq!(image.in_flight.keep_allowed(|_| true, &mut Vec::new()), 0, "it is dropped once");
    let packets = resume(&connect(Version::V5), image).heard();
    assert_eq!(packets[1..], [Packet::PubRel(ack(3)), Packet::PubRel(ack(2))]);

    let mut driver = Driver::open(Version::V5);
    let large = Outbound { message: message("l", &[0; 100]), ..outbound("l", QoS::ExactlyOnce) };
    driver.take(Input::Deliver(large));
    let mut driver = resume(&connect_within(9, 50), driver.leave().image);
    assert_eq!(driver.heard(), [Packet::PubRel(ack(1))]);
    driver.say(Packet::PubComp(ack(1)));
    assert_eq!((driver.session.window(), driver.closed()), (9, None));
}

#[test]
fn what_is_sent_again_is_sent_as_the_client_takes_it_and_not_all_at_once() {
    let mut driver = Driver::open(Version::V5);
    for topic in ["a", "b", "c", "d"] {
        let large = Outbound {
            message: message(topic, &[0; 200_000]),
            ..outbound(topic, QoS::AtLeastOnce)
        };
        driver.take(Input::Deliver(large));
        driver.bytes();
    }
    let mut driver = resume(&connect(Version::V5), driver.leave().image);
    assert_eq!(published(&driver.heard()), [("a", true, Some(1)), ("b", true, Some(2))]);
    assert_eq!(driver.session.window(), 0, "new messages come after them");
    driver.say(Packet::PubAck(ack(1)));
    driver.say(Packet::PubAck(ack(2)));
    assert_eq!(published(&driver.heard()), [("c", true, Some(3)), ("d", true, Some(4))]);
    assert_eq!(driver.session.window(), 254);
}
