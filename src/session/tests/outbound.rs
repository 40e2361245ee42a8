//! Messages to the client.

use std::time::Duration;

use super::super::*;
use super::driver::{Driver, ack, connect, connect_within, decoded, message, outbound, published};
use crate::codec::{Ack, Delivery};
use crate::message::{Message, QoS};

fn open(receive_maximum: u16) -> Driver {
    let connect = connect_within(receive_maximum, 1_000);
    Driver::open_with(&connect, &Settings::default(), None)
}

fn refused(packet_id: u16) -> Ack<'static> {
    Ack { reason: ReasonCode::UnspecifiedError, ..ack(packet_id) }
}

fn is_dropped(driver: &mut Driver, why: Dropped) -> bool {
    matches!(driver.actions()[..], [Action::Dropped(found)] if found == why)
}

#[test]
fn a_message_is_sent_with_what_its_recipient_asked_for() {
    let mut driver = open(9);
    let mut sent = outbound("a", QoS::AtLeastOnce);
    sent.retain = true;
    sent.subscription_ids.push(300);
    driver.take(Input::Deliver(sent));
    let packets = driver.heard();
    let [Packet::Publish(publish)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!((publish.dup, publish.retain), (false, true));
    assert_eq!(publish.delivery, Delivery::AtLeastOnce(super::driver::id(1)));
    assert_eq!(&publish.subscription_ids[..], [300]);
    assert_eq!(publish.payload, b"a");
}

#[test]
fn the_window_is_as_wide_as_the_client_and_the_broker_both_allow() {
    assert_eq!(open(3).session.window(), 3);
    assert_eq!(open(u16::MAX).session.window(), 256);
    assert_eq!(Driver::open(Version::V5).session.window(), 256);
    assert_eq!(Driver::open(Version::V311).session.window(), 256);
    assert_eq!(Session::new(Arc::default()).window(), 0);
}

#[test]
fn the_window_closes_with_each_message_and_opens_when_it_is_done() {
    let mut driver = open(2);
    driver.deliver("a", QoS::AtLeastOnce);
    driver.deliver("b", QoS::ExactlyOnce);
    driver.deliver("c", QoS::AtMostOnce);
    assert_eq!(
        published(&driver.heard()),
        [("a", false, Some(1)), ("b", false, Some(2)), ("c", false, None)]
    );
    assert_eq!(driver.session.window(), 0);
    driver.say(Packet::PubAck(ack(1)));
    assert_eq!(driver.session.window(), 1);
    driver.say(Packet::PubRec(ack(2)));
    assert_eq!(driver.heard(), [Packet::PubRel(ack(2))]);
    assert_eq!(driver.session.window(), 1, "it is not done before PUBCOMP");
    driver.say(Packet::PubComp(ack(2)));
    assert_eq!(driver.session.window(), 2);
    assert_eq!(driver.closed(), None);
}

#[test]
fn a_message_that_the_client_refuses_is_done() {
    let mut driver = open(2);
    driver.deliver("a", QoS::AtLeastOnce);
    driver.deliver("b", QoS::ExactlyOnce);
    driver.heard();
    driver.say(Packet::PubAck(refused(1)));
    driver.say(Packet::PubRec(refused(2)));
    assert!(driver.heard().is_empty(), "a refusal is not released");
    assert_eq!(driver.session.window(), 2);
}

#[test]
fn every_pubrec_gets_its_pubrel() {
    let mut driver = open(2);
    driver.deliver("b", QoS::ExactlyOnce);
    driver.heard();
    driver.say(Packet::PubRec(ack(1)));
    driver.say(Packet::PubRec(ack(1)));
    assert_eq!(driver.heard(), [Packet::PubRel(ack(1)), Packet::PubRel(ack(1))]);
}

#[test]
fn acknowledgements_of_nothing_are_let_be_and_a_pubrec_is_told_so() {
    let mut driver = open(2);
    for packet in [Packet::PubAck(ack(1)), Packet::PubComp(ack(2)), Packet::PubRec(refused(3))] {
        driver.say(packet);
        assert!(driver.heard().is_empty());
    }
    driver.say(Packet::PubRec(ack(4)));
    let reason = ReasonCode::PacketIdentifierNotFound;
    assert_eq!(driver.heard(), [Packet::PubRel(Ack { reason, ..ack(4) })]);
    assert_eq!(driver.session.window(), 2);
    assert_eq!(driver.closed(), None);
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_the_connection() {
    for (qos, packet) in [
        (QoS::ExactlyOnce, Packet::PubAck(ack(1))),
        (QoS::AtLeastOnce, Packet::PubRec(ack(1))),
        (QoS::AtLeastOnce, Packet::PubComp(ack(1))),
        (QoS::ExactlyOnce, Packet::PubComp(ack(1))),
    ] {
        let mut driver = open(2);
        driver.deliver("a", qos);
        driver.say(packet);
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
        assert_eq!(driver.leave().image.in_flight.len(), 1, "it is not lost");
    }
}

#[test]
fn packet_identifiers_go_round_and_pass_over_those_in_use() {
    let mut driver = open(2);
    driver.deliver("stuck", QoS::AtLeastOnce);
    driver.bytes();
    let mut last = 1;
    for _ in 0..70_000 {
        driver.deliver("a", QoS::AtLeastOnce);
        let bytes = driver.bytes();
        let [(_, _, Some(packet_id))] = published(&decoded(&bytes, Version::V5))[..] else {
            panic!("not one message")
        };
        assert_eq!(packet_id, if last == u16::MAX { 2 } else { last + 1 });
        driver.say(Packet::PubAck(ack(packet_id)));
        last = packet_id;
    }
}

#[test]
fn a_message_that_has_expired_is_not_sent_and_one_that_lives_says_how_long() {
    let mut driver = open(2);
    let expiry = Some(driver.now.instant + Duration::from_secs(10));
    let message = Arc::new(Message { expiry, ..(*message("a", b"")).clone() });
    driver.wait(Duration::from_secs(4));
    driver.take(Input::Deliver(Outbound {
        message: Arc::clone(&message),
        ..outbound("a", QoS::AtLeastOnce)
    }));
    let packets = driver.heard();
    let [Packet::Publish(publish)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(publish.message_expiry_interval, Some(6));
    driver.wait(Duration::from_secs(6));
    driver.take(Input::Deliver(Outbound { message, ..outbound("a", QoS::AtLeastOnce) }));
    assert!(driver.heard().is_empty());
    assert!(is_dropped(&mut driver, Dropped::Expired));
    assert_eq!(driver.session.window(), 1);
}

#[test]
fn a_message_above_the_clients_maximum_packet_size_is_dropped_and_holds_no_window() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut driver = Driver::open_with(&connect_within(2, 50), &Settings::default(), None);
        let large = Outbound { message: message("a", &[0; 50]), ..outbound("a", qos) };
        driver.take(Input::Deliver(large));
        assert!(driver.heard().is_empty());
        assert!(is_dropped(&mut driver, Dropped::TooLarge));
        assert_eq!(driver.session.window(), 2);
    }
}

#[test]
fn a_message_of_just_the_clients_maximum_packet_size_is_sent() {
    let size = |payload: &[u8], limit| {
        let connect = connect_within(2, limit);
        let mut driver = Driver::open_with(&connect, &Settings::default(), None);
        let message = message("a", payload);
        driver.take(Input::Deliver(Outbound { message, ..outbound("a", QoS::AtLeastOnce) }));
        driver.bytes().len()
    };
    let payload = [0; 60];
    let whole = size(&payload, 1_000);
    assert_eq!(size(&payload, whole as u32), whole);
    assert_eq!(size(&payload, whole as u32 - 1), 0);
}

#[test]
fn what_is_said_is_counted() {
    let mut output = Output::default();
    let mut session = Session::new(Arc::default());
    let now = Now::read();
    session.step(
        now,
        Input::Packet(Packet::Connect(Box::new(connect(Version::V311)))),
        &mut output,
    );
    let client_id = crate::identity::ClientId::new("c");
    let identified = Identified {
        client_id,
        assigned: false,
        key: super::driver::KEY,
        is_durable: false,
        resumed: None,
        authentication_data: None,
        settings: None,
    };
    session.step(now, Input::Identified(Box::new(identified)), &mut output);
    for qos in [QoS::AtMostOnce, QoS::ExactlyOnce, QoS::ExactlyOnce] {
        session.step(now, Input::Deliver(outbound("a", qos)), &mut output);
    }
    session.step(now, Input::Packet(Packet::PingReq), &mut output);
    let mut sent = [0; 16];
    (sent[2], sent[3], sent[13]) = (1, 3, 1);
    assert_eq!((output.sent, output.published), (sent, [1, 0, 2]));
}

#[test]
fn a_message_that_mqtt_cannot_frame_is_dropped_and_holds_no_window() {
    let payload = vec![0; crate::codec::MAXIMUM_PACKET_SIZE].into();
    let mut driver = Driver::open(Version::V5);
    let message = Arc::new(Message { payload, ..(*message("a", b"")).clone() });
    driver.take(Input::Deliver(Outbound { message, ..outbound("a", QoS::AtLeastOnce) }));
    assert!(driver.bytes().is_empty());
    assert!(is_dropped(&mut driver, Dropped::TooLarge));
    assert_eq!(driver.session.window(), 256);
}
