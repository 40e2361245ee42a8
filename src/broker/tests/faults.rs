//! Disks that fail, fill, tear, forget and change what they were given, under a broker that goes on: what was
//! acknowledged is delivered, or its loss is told. Nothing panics, and every start succeeds.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::driver::{Driver, Visit, id, wait_until_kept};
use super::spilling::{absent, read_all, start_at};
use crate::broker::Broker;
use crate::codec::{Delivery, Packet, Publish, SubscriptionIds};
use crate::store::Opened;
use crate::store::tests::{MASTER, SimulatedDisk, next_random};
use crate::topic::TopicNameRef;

const SEEDS: u64 = 10;
const STEPS: usize = 60;

struct World {
    disk: SimulatedDisk,
    /// Whether it changes what it has.
    flips: bool,
    random: u64,
    broker: Option<Arc<Broker>>,
    publisher: Option<Driver>,
    /// Messages that were published, and those that were acknowledged.
    published: u16,
    acknowledged: BTreeSet<u16>,
    /// How many damaged parts and unreadable messages the broker has told of.
    told: usize,
}

impl World {
    fn new(seed: u64, flips: bool) -> Self {
        let disk = SimulatedDisk::default();
        let acknowledged = BTreeSet::new();
        let mut world = Self {
            disk,
            flips,
            random: seed,
            broker: None,
            publisher: None,
            published: 0,
            acknowledged,
            told: 0,
        };
        world.start();
        absent(world.broker(), "reader", "a");
        wait_until_kept(world.broker().store().unwrap());
        world
    }

    fn broker(&self) -> &Arc<Broker> {
        self.broker.as_ref().unwrap()
    }

    fn random(&mut self, below: u64) -> u64 {
        next_random(&mut self.random) % below
    }

    /// Half of the runs leave all on disk that can be.
    fn start(&mut self) {
        let opened = Opened::open(self.disk.copy(), &MASTER, Duration::ZERO).unwrap();
        let losses = opened.damage().iter().filter(|damage| damage.is_loss()).count();
        assert!(self.flips || losses == 0, "{:?}", opened.damage());
        self.told += opened.damage().len();
        let is_on_disk_alone = self.random(2) == 0;
        let broker = start_at(&self.disk, is_on_disk_alone);
        let visit = Visit { expiry: 0, ..Visit::of("publisher") };
        let mut publisher = Driver::enter(&broker, visit).0;
        publisher.wait_for_nothing();
        (self.broker, self.publisher) = (Some(broker), Some(publisher));
    }

    fn publish(&mut self) {
        self.published += 1;
        let number = self.published;
        let payload = [&number.to_be_bytes()[..], &[0; 800]].concat();
        let publisher = self.publisher.as_mut().unwrap();
        publisher.say(&Packet::Publish(Publish {
            dup: false,
            delivery: Delivery::AtLeastOnce(id(number)),
            retain: false,
            topic: Some(TopicNameRef::parse("a").unwrap()),
            topic_alias: None,
            message_expiry_interval: None,
            subscription_ids: SubscriptionIds::new(),
            properties: (&[]).into(),
            payload: &payload,
        }));
    }

    fn hear(&mut self) {
        for packet in self.publisher.as_mut().unwrap().heard() {
            let Packet::PubAck(ack) = packet else { panic!("{packet:?}") };
            if !ack.reason.is_error() {
                self.acknowledged.insert(ack.packet_id.get());
            }
        }
    }

    /// The machine loses power, and starts again with a disk that works.
    fn lose_power(&mut self) {
        self.disk.end_power_at(self.disk.calls() + 1);
        self.hear();
        self.told += self.unreadable();
        (self.broker, self.publisher) = (None, None);
        self.disk.work_again();
        self.disk.set_unreadable(false);
        let seed = self.random(u64::MAX);
        self.disk.start_again(seed);
        self.start();
    }

    /// One bit of what the log has, anywhere.
    fn flip_a_bit(&mut self) {
        let logs = self.disk.names().into_iter().filter(|name| name.ends_with(".log"));
        let logs = logs.collect::<Vec<_>>();
        let (log, at, bit) = (self.random(u64::MAX), self.random(u64::MAX), self.random(8));
        let Some(name) = logs.get(log as usize % logs.len().max(1)) else { return };
        self.disk.tamper(name, |content| {
            let at = at as usize % content.len().max(1);
            content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
        });
    }

    fn step(&mut self) {
        match self.random(16) {
            0 => self.lose_power(),
            1 => {
                let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem];
                let kind = kinds.get(self.random(3) as usize).copied();
                let every = 1 + self.random(4);
                self.disk.fail_every(every, kind.unwrap_or(io::ErrorKind::Other));
            }
            2 | 3 => self.disk.work_again(),
            4 if self.flips => self.flip_a_bit(),
            5 | 6 => self.hear(),
            _ => self.publish(),
        }
    }

    /// How many messages this run could not read.
    fn unreadable(&self) -> usize {
        let shown = self.broker().metrics().render();
        let name = "bastionmq_messages_dropped_total{reason=\"unreadable\"} ";
        shown.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
    }

    fn finish(mut self, seed: u64) {
        self.disk.work_again();
        wait_until_kept(self.broker().store().unwrap());
        self.hear();
        // All that is on disk counts, and nothing else.
        if self.flips {
            self.lose_power();
        }
        let (mut driver, is_resumed) = Driver::enter(self.broker(), Visit::of("reader"));
        driver.client.on_lost(driver.now);
        let read = match is_resumed {
            true => read_all(self.broker(), "reader"),
            false => Vec::new(),
        };
        assert!(read.is_sorted(), "seed {seed}: {read:?}");
        let read = read.into_iter().collect::<BTreeSet<_>>();
        let lost = self.acknowledged.difference(&read).collect::<Vec<_>>();
        let unreadable = self.unreadable();
        match self.flips {
            false => assert_eq!((lost, unreadable), (Vec::new(), 0), "seed {seed}"),
            true => {
                let is_told = self.told + unreadable > 0;
                assert!(lost.is_empty() || is_told, "seed {seed}: {lost:?} is lost in silence");
            }
        }
    }
}

fn run(flips: bool) {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed, flips);
        (0..STEPS).for_each(|_| world.step());
        world.finish(seed);
    }
}

#[test]
fn a_disk_that_fails_fills_tears_and_forgets_costs_nothing_that_was_acknowledged() {
    run(false);
}

#[test]
fn what_a_disk_changes_is_told_and_the_rest_is_delivered() {
    run(true);
}
