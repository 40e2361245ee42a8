//! No client keeps the broker busy for long, or full, on its own.

use std::collections::HashSet;
use std::num::NonZeroU64;

use super::driver::{
    Driver, NO_SECRETS, Visit, broker, broker_with, id, policy, positive, publish,
};
use crate::broker::{Delivered, Settings};
use crate::codec::{
    Delivery, Packet, Subscribe, SubscriptionOptions, UserProperties, Version, next_frame,
};
use crate::message::QoS;
use crate::topic::TopicFilterRef;

fn burst(messages: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..messages {
        publish("a", Delivery::AtMostOnce, false).encode(Version::V5, &mut bytes);
    }
    bytes
}

#[test]
fn a_burst_to_many_subscribers_is_worked_off_in_turns() {
    let broker = broker();
    let mut readers = Vec::new();
    for name in (0..100).map(|number| format!("r{number}").leak()) {
        let (mut reader, _) = Driver::enter(&broker, Visit::of(name));
        reader.subscribe("a", QoS::AtMostOnce);
        readers.push(reader);
    }
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let bytes = burst(1_000);
    let (mut at, mut turns) = (0, 0);
    while at < bytes.len() {
        let taken = publisher.client.receive(publisher.now, &bytes[at..]);
        assert!(taken > 0);
        at += taken;
        turns += 1;
        assert_eq!(publisher.client.is_behind(), at < bytes.len());
    }
    assert!((5..20).contains(&turns), "{turns} turns");
    for reader in &mut readers {
        assert_eq!(reader.topics().len(), 1_000);
    }
}

#[test]
fn retained_messages_that_a_client_may_not_see_are_passed_over_in_turns() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    for number in 0..20_000 {
        let topic = format!("secret/{number}");
        publisher.say(&publish(&topic, Delivery::AtMostOnce, true));
    }
    publisher.publish("z", true);
    broker.replace_policy(policy(NO_SECRETS));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.say(&subscribe_to("#"));
    let mut turns = 0;
    while reader.client.deliver(reader.now) == Delivered::Slice {
        turns += 1;
    }
    assert!(turns >= 5, "{turns} turns");
    assert_eq!(reader.topics(), ["z"]);
}

#[test]
fn u08_many_retained_messages_are_delivered_whole_and_in_turns() {
    const MESSAGES: usize = 50_000;
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    for number in 0..MESSAGES {
        publisher.say(&publish(&format!("t/{number}"), Delivery::AtMostOnce, true));
    }
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.say(&subscribe_to("#"));
    let mut topics = HashSet::new();
    let mut turns = 0;
    while topics.len() < MESSAGES {
        reader.client.deliver(reader.now);
        assert!(reader.client.output().len() < 300 << 10, "a turn without a bound");
        let bytes = reader.client.output().to_vec();
        reader.client.on_sent(reader.now, bytes.len());
        let found = topics_of(&bytes);
        assert!(!found.is_empty(), "cut short after {} messages", topics.len());
        for topic in found {
            assert!(topics.insert(topic), "sent twice");
        }
        // Another client is served in between.
        publisher.say(&Packet::PingReq);
        assert_eq!(publisher.heard(), [Packet::PingResp]);
        turns += 1;
    }
    assert!(turns >= 10, "{turns} turns");
    assert_eq!(reader.topics(), [""; 0]);
}

/// The topics of the messages in `bytes`.
fn topics_of(mut bytes: &[u8]) -> Vec<String> {
    let mut topics = Vec::new();
    while let Some(frame) = next_frame(bytes, usize::MAX).expect("a packet") {
        if let Packet::Publish(publish) = frame.decode(Version::V5).expect("a packet of 5.0") {
            topics.push(publish.topic.expect("no alias was agreed on").as_str().to_owned());
        }
        bytes = &bytes[frame.size..];
    }
    topics
}

fn subscribe_to(filter: &str) -> Packet<'_> {
    let filter = TopicFilterRef::parse(filter).expect("a filter");
    Packet::Subscribe(Subscribe {
        packet_id: id(1),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: [(filter, SubscriptionOptions::default())].into_iter().collect(),
    })
}

#[test]
fn u07_who_does_not_read_costs_no_more_than_its_bounds() {
    let settings = Settings {
        max_queued_messages: positive(100),
        max_queued_bytes: NonZeroU64::new(1 << 20).expect("not 0"),
        ..Settings::default()
    };
    let broker = broker_with(settings);
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("a", QoS::AtMostOnce);
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let bytes = burst(100);
    let mut most = 0;
    for _ in 0..1_000 {
        assert_eq!(publisher.client.receive(publisher.now, &bytes), bytes.len());
        reader.client.deliver(reader.now);
        most = most.max(reader.client.output().len());
    }
    assert!(most < (256 << 10) + 200, "{most} bytes");
}

#[test]
fn a_large_output_in_small_writes_stays_what_it_is() {
    let broker = broker();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    for _ in 0..1_000 {
        reader.say(&Packet::PingReq);
    }
    let whole = reader.client.output().to_vec();
    let mut sent = Vec::new();
    let mut step = 1;
    while !reader.client.output().is_empty() {
        let count = step.min(reader.client.output().len());
        sent.extend_from_slice(&reader.client.output()[..count]);
        reader.client.on_sent(reader.now, count);
        step = step % 7 + 1;
    }
    assert_eq!(sent, whole);
    assert_eq!(whole.len(), 2_000);
}

#[test]
fn a_publisher_remembers_a_bounded_number_of_recipients() {
    let broker = broker();
    let mut readers = Vec::new();
    for name in (0..100).map(|number| format!("r{number}").leak()) {
        let (mut reader, _) = Driver::enter(&broker, Visit::of(name));
        reader.subscribe("#", QoS::AtMostOnce);
        readers.push(reader);
    }
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let mut most = 0;
    for number in 0..200 {
        publisher.say(&publish(&format!("t/{number}"), Delivery::AtMostOnce, false));
        most = most.max(publisher.client.remembered_recipients());
    }
    assert!((1_000..=2_048 + 100).contains(&most), "{most} recipients");
}
