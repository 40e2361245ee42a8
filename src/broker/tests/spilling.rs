//! Messages that wait on disk alone: they come in their order, and what becomes of them elsewhere is the same.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;

use super::driver::{Driver, NO_SECRETS, Visit, id, parts, policy, wait_until_kept};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Durable, Parts, QueueMemory, Settings};
use crate::clock::Now;
use crate::codec::{Delivery, Packet, Publish, ReasonCode, SubscriptionIds};
use crate::message::QoS;
use crate::store::tests::{MASTER, SimulatedDisk};
use crate::store::{self, Opened, Table};
use crate::topic::TopicNameRef;

const PAYLOAD_BYTES: usize = 2_000;

fn settings(memory: u64, total: u64) -> Settings {
    Settings {
        max_queued_memory_bytes: NonZeroU64::new(memory).unwrap(),
        max_queued_total_bytes: NonZeroU64::new(total).unwrap(),
        ..Settings::default()
    }
}

fn start(disk: &SimulatedDisk, settings: Settings, memory: QueueMemory) -> Arc<Broker> {
    let now = Now::read();
    let opened = Opened::open(disk.clone(), &MASTER, now.unix).unwrap();
    let store = store::Settings::default();
    let mut durable = Durable::read(opened, &store, memory, now, &Arc::default()).unwrap();
    let sessions = durable.take_sessions();
    let parts = Parts { settings, durable: Some(durable), ..parts(PasswordFile::default()) };
    let broker = Arc::new(Broker::new(parts).unwrap());
    broker.restore_sessions(sessions, now);
    broker
}

fn start_on_disk(disk: &SimulatedDisk) -> Arc<Broker> {
    start_at(disk, true)
}

/// A broker on `disk`; where messages are to be on disk alone, all that can be are.
pub(super) fn start_at(disk: &SimulatedDisk, is_on_disk_alone: bool) -> Arc<Broker> {
    let settings = Settings::default();
    if !is_on_disk_alone {
        return start(disk, settings.clone(), QueueMemory::of(&settings));
    }
    let broker = start(disk, settings, QueueMemory::none());
    broker.queue_budget.leave_all_on_disk();
    broker
}

fn publish(publisher: &mut Driver, topic: &str, number: u16, expiry: Option<u32>) -> ReasonCode {
    let payload = [&number.to_be_bytes()[..], &[0; PAYLOAD_BYTES]].concat();
    publisher.say(&Packet::Publish(Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(id(9)),
        retain: false,
        topic: Some(TopicNameRef::parse(topic).unwrap()),
        topic_alias: None,
        message_expiry_interval: expiry,
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload: &payload,
    }));
    match publisher.heard().as_slice() {
        [Packet::PubAck(ack)] => ack.reason,
        other => panic!("{other:?}"),
    }
}

/// Somebody who is away, and subscribed to `filter`.
pub(super) fn absent(broker: &Arc<Broker>, id: &'static str, filter: &str) {
    let (mut driver, _) = Driver::enter(broker, Visit::of(id));
    driver.subscribe(filter, QoS::AtLeastOnce);
    driver.client.on_lost(driver.now);
}

fn publisher(broker: &Arc<Broker>) -> Driver {
    Driver::enter(broker, Visit { expiry: 0, ..Visit::of("publisher") }).0
}

/// The numbers of the messages that it gets, each of which it acknowledges.
pub(super) fn read_all(broker: &Arc<Broker>, id: &'static str) -> Vec<u16> {
    let (mut driver, is_resumed) = Driver::enter(broker, Visit::of(id));
    assert!(is_resumed);
    let mut numbers = Vec::new();
    loop {
        let packets = driver.heard();
        if packets.is_empty() {
            return numbers;
        }
        for packet in packets {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            numbers.push(u16::from_be_bytes(*publish.payload.first_chunk().unwrap()));
            driver.acknowledge(publish.delivery.packet_id().unwrap().get());
        }
    }
}

/// How many records of messages the store has.
fn records(disk: &SimulatedDisk, broker: &Broker) -> usize {
    wait_until_kept(broker.store().unwrap());
    let mut opened = Opened::open(disk.copy(), &MASTER, Duration::ZERO).unwrap();
    let mut records = 0;
    opened.each_live(|record| {
        records += usize::from([Table::QUEUED, Table::MESSAGE].contains(&record.table));
    });
    records
}

#[test]
fn what_waits_for_who_is_away_goes_to_disk_where_memory_is_short_and_comes_in_order() {
    let disk = SimulatedDisk::default();
    let broker = start(&disk, settings(300_000, 1 << 30), QueueMemory::none());
    absent(&broker, "reader", "a");
    absent(&broker, "other", "a");
    let mut publisher = publisher(&broker);
    for number in 0..200 {
        assert_eq!(publish(&mut publisher, "a", number, None), ReasonCode::Success);
    }
    let charged = broker.queue_budget.charged();
    assert!(charged.memory <= 300_000 && charged.kept > 800_000, "{charged:?}");
    assert!(charged.on_disk > 600_000, "{charged:?}");
    for reader in ["reader", "other"] {
        assert_eq!(read_all(&broker, reader), Vec::from_iter(0..200));
    }
    assert_eq!(broker.queue_budget.charged(), Default::default());
    assert_eq!(records(&disk, &broker), 0);
}

#[test]
fn a_start_takes_no_more_memory_than_it_may_whatever_waits() {
    let disk = SimulatedDisk::default();
    let broker = start(&disk, Settings::default(), QueueMemory::none());
    absent(&broker, "reader", "+");
    absent(&broker, "other", "b");
    let mut publisher = publisher(&broker);
    for number in 0..300 {
        publish(&mut publisher, if number % 3 == 0 { "b" } else { "a" }, number, None);
    }
    wait_until_kept(broker.store().unwrap());
    drop((publisher, broker));
    let small = settings(300_000, 1 << 30);
    let broker = start(&disk, small.clone(), QueueMemory::of(&small));
    broker.update_gauges();
    let shown = broker.metrics().render();
    let gauge = |name: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(gauge("bastionmq_queued_messages"), 400.0);
    assert!(gauge("bastionmq_queued_memory_bytes") <= 300_000.0);
    assert!(gauge("bastionmq_queued_kept_bytes") > 800_000.0);
    assert!(gauge("bastionmq_queued_disk_bytes") > 500_000.0);
    assert_eq!(read_all(&broker, "reader"), Vec::from_iter(0..300));
    assert_eq!(read_all(&broker, "other"), Vec::from_iter((0..300).step_by(3)));
    broker.update_gauges();
    assert!(broker.metrics().render().contains("\nbastionmq_queued_messages 0\n"));
    assert_eq!(records(&disk, &broker), 0);
}

#[test]
fn more_than_may_wait_for_all_sessions_is_refused_and_what_was_taken_is_not_lost() {
    let disk = SimulatedDisk::default();
    let broker = start(&disk, settings(1 << 30, 50_000), QueueMemory::none());
    absent(&broker, "reader", "a");
    let mut publisher = publisher(&broker);
    let taken = (0..100)
        .take_while(|number| publish(&mut publisher, "a", *number, None) == ReasonCode::Success);
    let taken = taken.collect::<Vec<_>>();
    assert!((15..25).contains(&taken.len()), "{}", taken.len());
    assert_eq!(publish(&mut publisher, "a", 0, None), ReasonCode::QuotaExceeded);
    assert_eq!(publish(&mut publisher, "nobody", 0, None), ReasonCode::NoMatchingSubscribers);
    assert!(broker.queue_budget.charged().kept <= 50_000);
    assert_eq!(read_all(&broker, "reader"), taken);
    assert_eq!(publish(&mut publisher, "a", 0, None), ReasonCode::Success);
}

#[test]
fn what_has_expired_on_disk_is_not_delivered_and_frees_its_room() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    absent(&broker, "reader", "a");
    let mut publisher = publisher(&broker);
    for number in 0..6 {
        publish(&mut publisher, "a", number, (number % 2 == 0).then_some(100));
    }
    assert_eq!(records(&disk, &broker), 6);
    block_on(broker.drop_expired(publisher.now.instant));
    assert_eq!(records(&disk, &broker), 6);
    block_on(broker.drop_expired(publisher.now.after(Duration::from_secs(101)).instant));
    assert_eq!(records(&disk, &broker), 3);
    assert_eq!(read_all(&broker, "reader"), [1, 3, 5]);
}

#[test]
fn a_session_that_ends_takes_along_what_waits_on_disk_but_for_what_is_of_a_share() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    for reader in ["first", "second"] {
        absent(&broker, reader, "$share/g/a");
    }
    absent(&broker, "third", "b");
    let mut publisher = publisher(&broker);
    for number in 0..10 {
        publish(&mut publisher, "a", number, None);
        publish(&mut publisher, "b", number, None);
    }
    for ending in ["first", "third"] {
        let visit = Visit { clean_start: true, expiry: 0, ..Visit::of(ending) };
        let (mut driver, _) = Driver::enter(&broker, visit);
        assert_eq!(driver.heard().len(), 0);
    }
    let mut numbers = read_all(&broker, "second");
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..10));
    assert_eq!(records(&disk, &broker), 0);
    assert_eq!(broker.queue_budget.charged(), Default::default());
}

#[test]
fn r12_what_waits_on_disk_is_judged_by_the_policy_under_which_it_is_delivered() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    absent(&broker, "reader", "#");
    let mut publisher = publisher(&broker);
    for number in 0..6 {
        let topic = if number % 2 == 0 { "secret/a" } else { "a" };
        publish(&mut publisher, topic, number, None);
    }
    broker.replace_policy(policy(NO_SECRETS));
    broker.judge_all(broker.registry.client_ids()).now_or_never();
    assert_eq!(read_all(&broker, "reader"), [1, 3, 5]);
    assert_eq!(records(&disk, &broker), 0);
}

#[test]
fn what_is_damaged_on_disk_is_told_and_counted_and_the_rest_is_delivered() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    absent(&broker, "reader", "a");
    let mut publisher = publisher(&broker);
    for number in 0..3 {
        publish(&mut publisher, "a", number, None);
    }
    wait_until_kept(broker.store().unwrap());
    disk.tamper("00000001.log", |content| {
        let end = content.len();
        content[end - PAYLOAD_BYTES - 1_500] ^= 1;
    });
    assert_eq!(read_all(&broker, "reader"), [0, 2]);
    let shown = broker.metrics().render();
    assert!(shown.contains("bastionmq_messages_dropped_total{reason=\"unreadable\"} 1"), "{shown}");
    assert_eq!(records(&disk, &broker), 0);
}

#[test]
fn a_disk_that_gives_nothing_for_a_while_loses_nothing() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    absent(&broker, "reader", "a");
    let mut publisher = publisher(&broker);
    for number in 0..3 {
        publish(&mut publisher, "a", number, None);
    }
    disk.set_unreadable(true);
    let mut reader = Driver::knock(&broker, Visit::of("reader"));
    reader.log_in().now_or_never().expect("nobody to wait for");
    // Nobody waits for what cannot be read.
    reader.wait_for_nothing();
    wait_until_kept(broker.store().unwrap());
    assert!(reader.welcome());
    assert_eq!(reader.heard().len(), 0);
    assert!(reader.client.is_reading());
    disk.set_unreadable(false);
    reader.client.on_lost(reader.now);
    assert_eq!(read_all(&broker, "reader"), [0, 1, 2]);
}

#[test]
fn what_is_not_written_yet_is_waited_for() {
    let disk = SimulatedDisk::default();
    let broker = start_on_disk(&disk);
    let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
    reader.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = publisher(&broker);
    publisher.wait_for_nothing();
    disk.fail_every(1, io::ErrorKind::StorageFull);
    publisher.say(&Packet::Publish(Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(id(9)),
        retain: false,
        topic: Some(TopicNameRef::parse("a").unwrap()),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload: &[7; PAYLOAD_BYTES],
    }));
    reader.wait_for_nothing();
    assert_eq!(reader.heard().len(), 0);
    assert!(reader.client.is_reading());
    disk.work_again();
    reader.client.on_lost(reader.now);
    assert_eq!(read_all(&broker, "reader"), [0x0707]);
}
