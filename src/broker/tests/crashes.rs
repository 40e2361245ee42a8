//! Crashes at every step of the flows of QoS 1 and 2, on a disk that loses what was not synced. Clients go
//! on afterwards as clients do: nothing acknowledged is lost, what is of QoS 2 comes once, and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::driver::{Driver, Visit, id, parts, wait_until_kept};
use crate::auth::PasswordFile;
use crate::broker::{self, Broker, Durable, Parts, QueueMemory};
use crate::clock::Now;
use crate::codec::{Ack, Delivery, Packet, Publish, ReasonCode, SubscriptionIds};
use crate::message::QoS;
use crate::store::tests::{MASTER, SimulatedDisk};
use crate::store::{Opened, Settings, Table};
use crate::topic::TopicNameRef;

/// Messages of a run, and how many of them are on their way at once.
const MESSAGES: u16 = 4;
const AT_ONCE: usize = 2;
/// Steps after which every run without a crash is over.
const STEPS: usize = 400;
/// What all of them together do in turn.
const TURN: usize = 5;
const MORE_STEPS: usize = 3 * TURN;

const READERS: [&str; 2] = ["reader", "other reader"];

/// Large enough to be left on disk.
fn payload(number: u16) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0; 600]].concat()
}

/// What a client does with what it has heard is heard, or not, by the broker.
#[derive(Default)]
struct Connection {
    driver: Option<Driver>,
    answers: Vec<Packet<'static>>,
}

impl Connection {
    fn hear(&mut self) -> Vec<Packet<'static>> {
        self.driver.as_mut().map(Driver::heard).unwrap_or_default()
    }

    fn say(&mut self, packet: &Packet<'_>) {
        if let Some(driver) = &mut self.driver {
            driver.say(packet);
        }
    }

    fn answer(&mut self) {
        for answer in std::mem::take(&mut self.answers) {
            self.say(&answer);
        }
    }
}

/// Publishes messages, whose packet identifiers and payloads are their numbers.
struct Publisher {
    connection: Connection,
    qos: QoS,
    begun: u16,
    /// Those that are not acknowledged; and whether PUBREC has come.
    open: BTreeMap<u16, bool>,
}

impl Publisher {
    fn enter(&mut self, broker: &Arc<Broker>) {
        let (driver, is_resumed) = Driver::enter(broker, Visit::of("publisher"));
        assert!(is_resumed || self.begun == 0, "the session of the publisher is lost");
        self.connection = Connection { driver: Some(driver), answers: Vec::new() };
        for (number, is_received) in self.open.clone() {
            match is_received {
                false => self.send(number, true),
                true => self.connection.say(&Packet::PubRel(ack(number))),
            }
        }
    }

    fn publish(&mut self) {
        if self.begun < MESSAGES && self.open.len() < AT_ONCE {
            self.begun += 1;
            self.open.insert(self.begun, false);
            self.send(self.begun, false);
        }
    }

    fn send(&mut self, number: u16, dup: bool) {
        let delivery = match self.qos {
            QoS::ExactlyOnce => Delivery::ExactlyOnce(id(number)),
            _ => Delivery::AtLeastOnce(id(number)),
        };
        self.connection.say(&Packet::Publish(Publish {
            dup,
            delivery,
            retain: false,
            topic: Some(TopicNameRef::parse("t").unwrap()),
            topic_alias: None,
            message_expiry_interval: None,
            subscription_ids: SubscriptionIds::new(),
            properties: (&[]).into(),
            payload: &payload(number),
        }));
    }

    fn hear(&mut self) {
        for packet in self.connection.hear() {
            match packet {
                // It is not taken: it is sent again by the next connection.
                Packet::PubAck(ack) | Packet::PubRec(ack) if ack.reason.is_error() => {}
                Packet::PubAck(ack) => drop(self.open.remove(&ack.packet_id.get())),
                Packet::PubRec(ack) => {
                    let number = ack.packet_id.get();
                    if let Some(is_received) = self.open.get_mut(&number) {
                        *is_received = true;
                    }
                    self.connection.answers.push(Packet::PubRel(self::ack(number)));
                }
                Packet::PubComp(ack) => drop(self.open.remove(&ack.packet_id.get())),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Reads messages.
struct Reader {
    name: &'static str,
    connection: Connection,
    read: Vec<u16>,
    /// Of messages of QoS 2 that are not released.
    received: BTreeSet<u16>,
}

impl Reader {
    fn enter(&mut self, broker: &Arc<Broker>, qos: Option<QoS>) {
        let (mut driver, is_resumed) = Driver::enter(broker, Visit::of(self.name));
        match qos {
            Some(qos) => driver.subscribe("t", qos),
            None => assert!(is_resumed, "the session of a reader is lost"),
        }
        self.connection = Connection { driver: Some(driver), answers: Vec::new() };
    }

    fn hear(&mut self) {
        for packet in self.connection.hear() {
            let answer = match packet {
                Packet::Publish(publish) => {
                    let number = u16::from_be_bytes(*publish.payload.first_chunk().unwrap());
                    match publish.delivery {
                        Delivery::ExactlyOnce(packet_id) => {
                            if self.received.insert(packet_id.get()) {
                                self.read.push(number);
                            }
                            Packet::PubRec(ack(packet_id.get()))
                        }
                        Delivery::AtLeastOnce(packet_id) => {
                            self.read.push(number);
                            Packet::PubAck(ack(packet_id.get()))
                        }
                        Delivery::AtMostOnce => panic!("a message of QoS 0"),
                    }
                }
                Packet::PubRel(released) => {
                    self.received.remove(&released.packet_id.get());
                    Packet::PubComp(ack(released.packet_id.get()))
                }
                other => panic!("{other:?}"),
            };
            self.connection.answers.push(answer);
        }
    }
}

struct World {
    disk: SimulatedDisk,
    place: Where,
    broker: Option<Arc<Broker>>,
    publisher: Publisher,
    readers: Vec<Reader>,
}

impl World {
    fn new(qos: QoS, readers: usize, place: Where) -> Self {
        let disk = SimulatedDisk::default();
        let broker = start(&disk, place);
        let connection = Connection::default();
        let mut publisher = Publisher { connection, qos, begun: 0, open: BTreeMap::new() };
        publisher.enter(&broker);
        let mut readers = READERS[..readers].iter().map(|name| Reader {
            name,
            connection: Connection::default(),
            read: Vec::new(),
            received: BTreeSet::new(),
        });
        let mut readers = readers.by_ref().collect::<Vec<_>>();
        readers.iter_mut().for_each(|reader| reader.enter(&broker, Some(qos)));
        Self { disk, place, broker: Some(broker), publisher, readers }
    }

    fn step(&mut self, number: usize) {
        match number % TURN {
            0 => self.publisher.publish(),
            1 => self.publisher.hear(),
            2 => self.publisher.connection.answer(),
            3 => self.readers.iter_mut().for_each(Reader::hear),
            _ => self.readers.iter_mut().for_each(|reader| reader.connection.answer()),
        }
    }

    fn is_over(&self) -> bool {
        let is_read = |reader: &Reader| reader.read.last() == Some(&MESSAGES);
        let is_quiet =
            |reader: &Reader| reader.received.is_empty() && reader.connection.answers.is_empty();
        self.publisher.begun == MESSAGES
            && self.publisher.open.is_empty()
            && self.readers.iter().all(|reader| is_read(reader) && is_quiet(reader))
    }

    /// From now on the disk takes nothing, and clients hear what does not wait for it.
    fn lose_power(&mut self) {
        self.disk.end_power_at(self.disk.calls() + 1);
        for connection in self.connections() {
            if let Some(driver) = &mut connection.driver {
                driver.wait_for_nothing();
            }
        }
    }

    fn connections(&mut self) -> impl Iterator<Item = &mut Connection> {
        let readers = self.readers.iter_mut().map(|reader| &mut reader.connection);
        std::iter::once(&mut self.publisher.connection).chain(readers)
    }

    /// The machine has no power, and starts again: so does everybody.
    fn start_again(&mut self, seed: u64) {
        for connection in self.connections() {
            *connection = Connection::default();
        }
        self.broker = None;
        self.disk.start_again(seed);
        let broker = start(&self.disk, self.place);
        self.readers.iter_mut().for_each(|reader| reader.enter(&broker, None));
        self.publisher.enter(&broker);
        self.broker = Some(broker);
    }

    fn finish(&mut self) {
        let is_over = (0..STEPS).any(|number| {
            self.step(number);
            self.is_over()
        });
        assert!(is_over, "some have not got what was acknowledged");
        // What comes again comes by now.
        (0..MORE_STEPS).for_each(|number| self.step(number));
    }

    fn check(&mut self, what: &str) {
        for reader in &self.readers {
            let mut seen = BTreeSet::new();
            let once: Vec<_> = reader.read.iter().copied().filter(|it| seen.insert(*it)).collect();
            assert_eq!(once, Vec::from_iter(1..=MESSAGES), "{what}: {:?}", reader.read);
            if self.publisher.qos == QoS::ExactlyOnce {
                assert_eq!(reader.read.len(), usize::from(MESSAGES), "{what}: {:?}", reader.read);
            }
        }
        let store = self.broker.as_ref().and_then(|broker| broker.store().cloned()).unwrap();
        wait_until_kept(&store);
        let mut opened = Opened::open(self.disk.copy(), &MASTER, Now::read().unix).unwrap();
        let tables = [Table::QUEUED, Table::MESSAGE, Table::SENT, Table::RECEIVED];
        opened.each_live(|record| {
            assert!(!tables.contains(&record.table), "{what}: it is left in {:?}", record.table);
        });
    }
}

fn ack(packet_id: u16) -> Ack<'static> {
    Ack::new(id(packet_id), ReasonCode::Success)
}

/// Where messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Memory,
    DiskAlone,
}

fn start(disk: &SimulatedDisk, place: Where) -> Arc<Broker> {
    let now = Now::read();
    let opened = Opened::open(disk.clone(), &MASTER, now.unix).unwrap();
    assert!(opened.damage().iter().all(|damage| !damage.is_loss()), "{:?}", opened.damage());
    let memory = match place {
        Where::Memory => QueueMemory::of(&broker::Settings::default()),
        Where::DiskAlone => QueueMemory::none(),
    };
    let durable = Durable::read(opened, &Settings::default(), memory, now, &Arc::default());
    let mut durable = durable.unwrap();
    let sessions = durable.take_sessions();
    let parts = Parts { durable: Some(durable), ..parts(PasswordFile::default()) };
    let broker = Arc::new(Broker::new(parts).unwrap());
    if place == Where::DiskAlone {
        broker.queue_budget.leave_all_on_disk();
    }
    broker.restore_sessions(sessions, now);
    broker
}

/// How many steps it takes without a crash.
fn steps(qos: QoS, readers: usize, place: Where) -> usize {
    let mut world = World::new(qos, readers, place);
    let last = (0..STEPS).find(|number| {
        world.step(*number);
        world.is_over()
    });
    world.check("without a crash");
    last.unwrap() + 1
}

/// The disk takes nothing more `before` steps before the crash.
fn crash_at_every_step(qos: QoS, readers: usize, before: usize, place: Where) {
    for crash in before..=steps(qos, readers, place) {
        let mut world = World::new(qos, readers, place);
        for number in 0..crash {
            if number == crash - before {
                world.lose_power();
            }
            world.step(number);
        }
        if before == 0 {
            world.lose_power();
        }
        world.start_again(crash as u64 + 1);
        world.finish();
        world.check(&format!("{qos:?}, crash at {crash}, {before} steps after the disk"));
    }
}

#[test]
fn a_crash_at_any_step_of_qos_1_loses_nothing_that_was_acknowledged() {
    for readers in [1, 2] {
        for before in [0, 1, 4] {
            crash_at_every_step(QoS::AtLeastOnce, readers, before, Where::Memory);
        }
    }
}

#[test]
fn r17_a_crash_at_any_step_of_qos_2_delivers_exactly_once() {
    for readers in [1, 2] {
        for before in [0, 1, 4] {
            crash_at_every_step(QoS::ExactlyOnce, readers, before, Where::Memory);
        }
    }
}

#[test]
fn a_crash_at_any_step_loses_nothing_that_waits_on_disk_alone() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for (readers, before) in [(1, 0), (2, 0), (2, 4)] {
            crash_at_every_step(qos, readers, before, Where::DiskAlone);
        }
    }
}
