//! How long messages are under way, and how many are in flight, as it is counted.

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Driver, Visit, broker};
use crate::broker::Broker;
use crate::message::QoS;

fn samples(broker: &Broker) -> u64 {
    broker.counts.metrics.delivery_seconds.count()
}

#[test]
fn a_message_is_timed_from_its_arrival_to_the_socket_of_its_subscriber() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    publisher.now = reader.now;
    publisher.publish("a", false);
    reader.now = reader.now.after(Duration::from_millis(3));
    reader.client.deliver(reader.now);
    assert_eq!(samples(&broker), 0, "it has not left yet");
    let bytes = reader.client.output().len();
    reader.client.on_sent(reader.now, bytes - 1);
    assert_eq!(samples(&broker), 0, "its last byte has not left yet");
    reader.client.on_sent(reader.now, 1);
    let text = broker.counts.metrics.render();
    for line in [
        "bastionmq_delivery_seconds_bucket{qos=\"1\",le=\"0.0025\"} 0",
        "bastionmq_delivery_seconds_bucket{qos=\"1\",le=\"0.005\"} 1",
        "bastionmq_delivery_seconds_sum{qos=\"1\"} 0.003",
        "bastionmq_delivery_seconds_count{qos=\"0\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn of_what_is_written_at_once_the_first_message_is_timed() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    publisher.now = reader.now;
    for topic in ["a", "b", "c"] {
        publisher.publish(topic, false);
    }
    assert_eq!(reader.topics(), ["a", "b", "c"]);
    assert_eq!(samples(&broker), 1);
}

#[test]
fn what_was_retained_or_waited_for_a_client_that_was_away_is_not_timed() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("waits", QoS::AtLeastOnce);
    reader.client.on_lost(reader.now);
    publisher.publish("waits", false);
    publisher.publish("retained", true);
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    assert_eq!(reader.topics(), ["waits"]);
    reader.subscribe("retained", QoS::AtLeastOnce);
    reader.topics();
    assert_eq!(samples(&broker), 0);
}

#[test]
fn messages_are_in_flight_until_they_are_acknowledged_or_their_client_leaves() {
    let broker = broker();
    let in_flight = |broker: &Arc<Broker>| broker.counts.metrics.in_flight.value();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    for topic in ["a", "b", "c"] {
        publisher.publish(topic, false);
    }
    assert_eq!(reader.topics().len(), 3);
    assert_eq!(in_flight(&broker), 3);
    reader.acknowledge(1);
    assert_eq!(in_flight(&broker), 2);
    reader.client.on_lost(reader.now);
    assert_eq!(in_flight(&broker), 0);
}
