//! UNSUBSCRIBE and UNSUBACK (3.10 and 3.11).

use super::scene::{MALFORMED, PROTOCOL_ERROR, user_property};
use super::stage::{
    BAD_FILTER, QOS_1, QOS_2, Stage, UNSUBACK, Version5, maximum_packet_size, reason_codes, size,
    unsubscribe,
};
use crate::harness::raw::{Connect, PUBACK, PUBCOMP, PUBREC, RawClient, UNSUBSCRIBE, data, packet};

const NO_SUBSCRIPTION: u8 = 0x11;

/// Unsubscribes; the reason codes of the answer.
fn unsubscribed(client: &mut RawClient, filters: &[&str]) -> Vec<u8> {
    client.send(&unsubscribe(3, &[], filters));
    reason_codes(&client.expect(UNSUBACK), 3)
}

/// Asks with `properties`; the answer must fit.
fn the_answer_fits(properties: &[u8]) {
    const LITTLE: u32 = 24;
    let stage = Stage::open();
    let little = maximum_packet_size(LITTLE);
    let connect = Connect { properties: little, keep_alive: 60, ..Connect::new(5, "client") };
    let mut client = stage.connected(&connect);
    client.subscribed("a", 0);
    client.send(&unsubscribe(5, properties, &["a", "b", "c"]));
    let frame = client.expect(UNSUBACK);
    assert!(size(&frame) <= LITTLE as usize, "{frame:?}");
    assert_eq!(reason_codes(&frame, 5), [0, NO_SUBSCRIPTION, NO_SUBSCRIPTION]);
}

#[test]
fn v5_3_10_1_1_an_unsubscribe_with_other_flags_is_malformed() {
    let stage = Stage::open();
    for flags in (0..16).filter(|&flags| flags != 0b0010) {
        let bytes = packet(UNSUBSCRIBE & 0xF0 | flags, &[0, 1, 0, 0, 1, b'a']);
        stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
    }
}

#[test]
fn v5_3_10_3_1_a_filter_that_is_not_utf_8_is_refused() {
    let stage = Stage::open();
    for filter in [&[0xFF][..], &[b'a', 0xC3], &[0xC0, 0x80], &[0xED, 0xA0, 0x80]] {
        let body = [&[0, 1, 0][..], &data(filter)].concat();
        let reasons = [MALFORMED, BAD_FILTER];
        stage.client("clumsy").provokes(&packet(UNSUBSCRIBE, &body), &reasons);
    }
}

#[test]
fn v5_3_10_3_2_an_unsubscribe_without_a_filter_is_refused() {
    let stage = Stage::open();
    let bytes = packet(UNSUBSCRIBE, &[0, 1, 0]);
    stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR, MALFORMED]);
}

#[test]
fn v5_3_10_4_1_a_subscription_ends_by_its_very_filter_alone() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.subscribed("a/+", 0);
    for other in ["a/b", "a/#", "#", "A/+", "a/+/", "/a/+", "$share/group/a/+"] {
        assert_eq!(unsubscribed(&mut client, &[other]), [NO_SUBSCRIPTION], "{other}");
        client.says("a/b", "still");
        client.hears("still");
    }
    assert_eq!(unsubscribed(&mut client, &["a/+"]), [0]);
    client.says("a/b", "no more");
    client.hears_nothing();
}

#[test]
fn v5_3_10_4_2_nothing_is_added_for_a_subscription_that_has_ended() {
    let stage = Stage::open();
    let mut client = stage.lasting("client");
    client.subscribed("t", 2);
    client.subscribed("other", 2);
    assert_eq!(unsubscribed(&mut client, &["t"]), [0]);
    let mut publisher = stage.client("publisher");
    publisher.publishes(QOS_1, "t", &[], "no more");
    publisher.publishes(QOS_1, "other", &[], "marker");
    let received = client.hears("marker");
    client.completes(&received);
    // Nor while the client is away.
    client.leaves();
    publisher.publishes(QOS_1, "t", &[], "no more");
    publisher.publishes(QOS_1, "other", &[], "marker");
    stage.back("client").hears("marker");
}

#[test]
fn v5_3_10_4_3_deliveries_that_have_begun_are_completed() {
    let stage = Stage::open();
    let mut client = stage.lasting("client");
    client.subscribed("t", 2);
    let mut publisher = stage.client("publisher");
    publisher.publishes(QOS_1, "t", &[], "once at least");
    publisher.publishes(QOS_2, "t", &[], "once");
    let at_least = client.hears("once at least").id.expect("an identifier");
    let once = client.hears("once").id.expect("an identifier");
    assert_eq!(unsubscribed(&mut client, &["t"]), [0]);
    client.leaves();
    let mut client = stage.back("client");
    assert_eq!(client.hears("once at least").id, Some(at_least));
    assert_eq!(client.hears("once").id, Some(once));
    client.acknowledges(PUBACK, at_least);
    client.acknowledges(PUBREC, once);
    assert_eq!(client.release(), once);
    client.acknowledges(PUBCOMP, once);
    client.hears_nothing();
}

#[test]
fn v5_3_10_4_4_an_unsubscribe_is_answered_with_an_unsuback() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.subscribed("t", 0);
    for filter in ["t", "t", "never"] {
        client.send(&unsubscribe(1, &[], &[filter]));
        client.expect(UNSUBACK);
        client.hears_nothing();
    }
}

#[test]
fn v5_3_10_4_5_the_unsuback_has_the_packet_identifier_of_the_unsubscribe() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    for id in [1, 2, 256, 65_535, 1] {
        client.send(&unsubscribe(id, &[], &["never"]));
        assert_eq!(reason_codes(&client.expect(UNSUBACK), id), [NO_SUBSCRIPTION]);
    }
}

#[test]
fn v5_3_10_4_6_several_filters_are_taken_one_after_the_other_and_answered_once() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.subscribed("a", 0);
    client.subscribed("b", 0);
    client.subscribed("c", 0);
    // The second "a" finds what the first has left.
    assert_eq!(unsubscribed(&mut client, &["a", "b", "a"]), [0, 0, NO_SUBSCRIPTION]);
    client.hears_nothing();
    for topic in ["a", "b", "c"] {
        client.says(topic, topic);
    }
    client.hears("c");
}

#[test]
fn v5_3_11_2_1_no_reason_string_makes_the_unsuback_too_large() {
    the_answer_fits(&[]);
}

#[test]
fn v5_3_11_2_2_no_user_property_makes_the_unsuback_too_large() {
    the_answer_fits(&user_property("name", "a value that is longer than the packets may be"));
}

#[test]
fn v5_3_11_3_1_the_reason_codes_are_in_the_order_of_the_filters() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    for filter in ["a", "b/+", "$share/group/c"] {
        client.subscribed(filter, 0);
    }
    let filters = ["never", "b/+", "nor this", "$share/group/c", "c", "a"];
    let expected = [NO_SUBSCRIPTION, 0, NO_SUBSCRIPTION, 0, NO_SUBSCRIPTION, 0];
    assert_eq!(unsubscribed(&mut client, &filters), expected);
}

#[test]
fn v5_3_11_3_2_each_filter_is_answered_with_one_of_the_reason_codes() {
    let codes = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
    let stage = Stage::open_with(&[("MQTT_MAX_TOPIC_LEVELS", 2)]);
    let mut client = stage.client("client");
    client.subscribed("a/b", 0);
    let found = unsubscribed(&mut client, &["a/b", "never", "a/b/c/d", "$share/group/a"]);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|code| codes.contains(code)), "{found:02x?}");
}
