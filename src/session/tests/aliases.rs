//! Topic aliases, of either side.

use std::num::NonZeroU16;

use super::super::*;
use super::driver::{Driver, connect, connect_with_aliases, publish, published};
use crate::codec::{Delivery, Publish};
use crate::message::QoS;

fn aliased(topic: Option<&'static str>, alias: u16) -> Packet<'static> {
    let Publish { topic: named, .. } = publish(topic.unwrap_or("x"), Delivery::AtMostOnce);
    Packet::Publish(Publish {
        topic: named.filter(|_| topic.is_some()),
        topic_alias: NonZeroU16::new(alias),
        ..publish("x", Delivery::AtMostOnce)
    })
}

fn topics(driver: &mut Driver) -> Vec<String> {
    driver.publishes().iter().map(|it| it.topic.as_str().to_owned()).collect()
}

fn open(topic_alias_maximum: u16) -> Driver {
    Driver::open_with(&connect_with_aliases(topic_alias_maximum), &Settings::default(), None)
}

/// The topic and alias of each PUBLISH that the client hears.
fn heard(driver: &mut Driver) -> Vec<(&'static str, Option<u16>)> {
    let packets = driver.heard();
    let names = published(&packets).into_iter().map(|(topic, ..)| topic);
    let aliases = packets.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => Some(publish.topic_alias.map(NonZeroU16::get)),
        _ => None,
    });
    names.zip(aliases).collect()
}

#[test]
fn an_alias_of_the_client_stands_for_the_topic_it_came_with_last() {
    let mut driver = open(0);
    driver.say(aliased(Some("a"), 1));
    driver.say(aliased(Some("b"), 64));
    driver.say(aliased(None, 1));
    driver.say(aliased(Some("c"), 1));
    driver.say(aliased(None, 1));
    driver.say(aliased(None, 64));
    assert_eq!(topics(&mut driver), ["a", "b", "a", "c", "c", "b"]);
}

#[test]
fn an_alias_that_was_never_given_a_topic_ends_the_connection() {
    for unknown in [1, 3, 64] {
        let mut driver = open(0);
        driver.say(aliased(Some("a"), 2));
        driver.say(aliased(None, unknown));
        assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
    }
}

#[test]
fn an_alias_above_what_was_announced_ends_the_connection() {
    for above in [65, u16::MAX] {
        let mut driver = open(0);
        driver.say(aliased(Some("a"), above));
        assert_eq!(driver.violation(), Some(ReasonCode::TopicAliasInvalid));
    }
}

#[test]
fn an_alias_that_came_with_a_repeated_message_counts() {
    let mut driver = open(0);
    driver.say(super::driver::qos2(1));
    driver.published(1, ReasonCode::Success);
    let Packet::Publish(mut repeated) = aliased(Some("a"), 1) else { panic!("a publish") };
    repeated.delivery = Delivery::ExactlyOnce(super::driver::id(1));
    driver.say(Packet::Publish(repeated));
    driver.publishes();
    driver.say(aliased(None, 1));
    assert_eq!(topics(&mut driver), ["a"]);
}

#[test]
fn u14_aliases_of_the_client_do_not_outlive_their_connection() {
    let mut driver = open(0);
    driver.say(aliased(Some("a"), 1));
    let image = driver.leave().image;
    let mut driver = Driver::open_with(&connect(Version::V5), &Settings::default(), Some(image));
    driver.say(aliased(None, 1));
    assert_eq!(driver.violation(), Some(ReasonCode::ProtocolError));
}

#[test]
fn the_client_learns_as_many_aliases_as_it_takes_and_then_hears_them_alone() {
    let mut driver = open(2);
    for topic in ["a", "b", "c", "a", "b", "c"] {
        driver.deliver(topic, QoS::AtMostOnce);
    }
    let said =
        [("a", Some(1)), ("b", Some(2)), ("c", None), ("", Some(1)), ("", Some(2)), ("c", None)];
    assert_eq!(heard(&mut driver), said);
}

#[test]
fn the_client_learns_no_alias_where_it_takes_none_or_the_broker_gives_none() {
    let none = Settings { outbound_topic_alias_maximum: 0, ..Settings::default() };
    for (connect, settings) in [
        (connect(Version::V5), Settings::default()),
        (connect(Version::V311), Settings::default()),
        (connect_with_aliases(9), none),
    ] {
        let mut driver = Driver::open_with(&connect, &settings, None);
        driver.deliver("a", QoS::AtMostOnce);
        driver.deliver("a", QoS::AtMostOnce);
        assert_eq!(heard(&mut driver), [("a", None), ("a", None)]);
    }
}

#[test]
fn u14_a_message_that_is_sent_again_names_its_topic_to_the_new_connection() {
    let mut driver = open(2);
    driver.deliver("a", QoS::AtLeastOnce);
    driver.deliver("a", QoS::AtLeastOnce);
    assert_eq!(heard(&mut driver), [("a", Some(1)), ("", Some(1))]);
    let image = driver.leave().image;
    let connect = connect_with_aliases(2);
    let mut driver = Driver::open_with(&connect, &Settings::default(), Some(image));
    assert_eq!(heard(&mut driver), [("a", Some(1)), ("", Some(1))]);
}

#[test]
fn a_message_that_is_too_large_teaches_no_alias() {
    let mut connect = connect_with_aliases(2);
    connect.properties.maximum_packet_size = std::num::NonZeroU32::new(40);
    let mut driver = Driver::open_with(&connect, &Settings::default(), None);
    let topic = "t".repeat(15);
    let mut large = super::driver::outbound(&topic, QoS::AtMostOnce);
    large.message = super::driver::message(&topic, &[0; 40]);
    driver.take(Input::Deliver(large));
    assert!(driver.heard().is_empty());
    assert!(matches!(driver.actions()[..], [Action::Dropped(Dropped::TooLarge)]));
    driver.deliver("b", QoS::AtMostOnce);
    driver.deliver(&topic, QoS::AtMostOnce);
    driver.deliver("b", QoS::AtMostOnce);
    let said = heard(&mut driver);
    assert_eq!(
        said,
        [("b", Some(1)), (&*topic, Some(2)), ("", Some(1))]
            .map(|(t, a)| (&*t.to_owned().leak(), a))
    );
}

#[test]
fn an_alias_is_left_out_where_the_message_only_fits_without_it() {
    let mut connect = connect_with_aliases(2);
    connect.properties.maximum_packet_size = std::num::NonZeroU32::new(40);
    let mut driver = Driver::open_with(&connect, &Settings::default(), None);
    let send = |driver: &mut Driver, topic: &str, payload: &[u8]| {
        let message = super::driver::message(topic, payload);
        let outbound = super::driver::outbound(topic, QoS::AtMostOnce);
        driver.take(Input::Deliver(Outbound { message, ..outbound }));
    };
    let longest = "t".repeat(10);
    send(&mut driver, &longest, &[0; 25]);
    assert_eq!(heard(&mut driver), [("tttttttttt", None)]);
    send(&mut driver, "a", &[]);
    send(&mut driver, "a", &[]);
    send(&mut driver, "a", &[0; 34]);
    send(&mut driver, &longest, &[]);
    send(&mut driver, &longest, &[0; 31]);
    let said = [("a", Some(1)), ("", Some(1)), ("a", None), ("tttttttttt", Some(2)), ("", Some(2))];
    assert_eq!(heard(&mut driver), said);
    assert!(driver.actions().is_empty(), "nothing was dropped");
}
