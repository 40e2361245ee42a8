//! PUBLISH, the variable header: topic name and properties (3.3.2).

use std::time::Duration;

use super::scene::{MALFORMED, PROTOCOL_ERROR, text_property, user_property};
use super::stage::{
    BAD_ALIAS, BAD_TOPIC, QOS_1, RETAIN, Stage, Version5, alias, expires_after, let_pass,
    properties_at, publish, topic_alias_maximum, values,
};
use crate::harness::raw::{self, CONNACK, Connect, PUBLISH, data, packet};

const PAYLOAD_FORMAT: u8 = 0x01;
const MESSAGE_EXPIRY: u8 = 0x02;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const CORRELATION_DATA: u8 = 0x09;
const TOPIC_ALIAS: u8 = 0x23;
const USER_PROPERTY: u8 = 0x26;

/// What is not UTF-8, and what MQTT does not take for it.
const NOT_UTF_8: [&[u8]; 5] =
    [&[0xFF], &[b'a', 0xC3], &[0xC0, 0x80], &[0xED, 0xA0, 0x80], &[b'a', 0, b'b']];

/// Fails unless `sent` reaches every kind of subscriber as it was: one at once, one that was away,
/// one that comes later for what is retained.
fn arrives_unaltered(sent: &[u8]) {
    let stage = Stage::open();
    let mut present = stage.client("present");
    present.subscribed("t", 1);
    let mut away = stage.lasting("away");
    away.subscribed("#", 2);
    away.leaves();
    stage.client("publisher").publishes(RETAIN | QOS_1, "t", sent, "m");
    let mut later = stage.client("later");
    later.subscribed("+", 0);
    for client in [&mut present, &mut stage.back("away"), &mut later] {
        assert_eq!(client.hears("m").properties, sent);
    }
}

#[test]
fn v5_3_3_2_1_the_topic_name_comes_first_and_is_utf_8() {
    let stage = Stage::open();
    for topic in NOT_UTF_8 {
        let bytes = packet(PUBLISH, &[data(topic), vec![0]].concat());
        stage.client("clumsy").provokes(&bytes, &[MALFORMED, BAD_TOPIC]);
    }
    // Nothing at all, half a length, and a topic that is longer than the packet.
    for body in [&[][..], &[0], &[0, 2, b'a']] {
        stage.client("clumsy").provokes(&packet(PUBLISH, body), &[MALFORMED, PROTOCOL_ERROR]);
    }
    let mut client = stage.client("client");
    client.subscribed("#", 0);
    client.says("größe/測試", "m");
    let frame = client.read();
    assert!(frame.body.starts_with(&data("größe/測試")), "{frame:?}");
}

#[test]
fn v5_3_3_2_2_a_topic_name_with_a_wildcard_is_refused() {
    let stage = Stage::open();
    for topic in ["#", "+", "a/#", "a/+/b", "a+", "#a"] {
        let bytes = raw::publish(5, topic, b"m");
        stage.client("clumsy").provokes(&bytes, &[BAD_TOPIC, MALFORMED]);
    }
}

#[test]
fn v5_3_3_2_3_the_topic_name_sent_matches_the_filter() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    for (filter, matching, other) in
        [("a/+", "a/b", "a/b/c"), ("a/#", "a", "b/a"), ("a", "a", "a/"), ("+/+", "/a", "a")]
    {
        let mut subscriber = stage.client("subscriber");
        subscriber.subscribed(filter, 0);
        publisher.says(other, "other");
        publisher.says(matching, "matching");
        assert_eq!(subscriber.hears("matching").topic, matching);
    }
}

#[test]
fn v5_3_3_2_4_the_payload_format_indicator_arrives_unaltered() {
    arrives_unaltered(&[PAYLOAD_FORMAT, 0]);
    arrives_unaltered(&[PAYLOAD_FORMAT, 1]);
}

#[test]
fn v5_3_3_2_5_an_expired_message_is_not_delivered() {
    let stage = Stage::open();
    let mut away = stage.lasting("away");
    away.subscribed("t", 1);
    away.leaves();
    let mut publisher = stage.client("publisher");
    publisher.publishes(RETAIN | QOS_1, "t", &expires_after(1), "short-lived");
    publisher.publishes(QOS_1, "t", &expires_after(100), "long-lived");
    let_pass(Duration::from_millis(1_100));
    stage.back("away").hears("long-lived");
    // Nor is what was retained.
    let mut later = stage.client("later");
    later.subscribed("t", 0);
    publisher.says("t", "marker");
    later.hears("marker");
}

#[test]
fn v5_3_3_2_6_the_expiry_interval_sent_is_less_by_the_time_spent_waiting() {
    let stage = Stage::open();
    let mut present = stage.client("present");
    present.subscribed("t", 0);
    let mut away = stage.lasting("away");
    away.subscribed("t", 1);
    away.leaves();
    stage.client("publisher").publishes(RETAIN | QOS_1, "t", &expires_after(100), "m");
    let seconds = |received| {
        let value = values(&received, MESSAGE_EXPIRY).concat();
        u32::from_be_bytes(value.try_into().expect("one interval of four bytes"))
    };
    let at_once = seconds(present.hears("m"));
    assert!((70..=100).contains(&at_once), "{at_once}");
    let_pass(Duration::from_millis(1_100));
    let mut later = stage.client("later");
    later.subscribed("t", 0);
    for client in [&mut stage.back("away"), &mut later] {
        let after_a_while = seconds(client.hears("m"));
        assert!((70..=99).contains(&after_a_while), "{after_a_while}");
    }
}

#[test]
fn v5_3_3_2_7_a_topic_alias_ends_with_its_connection() {
    let stage = Stage::open();
    let mut publisher = stage.lasting("publisher");
    publisher.send(&publish(QOS_1, "t", Some(1), &alias(1), ""));
    publisher.expect(raw::PUBACK);
    publisher.leaves();
    let bytes = publish(QOS_1, "", Some(1), &alias(1), "");
    stage.back("publisher").provokes(&bytes, &[PROTOCOL_ERROR, BAD_ALIAS]);

    // In the other direction as well: the first message of each connection names its topic.
    let mut connect = Connect::new(5, "subscriber").keep_session(true, 100);
    connect.properties.extend(topic_alias_maximum(9));
    let mut subscriber = stage.connected(&connect);
    subscriber.subscribed("t", 0);
    let mut publisher = stage.client("another");
    for payload in ["1", "2"] {
        publisher.says("t", payload);
        let received = subscriber.hears(payload);
        assert!(received.topic == "t" || payload == "2", "{received:?}");
    }
    subscriber.leaves();
    let mut subscriber = stage.back_with("subscriber", &topic_alias_maximum(9));
    publisher.says("t", "3");
    assert_eq!(subscriber.hears("3").topic, "t");
}

#[test]
fn v5_3_3_2_8_a_topic_alias_of_0_is_refused() {
    let stage = Stage::open();
    for topic in ["t", ""] {
        let bytes = publish(0, topic, None, &alias(0), "");
        stage.client("clumsy").provokes(&bytes, &[BAD_ALIAS]);
    }
}

#[test]
fn v5_3_3_2_9_a_topic_alias_above_the_maximum_is_refused() {
    let stage = Stage::open_with(&[("MQTT_TOPIC_ALIAS_MAXIMUM", 5)]);
    for value in [6, 65_535] {
        let bytes = publish(0, "t", None, &alias(value), "");
        stage.client("clumsy").provokes(&bytes, &[BAD_ALIAS]);
    }
    // Where there are none, 1 is too many.
    let stage = Stage::open_with(&[("MQTT_TOPIC_ALIAS_MAXIMUM", 0)]);
    stage.client("clumsy").provokes(&publish(0, "t", None, &alias(1), ""), &[BAD_ALIAS]);
}

#[test]
fn v5_3_3_2_11_the_broker_uses_no_topic_alias_above_the_clients_maximum() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    for maximum in [0, 2] {
        let mut subscriber = stage.client_with("subscriber", &topic_alias_maximum(maximum));
        subscriber.subscribed("#", 0);
        let mut known = std::collections::HashMap::new();
        for topic in ["a", "b", "c", "d", "a", "b", "c", "d"] {
            publisher.says(topic, topic);
            let received = subscriber.hears(topic);
            let Some(value) = values(&received, TOPIC_ALIAS).pop() else {
                assert_eq!(received.topic, topic);
                continue;
            };
            let value = u16::from_be_bytes(value.try_into().expect("two bytes"));
            assert!((1..=maximum).contains(&value), "alias {value} of {maximum}");
            if !received.topic.is_empty() {
                known.insert(value, received.topic);
            }
            assert_eq!(known.get(&value).map(String::as_str), Some(topic));
        }
    }
}

#[test]
fn v5_3_3_2_12_every_topic_alias_up_to_the_maximum_is_accepted() {
    let stage = Stage::open_with(&[("MQTT_TOPIC_ALIAS_MAXIMUM", 300)]);
    let mut client = stage.stranger();
    client.send(&Connect::new(5, "client").encode());
    let connack = client.expect(CONNACK);
    let announced = properties_at(&connack, 2).into_iter().find(|(id, _)| *id == 0x22);
    assert_eq!(announced.map(|(_, value)| value), Some(300_u16.to_be_bytes().to_vec()));
    client.subscribed("#", 0);
    for value in 1..=300 {
        let topic = format!("t/{value}");
        client.send(&publish(0, &topic, None, &alias(value), ""));
        assert_eq!(client.message().topic, topic);
    }
    for value in (1..=300).rev() {
        client.send(&publish(0, "", None, &alias(value), ""));
        assert_eq!(client.message().topic, format!("t/{value}"));
    }
    // The greatest that there can be.
    let stage = Stage::open();
    let mut client = stage.client("client");
    for topic in ["t", ""] {
        client.send(&publish(QOS_1, topic, Some(1), &alias(65_535), ""));
        client.expect(raw::PUBACK);
    }
}

#[test]
fn v5_3_3_2_13_a_response_topic_that_is_not_utf_8_is_refused() {
    let stage = Stage::open();
    for topic in NOT_UTF_8 {
        let bytes = publish(0, "t", None, &text_property(RESPONSE_TOPIC, topic), "");
        stage.client("clumsy").provokes(&bytes, &[MALFORMED, BAD_TOPIC, PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_3_3_2_14_a_response_topic_with_a_wildcard_is_refused() {
    let stage = Stage::open();
    for topic in ["#", "a/+", "a#"] {
        let bytes = publish(0, "t", None, &text_property(RESPONSE_TOPIC, topic), "");
        stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR, BAD_TOPIC, MALFORMED]);
    }
}

#[test]
fn v5_3_3_2_15_the_response_topic_arrives_unaltered() {
    arrives_unaltered(&text_property(RESPONSE_TOPIC, "answers/größe"));
}

#[test]
fn v5_3_3_2_16_the_correlation_data_arrive_unaltered() {
    arrives_unaltered(&text_property(CORRELATION_DATA, [0, 0xFF, 0xC0, b'#', 0x26]));
    arrives_unaltered(&text_property(CORRELATION_DATA, []));
}

#[test]
fn v5_3_3_2_17_user_properties_arrive_unaltered() {
    arrives_unaltered(
        &[user_property("name", "value"), user_property("", ""), user_property("größe", "測試")]
            .concat(),
    );
}

#[test]
fn v5_3_3_2_18_user_properties_arrive_in_their_order() {
    let sent = ["b", "a", "b", "c", "a", "b"].map(|name| user_property(name, "x")).concat();
    arrives_unaltered(&sent);
    // Also where others of the packet stood between them.
    let stage = Stage::open();
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed("t", 0);
    let mixed = [
        user_property("z", "1"),
        alias(1),
        user_property("a", "2"),
        expires_after(100),
        user_property("z", "3"),
    ];
    stage.client("publisher").publishes(QOS_1, "t", &mixed.concat(), "m");
    let found = values(&subscriber.hears("m"), USER_PROPERTY);
    assert_eq!(
        found,
        [("z", "1"), ("a", "2"), ("z", "3")].map(|(n, v)| user_property(n, v)[1..].to_vec())
    );
}

#[test]
fn v5_3_3_2_19_a_content_type_that_is_not_utf_8_is_refused() {
    let stage = Stage::open();
    for name in NOT_UTF_8 {
        let bytes = publish(0, "t", None, &text_property(CONTENT_TYPE, name), "");
        stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
    }
}

#[test]
fn v5_3_3_2_20_the_content_type_arrives_unaltered() {
    arrives_unaltered(&text_property(CONTENT_TYPE, "application/größe; charset=\"\u{FEFF}\""));
}
