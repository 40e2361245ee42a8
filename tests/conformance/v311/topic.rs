//! Section 4.7: topic names and topic filters.

use super::scene::{QOS_1, Scene, publish, subscribe, unsubscribe};
use crate::harness::ADMIN;

/// Publishes to each of `topics`; those of `matching` arrive, in their order.
fn matches(filter: &str, topics: &[&str], matching: &[&str]) {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe(filter, 0);
    for topic in topics {
        scene.publish(0, topic, b"");
    }
    for topic in matching {
        assert_eq!(subscriber.receive().topic, *topic, "{filter}");
    }
    scene.nothing_comes_to(&mut subscriber);
}

/// A SUBSCRIBE and an UNSUBSCRIBE with this filter end the connection.
fn is_no_filter(scene: &Scene, filter: &str) {
    scene.is_cut_off(&subscribe(1, &[(filter, 0)]));
    scene.is_cut_off(&unsubscribe(1, &[filter]));
}

#[test]
fn v311_4_7_1_1_wildcards_are_for_filters_and_not_for_names() {
    let scene = Scene::open();
    for wild in ["#", "+", "a/#", "a/+"] {
        let mut client = scene.client("client");
        client.subscribe(wild, 0);
        client.send(&publish(0, 0, wild, b""));
        client.expect_end();
    }
}

#[test]
fn v311_4_7_1_2_the_multi_level_wildcard_is_a_level_of_its_own_and_the_last() {
    let scene = Scene::open();
    for filter in ["a#", "a/b#", "a/#/b", "#/a", "##", "#a", "+#", "a/#/"] {
        is_no_filter(&scene, filter);
    }
    let topics = ["sport", "sport/tennis", "sport/tennis/player1", "sports", "x/sport"];
    matches("sport/#", &topics, &["sport", "sport/tennis", "sport/tennis/player1"]);
    matches("#", &topics, &topics);
}

#[test]
fn v311_4_7_1_3_the_single_level_wildcard_is_a_level_of_its_own() {
    let scene = Scene::open();
    for filter in ["a+", "+a", "a/b+", "a/+b/c", "++", "a/++"] {
        is_no_filter(&scene, filter);
    }
    let topics = ["sport", "sport/", "sport/a", "sport/a/b", "/finance", "x/sport/a"];
    matches("sport/+", &topics, &["sport/", "sport/a"]);
    matches("+", &topics, &["sport"]);
    matches("+/+", &topics, &["sport/", "sport/a", "/finance"]);
    matches("/+", &topics, &["/finance"]);
    matches("+/a/#", &topics, &["sport/a", "sport/a/b"]);
}

#[test]
fn v311_4_7_2_1_a_leading_wildcard_does_not_match_topics_that_begin_with_a_dollar() {
    // The broker's own are the only ones: it lets nobody publish there.
    let mut scene = Scene::secure("\n[broker]\nsys_interval_seconds = 1\n");
    let watcher = |id: &str, filter| {
        let mut watcher = scene.user(id, ADMIN);
        watcher.subscribe(filter, 1);
        watcher
    };
    let wild = ["#", "+/#", "+/broker/#", "+/+/+"].map(|filter| (filter, watcher(filter, filter)));
    let mut informed = watcher("informed", "$SYS/#");
    // Those that are retained, and some that come later.
    let mut live = 0;
    while live < 2 {
        let message = informed.receive();
        assert!(message.topic.starts_with("$SYS/"), "{message:?}");
        live += u8::from(!message.retain);
    }
    for flags in [0, QOS_1] {
        scene.publish(flags, "not/broker/own", b"");
    }
    for (filter, mut watcher) in wild {
        for _ in [0, QOS_1] {
            assert_eq!(watcher.receive().topic, "not/broker/own", "{filter}");
        }
    }
}

#[test]
fn v311_4_7_3_1_names_and_filters_have_at_least_one_character() {
    let scene = Scene::open();
    scene.is_cut_off(&publish(0, 0, "", b""));
    is_no_filter(&scene, "");
    matches("/", &["/", "a", "//"], &["/"]);
    matches(" ", &[" ", "a"], &[" "]);
}

#[test]
fn v311_4_7_3_2_names_and_filters_have_no_null_character() {
    let scene = Scene::open();
    for text in ["\0", "a\0", "a/\0/b"] {
        scene.is_cut_off(&publish(0, 0, text, b""));
        is_no_filter(&scene, text);
    }
}

#[test]
fn v311_4_7_3_3_names_and_filters_have_up_to_65535_bytes() {
    let longest = "x".repeat(65_535);
    matches(&longest, &[&longest[1..], &longest], &[&longest]);
    // More than that cannot be said: the length has two bytes, and what follows is something else.
    let levels = format!("{}+", "a/".repeat(32_767));
    matches(&levels, &[&levels.replace('+', "b")], &[&levels.replace('+', "b")]);
}

#[test]
fn v311_4_7_3_4_no_name_or_filter_is_normalized() {
    // Composed and decomposed, upper and lower case, with and without empty levels and spaces.
    let topics =
        ["\u{E9}", "e\u{301}", "A", "a", "/a", "a/", "a//b", "a/b", " a", "a ", "%61", "./a"];
    for topic in topics {
        matches(topic, &topics, &[topic]);
    }
}
