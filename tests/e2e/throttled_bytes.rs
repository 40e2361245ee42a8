//! Limits of bytes, of topics and payloads: each action as its client sees it, and that nothing else counts.

use std::time::Instant;

use crate::harness::raw::{self, RawClient};
use crate::harness::{ADMIN, DEVICE1, Login};
use crate::throttle::{QUOTA_EXCEEDED, RATE_TOO_HIGH, counted, enters, limited, rule};

/// A message of 55 bytes, topic and payload.
const TOPIC: &str = "of/it";
const PAYLOAD: [u8; 50] = [b'x'; 50];

fn message(qos: u8) -> Vec<u8> {
    raw::publish_with(5, raw::PUBLISH | qos << 1, TOPIC, (qos > 0).then_some(7), &[], &PAYLOAD)
}

/// A rule for so many bytes an hour.
fn hourly(what: &str, rate: u32, more: &str) -> String {
    rule(&format!("what = \"{what}\"\nrate = {rate}\nseconds = 3600\n{more}"))
}

fn is_refused(client: &mut RawClient, bytes: &[u8]) -> bool {
    client.send(bytes);
    client.expect(raw::PUBACK).acknowledged().1 == QUOTA_EXCEEDED
}

#[test]
fn bytes_of_topics_and_payloads_on_some_topics_are_counted_and_nothing_else() {
    // Room for two messages, and for two but for a byte.
    for (rate, answers) in [(110, [false, false, true]), (109, [false, true, true])] {
        let of_topics = "topics = \"of/#\"\naction = \"reject\"";
        let broker = limited(&hourly("bytes-in", rate, of_topics));
        let mut client = enters(&broker, "c", ADMIN);
        let elsewhere = raw::publish_with(5, 0x32, "elsewhere", Some(7), &[], &[b'x'; 600]);
        assert!(!is_refused(&mut client, &elsewhere));
        // Properties, and packets that are no messages.
        assert_eq!(client.subscribe(5, "of/other", 0), 0);
        let found = [1, 2, 1].map(|qos| {
            client.send(&message(qos));
            let refused = client.read().acknowledged().1 == QUOTA_EXCEEDED;
            if qos == 2 && !refused {
                client.send(&raw::acknowledge(raw::PUBREL, 7));
                client.expect(raw::PUBCOMP);
            }
            refused
        });
        assert_eq!(found, answers, "{rate}");
        assert!(!is_refused(&mut client, &elsewhere));
        let refused = answers.iter().filter(|it| **it).count() as f64;
        assert!((counted(&broker, "bytes_in", "reject") - refused).abs() < 0.5);
    }
}

#[test]
fn a_message_counts_once_for_a_rule_of_all_bytes() {
    // A PUBLISH of 62 bytes and PINGREQs of 2 fit once, but not the message once more.
    let broker = limited(&hourly("bytes-in", 110, "action = \"disconnect\""));
    let mut client = enters(&broker, "c", ADMIN);
    assert!(!is_refused(&mut client, &message(1)));
    client.expect_silence();
    client.send(&message(1));
    client.expect(raw::PUBACK);
    client.expect_disconnect(RATE_TOO_HIGH);
    assert!(counted(&broker, "bytes_in", "disconnect") > 0.5);
}

#[test]
fn bytes_on_some_topics_are_waited_for_lost_or_end_the_connection() {
    let of_topics = |action: &str| format!("topics = \"of/+\"\naction = \"{action}\"");
    let broker = limited(&rule("what = \"bytes-in\"\ntopics = \"of/+\"\nrate = 1000\nburst = 100"));
    let mut client = enters(&broker, "c", ADMIN);
    let begin = Instant::now();
    let large = raw::publish_with(5, 0x32, "of/it", Some(1), &[], &[b'x'; 595]);
    client.send(&[large, raw::packet(raw::PINGREQ, &[])].concat());
    client.expect(raw::PUBACK);
    client.expect(raw::PINGRESP);
    assert!(begin.elapsed().as_millis() >= 490, "{:?}", begin.elapsed());
    assert!(counted(&broker, "bytes_in", "delay") > 0.5);

    let broker = limited(&hourly("bytes-in", 110, &of_topics("drop")));
    let mut reader = enters(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "#", 0), 0);
    let mut writer = enters(&broker, "writer", ADMIN);
    writer.send(&message(0).repeat(10));
    writer.expect_silence();
    for _ in 0..2 {
        assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, TOPIC);
    }
    reader.expect_silence();
    assert!((counted(&broker, "bytes_in", "drop") - 8.0).abs() < 0.5);

    let broker = limited(&hourly("bytes-in", 110, &of_topics("disconnect")));
    let mut client = enters(&broker, "c", ADMIN);
    for refused in [false, false, true] {
        assert_eq!(is_refused(&mut client, &message(1)), refused);
    }
    client.expect_disconnect(RATE_TOO_HIGH);
    assert!(counted(&broker, "bytes_in", "disconnect") > 0.5);
}

#[test]
fn bytes_on_some_topics_are_counted_together_for_whom_the_rule_says() {
    for per in ["client", "user", "listener", "broker"] {
        let more = format!("per = \"{per}\"\ntopics = \"#\"\naction = \"reject\"");
        let broker = limited(&hourly("bytes-in", 60, &more));
        let refused_as =
            |id: &str, login: Login| is_refused(&mut enters(&broker, id, login), &message(1));
        assert!(!refused_as("one", ADMIN), "{per}");
        assert!(refused_as("one", ADMIN), "{per}");
        assert_eq!(refused_as("two", ADMIN), per != "client", "{per}");
        assert_eq!(refused_as("three", DEVICE1), !["client", "user"].contains(&per), "{per}");
    }
}

#[test]
fn bytes_that_are_delivered_over_the_rate_come_later() {
    let broker = limited(&rule("what = \"bytes-out\"\nrate = 1000\nburst = 100"));
    let mut reader = enters(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "of/#", 1), 1);
    let mut writer = enters(&broker, "writer", ADMIN);
    let begin = Instant::now();
    for id in 1..=3 {
        writer.send(&raw::publish_with(5, 0x32, TOPIC, Some(id), &[], &[b'x'; 300]));
        assert_eq!(writer.expect(raw::PUBACK).acknowledged(), (id, 0));
    }
    // It is heard meanwhile.
    reader.send(&raw::packet(raw::PINGREQ, &[]));
    reader.expect_and_keep(raw::PINGRESP);
    for _ in 0..3 {
        assert_eq!(reader.kept_or_next().publish(5).topic, TOPIC);
    }
    // 915 bytes, of which the last 305 did not have to be waited for, nor the burst.
    assert!(begin.elapsed().as_millis() >= 500, "{:?}", begin.elapsed());
    assert!(counted(&broker, "bytes_out", "delay") > 0.5);
}

#[test]
fn bytes_that_are_delivered_over_the_rate_are_lost_at_qos_0_where_the_rule_says_so() {
    for (rate, arrive) in [(110, 2), (109, 1)] {
        let broker = limited(&hourly("bytes-out", rate, "topics = \"of/#\"\naction = \"drop\""));
        let mut reader = enters(&broker, "reader", ADMIN);
        assert_eq!(reader.subscribe(5, "#", 0), 0);
        let mut writer = enters(&broker, "writer", ADMIN);
        let end = raw::publish_with(5, raw::PUBLISH, "end", None, &[], &[b'x'; 600]);
        writer.send(&[message(0).repeat(5), end].concat());
        for _ in 0..arrive {
            assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, TOPIC, "{rate}");
        }
        // What comes behind them all is no concern of the rule.
        assert_eq!(reader.expect(raw::PUBLISH).publish(5).topic, "end", "{rate}");
        reader.expect_silence();
        let lost = f64::from(5 - arrive);
        assert!((counted(&broker, "bytes_out", "drop") - lost).abs() < 0.5, "{rate}");
    }
}
