//! What roles say beyond topics: limits, hours, sizes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::driver::{Driver, Visit, broker, id, policy};
use crate::broker::Broker;
use crate::clock::Now;
use crate::codec::{Delivery, Packet, ReasonCode};
use crate::message::QoS;

/// A broker where everybody may do everything, within limits.
fn limited(limits: &str) -> Arc<Broker> {
    let broker = broker();
    broker.replace_policy(policy(&format!(
        "[[role]]\nname = \"r\"\nrules = [{{ allow = [\"publish\", \"subscribe\"], topics = [\"#\"] }}]\n\
         [role.limits]\n{limits}\n[[assign]]\neveryone = true\nroles = [\"r\"]\n"
    )));
    broker
}

fn try_to_enter(broker: &Arc<Broker>, visit: Visit) -> Result<bool, ReasonCode> {
    let mut driver = Driver::knock(broker, visit);
    driver.log_in().now_or_never().expect("nobody to wait for");
    driver.greeted()
}

#[test]
fn a_principal_has_no_more_sessions_than_its_roles_allow() {
    let broker = limited("max_sessions = 2");
    let (mut first, _) = Driver::enter(&broker, Visit::of("first"));
    let brief = Visit { expiry: 0, ..Visit::of("brief") };
    let (mut second, _) = Driver::enter(&broker, brief);
    assert_eq!(try_to_enter(&broker, Visit::of("third")), Err(ReasonCode::QuotaExceeded));
    // Its own session does not count against a client, nor does one that has ended.
    first.client.on_lost(first.now);
    assert_eq!(try_to_enter(&broker, Visit::of("third")), Err(ReasonCode::QuotaExceeded));
    let (_first, is_resumed) = Driver::enter(&broker, Visit::of("first"));
    assert!(is_resumed);
    second.client.on_lost(second.now);
    assert_eq!(try_to_enter(&broker, Visit::of("third")), Ok(false));
}

#[test]
fn a_session_has_no_more_subscriptions_than_its_roles_allow() {
    let broker = limited("max_subscriptions = 1");
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    assert_eq!(reader.ask_for("a", QoS::AtMostOnce), ReasonCode::Success);
    assert_eq!(reader.ask_for("b", QoS::AtMostOnce), ReasonCode::QuotaExceeded);
    assert_eq!(reader.ask_for("a", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
}

#[test]
fn a_client_has_no_more_in_flight_than_its_roles_allow() {
    let broker = limited("max_inflight = 1");
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    publisher.publish("a", false);
    publisher.publish("b", false);
    assert_eq!(reader.topics(), ["a"]);
    reader.acknowledge(1);
    assert_eq!(reader.topics(), ["b"]);
}

#[test]
fn no_more_waits_for_a_session_than_its_roles_allow() {
    for limits in ["max_queued_messages = 1", "max_queued_bytes = 300"] {
        let broker = limited(limits);
        let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
        let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
        reader.subscribe("#", QoS::AtLeastOnce);
        reader.client.on_lost(reader.now);
        publisher.publish("a", false);
        publisher.publish("b", false);
        let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
        assert_eq!(reader.topics(), ["a"], "{limits}");
    }
}

#[test]
fn what_a_rule_allows_at_some_hours_ends_with_them() {
    const MONDAY: u64 = 1_795_392_000;
    let at = |hour: u64| Now { unix: Duration::from_secs(MONDAY + hour * 3_600), ..Now::read() };
    let broker = broker();
    broker.authority.keep_time(at(9));
    broker.replace_policy(policy(
        "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\", \"subscribe\"], topics = [\"#\"], \
         time = { from = \"08:00\", to = \"17:00\" } }]\n[[assign]]\neveryone = true\nroles = [\"r\"]\n",
    ));
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    assert_eq!(publisher.publish("a", false), ReasonCode::Success);
    assert_eq!(reader.topics(), ["a"]);
    assert_eq!(publisher.publish("late", false), ReasonCode::Success);
    broker.authority.keep_time(at(17));
    assert_eq!(reader.topics(), [""; 0], "what waits is not delivered after hours");
    assert_eq!(publisher.publish("a", false), ReasonCode::NotAuthorized);
    assert_eq!(reader.ask_for("b", QoS::AtMostOnce), ReasonCode::NotAuthorized);
    broker.authority.keep_time(at(32));
    // The subscription has ended with its hours.
    assert_eq!(publisher.publish("a", false), ReasonCode::NoMatchingSubscribers);
    // A clock that is set back is believed.
    broker.authority.keep_time(at(7));
    assert_eq!(publisher.publish("a", false), ReasonCode::NotAuthorized);
}

#[test]
fn a_payload_is_measured_each_time_though_the_topic_is_remembered() {
    let broker = broker();
    broker.replace_policy(policy(
        "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"#\"], \
         max_payload_bytes = 3 }]\n[[assign]]\neveryone = true\nroles = [\"r\"]\n",
    ));
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    for (payload, wanted) in [
        (&b"abc"[..], ReasonCode::NoMatchingSubscribers),
        (b"abcd", ReasonCode::NotAuthorized),
        (b"", ReasonCode::NoMatchingSubscribers),
        (b"abcd", ReasonCode::NotAuthorized),
    ] {
        let mut packet = super::driver::publish("a", Delivery::AtLeastOnce(id(9)), false);
        if let Packet::Publish(publish) = &mut packet {
            publish.payload = payload;
        }
        publisher.say(&packet);
        match publisher.heard().as_slice() {
            [Packet::PubAck(ack)] => assert_eq!(ack.reason, wanted, "{payload:?}"),
            other => panic!("{other:?}"),
        }
    }
}
