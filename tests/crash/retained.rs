//! Retained messages: the last that was acknowledged on each topic, or one that was sent after it.

use std::collections::{BTreeMap, VecDeque};
use std::process::Command;

use crate::harness::raw::{
    Connect, Frame, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, acknowledge, publish_with,
};
use crate::harness::{Broker, Stream, http, scratch};
use crate::network::Network;
use crate::place::{Place, VERSION, client, kill, retained, stop};
use crate::random::Random;

/// The reason code of a message that nobody has subscribed to.
const NO_SUBSCRIBER: u8 = 0x10;
const TOPICS: u64 = 12;
/// Messages that are sent before an acknowledgement is read.
const BURST: u64 = 200;
const ROUNDS: u64 = 12;
/// How messages to be retained begin, by QoS.
const RETAIN: [u8; 3] = [PUBLISH | 1, PUBLISH | 1 | 1 << 1, PUBLISH | 1 | 2 << 1];

/// What has been said and what has been answered.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// On each topic all payloads since the last that was acknowledged, that one included.
    possible: BTreeMap<String, VecDeque<Vec<u8>>>,
    /// What waits for its answer, by packet identifier.
    unanswered: BTreeMap<u16, (String, Vec<u8>)>,
    next_id: u16,
    random: Random,
}

impl Ledger {
    pub(crate) fn new(random: Random) -> Self {
        Self { possible: BTreeMap::new(), unanswered: BTreeMap::new(), next_id: 0, random }
    }

    /// Publishes something; now and then it only removes what is retained.
    fn publish(&mut self, client: &mut RawClient) {
        let topic = format!("t/{}", self.random.below(TOPICS));
        let payload = match self.random.below(5) {
            0 => Vec::new(),
            _ => format!(
                "{} {}",
                self.random.below(1 << 30),
                "x".repeat(self.random.below(300) as usize)
            )
            .into(),
        };
        self.next_id = self.next_id % u16::MAX + 1;
        let id = self.next_id;
        let first = RETAIN[1 + self.random.below(2) as usize];
        self.possible
            .entry(topic.clone())
            .or_insert_with(|| [Vec::new()].into())
            .push_back(payload.clone());
        client.send(&publish_with(VERSION, first, &topic, Some(id), &[], &payload));
        self.unanswered.insert(id, (topic, payload));
    }

    /// Publishes, and takes answers in, until the round is over.
    pub(crate) fn work(&mut self, network: &Network) {
        let Some(mut client) = network.connect() else { return };
        client.send(&Connect::new(VERSION, "retains").encode());
        if network.read(&mut client).is_none() {
            return;
        }
        (0..BURST).for_each(|_| self.publish(&mut client));
        while let Some(frame) = network.read(&mut client) {
            self.take(&mut client, &frame);
        }
    }

    fn read(&mut self, client: &mut RawClient) {
        let frame = client.read();
        self.take(client, &frame);
    }

    /// Takes one answer in.
    fn take(&mut self, client: &mut RawClient, frame: &Frame) {
        let Frame { first, body } = frame;
        let id = u16::from_be_bytes([body[0], body[1]]);
        let is_good = body.get(2).is_none_or(|reason| *reason < 0x80);
        assert!(is_good, "{first:#x} {body:?}");
        match *first {
            PUBACK | PUBREC => {
                let (topic, payload) = self.unanswered.remove(&id).expect("an answer to something");
                let possible = self.possible.get_mut(&topic).expect("a topic");
                while possible.front() != Some(&payload) {
                    possible.pop_front();
                }
                if *first == PUBREC {
                    client.send(&acknowledge(PUBREL, id));
                }
            }
            other => assert_eq!(other, PUBCOMP),
        }
    }

    /// What is retained must be among what may be; from here on it is what is.
    pub(crate) fn check(&mut self, found: &BTreeMap<String, Vec<u8>>, round: u64) {
        for (topic, possible) in &mut self.possible {
            let now = found.get(topic).cloned().unwrap_or_default();
            assert!(
                possible.contains(&now),
                "round {round}: {topic} has {now:?}, not of {possible:?}"
            );
            *possible = [now].into();
        }
        self.unanswered.clear();
    }
}

#[test]
fn after_a_kill_at_any_moment_what_is_retained_was_acknowledged_last() {
    let place = Place::new();
    let mut ledger = Ledger::new(Random::new(7));
    for round in 0..ROUNDS {
        let broker = place.start();
        ledger.check(&retained(&broker, "t/#"), round);
        let mut publisher = client(&broker, "publisher");
        (0..BURST).for_each(|_| ledger.publish(&mut publisher));
        for _ in 0..ledger.random.below(BURST) {
            ledger.read(&mut publisher);
        }
        kill(broker);
    }
    let broker = place.start();
    ledger.check(&retained(&broker, "t/#"), ROUNDS);
    stop(broker);
}

#[test]
fn an_end_in_order_keeps_what_is_retained_its_expiry_and_its_properties() {
    let place = Place::new();
    let broker = place.start();
    let mut publisher = client(&broker, "publisher");
    // Message expiry interval: 1,000 and 1 seconds; content type.
    let (long, short) = ([0x02, 0, 0, 0x03, 0xE8, 0x03, 0, 1, b'c'], [0x02, 0, 0, 0, 1]);
    publisher.send(&publish_with(VERSION, RETAIN[0], "t/0", None, &long, b"of QoS 0"));
    publisher.send(&publish_with(VERSION, RETAIN[1], "t/1", Some(1), &long, b"long"));
    publisher.send(&publish_with(VERSION, RETAIN[1], "t/2", Some(2), &short, b"short"));
    publisher.expect(PUBACK);
    publisher.expect(PUBACK);
    stop(broker);
    // Until it has expired, whenever that is: it is never served afterwards.
    let expected = [("t/0", &b"of QoS 0"[..]), ("t/1", b"long")];
    let expected = expected.map(|(topic, payload)| (topic.to_owned(), payload.to_vec()));
    loop {
        let broker = place.start();
        let found = retained(&broker, "t/#");
        stop(broker);
        if !found.contains_key("t/2") {
            assert_eq!(found, BTreeMap::from(expected));
            break;
        }
    }
}

#[test]
fn a_relaxed_broker_that_is_killed_loses_nothing_either() {
    let place = Place::new();
    let start = || {
        let mut command = place.command();
        command.env("BASTIONMQ_STORE_DURABILITY", "relaxed");
        command.env("BASTIONMQ_STORE_RELAXED_WINDOW_MS", "3600000");
        Broker::start(command, scratch())
    };
    let broker = start();
    let mut publisher = client(&broker, "publisher");
    let mut ledger = Ledger::new(Random::new(3));
    (0..BURST).for_each(|_| ledger.publish(&mut publisher));
    while !ledger.unanswered.is_empty() {
        ledger.read(&mut publisher);
    }
    kill(broker);
    let broker = start();
    ledger.check(&retained(&broker, "t/#"), 0);
    assert!(ledger.possible.values().flatten().any(|payload| !payload.is_empty()));
    stop(broker);
}

#[test]
fn without_durability_nothing_is_kept_and_no_directory_made() {
    let place = Place::new();
    let mut command = place.command();
    command.env("BASTIONMQ_STORE_DURABILITY", "none");
    let broker = Broker::start(command, scratch());
    let mut publisher = client(&broker, "publisher");
    publisher.send(&publish_with(VERSION, RETAIN[1], "t/1", Some(1), &[], b"x"));
    publisher.expect(PUBACK);
    assert_eq!(retained(&broker, "t/#").len(), 1);
    stop(broker);
    assert!(!place.store().exists());
}

#[test]
fn a_disk_that_is_full_refuses_and_is_well_again_by_itself() {
    let place = Place::new();
    // Told by an error, and not by the signal that would end it.
    let broker = Broker::start(place.command_after("trap '' XFSZ"), scratch());
    let mut publisher = client(&broker, "publisher");
    publisher.send(&publish_with(VERSION, RETAIN[1], "t/before", Some(1), &[], b"before"));
    publisher.expect(PUBACK);
    // The kernel lets it write no byte more to any file.
    limit_file_size(&broker, "0:unlimited");
    publisher.send(&publish_with(VERSION, RETAIN[1], "t/meanwhile", Some(2), &[], b"held"));
    broker.process().wait_for_text(Stream::Err, "the store cannot be written");
    let mut other = client(&broker, "other");
    other.send(&publish_with(VERSION, RETAIN[1], "t/refused", Some(1), &[], b"refused"));
    // Quota exceeded.
    assert_eq!(other.expect(PUBACK).body[2], 0x97);
    let (status, text) = readiness(&broker);
    assert!(status == 503 && text.contains("the disk is full"), "{status} {text}");
    limit_file_size(&broker, "unlimited:unlimited");
    assert_eq!(publisher.expect(PUBACK).acknowledged(), (2, NO_SUBSCRIBER));
    broker.process().wait_for_text(Stream::Err, "the store can be written again");
    assert_eq!(readiness(&broker).0, 200);
    other.send(&publish_with(VERSION, RETAIN[1], "t/after", Some(2), &[], b"after"));
    other.expect(PUBACK);
    kill(broker);
    let broker = place.start();
    let topics = retained(&broker, "t/#").into_keys().collect::<Vec<_>>();
    assert_eq!(topics, ["t/after", "t/before", "t/meanwhile"]);
    stop(broker);
}

fn limit_file_size(broker: &Broker, limits: &str) {
    let pid = broker.process().id().as_raw_nonzero().to_string();
    let status =
        Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limits}")]).status();
    assert!(status.expect("prlimit of util-linux").success());
}

fn readiness(broker: &Broker) -> (u16, String) {
    http::get(broker.admin_port(), "/readyz")
}
