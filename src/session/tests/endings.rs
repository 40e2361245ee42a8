//! How connections end, and what the client is told.

use std::time::Duration;

use super::super::*;
use super::driver::{Driver, connect_within, granted, id, outbound, qos1, qos2, subscribe};
use crate::codec::{DecodeError, Disconnect};
use crate::message::QoS;

#[test]
fn a_5_0_client_is_told_why_it_must_go_and_a_3_x_client_is_not() {
    for (input, reason) in [
        (Input::End(ReasonCode::SessionTakenOver), ReasonCode::SessionTakenOver),
        (Input::Malformed { error: DecodeError::QoS, version: None }, ReasonCode::MalformedPacket),
        (Input::Packet(Packet::PingResp), ReasonCode::ProtocolError),
    ] {
        let mut driver = Driver::open(Version::V5);
        driver.take(input);
        let packets = driver.heard();
        let [Packet::Disconnect(farewell)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!(farewell.reason, reason);
    }
    let mut driver = Driver::open(Version::V311);
    driver.take(Input::End(ReasonCode::SessionTakenOver));
    assert_eq!(driver.closed(), Some(Closed::ByBroker(ReasonCode::SessionTakenOver)));
    assert!(driver.bytes().is_empty());
}

#[test]
fn who_goes_or_is_gone_is_told_nothing() {
    let normal = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
    for input in [Input::Lost, Input::Packet(normal)] {
        let mut driver = Driver::open(Version::V5);
        driver.take(input);
        assert!(driver.closed().is_some());
        assert!(driver.bytes().is_empty());
    }
}

#[test]
fn a_farewell_is_explained_where_the_clients_maximum_packet_size_lets_it() {
    for (limit, explained) in [(40, true), (39, false)] {
        let connect = connect_within(1, limit);
        let mut driver = Driver::open_with(&connect, &Settings::default(), None);
        driver.say(Packet::PingResp);
        let packets = driver.heard();
        let [Packet::Disconnect(farewell)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!(farewell.reason_string.is_some(), explained, "{limit}");
    }
}

#[test]
fn a_connection_without_a_client_leaves_nothing() {
    let mut driver = Driver::new(&Settings::default(), Version::V5);
    driver.take(Input::Lost);
    assert_eq!(driver.closed(), Some(Closed::Lost));
    assert!(driver.session.leave().is_none());
    assert_eq!((driver.session.deadline(), driver.session.version()), (None, None));
}

#[test]
fn nothing_follows_the_farewell() {
    for input in [
        Input::Packet(Packet::PingReq),
        Input::Packet(qos1(1)),
        Input::Packet(Packet::PingResp),
        Input::Deliver(outbound("a", QoS::AtMostOnce)),
        Input::Deliver(outbound("a", QoS::AtLeastOnce)),
        Input::Tick,
        Input::End(ReasonCode::ServerShuttingDown),
        Input::Published { packet_id: id(9), reason: ReasonCode::Success },
    ] {
        let mut driver = Driver::open(Version::V5);
        driver.say(qos1(9));
        driver.take(Input::End(ReasonCode::SessionTakenOver));
        assert_eq!(driver.heard().len(), 1);
        assert!(driver.closed().is_some());
        driver.wait(Duration::from_secs(1_000));
        driver.take(input);
        assert!(driver.bytes().is_empty() && driver.actions().is_empty());
        assert_eq!((driver.session.window(), driver.session.deadline()), (0, None));
    }
}

#[test]
fn answers_that_come_after_the_end_are_remembered_by_the_session() {
    let mut driver = Driver::open(Version::V5);
    driver.say(qos2(1));
    driver.say(qos2(2));
    driver.say(subscribe(3, &["a"]));
    driver.take(Input::End(ReasonCode::SessionTakenOver));
    driver.published(1, ReasonCode::Success);
    driver.published(2, ReasonCode::QuotaExceeded);
    let outcomes = vec![Ok(granted("a", QoS::AtMostOnce))];
    driver.take(Input::Subscribed { packet_id: id(3), outcomes });
    assert_eq!(driver.heard().len(), 1, "the farewell alone");
    let image = driver.session.leave().expect("a session").image;
    assert_eq!((image.received.len(), image.subscriptions.len()), (1, 1));
}

#[test]
fn the_broker_may_end_for_any_reason_and_disconnect_says_one_that_it_has() {
    for reason in ReasonCode::ALL.into_iter().filter(|reason| reason.is_error()) {
        let mut driver = Driver::open(Version::V5);
        driver.take(Input::End(reason));
        let packets = driver.heard();
        let [Packet::Disconnect(farewell)] = &packets[..] else { panic!("{packets:?}") };
        assert!(farewell.reason.is_error());
        assert_eq!(driver.closed(), Some(Closed::ByBroker(reason)));
    }
}

#[test]
fn what_is_wrong_with_a_second_connect_is_that_it_is_the_second() {
    for error in [DecodeError::UnsupportedVersion, DecodeError::ClientIdentifier("empty")] {
        let mut driver = Driver::open(Version::V5);
        driver.take(Input::Malformed { error, version: Some(Version::V311) });
        let packets = driver.heard();
        let [Packet::Disconnect(farewell)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!(farewell.reason, ReasonCode::ProtocolError);
    }
}
