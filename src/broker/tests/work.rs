//! No client keeps the broker busy for long, or full, on its own.

use std::num::NonZeroU64;

use super::driver::{
    Driver, NO_SECRETS, Visit, broker, broker_with, id, policy, positive, publish,
};
use crate::broker::{Delivered, Settings};
use crate::codec::{Delivery, Packet, Version};
use crate::message::QoS;

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
    let filter = crate::topic::TopicFilterRef::parse("#").expect("a filter");
    reader.say(&Packet::Subscribe(crate::codec::Subscribe {
        packet_id: id(1),
        subscription_id: None,
        user_properties: crate::codec::UserProperties::default(),
        filters: [(filter, crate::codec::SubscriptionOptions::default())].into_iter().collect(),
    }));
    let mut turns = 0;
    while reader.client.deliver(reader.now) == Delivered::Slice {
        turns += 1;
    }
    assert!(turns >= 5, "{turns} turns");
    assert_eq!(reader.topics(), ["z"]);
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
        reader.client.on_sent(count);
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
    for number in 0..200 {
        publisher.say(&publish(&format!("t/{number}"), Delivery::AtMostOnce, false));
        let remembered = publisher.client.remembered_recipients();
        assert!(remembered <= 2_048 + 100, "{remembered} recipients");
    }
    assert!(publisher.client.remembered_recipients() >= 1_000);
}
