//! SUBSCRIBE and UNSUBSCRIBE.

use std::num::NonZeroU32;

use super::super::*;
use super::driver::{Driver, connect, connect_within, granted, id, subscribe, unsubscribe};
use crate::codec::{SubAck, SubscriptionOptions, UserProperties};
use crate::message::QoS;
use crate::topic::TopicFilterRef;

fn open(max_subscriptions: u32) -> Driver {
    let settings = Settings {
        max_subscriptions: NonZeroU32::new(max_subscriptions).expect("not 0"),
        ..Settings::default()
    };
    Driver::open_with(&connect(Version::V5), &settings, None)
}

/// What the session asks the broker for.
fn requests(driver: &mut Driver) -> Vec<Result<SubscribeRequest, ReasonCode>> {
    match driver.actions().pop() {
        Some(Action::Subscribe { requests, .. }) => requests,
        other => panic!("{other:?}"),
    }
}

/// Subscribes, grants all that is asked for, and gives the codes of the SUBACK.
fn codes(driver: &mut Driver, filters: &[&str]) -> Vec<ReasonCode> {
    driver.say(subscribe(1, filters));
    let outcomes = requests(driver);
    driver.take(Input::Subscribed { packet_id: id(1), outcomes });
    match &driver.heard()[..] {
        [Packet::SubAck(ack)] => ack.reasons.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn suback_waits_for_the_broker_and_says_what_it_granted() {
    let mut driver = open(10);
    driver.say(subscribe(5, &["a", "b", "c", "d"]));
    assert!(driver.heard().is_empty());
    assert!(requests(&mut driver).iter().all(Result::is_ok));
    let outcomes = vec![
        Ok(granted("a", QoS::AtMostOnce)),
        Ok(granted("b", QoS::AtLeastOnce)),
        Ok(granted("c", QoS::ExactlyOnce)),
        Err(ReasonCode::NotAuthorized),
    ];
    driver.take(Input::Subscribed { packet_id: id(5), outcomes });
    use ReasonCode::{GrantedQoS1, GrantedQoS2, NotAuthorized, Success};
    let codes = [Success, GrantedQoS1, GrantedQoS2, NotAuthorized];
    assert_eq!(driver.heard(), [Packet::SubAck(SubAck::new(id(5), &codes[..]))]);
    assert_eq!(driver.session.subscriptions().map(Subscriptions::len), Some(3));
}

#[test]
fn options_and_identifier_reach_the_broker_as_they_were_asked_for() {
    let options = SubscriptionOptions {
        maximum_qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        ..SubscriptionOptions::default()
    };
    let filter = TopicFilterRef::parse("a/#").expect("a filter");
    let mut driver = open(10);
    driver.say(Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscription_id: NonZeroU32::new(9),
        user_properties: UserProperties::default(),
        filters: [(filter, options)].into_iter().collect(),
    }));
    let request = SubscribeRequest { filter: filter.to_owned(), options, id: NonZeroU32::new(9) };
    assert_eq!(requests(&mut driver), [Ok(request)]);
}

#[test]
fn a_subscription_replaces_the_one_with_the_same_filter() {
    let mut driver = open(10);
    codes(&mut driver, &["a"]);
    let outcomes = vec![Ok(granted("a", QoS::ExactlyOnce))];
    driver.take(Input::Subscribed { packet_id: id(2), outcomes });
    let subscriptions = driver.session.subscriptions().expect("a client").clone();
    let found = subscriptions.iter().map(|(filter, it)| (filter.as_str(), it.options.maximum_qos));
    assert_eq!(found.collect::<Vec<_>>(), [("a", QoS::ExactlyOnce)]);
}

#[test]
fn a_session_has_no_more_subscriptions_than_it_may() {
    use ReasonCode::{QuotaExceeded, Success};
    let mut driver = open(2);
    assert_eq!(codes(&mut driver, &["a", "b", "c"]), [Success, Success, QuotaExceeded]);
    assert_eq!(codes(&mut driver, &["c", "a"]), [QuotaExceeded, Success], "a is none more");
    driver.say(unsubscribe(2, &["a"]));
    driver.heard();
    assert_eq!(codes(&mut driver, &["c", "d"]), [Success, QuotaExceeded]);
}

#[test]
fn r08_a_filter_has_no_more_levels_than_it_may_and_a_share_counts_as_its_filter() {
    let levels = |count: usize| vec!["l"; count].join("/");
    let (deepest, deeper) = (levels(128), levels(129));
    let (shared, deeper_shared) = (format!("$share/g/{deepest}"), format!("$share/g/{deeper}"));
    let endless = "/".repeat(60_000);
    let filters = [&*deepest, &shared, &deeper, &deeper_shared, &endless];
    use ReasonCode::{Success, TopicFilterInvalid};
    let expected = [Success, Success, TopicFilterInvalid, TopicFilterInvalid, TopicFilterInvalid];
    assert_eq!(codes(&mut open(10), &filters), expected);
}

#[test]
fn no_local_on_a_shared_subscription_ends_the_connection() {
    let filter = TopicFilterRef::parse("$share/g/a").expect("a filter");
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    let mut driver = open(10);
    driver.say(Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: [(filter, options)].into_iter().collect(),
    }));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn unsuback_says_of_each_filter_whether_it_was_subscribed_to_as_it_was_written() {
    let mut driver = open(10);
    codes(&mut driver, &["a", "$share/g/a"]);
    driver.say(unsubscribe(9, &["$share/g/a", "b", "$share/h/a", "$share/g/a"]));
    let ended = match &driver.actions()[..] {
        [Action::Unsubscribe(ended)] => ended.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ended.iter().map(|it| it.as_str()).collect::<Vec<_>>(), ["$share/g/a"]);
    use ReasonCode::{NoSubscriptionExisted, Success};
    let codes = [Success, NoSubscriptionExisted, NoSubscriptionExisted, NoSubscriptionExisted];
    assert_eq!(driver.heard(), [Packet::UnsubAck(SubAck::new(id(9), &codes[..]))]);
    assert_eq!(driver.session.subscriptions().map(Subscriptions::len), Some(1));
}

#[test]
fn the_broker_is_not_asked_to_end_what_nobody_subscribed_to() {
    let mut driver = open(10);
    driver.say(unsubscribe(9, &["a"]));
    assert!(driver.actions().is_empty());
}

#[test]
fn a_failure_is_0x80_in_3_x_and_unsuback_has_no_codes() {
    let mut driver = Driver::open(Version::V311);
    let outcomes = vec![Err(ReasonCode::NotAuthorized), Ok(granted("a", QoS::AtLeastOnce))];
    driver.take(Input::Subscribed { packet_id: id(1), outcomes });
    driver.say(unsubscribe(2, &["a", "b"]));
    assert_eq!(driver.bytes(), [0x90, 4, 0, 1, 0x80, 1, 0xB0, 2, 0, 2]);
}

#[test]
fn filters_whose_answer_the_client_would_not_take_end_the_connection_before_they_are_granted() {
    let filters = ["a"; 20];
    for packet in [subscribe(1, &filters), unsubscribe(1, &filters)] {
        let mut driver = Driver::open_with(&connect_within(1, 24), &Settings::default(), None);
        let outcomes = vec![Ok(granted("a", QoS::AtMostOnce))];
        driver.take(Input::Subscribed { packet_id: id(9), outcomes });
        driver.heard();
        driver.say(packet);
        assert!(matches!(
            driver.actions()[..],
            [Action::Close(Closed::Violation { reason: ReasonCode::PacketTooLarge, .. })]
        ));
        assert!(driver.bytes().len() <= 24);
        assert_eq!(driver.leave().image.subscriptions.len(), 1);
    }
    let mut driver = Driver::open_with(&connect_within(1, 25), &Settings::default(), None);
    assert_eq!(codes(&mut driver, &filters).len(), 20);
}
