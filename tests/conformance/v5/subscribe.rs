//! SUBSCRIBE and SUBACK (3.8 and 3.9).

use super::scene::{MALFORMED, PROTOCOL_ERROR, user_property};
use super::stage::{
    BAD_FILTER, NOT_AUTHORIZED, QOS_1, QOS_2, RETAIN, Stage, Version5, maximum_packet_size,
    publish, reason_codes, receive_maximum, size, subscribe, subscription_ids,
};
use crate::harness::raw::{Connect, PUBACK, SUBACK, SUBSCRIBE, data, packet};
use crate::harness::{DEVICE1, VISITOR};

/// Subscription options: Retain Handling, and others.
const SEND_RETAINED: u8 = 0x00;
const SEND_RETAINED_IF_NEW: u8 = 0x10;
const DO_NOT_SEND_RETAINED: u8 = 0x20;
const NO_LOCAL: u8 = 0x04;
const RETAIN_AS_PUBLISHED: u8 = 0x08;

/// What the first device of the harness may not subscribe to.
const FORBIDDEN: &str = "devices/device2/#";

/// Bytes that the CONNACK takes, and a SUBACK without properties.
const LITTLE: u32 = 24;

/// Asks for one filter that is allowed and two that are not, with `properties`; the answer must
/// fit.
fn the_answer_fits(properties: &[u8]) {
    let stage = Stage::secure();
    let little = maximum_packet_size(LITTLE);
    let connect = Connect { properties: little, keep_alive: 60, ..Connect::new(5, "device") };
    let mut client = stage.connected(&connect.login(DEVICE1));
    client.send(&subscribe(
        5,
        properties,
        &[("devices/device1/#", 1), (FORBIDDEN, 0), (FORBIDDEN, 2)],
    ));
    let frame = client.expect(SUBACK);
    assert!(size(&frame) <= LITTLE as usize, "{frame:?}");
    assert_eq!(reason_codes(&frame, 5), [1, NOT_AUTHORIZED, NOT_AUTHORIZED]);
}

#[test]
fn v5_3_8_1_1_a_subscribe_with_other_flags_is_malformed() {
    let stage = Stage::open();
    for flags in (0..16).filter(|&flags| flags != 0b0010) {
        let bytes = packet(SUBSCRIBE & 0xF0 | flags, &[0, 1, 0, 0, 1, b'a', 0]);
        stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
    }
}

#[test]
fn v5_3_8_3_1_a_filter_that_is_not_utf_8_is_refused() {
    let stage = Stage::open();
    for filter in [&[0xFF][..], &[b'a', 0xC3], &[0xC0, 0x80], &[0xED, 0xA0, 0x80]] {
        let body = [&[0, 1, 0][..], &data(filter), &[0]].concat();
        let reasons = [MALFORMED, BAD_FILTER];
        stage.client("clumsy").provokes(&packet(SUBSCRIBE, &body), &reasons);
    }
    let mut client = stage.client("client");
    client.subscribed("größe/測試", 0);
    client.says("größe/測試", "m");
    client.hears("m");
}

#[test]
fn v5_3_8_3_2_a_subscribe_without_a_pair_of_filter_and_options_is_refused() {
    let stage = Stage::open();
    for body in [&[0, 1, 0][..], &[0, 1, 0, 0, 1, b'a'], &[0, 1, 0, 0, 1, b'a', 0, 0, 1, b'b']] {
        let bytes = packet(SUBSCRIBE, body);
        stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR, MALFORMED]);
    }
}

#[test]
fn v5_3_8_3_3_no_local_keeps_a_clients_own_messages_from_it() {
    let stage = Stage::open();
    let mut client = stage.lasting("client");
    client.subscribed("t", 1 | NO_LOCAL);
    client.subscribed("mine", 0);
    client.publishes(QOS_1, "t", &[], "own");
    stage.client("another").publishes(QOS_1, "t", &[], "another's");
    let received = client.hears("another's");
    client.completes(&received);
    client.says("mine", "own");
    client.hears("own");
    // The connection changes, the client identifier does not.
    client.leaves();
    let mut client = stage.back("client");
    client.publishes(QOS_1, "t", &[], "own");
    client.says("mine", "marker");
    client.hears("marker");
}

#[test]
fn v5_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let stage = Stage::open();
    let bytes = subscribe(1, &[], &[("$share/group/t", NO_LOCAL)]);
    stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR]);
}

#[test]
fn v5_3_8_3_5_reserved_bits_of_the_options_are_malformed() {
    let stage = Stage::open();
    for options in [0x40, 0x80, 0xC0, 0x41] {
        for filters in [&[("t", options)][..], &[("a", 0), ("t", options)]] {
            let bytes = subscribe(1, &[], filters);
            stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
        }
    }
}

#[test]
fn v5_3_8_4_1_a_subscribe_is_answered_with_a_suback() {
    let stage = Stage::secure();
    // Whether it is granted or not.
    for filter in ["devices/device1/#", FORBIDDEN] {
        let mut device = stage.user("device", DEVICE1);
        device.send(&subscribe(1, &[], &[(filter, 0)]));
        device.expect(SUBACK);
        device.hears_nothing();
    }
}

#[test]
fn v5_3_8_4_2_the_suback_has_the_packet_identifier_of_the_subscribe() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    for id in [1, 2, 256, 65_535, 1] {
        client.send(&subscribe(id, &[], &[("t", 1)]));
        assert_eq!(reason_codes(&client.expect(SUBACK), id), [1]);
    }
}

#[test]
fn v5_3_8_4_3_the_same_filter_again_replaces_the_subscription() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    let mut publisher = stage.client("publisher");
    client.send(&subscribe(1, &[0x0B, 7], &[("t", 2 | NO_LOCAL | RETAIN_AS_PUBLISHED)]));
    client.expect(SUBACK);
    publisher.publishes(QOS_2 | RETAIN, "t", &[], "m");
    let before = client.hears("m");
    assert_eq!((before.qos, before.retain, subscription_ids(&before)), (2, true, vec![7]));
    client.completes(&before);

    client.subscribed("t", 1 | 0x20);
    publisher.publishes(QOS_2 | RETAIN, "t", &[], "m");
    let after = client.hears("m");
    assert_eq!((after.qos, after.retain, subscription_ids(&after)), (1, false, vec![]));
    client.completes(&after);
    // Neither a second copy nor No Local is left.
    client.says("t", "own");
    client.hears("own");
    client.hears_nothing();
}

#[test]
fn v5_3_8_4_4_a_replaced_subscription_loses_nothing_and_gets_what_is_retained_again() {
    const REPLACEMENTS: usize = 20;
    const BETWEEN: usize = 10;
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    publisher.publishes(RETAIN | QOS_1, "t", &[], "retained");
    let mut subscriber = stage.client("subscriber");
    // Nobody waits for anybody here: replacing and publishing happen at once.
    for round in 0..REPLACEMENTS {
        subscriber.send(&subscribe(1, &[], &[("t", 1)]));
        if round == 0 {
            subscriber.expect(SUBACK);
        }
        for number in round * BETWEEN..(round + 1) * BETWEEN {
            publisher.send(&publish(QOS_1, "t", Some(1), &[], &number.to_string()));
        }
    }
    // Replacements that come fast upon each other may have one copy of what is retained in common,
    // but it comes after the last of them.
    let (mut live, mut replaced, mut has_retained) = (Vec::new(), 1, false);
    while live.len() < REPLACEMENTS * BETWEEN || replaced < REPLACEMENTS || !has_retained {
        let frame = subscriber.read();
        if frame.first == SUBACK {
            replaced += 1;
            has_retained = false;
            continue;
        }
        let received = frame.publish(5);
        if received.retain {
            assert_eq!(received.payload, b"retained");
            has_retained = true;
        } else {
            live.push(String::from_utf8(received.payload).expect("a number"));
        }
    }
    let all = (0..REPLACEMENTS * BETWEEN).map(|number| number.to_string());
    assert_eq!(live, all.collect::<Vec<_>>());
    for _ in 0..REPLACEMENTS * BETWEEN {
        publisher.expect(PUBACK);
    }
    subscriber.hears_nothing();
}

#[test]
fn v5_3_8_4_5_several_filters_are_taken_one_after_the_other_and_answered_once() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.send(&subscribe(1, &[], &[("t", 0), ("a/+", 1), ("t", 2)]));
    assert_eq!(reason_codes(&client.expect(SUBACK), 1), [0, 1, 2]);
    client.hears_nothing();
    let mut publisher = stage.client("publisher");
    // The third has replaced the first.
    publisher.publishes(QOS_2, "t", &[], "m");
    let received = client.hears("m");
    assert_eq!(received.qos, 2);
    client.completes(&received);
    publisher.publishes(QOS_2, "a/b", &[], "m");
    assert_eq!(client.hears("m").qos, 1);
}

#[test]
fn v5_3_8_4_6_the_suback_has_a_reason_code_for_each_filter() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    for count in [1, 2, 100] {
        let filters = (0..count).map(|number| format!("t/{number}")).collect::<Vec<_>>();
        let pairs = filters.iter().map(|filter| (filter.as_str(), 1)).collect::<Vec<_>>();
        client.send(&subscribe(1, &[], &pairs));
        assert_eq!(reason_codes(&client.expect(SUBACK), 1), vec![1; count]);
    }
}

#[test]
fn v5_3_8_4_7_the_reason_code_is_the_granted_qos_or_a_failure() {
    let stage = Stage::secure();
    let mut visitor = stage.user("visitor", VISITOR);
    let filters = [("lobby/visitor/a", 0), ("lobby/visitor/b", 1), ("lobby/visitor/c", 2)];
    visitor.send(&subscribe(1, &[], &[&filters[..], &[("elsewhere", 2)]].concat()));
    // QoS 1 is the most that the policy gives visitors.
    assert_eq!(reason_codes(&visitor.expect(SUBACK), 1), [0, 1, 1, NOT_AUTHORIZED]);
}

#[test]
fn v5_3_8_4_8_messages_are_sent_with_the_lower_of_both_qos() {
    let stage = Stage::open();
    let mut publisher = stage.client("publisher");
    for granted in 0..=2 {
        let mut subscriber = stage.client("subscriber");
        subscriber.subscribed("t", granted);
        for published in 0..=2 {
            publisher.publishes(published << 1, "t", &[], "live");
            let received = subscriber.hears("live");
            assert_eq!(received.qos, granted.min(published));
            subscriber.completes(&received);

            publisher.publishes(RETAIN | published << 1, "kept", &[], "kept");
            // The PINGRESP says that a QoS 0 message has been worked off.
            publisher.hears_nothing();
            subscriber.subscribed("kept", granted);
            let received = subscriber.hears("kept");
            assert_eq!((received.qos, received.retain), (granted.min(published), true));
            subscriber.completes(&received);
            subscriber.send(&super::stage::unsubscribe(1, &[], &["kept"]));
            subscriber.expect(super::stage::UNSUBACK);
        }
    }
}

#[test]
fn v5_3_8_4_8_what_is_retained_has_the_qos_of_the_subscription_that_has_replaced_another() {
    for options in [SEND_RETAINED, SEND_RETAINED_IF_NEW, DO_NOT_SEND_RETAINED] {
        let stage = Stage::open();
        let mut publisher = stage.client("publisher");
        for topic in ["a", "b", "c"] {
            publisher.publishes(RETAIN | QOS_1, topic, &[], topic);
        }
        // The window holds back what is owed to the first subscription.
        let mut subscriber = stage.client_with("subscriber", &receive_maximum(1));
        subscriber.subscribed("+", 1);
        let first = subscriber.hears("a");
        assert_eq!(first.qos, 1);
        subscriber.send(&subscribe(1, &[0x0B, 7], &[("+", options)]));
        assert_eq!(reason_codes(&subscriber.expect(SUBACK), 1), [0]);
        subscriber.completes(&first);
        publisher.says("d", "marker");
        let mut heard = Vec::new();
        while heard.last().is_none_or(|topic| topic != "d") {
            let received = subscriber.message();
            assert_eq!((received.qos, subscription_ids(&received)), (0, vec![7]), "{received:?}");
            heard.push(received.topic);
        }
        // With Retain Handling 0 the first is sent again.
        let resent = usize::from(options == SEND_RETAINED);
        assert_eq!(heard, &["a", "b", "c", "d"][1 - resent..]);
    }
}

#[test]
fn v5_3_9_2_1_no_reason_string_makes_the_suback_too_large() {
    the_answer_fits(&[]);
}

#[test]
fn v5_3_9_2_2_no_user_property_makes_the_suback_too_large() {
    the_answer_fits(&user_property("name", "a value that is longer than the packets may be"));
}

#[test]
fn v5_3_9_3_1_the_reason_codes_are_in_the_order_of_the_filters() {
    let stage = Stage::secure();
    let mut device = stage.user("device", DEVICE1);
    let filters = [
        ("devices/device1/b", 2),
        ("elsewhere", 0),
        ("devices/device1/a", 0),
        (FORBIDDEN, 1),
        ("announcements/#", 1),
    ];
    device.send(&subscribe(1, &[], &filters));
    let codes = reason_codes(&device.expect(SUBACK), 1);
    assert_eq!(codes, [2, NOT_AUTHORIZED, 0, NOT_AUTHORIZED, 1]);
}

#[test]
fn v5_3_9_3_2_each_subscription_is_answered_with_one_of_the_reason_codes() {
    let codes = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    let stage = Stage::open_with(&[("MQTT_MAX_SUBSCRIPTIONS", 2), ("MQTT_MAX_TOPIC_LEVELS", 4)]);
    let mut client = stage.client("client");
    let filters = [("a", 0), ("a/b/c/d/e", 1), ("$share/group/b", 2), ("c", 1)];
    client.send(&subscribe(1, &[], &filters));
    let found = reason_codes(&client.expect(SUBACK), 1);
    assert!(found.iter().all(|code| codes.contains(code)), "{found:02x?}");
    assert_eq!(
        found.iter().map(|&code| code < 0x80).collect::<Vec<_>>(),
        [true, false, true, false]
    );
}
