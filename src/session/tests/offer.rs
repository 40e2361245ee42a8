//! What a server leaves out of MQTT, and what becomes of clients that ask for it.

use super::super::*;
use super::driver::{Driver, connect, id, publish, subscribe};
use crate::codec::{Connect, Delivery, Publish, SubAck, Will};
use crate::message::QoS;
use crate::topic::TopicNameRef;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A server that offers as little as can be.
fn bare() -> Settings {
    Settings {
        maximum_qos: QoS::AtMostOnce,
        retain_available: false,
        wildcard_subscription_available: false,
        subscription_identifiers_available: false,
        shared_subscription_available: false,
        ..Settings::default()
    }
}

#[test]
fn connack_says_what_is_not_available_and_nothing_of_what_is() {
    for (settings, said) in [(bare(), Some(false)), (Settings::default(), None)] {
        let mut driver = Driver::new(&settings, Version::V5);
        let properties = driver.welcome(&connect(Version::V5), None).properties;
        assert_eq!(properties.maximum_qos, said.map(|_| QoS::AtMostOnce));
        assert_eq!(properties.retain_available, said);
        assert_eq!(properties.wildcard_subscription_available, said);
        assert_eq!(properties.subscription_identifiers_available, said);
        assert_eq!(properties.shared_subscription_available, said);
    }
}

#[test]
fn a_message_beyond_the_offer_is_not_published_and_ends_the_connection() {
    let retained = Publish { retain: true, ..publish("a", Delivery::AtMostOnce) };
    for version in VERSIONS {
        for (packet, reason) in [
            (publish("a", Delivery::AtLeastOnce(id(1))), ReasonCode::QoSNotSupported),
            (publish("a", Delivery::ExactlyOnce(id(1))), ReasonCode::QoSNotSupported),
            (retained.clone(), ReasonCode::RetainNotSupported),
        ] {
            let mut driver = Driver::open_with(&connect(version), &bare(), None);
            driver.say(Packet::Publish(packet));
            let actions = driver.actions();
            assert!(
                matches!(actions[..], [Action::Close(Closed::Violation { reason: it, .. })] if it == reason),
                "{actions:?}"
            );
        }
        let mut driver = Driver::open_with(&connect(version), &bare(), None);
        driver.say(Packet::Publish(publish("a", Delivery::AtMostOnce)));
        assert_eq!(driver.publishes().len(), 1);
    }
}

#[test]
fn a_will_beyond_the_offer_is_refused_before_anybody_is_asked_who_it_is() {
    let will = Will {
        topic: TopicNameRef::parse("w").expect("a topic"),
        payload: b"gone",
        qos: QoS::AtMostOnce,
        retain: false,
        delay_interval: None,
        message_expiry_interval: None,
        properties: Cow::Borrowed(&[]),
    };
    for version in VERSIONS {
        for (will, reason) in [
            (Will { qos: QoS::AtLeastOnce, ..will.clone() }, ReasonCode::QoSNotSupported),
            (Will { retain: true, ..will.clone() }, ReasonCode::RetainNotSupported),
        ] {
            let mut driver = Driver::new(&bare(), version);
            let connect = Connect { will: Some(will), ..connect(version) };
            driver.say(Packet::Connect(Box::new(connect)));
            assert_eq!(driver.violation(), Some(reason));
            // 3.x has no return code for it.
            let answers = driver.heard();
            assert_eq!(answers.len(), usize::from(version == Version::V5), "{answers:?}");
        }
    }
}

#[test]
fn a_3_x_subscription_beyond_the_offer_fails_alone() {
    for version in [Version::V31, Version::V311] {
        let mut driver = Driver::open_with(&connect(version), &bare(), None);
        driver.say(subscribe(1, &["a", "a/+", "$share/group/a"]));
        let Some(Action::Subscribe { requests, .. }) = driver.actions().pop() else {
            panic!("no request")
        };
        let reasons = requests.iter().map(|request| request.as_ref().err().copied());
        assert_eq!(
            reasons.collect::<Vec<_>>(),
            [
                None,
                Some(ReasonCode::WildcardSubscriptionsNotSupported),
                Some(ReasonCode::SharedSubscriptionsNotSupported)
            ]
        );
    }
}

#[test]
fn a_subscription_is_asked_for_with_no_more_than_the_maximum_qos() {
    for maximum_qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let settings = Settings { maximum_qos, ..Settings::default() };
        let mut driver = Driver::open_with(&connect(Version::V5), &settings, None);
        let Packet::Subscribe(mut packet) = subscribe(1, &["a"]) else { panic!("no SUBSCRIBE") };
        packet.filters = packet
            .filters
            .iter()
            .map(|(filter, options)| {
                (
                    filter,
                    crate::codec::SubscriptionOptions { maximum_qos: QoS::ExactlyOnce, ..options },
                )
            })
            .collect();
        driver.say(Packet::Subscribe(packet));
        let Some(Action::Subscribe { requests, .. }) = driver.actions().pop() else {
            panic!("no request")
        };
        driver.take(Input::Subscribed { packet_id: id(1), outcomes: requests });
        let granted = match maximum_qos {
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        };
        assert_eq!(driver.heard(), [Packet::SubAck(SubAck::new(id(1), vec![granted]))]);
    }
}
