//! Topic names and topic filters (4.7).

use super::scene::{MALFORMED, PROTOCOL_ERROR, text_property};
use super::stage::{BAD_FILTER, BAD_TOPIC, Stage, Version5, subscribe, unsubscribe};
use crate::harness::raw;

/// Fails unless `filter` is refused in SUBSCRIBE and UNSUBSCRIBE.
fn filter_is_refused(stage: &Stage, filter: &str) {
    let reasons = [BAD_FILTER, MALFORMED, PROTOCOL_ERROR];
    stage.client("clumsy").provokes(&subscribe(1, &[], &[(filter, 0)]), &reasons);
    stage.client("clumsy").provokes(&unsubscribe(1, &[], &[filter]), &reasons);
}

/// Fails unless `topic` is refused in a PUBLISH.
fn topic_is_refused(stage: &Stage, topic: &str) {
    let reasons = [BAD_TOPIC, MALFORMED, PROTOCOL_ERROR];
    stage.client("clumsy").provokes(&raw::publish(5, topic, b"m"), &reasons);
}

/// Of `topics`, those that a subscription to `filter` gets.
fn matched<'t>(stage: &Stage, filter: &str, topics: &[&'t str]) -> Vec<&'t str> {
    let mut subscriber = stage.client("subscriber");
    subscriber.subscribed(filter, 0);
    subscriber.subscribed("the marker", 0);
    let mut publisher = stage.client("publisher");
    for topic in topics {
        publisher.says(topic, "m");
    }
    publisher.says("the marker", "marker");
    let mut found = Vec::new();
    loop {
        let received = subscriber.message();
        if received.payload == b"marker" {
            return found;
        }
        let topic = topics.iter().find(|topic| **topic == received.topic);
        found.push(*topic.expect("one of those that were published to"));
    }
}

#[test]
fn v5_4_7_0_1_wildcards_stand_in_filters_and_not_in_names() {
    let stage = Stage::open();
    for name in ["#", "+", "a/#", "a/+", "+/a", "a/+/b", "a#", "a+"] {
        topic_is_refused(&stage, name);
    }
    assert_eq!(matched(&stage, "+/b/#", &["a/b", "x/b/c/d", "a/c"]), ["a/b", "x/b/c/d"]);
}

#[test]
fn v5_4_7_1_1_the_multi_level_wildcard_stands_alone_and_last() {
    let stage = Stage::open();
    for filter in ["a#", "#a", "#/a", "a/#/b", "##", "#/", "a/b#", "#/#", "+#"] {
        filter_is_refused(&stage, filter);
    }
    let topics = ["a", "a/", "a/b", "a/b/c", "ab", "b/a"];
    assert_eq!(matched(&stage, "a/#", &topics), ["a", "a/", "a/b", "a/b/c"]);
    assert_eq!(matched(&stage, "#", &topics), topics);
}

#[test]
fn v5_4_7_1_2_the_single_level_wildcard_stands_alone_in_its_level() {
    let stage = Stage::open();
    for filter in ["a+", "+a", "a/b+", "a/+b/c", "++", "+a/#"] {
        filter_is_refused(&stage, filter);
    }
    let topics = ["a", "/a", "a/", "a/b", "b/b", "a/x/c", "a//c", "a/b/c/d"];
    assert_eq!(matched(&stage, "+", &topics), ["a"]);
    assert_eq!(matched(&stage, "+/b", &topics), ["a/b", "b/b"]);
    assert_eq!(matched(&stage, "a/+", &topics), ["a/", "a/b"]);
    assert_eq!(matched(&stage, "/+", &topics), ["/a"]);
    assert_eq!(matched(&stage, "a/+/c", &topics), ["a/x/c", "a//c"]);
    assert_eq!(matched(&stage, "+/+/c/#", &topics), ["a/x/c", "a//c", "a/b/c/d"]);
}

#[test]
fn v5_4_7_2_1_a_filter_that_begins_with_a_wildcard_does_not_match_a_dollar_topic() {
    // Clients do not publish to such topics here, so those of the broker have to do.
    let stage = Stage::open_with(&[("BROKER_SYS_INTERVAL_SECONDS", 1)]);
    let mut informed = stage.client("informed");
    informed.subscribed("$SYS/broker/version", 0);
    // What is retained by now must not come at once either.
    assert_eq!(informed.message().topic, "$SYS/broker/version");
    let mut subscriber = stage.client("subscriber");
    for filter in ["#", "+/#", "+/broker/#", "+/broker/version", "+/+/+"] {
        subscriber.subscribed(filter, 0);
    }
    // The second of these was published after the subscriptions were made.
    for _ in 0..2 {
        assert_eq!(informed.message().topic, "$SYS/broker/version");
    }
    stage.client("publisher").says("a/broker/version", "marker");
    subscriber.hears("marker");
}

#[test]
fn v5_4_7_3_1_names_and_filters_have_at_least_one_character() {
    let stage = Stage::open();
    topic_is_refused(&stage, "");
    filter_is_refused(&stage, "");
    let response_topic = super::stage::publish(0, "t", None, &text_property(0x08, ""), "");
    let reasons = [BAD_TOPIC, MALFORMED, PROTOCOL_ERROR];
    stage.client("clumsy").provokes(&response_topic, &reasons);
    for one in ["a", "/", " ", "ß"] {
        assert_eq!(matched(&stage, one, &["b", one]), [one]);
    }
}

#[test]
fn v5_4_7_3_2_names_and_filters_have_no_null_character() {
    let stage = Stage::open();
    for text in ["\0", "a\0", "\0a", "a/\0/b"] {
        topic_is_refused(&stage, text);
        filter_is_refused(&stage, text);
    }
}

#[test]
fn v5_4_7_3_3_names_and_filters_have_up_to_65_535_bytes() {
    // What is longer cannot be said: a length has two bytes.
    let stage = Stage::open();
    let longest = "a".repeat(65_535);
    let deepest = "/".repeat(65_534);
    for topic in [&longest, &deepest] {
        let mut client = stage.client("client");
        client.subscribed(topic, 0);
        client.says(topic, "m");
        assert_eq!(client.hears("m").topic, *topic);
    }
}

#[test]
fn v5_4_7_3_4_names_and_filters_are_not_normalized() {
    let stage = Stage::open();
    let topics = [
        "caf\u{E9}",
        "cafe\u{301}",
        "Caf\u{E9}",
        "caf\u{E9}/",
        "/caf\u{E9}",
        "\u{FEFF}caf\u{E9}",
        " caf\u{E9}",
        "caf%C3%A9",
        "\u{212B}",
        "\u{C5}",
        "a//b",
        "a/b",
        "a/./b",
        "\u{1F600}",
        "\u{F8FF}",
        "\u{FFFD}",
    ];
    for topic in topics {
        assert_eq!(matched(&stage, topic, &topics), [topic]);
    }
    assert_eq!(matched(&stage, "#", &topics), topics);
}
