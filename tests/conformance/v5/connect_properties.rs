//! Section 3.1.2.11: what the properties of CONNECT ask of a server.

use super::scene::{Reading, Scene, properties as parse};
use crate::harness::raw::{
    self, Connect, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, SUBACK, UNSUBSCRIBE, data, packet,
};
use crate::harness::{ADMIN, VISITOR};

const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const TOPIC_ALIAS: u8 = 0x23;
const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
const RESPONSE_INFORMATION: u8 = 0x1A;
const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
const AT_LEAST_ONCE: u8 = PUBLISH | 1 << 1;
const EXACTLY_ONCE: u8 = PUBLISH | 2 << 1;
const UNSUBACK: u8 = 0xB0;

/// Subscribed to everything, taking `maximum` topic aliases.
fn with_aliases(scene: &Scene, maximum: Option<u16>) -> RawClient {
    let property = |maximum: u16| [&[TOPIC_ALIAS_MAXIMUM], &maximum.to_be_bytes()[..]].concat();
    let properties = maximum.map(property).unwrap_or_default();
    let mut client = scene.accepted(&Connect { properties, ..Connect::new(5, "x") });
    assert_eq!(client.subscribe(5, "#", 0), 0);
    client
}

/// The topics of the messages that come when each of ten topics is published to three times, and
/// the aliases among their properties.
fn thirty_messages(scene: &Scene, client: &mut RawClient) -> Vec<(String, Option<u16>)> {
    let mut publisher = scene.client("publisher");
    for number in 0..30 {
        let topic = format!("topic/{}", number % 10);
        publisher.send(&raw::publish(5, &topic, &[number % 10]));
    }
    let alias = |properties: &[u8]| {
        let found = parse(properties).into_iter().find(|(id, _)| *id == TOPIC_ALIAS);
        found.map(|(_, value)| u16::from_be_bytes([value[0], value[1]]))
    };
    let messages = (0..30).map(|_| client.message()).collect::<Vec<_>>();
    let number = |at: usize| u8::try_from(at % 10).expect("a digit");
    assert!(messages.iter().enumerate().all(|(at, message)| message.payload == [number(at)]));
    messages.into_iter().map(|message| (message.topic, alias(&message.properties))).collect()
}

#[test]
fn v5_3_1_2_26_no_topic_alias_is_above_the_maximum_of_the_client() {
    let scene = Scene::open();
    for maximum in [1, 3, 10, u16::MAX] {
        let mut client = with_aliases(&scene, Some(maximum));
        let mut known = std::collections::HashMap::new();
        for (at, (topic, alias)) in thirty_messages(&scene, &mut client).into_iter().enumerate() {
            let Some(alias) = alias else {
                assert!(!topic.is_empty());
                continue;
            };
            assert!((1..=maximum).contains(&alias), "{alias} of {maximum}");
            if !topic.is_empty() {
                known.insert(alias, topic);
            }
            // What the alias stands for is the topic that was published to.
            assert_eq!(known.get(&alias), Some(&format!("topic/{}", at % 10)));
        }
    }
}

#[test]
fn v5_3_1_2_27_a_client_that_allows_no_topic_alias_is_sent_none() {
    let scene = Scene::open();
    for maximum in [None, Some(0)] {
        let mut client = with_aliases(&scene, maximum);
        for (at, message) in thirty_messages(&scene, &mut client).into_iter().enumerate() {
            assert_eq!(message, (format!("topic/{}", at % 10), None));
        }
    }
}

#[test]
fn v5_3_1_2_28_response_information_comes_to_those_who_ask_for_it() {
    let scene = Scene::secure("\n[mqtt]\nresponse_information = \"answers/here\"\n");
    let told = |properties: &[u8]| {
        let connect = Connect::new(5, "x").login(ADMIN);
        let connect = Connect { properties: properties.to_vec(), ..connect };
        let answer = scene.welcomed(&connect).1;
        answer.property(RESPONSE_INFORMATION).map(<[u8]>::to_vec)
    };
    assert_eq!(told(&[REQUEST_RESPONSE_INFORMATION, 0]), None);
    assert_eq!(told(&[]), None);
    // Otherwise the silence above would mean nothing.
    assert_eq!(told(&[REQUEST_RESPONSE_INFORMATION, 1]).as_deref(), Some(&b"answers/here"[..]));
}

#[test]
fn v5_3_1_2_29_who_wants_no_problem_information_gets_reason_codes_alone() {
    let scene = Scene::secure("\n[mqtt]\nmax_topic_levels = 3\n");
    let properties = vec![REQUEST_PROBLEM_INFORMATION, 0];
    let connect = Connect { properties, ..Connect::new(5, "x").login(VISITOR) };
    let mut client = scene.accepted(&connect);
    let publish = |first: u8, topic: &str| raw::publish_with(5, first, topic, Some(1), &[], b"");
    // Not allowed, too deep, not there: each answer is an identifier and a reason code at most.
    for first in [AT_LEAST_ONCE, EXACTLY_ONCE] {
        client.send(&publish(first, "forbidden"));
        let answer = client.read();
        assert!(answer.acknowledged().1 >= 0x80 && answer.body.len() <= 4, "{answer:02x?}");
        assert!(answer.body.get(3).is_none_or(|length| *length == 0));
    }
    for (bytes, first) in
        [(raw::acknowledge(PUBREL, 77), PUBCOMP), (raw::acknowledge(PUBREC, 78), PUBREL)]
    {
        client.send(&bytes);
        let answer = client.expect(first);
        assert!(answer.acknowledged().1 >= 0x80 && answer.body.len() <= 4, "{answer:02x?}");
        assert!(answer.body.get(3).is_none_or(|length| *length == 0));
    }
    for filter in ["forbidden", "a/b/c/d"] {
        client.send(&raw::subscribe(5, 1, filter, 0));
        let answer = client.expect(SUBACK);
        assert!(answer.body[..3] == [0, 1, 0] && answer.body[3] >= 0x80, "{answer:02x?}");
    }
    client.send(&packet(UNSUBSCRIBE, &[&[0, 1, 0], &data("unknown")[..]].concat()));
    assert_eq!(client.expect(UNSUBACK).body, [0, 1, 0, 0x11]);
}
