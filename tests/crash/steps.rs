//! A kill at each step of a message, and what is left of it then: exactly once is once.

use std::collections::BTreeMap;

use crate::device::{Device, Event, Outgoing, Visit};
use crate::harness::raw::{
    CONNACK, Connect, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, acknowledge, publish_with,
};
use crate::harness::{Broker, Stream};
use crate::network::Network;
use crate::place::{Place, VERSION, kill, stop};

const TOPIC: &str = "t";

/// How far a client gets before the broker is killed: the packets that it reads, and whether what it
/// says to the last of them is lost.
const STEPS: [(usize, bool); 5] = [(0, false), (1, true), (1, false), (2, true), (2, false)];

/// Reads `packets` packets; the messages among them.
fn advance(visit: &mut Visit<'_>, (packets, is_mute): (usize, bool)) -> usize {
    let mut messages = 0;
    for left in (0..packets).rev() {
        visit.is_mute = is_mute && left == 0;
        let event = visit.next().expect("the broker stays");
        messages += usize::from(matches!(event, Event::Message(_)));
    }
    messages
}

/// A device that has subscribed for good.
fn subscribed(broker: &Broker, id: &str, filter: &str, qos: u8) -> Device {
    let (network, mut device) = (Network::of(broker), Device::new(id, VERSION));
    let mut visit = device.visit(&network).expect("the broker stays");
    visit.subscribe(filter, qos);
    visit.leave();
    device
}

fn publish(broker: &Broker, messages: impl IntoIterator<Item = Outgoing>) {
    let (network, mut device) = (Network::of(broker), Device::forgotten("publisher", VERSION));
    device.visit(&network).expect("the broker stays").publish_all(messages);
}

/// What `device` gets when it comes back.
fn what_waits(broker: &Broker, device: &mut Device) -> Vec<Vec<u8>> {
    let network = Network::of(broker);
    let mut visit = device.visit(&network).expect("the broker stays");
    let messages = visit.until_quiet().into_iter().map(|message| message.payload).collect();
    visit.leave();
    messages
}

#[test]
fn r17_what_is_published_once_is_passed_on_once_whatever_step_the_broker_dies_at() {
    for step in STEPS {
        let place = Place::new();
        let broker = place.start();
        let mut reader = subscribed(&broker, "reader", TOPIC, 2);
        let mut writer = Device::new("writer", VERSION);
        let network = Network::of(&broker);
        let mut visit = writer.visit(&network).expect("the broker stays");
        visit.publish(Outgoing::new(TOPIC, 2, "x"));
        advance(&mut visit, step);
        kill(broker);
        drop(visit);

        let broker = place.start();
        let network = Network::of(&broker);
        let mut visit = writer.visit(&network).expect("the broker stays");
        while visit.in_flight() > 0 {
            visit.next().expect("the broker stays");
        }
        visit.leave();
        assert_eq!(what_waits(&broker, &mut reader), [b"x"], "{step:?}");
        stop(broker);
    }
}

#[test]
fn r17_what_is_received_once_comes_once_whatever_step_the_broker_dies_at() {
    for step in STEPS {
        let place = Place::new();
        let broker = place.start();
        let mut reader = subscribed(&broker, "reader", TOPIC, 2);
        publish(&broker, [Outgoing::new(TOPIC, 2, "x")]);
        let network = Network::of(&broker);
        let mut visit = reader.visit(&network).expect("the broker stays");
        let before = advance(&mut visit, step);
        kill(broker);
        drop(visit);

        let broker = place.start();
        publish(&broker, [Outgoing::new(TOPIC, 2, "y")]);
        let after = what_waits(&broker, &mut reader);
        let expected: &[&[u8]] = if before == 0 { &[b"x", b"y"] } else { &[b"y"] };
        assert_eq!(after, expected, "{step:?}");
        stop(broker);
    }
}

#[test]
fn r14_all_identifiers_left_unreleased_are_known_after_a_crash_and_free_once_released() {
    const BURST: u16 = 1_000;
    let place = Place::new();
    let settings = [("BASTIONMQ_MQTT_RECEIVE_MAXIMUM", "65535")];
    let broker = place.start_with(&settings);
    let mut reader = subscribed(&broker, "reader", "again", 2);
    let connect = Connect::new(VERSION, "writer").keep_session(false, 3_600);
    let message = |id, topic| publish_with(VERSION, PUBLISH | 2 << 1, topic, Some(id), &[], b"x");
    let ids: Vec<_> = (1..=u16::MAX).collect();
    let mut writer = RawClient::connected(broker.plain_port(), &connect);
    for burst in ids.chunks(usize::from(BURST)) {
        writer.send(&burst.iter().flat_map(|id| message(*id, "first")).collect::<Vec<_>>());
        for id in burst {
            assert_eq!(writer.expect(PUBREC).acknowledged().0, *id);
        }
    }
    // Once over a connection that ends, and once over a crash.
    writer.break_off();
    drop(RawClient::connected(broker.plain_port(), &connect));
    kill(broker);

    let broker = place.start_with(&settings);
    let mut writer = RawClient::plain(broker.plain_port());
    writer.send(&connect.encode());
    let answer = writer.expect(CONNACK);
    assert_eq!(answer.body[..2], [1, 0], "its session is there");
    for burst in ids.chunks(usize::from(BURST)) {
        // Whatever is said to be in it: it is known.
        writer.send(&burst.iter().flat_map(|id| message(*id, "again")).collect::<Vec<_>>());
        for id in burst {
            let answer = writer.expect(PUBREC).acknowledged();
            assert!(answer.0 == *id && answer.1 < 0x80, "{answer:?}");
        }
        writer.send(&burst.iter().flat_map(|id| acknowledge(PUBREL, *id)).collect::<Vec<_>>());
        for id in burst {
            assert_eq!(writer.expect(PUBCOMP).acknowledged(), (*id, 0));
        }
    }
    writer.send(&message(1, "again"));
    assert_eq!(writer.expect(PUBREC).acknowledged(), (1, 0));
    assert_eq!(what_waits(&broker, &mut reader), [b"x"], "none of those that were known");
    stop(broker);
}

#[test]
fn u07_a_queue_is_as_long_after_a_crash_as_it_may_be_and_what_came_first_is_in_it() {
    let place = Place::new();
    let settings = [("BASTIONMQ_BROKER_MAX_QUEUED_MESSAGES", "10")];
    let broker = place.start_with(&settings);
    let mut reader = subscribed(&broker, "reader", TOPIC, 1);
    let messages = (0..30).map(|number: u32| Outgoing::new(TOPIC, 1, number.to_string()));
    publish(&broker, messages);
    kill(broker);
    let broker = place.start_with(&settings);
    publish(&broker, [Outgoing::new(TOPIC, 1, "later")]);
    let expected: Vec<_> = (0..10).map(|number: u32| number.to_string().into_bytes()).collect();
    assert_eq!(what_waits(&broker, &mut reader), expected);
    publish(&broker, [Outgoing::new(TOPIC, 1, "then")]);
    assert_eq!(what_waits(&broker, &mut reader), [b"then"]);
    stop(broker);
}

#[test]
fn u09_who_comes_first_after_a_crash_reaches_everybody_who_had_subscribed() {
    const SESSIONS: usize = 200;
    let place = Place::new();
    let broker = place.start();
    let devices = (0..SESSIONS).map(|number| {
        let filter = if number % 2 == 0 { TOPIC } else { "+" };
        subscribed(&broker, &format!("reader-{number}"), filter, 1)
    });
    let mut devices: Vec<_> = devices.collect();
    kill(broker);
    let broker = place.start();
    publish(&broker, [Outgoing::new(TOPIC, 1, "x")]);
    for device in &mut devices {
        assert_eq!(what_waits(&broker, device), [b"x"], "{}", device.id());
    }
    stop(broker);
}

#[test]
fn u10_a_share_of_what_nobody_has_acknowledged_goes_on_after_a_crash() {
    let place = Place::new();
    let broker = place.start();
    let share = format!("$share/group/{TOPIC}");
    let mut members = ["one", "other"].map(|id| subscribed(&broker, id, &share, 1));
    publish(&broker, (0..20_u8).map(|number| Outgoing::new(TOPIC, 1, [number])));
    kill(broker);
    let broker = place.start();
    publish(&broker, (20..40_u8).map(|number| Outgoing::new(TOPIC, 1, [number])));
    let mut found = BTreeMap::new();
    for member in &mut members {
        for payload in what_waits(&broker, member) {
            *found.entry(payload[0]).or_insert(0) += 1;
        }
    }
    assert_eq!(found, (0..40).map(|number| (number, 1)).collect());
    stop(broker);
}

#[test]
fn without_durability_sessions_are_gone_and_that_is_said() {
    let place = Place::new();
    let settings = [("BASTIONMQ_STORE_DURABILITY", "none")];
    let broker = place.start_with(&settings);
    broker.process().wait_for_text(Stream::Err, "nothing is kept on disk");
    subscribed(&broker, "reader", TOPIC, 1);
    kill(broker);
    let broker = place.start_with(&settings);
    let mut reader = RawClient::plain(broker.plain_port());
    reader.send(&Connect::new(VERSION, "reader").keep_session(false, 3_600).encode());
    assert_eq!(reader.expect(CONNACK).body[..2], [0, 0], "no session is present");
    stop(broker);
}
