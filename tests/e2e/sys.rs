//! `$SYS`: the names that Mosquitto gave them, and what stands below them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, PATIENCE};

const PREFIX: &str = "$SYS/broker/";

/// All but averages.
const NAMES: [&str; 22] = [
    "version",
    "uptime",
    "clients/connected",
    "clients/active",
    "clients/inactive",
    "clients/disconnected",
    "clients/total",
    "clients/maximum",
    "clients/expired",
    "messages/inflight",
    "messages/received",
    "messages/sent",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "publish/bytes/received",
    "publish/bytes/sent",
    "bytes/received",
    "bytes/sent",
    "subscriptions/count",
    "shared_subscriptions/count",
    "retained messages/count",
];

/// Each over three spans.
const LOADS: [&str; 9] = [
    "load/messages/received",
    "load/messages/sent",
    "load/publish/received",
    "load/publish/sent",
    "load/publish/dropped",
    "load/bytes/received",
    "load/bytes/sent",
    "load/sockets",
    "load/connections",
];

/// Somebody who is told everything, and the latest of each.
struct Watcher {
    client: RawClient,
    values: BTreeMap<String, String>,
}

impl Watcher {
    fn of(broker: &Broker) -> Self {
        let mut client = enters(broker, Connect::new(5, "watcher"));
        assert_eq!(client.subscribe(5, "$SYS/#", 0), 0);
        Self { client, values: BTreeMap::new() }
    }

    /// The name of the next message.
    fn hear(&mut self) -> String {
        let message = self.client.expect(raw::PUBLISH).publish(5);
        let name = message.topic.strip_prefix(PREFIX).expect("a topic of the broker's").to_owned();
        let value = String::from_utf8(message.payload).expect("text");
        self.values.insert(name.clone(), value);
        name
    }

    fn value(&self, name: &str) -> f64 {
        self.values.get(name).and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }

    /// The first value that is so.
    fn until(&mut self, name: &str, is_so: impl Fn(f64) -> bool) -> f64 {
        let begin = Instant::now();
        while !is_so(self.value(name)) {
            assert!(begin.elapsed() < PATIENCE, "{name} is {}", self.value(name));
            self.hear();
        }
        self.value(name)
    }
}

fn broker() -> Broker {
    Broker::secure_with_settings("\n[broker]\nsys_interval_seconds = 1\n")
}

fn enters(broker: &Broker, connect: Connect<'_>) -> RawClient {
    RawClient::connected(broker.plain_port(), &connect.login(ADMIN))
}

#[test]
fn the_names_are_those_of_mosquitto_and_stand_in_the_documentation() {
    let broker = broker();
    let mut watcher = Watcher::of(&broker);
    let spans = |name| ["1min", "5min", "15min"].map(|span| format!("{name}/{span}"));
    let expected: BTreeSet<_> =
        NAMES.into_iter().map(str::to_owned).chain(LOADS.into_iter().flat_map(spans)).collect();
    // Some may be retained, and then come anew: twice each of them is more than all of them once.
    let mut versions = 0;
    while versions < 3 {
        versions += usize::from(watcher.hear() == "version");
    }
    let found: BTreeSet<_> = watcher.values.keys().cloned().collect();
    assert_eq!(found, expected);
    assert!(watcher.values["version"].starts_with("BastionMQ "));
    let documented = include_str!("../../docs/monitoring.md");
    for name in NAMES.into_iter().chain(LOADS) {
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/monitoring.md");
    }
}

#[test]
fn the_values_are_those_of_what_has_happened() {
    const MESSAGES: u16 = 3;
    const PAYLOAD: [u8; 1_000] = [b'x'; 1_000];
    let broker = broker();
    let mut watcher = Watcher::of(&broker);
    let sent_before = watcher.until("publish/bytes/sent", |it| it >= 0.0);
    let mut reader = enters(&broker, Connect::new(5, "reader"));
    assert_eq!(reader.subscribe(5, "t", 1), 1);
    assert_eq!(reader.subscribe(5, "$share/g/s", 0), 0);
    let mut writer = enters(&broker, Connect::new(5, "writer"));
    for id in 1..=MESSAGES {
        writer.send(&raw::publish_with(5, 0x32, "t", Some(id), &[], &PAYLOAD));
        assert_eq!(writer.expect(raw::PUBACK).acknowledged(), (id, 0));
        // It never says that it has them.
        assert_eq!(reader.expect(raw::PUBLISH).publish(5).payload, PAYLOAD);
    }
    for (client_id, seconds) in [("away", 3_600), ("gone", 1)] {
        enters(&broker, Connect::new(5, client_id).keep_session(true, seconds)).break_off();
    }

    let messages = f64::from(MESSAGES);
    let is = |value: f64| move |it: f64| (it - value).abs() < 0.001;
    watcher.until("clients/expired", is(1.0));
    for (name, value) in [
        ("clients/connected", 3.0),
        ("clients/active", 3.0),
        ("clients/inactive", 1.0),
        ("clients/disconnected", 1.0),
        ("clients/total", 4.0),
        ("messages/inflight", messages),
        ("subscriptions/count", 2.0),
        ("shared_subscriptions/count", 1.0),
        ("publish/messages/received", messages),
        ("publish/bytes/received", messages * PAYLOAD.len() as f64),
    ] {
        watcher.until(name, is(value));
    }
    assert!(watcher.value("clients/maximum") > 3.5);
    // What the watcher is told counts as well, and is short.
    let payloads = watcher.value("publish/bytes/sent") - sent_before;
    assert!(payloads >= messages * PAYLOAD.len() as f64);
    assert!(payloads < watcher.value("bytes/sent"), "{payloads}");
    // What was once is less and less of a minute, and the less the longer the span is.
    watcher.until("load/publish/received/15min", |it| it > 0.0);
    let [one, five, fifteen] = ["1min", "5min", "15min"]
        .map(|span| watcher.value(&format!("load/publish/received/{span}")));
    assert!(one <= messages && one > five && five > fifteen && fifteen > 0.0, "{one} {five}");
    let connections = watcher.until("load/connections/1min", |it| it > 0.0);
    // The page of metrics is no socket of MQTT; nobody has come who has not sent a CONNECT.
    assert!((watcher.value("load/sockets/1min") - connections).abs() < 1.0);
    assert_eq!(watcher.values["load/publish/dropped/1min"], "0.00");

    // What is acknowledged is not in flight.
    for id in 1..=MESSAGES {
        reader.send(&raw::acknowledge(raw::PUBACK, id));
    }
    watcher.until("messages/inflight", is(0.0));
}
