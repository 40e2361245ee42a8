//! Section 3.2.2.3: what a server says it can do, and takes.

use super::scene::{Reading, Scene, long_property};
use crate::harness::ADMIN;
use crate::harness::raw::{self, Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Will};

const MAXIMUM_QOS: u8 = 0x24;
const RETAIN_AVAILABLE: u8 = 0x25;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const REASON_STRING: u8 = 0x1F;
const USER_PROPERTY: u8 = 0x26;
const TOO_LARGE: u8 = 0x95;
const BAD_ALIAS: u8 = 0x94;
const BAD_LOGIN: u8 = 0x86;

fn aliased(alias: u16, topic: &str) -> Vec<u8> {
    let with = [&[0x23], &alias.to_be_bytes()[..]].concat();
    raw::publish_with(5, PUBLISH, topic, None, &with, b"aliased")
}

#[test]
fn v5_3_2_2_9_a_server_that_names_no_maximum_qos_takes_every_qos() {
    let scene = Scene::open();
    let (mut client, answer) = scene.welcomed(&Connect::new(5, "x"));
    assert_eq!(answer.property(MAXIMUM_QOS), None);
    client.send(&raw::publish_with(5, PUBLISH | 1 << 1, "a", Some(1), &[], b""));
    assert!(client.expect(PUBACK).acknowledged().1 < 0x80);
    client.send(&raw::publish_with(5, PUBLISH | 2 << 1, "a", Some(2), &[], b""));
    assert!(client.expect(PUBREC).acknowledged().1 < 0x80);
    client.send(&raw::acknowledge(PUBREL, 2));
    assert_eq!(client.expect(PUBCOMP).acknowledged(), (2, 0));
}

#[test]
fn v5_3_2_2_10_a_subscription_with_any_qos_is_accepted() {
    let scene = Scene::open();
    let mut client = scene.client("x");
    for qos in 0..=2 {
        client.send(&raw::subscribe(5, 1, &format!("a/{qos}"), qos));
        assert_eq!(client.expect(SUBACK).body, [0, 1, 0, qos]);
    }
}

#[test]
fn v5_3_2_2_12_a_will_qos_that_is_accepted_is_one_that_the_server_can_do() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 2);
    for qos in 0..=2 {
        let will = Some(Will { qos, ..Will::new("wills", b"") });
        scene.accepted(&Connect { will, ..Connect::new(5, "x") }).break_off();
        assert_eq!(subscriber.message().qos, qos);
    }
}

#[test]
fn v5_3_2_2_13_a_will_retain_that_is_accepted_is_one_that_the_server_can_do() {
    let scene = Scene::open();
    let mut subscriber = scene.subscriber("wills", 0);
    let will = Some(Will { retain: true, ..Will::new("wills", b"kept") });
    let (client, answer) = scene.welcomed(&Connect { will, ..Connect::new(5, "x") });
    assert!(answer.property(RETAIN_AVAILABLE).is_none_or(|value| value == [1]));
    client.break_off();
    subscriber.message();
    let kept = scene.subscriber("+", 0).message();
    assert_eq!((kept.payload.as_slice(), kept.retain), (&b"kept"[..], true));
}

#[test]
fn v5_3_2_2_15_a_packet_that_is_larger_than_the_server_said_is_refused() {
    let scene = Scene::secure("\n[mqtt]\nmax_packet_size = 100\n");
    let connect = Connect::new(5, "x").login(ADMIN);
    let publish = |size: usize| {
        let bytes = raw::publish(5, "a", &vec![b'x'; size - 6]);
        assert_eq!(bytes.len(), size);
        bytes
    };
    let (mut client, answer) = scene.welcomed(&connect);
    assert_eq!(answer.property(MAXIMUM_PACKET_SIZE), Some(&[0, 0, 0, 100][..]));
    assert_eq!(client.subscribe(5, "a", 0), 0);
    client.send(&publish(100));
    assert_eq!(client.message().payload.len(), 94);
    client.send(&publish(101));
    client.expect_disconnect(TOO_LARGE);
    // Its length is enough: nobody waits for the rest.
    let mut client = scene.accepted(&connect);
    client.send(&publish(101)[..2]);
    client.expect_disconnect(TOO_LARGE);
}

#[test]
fn v5_3_2_2_17_a_topic_alias_above_the_maximum_of_the_server_is_refused() {
    let scene = Scene::secure("\n[mqtt]\ntopic_alias_maximum = 2\n");
    let connect = Connect::new(5, "x").login(ADMIN);
    let (mut client, answer) = scene.welcomed(&connect);
    assert_eq!(answer.property(TOPIC_ALIAS_MAXIMUM), Some(&[0, 2][..]));
    assert_eq!(client.subscribe(5, "#", 0), 0);
    for (alias, topic) in [(1, "one"), (2, "two")] {
        client.send(&[aliased(alias, topic), aliased(alias, "")].concat());
        assert_eq!(client.message().topic, topic);
        assert_eq!(client.message().topic, topic);
    }
    client.send(&aliased(3, "three"));
    client.expect_disconnect(BAD_ALIAS);
    let mut client = scene.accepted(&connect);
    client.send(&aliased(u16::MAX, "a"));
    client.expect_disconnect(BAD_ALIAS);
}

#[test]
fn v5_3_2_2_18_a_server_that_says_nothing_of_topic_aliases_takes_none() {
    let scene = Scene::secure("\n[mqtt]\ntopic_alias_maximum = 0\n");
    for alias in [1, u16::MAX] {
        let (mut client, answer) = scene.welcomed(&Connect::new(5, "x").login(ADMIN));
        assert!(answer.property(TOPIC_ALIAS_MAXIMUM).is_none_or(|maximum| maximum == [0, 0]));
        client.send(&aliased(alias, "a"));
        client.expect_disconnect(BAD_ALIAS);
    }
}

/// A login that fails, from a client that takes packets of at most `limit` bytes. Each is of another
/// user: one that fails again and again is locked out.
fn bad_login(limit: u32) -> Vec<u8> {
    let properties = long_property(MAXIMUM_PACKET_SIZE, limit);
    let user = format!("nobody-{limit}").leak();
    Connect { properties, ..Connect::new(5, "x").login((user, "wrong")) }.encode()
}

#[test]
fn v5_3_2_2_19_a_reason_string_that_the_client_does_not_take_is_left_out() {
    let scene = Scene::secure("");
    let full = scene.refused(&bad_login(u32::MAX)).expect("a refusal");
    // Otherwise its absence below would mean nothing.
    assert!(full.property(REASON_STRING).is_some());
    let full = u32::try_from(full.size).expect("small");
    for limit in 5..=full + 1 {
        let answer = scene.refused(&bad_login(limit)).expect("a refusal");
        assert_eq!(answer.reason, BAD_LOGIN);
        assert_eq!(answer.property(REASON_STRING).is_some(), limit >= full, "{limit}");
        assert!(answer.size <= limit as usize, "{answer:02x?}");
    }
}

#[test]
fn v5_3_2_2_19_a_refusal_that_the_client_does_not_take_at_all_is_not_sent() {
    let scene = Scene::secure("");
    for limit in 1..5 {
        assert_eq!(scene.refused(&bad_login(limit)), None);
    }
}

#[test]
fn v5_3_2_2_20_user_properties_do_not_swell_a_connack_beyond_what_the_client_takes() {
    let scene = Scene::secure("");
    let connect = Connect::new(5, "x").login(ADMIN);
    let (_, answer) = scene.welcomed(&connect);
    let smallest = long_property(MAXIMUM_PACKET_SIZE, u32::try_from(answer.size).expect("small"));
    let (_, answer) = scene.welcomed(&Connect { properties: smallest, ..connect });
    assert!(answer.properties.iter().all(|(id, _)| *id != USER_PROPERTY), "{answer:02x?}");
    let answer = scene.refused(&bad_login(5)).expect("a refusal");
    assert!(answer.properties.is_empty() && answer.size <= 5, "{answer:02x?}");
}
