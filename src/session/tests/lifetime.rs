//! Keep alive, session expiry and the will.

use std::num::NonZeroU16;
use std::time::Duration;

use super::super::*;
use super::driver::{Driver, KEY, connect};
use crate::codec::{Connect, Disconnect, Will};
use crate::message::QoS;
use crate::topic::TopicNameRef;

const FOR_EVER: u32 = u32::MAX;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings(max_session_expiry_seconds: u32) -> Settings {
    let max_keep_alive_seconds = NonZeroU16::new(100).expect("not 0");
    Settings { max_session_expiry_seconds, max_keep_alive_seconds, ..Settings::default() }
}

fn with_will() -> Connect<'static> {
    let will = Will {
        topic: TopicNameRef::parse("w").expect("a topic"),
        payload: b"gone",
        qos: QoS::AtMostOnce,
        retain: false,
        delay_interval: None,
        message_expiry_interval: None,
        properties: Cow::Borrowed(&[]),
    };
    Connect { will: Some(will), ..connect(Version::V5) }
}

fn expiring(interval: Option<u32>) -> Connect<'static> {
    let mut connect = connect(Version::V5);
    connect.properties.session_expiry_interval = interval;
    connect
}

fn disconnect(reason: ReasonCode, session_expiry_interval: Option<u32>) -> Packet<'static> {
    Packet::Disconnect(Disconnect { session_expiry_interval, ..Disconnect::new(reason) })
}

#[test]
fn a_client_is_let_be_for_one_and_a_half_times_its_keep_alive() {
    let mut driver = Driver::open(Version::V311);
    let deadline = driver.session.deadline().expect("a deadline");
    assert_eq!(deadline, driver.now.instant + seconds(90));
    driver.wait(seconds(89));
    driver.take(Input::Tick);
    assert_eq!(driver.closed(), None);
    driver.wait(seconds(1));
    driver.take(Input::Tick);
    assert_eq!(driver.closed(), Some(Closed::KeepAlive));
    assert!(driver.bytes().is_empty(), "3.x has no farewell");
}

#[test]
fn every_packet_shows_that_the_client_lives_and_no_delivery_does() {
    let mut driver = Driver::open(Version::V5);
    driver.wait(seconds(80));
    driver.say(Packet::PingReq);
    assert_eq!(driver.heard(), [Packet::PingResp]);
    driver.wait(seconds(80));
    driver.deliver("a", QoS::AtMostOnce);
    driver.take(Input::Tick);
    assert_eq!(driver.closed(), None);
    driver.wait(seconds(10));
    driver.heard();
    driver.take(Input::Tick);
    let heard = driver.heard();
    let [Packet::Disconnect(farewell)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(farewell.reason, ReasonCode::KeepAliveTimeout);
}

#[test]
fn r09_nobody_is_silent_for_longer_than_the_broker_lets_anybody_be() {
    for (asked, kept) in [(0, 100), (100, 100), (101, 100), (u16::MAX, 100), (1, 1)] {
        for version in [Version::V31, Version::V311, Version::V5] {
            let mut driver = Driver::new(&settings(FOR_EVER), version);
            let connect = Connect { keep_alive: asked, ..connect(version) };
            let ack = driver.welcome(&connect, None);
            let told = (version == Version::V5 && asked != kept).then_some(kept);
            assert_eq!(ack.properties.server_keep_alive, told);
            let silence = Duration::from_millis(u64::from(kept) * 1_500);
            assert_eq!(driver.session.deadline(), Some(driver.now.instant + silence));
        }
    }
}

#[test]
fn a_session_of_5_0_is_kept_for_as_long_as_asked_within_the_bound_and_told_where_it_is_less() {
    for (asked, maximum, told, kept) in [
        (None, FOR_EVER, None, SessionExpiry::Now),
        (Some(0), 50, None, SessionExpiry::Now),
        (Some(10), 50, None, SessionExpiry::After(seconds(10))),
        (Some(60), 50, Some(50), SessionExpiry::After(seconds(50))),
        (Some(FOR_EVER), 50, Some(50), SessionExpiry::After(seconds(50))),
        (Some(FOR_EVER), FOR_EVER, None, SessionExpiry::Never),
        (Some(9), 0, Some(0), SessionExpiry::Now),
    ] {
        let mut driver = Driver::new(&settings(maximum), Version::V5);
        let ack = driver.welcome(&expiring(asked), None);
        assert_eq!(ack.properties.session_expiry_interval, told);
        assert_eq!(driver.leave().expiry, kept);
    }
}

#[test]
fn a_session_of_3_x_ends_with_its_connection_or_is_kept_as_long_as_any() {
    for version in [Version::V31, Version::V311] {
        for (clean_start, maximum, kept) in [
            (true, FOR_EVER, SessionExpiry::Now),
            (false, 50, SessionExpiry::After(seconds(50))),
            (false, FOR_EVER, SessionExpiry::Never),
        ] {
            let connect = Connect { clean_start, ..connect(version) };
            let mut driver = Driver::open_with(&connect, &settings(maximum), None);
            assert_eq!(driver.leave().expiry, kept);
        }
    }
}

#[test]
fn disconnect_sets_another_session_expiry_within_the_bound() {
    for (asked, then, kept) in [
        (10, None, SessionExpiry::After(seconds(10))),
        (10, Some(0), SessionExpiry::Now),
        (10, Some(20), SessionExpiry::After(seconds(20))),
        (10, Some(60), SessionExpiry::After(seconds(50))),
        (0, Some(0), SessionExpiry::Now),
    ] {
        let mut driver = Driver::open_with(&expiring(Some(asked)), &settings(50), None);
        driver.say(disconnect(ReasonCode::Success, then));
        assert_eq!(driver.closed(), Some(Closed::ByClient(ReasonCode::Success)));
        assert!(driver.heard().is_empty());
        assert_eq!(driver.session.leave().expect("a session").expiry, kept);
    }
}

#[test]
fn a_session_that_was_to_end_with_its_connection_is_not_brought_to_life_by_disconnect() {
    let mut connect = with_will();
    connect.properties.session_expiry_interval = None;
    let mut driver = Driver::open_with(&connect, &Settings::default(), None);
    driver.say(disconnect(ReasonCode::Success, Some(1)));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
    assert_eq!(driver.heard().len(), 1, "the client is told");
    let remains = driver.session.leave().expect("a session");
    assert_eq!(remains.expiry, SessionExpiry::Now);
    assert!(remains.will.is_some(), "that was no DISCONNECT");
}

#[test]
fn only_a_normal_disconnect_takes_the_will_along() {
    for (reason, stays) in [
        (ReasonCode::Success, false),
        (ReasonCode::DisconnectWithWill, true),
        (ReasonCode::UnspecifiedError, true),
    ] {
        let mut driver = Driver::open_with(&with_will(), &Settings::default(), None);
        driver.say(disconnect(reason, None));
        let remains = driver.session.leave().expect("a session");
        assert_eq!(remains.will.is_some(), stays, "{reason:?}");
    }
}

#[test]
fn a_connection_that_ends_otherwise_leaves_its_will() {
    for input in
        [Input::Lost, Input::End(ReasonCode::SessionTakenOver), Input::Packet(Packet::PingResp)]
    {
        let mut driver = Driver::open_with(&with_will(), &Settings::default(), None);
        driver.take(input);
        assert!(driver.closed().is_some());
        assert!(driver.session.leave().expect("a session").will.is_some());
    }
}

#[test]
fn disconnect_may_ask_again_for_what_the_bound_took_from_connect() {
    let mut driver = Driver::open_with(&expiring(Some(60)), &settings(0), None);
    driver.say(disconnect(ReasonCode::Success, Some(60)));
    assert_eq!(driver.closed(), Some(Closed::ByClient(ReasonCode::Success)));
    assert_eq!(driver.session.leave().expect("a session").expiry, SessionExpiry::Now);
}

#[test]
fn a_will_is_its_clients_own_message() {
    let will = Driver::open_with(&with_will(), &Settings::default(), None).leave().will;
    assert_eq!(will.expect("a will").message.publisher, Some(KEY));
}
