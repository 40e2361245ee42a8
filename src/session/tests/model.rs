//! A session and a conforming client, over a network that loses connections: what is promised holds
//! whatever happens.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::driver::{Driver, connect, message, outbound};
use super::peer::{Numbered, Peer, topic};
use crate::codec::{Connect, Publish, next_frame};
use crate::message::QoS;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The broker has a message for the client, with so many bytes more than it needs.
    ToClient(QoS, usize),
    /// The client publishes.
    FromClient(QoS),
    /// The client reads so many of the packets on their way to it.
    ClientReads(usize),
    /// The session reads so many of the packets on their way to it.
    SessionReads(usize),
    /// The broker answers one of the publishes that it was asked for.
    BrokerAnswers(usize),
    /// The connection is lost, with all that is on its way, and the client comes back.
    Reconnect(Bounds),
}

/// What the client says that it takes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    receive_maximum: u16,
    maximum_packet_size: u32,
    topic_alias_maximum: u16,
}

/// The padding that only some connections take.
const LARGE: usize = 40;
/// The maximum packet sizes: a [`LARGE`] message is above the first.
const SIZES: [u32; 2] = [50, 1_000];
/// Of the session; the client keeps to it in 3.x as well.
const RECEIVE_MAXIMUM: u16 = 4;
const MAX_INFLIGHT: u16 = 4;

fn bounds() -> impl Strategy<Value = Bounds> {
    (1..6u16, select(&SIZES[..]), 0..3u16).prop_map(
        |(receive_maximum, maximum_packet_size, topic_alias_maximum)| Bounds {
            receive_maximum,
            maximum_packet_size,
            topic_alias_maximum,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let qos = || select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    prop_oneof![
        6 => (qos(), select(vec![0, 0, LARGE])).prop_map(|(qos, more)| Step::ToClient(qos, more)),
        6 => qos().prop_map(Step::FromClient),
        8 => (1..6usize).prop_map(Step::ClientReads),
        8 => (1..6usize).prop_map(Step::SessionReads),
        8 => any::<usize>().prop_map(Step::BrokerAnswers),
        2 => bounds().prop_map(Step::Reconnect),
    ]
}

/// Both sides, the network between them, and the broker behind the session.
struct World {
    version: Version,
    bounds: Bounds,
    driver: Driver,
    peer: Peer,
    to_client: VecDeque<Vec<u8>>,
    to_session: VecDeque<Packet<'static>>,
    /// What waits for the client, with its padding.
    mailbox: VecDeque<(Numbered, usize)>,
    /// The publishes that the broker has not answered.
    asked: VecDeque<(PacketId, ReasonCode)>,
    /// The numbers of the messages that hold a packet identifier.
    in_use: HashMap<PacketId, u32>,
    /// Those that hold the client's receive maximum on this connection.
    in_window: HashSet<PacketId>,
    numbers: std::ops::RangeFrom<u32>,
    delivered: Vec<(Numbered, usize)>,
    published: Vec<Numbered>,
    /// What the broker has taken.
    taken: Vec<Numbered>,
    dropped: usize,
    was_narrow: bool,
}

/// The broker refuses some messages.
fn is_refused(number: u32) -> bool {
    number.is_multiple_of(7)
}

fn settings() -> Settings {
    let positive = |value| NonZeroU16::new(value).expect("not 0");
    Settings {
        receive_maximum: positive(RECEIVE_MAXIMUM),
        max_inflight: positive(MAX_INFLIGHT),
        ..Settings::default()
    }
}

impl Bounds {
    fn connect(self, version: Version) -> Connect<'static> {
        let mut connect = connect(version);
        if version == Version::V5 {
            let properties = &mut connect.properties;
            properties.receive_maximum = NonZeroU16::new(self.receive_maximum);
            properties.maximum_packet_size = NonZeroU32::new(self.maximum_packet_size);
            properties.topic_alias_maximum = Some(self.topic_alias_maximum);
        }
        connect
    }
}

impl World {
    fn new(version: Version, bounds: Bounds) -> Self {
        let mut world = Self {
            version,
            bounds,
            driver: Driver::new(&settings(), version),
            peer: Peer::default(),
            to_client: VecDeque::new(),
            to_session: VecDeque::new(),
            mailbox: VecDeque::new(),
            asked: VecDeque::new(),
            in_use: HashMap::new(),
            in_window: HashSet::new(),
            numbers: 0..,
            delivered: Vec::new(),
            published: Vec::new(),
            taken: Vec::new(),
            dropped: 0,
            was_narrow: false,
        };
        world.open(bounds, None);
        world
    }

    fn open(&mut self, bounds: Bounds, resumed: Option<Image>) {
        self.bounds = bounds;
        self.was_narrow |= bounds.maximum_packet_size == SIZES[0];
        self.to_client.clear();
        self.to_session.clear();
        self.in_window.clear();
        self.driver = Driver::new(&settings(), self.version);
        self.driver.welcome(&bounds.connect(self.version), resumed);
        self.peer.connected(RECEIVE_MAXIMUM.into(), bounds.topic_alias_maximum);
        self.settle();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::ToClient(qos, more) => {
                let message = (qos, self.numbers.next().expect("enough numbers"));
                self.delivered.push((message, more));
                self.mailbox.push_back((message, more));
            }
            Step::FromClient(qos) => {
                let message = (qos, self.numbers.next().expect("enough numbers"));
                self.published.push(message);
                self.peer.publish(message);
            }
            Step::ClientReads(count) => (0..count).for_each(|_| self.client_reads()),
            Step::SessionReads(count) => (0..count).for_each(|_| self.session_reads()),
            Step::BrokerAnswers(which) => self.broker_answers(which),
            Step::Reconnect(bounds) => self.reconnect(bounds),
        }
        self.settle();
    }

    fn client_reads(&mut self) {
        if let Some(bytes) = self.to_client.pop_front() {
            let frame = next_frame(&bytes, usize::MAX).expect("a packet").expect("all of it");
            self.peer.hear(frame.decode(self.version).expect("a packet"));
        }
    }

    fn session_reads(&mut self) {
        let Some(packet) = self.to_session.pop_front() else { return };
        let done = match &packet {
            Packet::PubAck(ack) | Packet::PubComp(ack) => Some(ack.packet_id),
            _ => None,
        };
        if let Some(packet_id) = done {
            self.in_use.remove(&packet_id);
            self.in_window.remove(&packet_id);
        }
        self.driver.say(packet);
        self.settle();
    }

    fn broker_answers(&mut self, which: usize) {
        if let Some(which) = which.checked_rem(self.asked.len()) {
            let (packet_id, reason) = self.asked.remove(which).expect("it is in there");
            self.driver.published(packet_id.get(), reason);
        }
    }

    /// The broker answers all that it was asked before it lets go of the session.
    fn reconnect(&mut self, bounds: Bounds) {
        self.driver.take(Input::Lost);
        while !self.asked.is_empty() {
            self.broker_answers(0);
        }
        let remains = self.driver.session.leave().expect("a session");
        self.open(bounds, Some(remains.image));
    }

    /// Whatever needs no packet to be read.
    fn settle(&mut self) {
        self.to_session.append(&mut self.peer.says.drain(..).collect());
        self.collect();
        while let Some(&((qos, number), more)) = self.mailbox.front() {
            if qos != QoS::AtMostOnce && self.driver.session.window() == 0 {
                return;
            }
            self.mailbox.pop_front();
            let payload = [&number.to_be_bytes()[..], &vec![0; more]].concat();
            let message = message(topic(number), &payload);
            self.driver.take(Input::Deliver(Outbound { message, ..outbound("t", qos) }));
            self.collect();
        }
    }

    /// Passes on what the session says and asks for.
    fn collect(&mut self) {
        let bytes = self.driver.bytes();
        let mut rest = &bytes[..];
        while let Some(frame) = next_frame(rest, usize::MAX).expect("a packet") {
            if self.version == Version::V5 {
                assert!(frame.size <= self.bounds.maximum_packet_size as usize);
            }
            if let Packet::Publish(publish) = frame.decode(self.version).expect("a packet") {
                self.observe(&publish);
            }
            self.to_client.push_back(rest[..frame.size].to_vec());
            rest = &rest[frame.size..];
        }
        for action in self.driver.actions() {
            self.perform(action);
        }
    }

    fn observe(&mut self, publish: &Publish<'_>) {
        let Some(packet_id) = publish.delivery.packet_id() else { return };
        let (number, _) = publish.payload.split_first_chunk().expect("a number");
        let number = u32::from_be_bytes(*number);
        let holder = self.in_use.insert(packet_id, number);
        assert_eq!(holder, publish.dup.then_some(number), "an identifier in use twice, or DUP");
        assert!(self.in_window.insert(packet_id), "sent twice on one connection");
        let window = match self.version {
            Version::V5 => self.bounds.receive_maximum.min(MAX_INFLIGHT),
            _ => MAX_INFLIGHT,
        };
        assert!(self.in_window.len() <= window.into(), "more than the receive maximum");
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Publish { message, packet_id } => {
                let (number, _) = message.payload.split_first_chunk().expect("a number");
                let number = u32::from_be_bytes(*number);
                assert_eq!(message.topic.as_str(), topic(number));
                let reason = match is_refused(number) {
                    true => ReasonCode::NotAuthorized,
                    false => ReasonCode::Success,
                };
                if !is_refused(number) {
                    self.taken.push((message.qos, number));
                }
                self.asked.extend(packet_id.map(|packet_id| (packet_id, reason)));
            }
            Action::Dropped(Dropped::TooLarge) => self.dropped += 1,
            other => panic!("{other:?}"),
        }
    }

    /// The network loses nothing any more: all that is on its way arrives.
    fn calm_down(&mut self) {
        for _ in 0..10_000 {
            if self.is_quiet() {
                return;
            }
            self.client_reads();
            self.settle();
            self.session_reads();
            self.broker_answers(0);
            self.settle();
        }
        panic!("it never comes to rest");
    }

    fn is_quiet(&self) -> bool {
        let nothing_waits = self.mailbox.is_empty() && self.asked.is_empty();
        self.to_client.is_empty() && self.to_session.is_empty() && nothing_waits
    }

    fn check(mut self) {
        assert!(self.peer.is_done(), "the client waits for ever");
        let published = self.published.iter().copied().filter(|(_, it)| !is_refused(*it));
        check_received(&published.collect::<Vec<_>>(), &self.taken);
        let heard = self.peer.heard.iter().map(|(_, number)| *number).collect::<HashSet<_>>();
        let arrived = |&&((qos, number), more): &&(Numbered, usize)| {
            let is_missing = qos != QoS::AtMostOnce && !heard.contains(&number);
            assert!(!is_missing || more == LARGE && self.was_narrow, "{number} was lost");
            !is_missing
        };
        let delivered = self.delivered.iter().filter(arrived).map(|(message, _)| *message);
        let delivered = delivered.collect::<Vec<_>>();
        assert!(self.delivered.len() - delivered.len() <= self.dropped, "lost, and not counted");
        check_received(&delivered, &self.peer.heard);
        let image = self.driver.leave().image;
        assert!(image.in_flight.is_empty() && image.received.is_empty());
    }
}

/// QoS 0 at most once, QoS 1 at least once, QoS 2 exactly once; QoS 1 and 2 in their order.
fn check_received(sent: &[Numbered], received: &[Numbered]) {
    let mut counts = HashMap::<Numbered, usize>::new();
    let mut first = Vec::new();
    for &message in received {
        let count = counts.entry(message).or_default();
        *count += 1;
        if *count == 1 && message.0 != QoS::AtMostOnce {
            first.push(message);
        }
    }
    let in_order = sent.iter().copied().filter(|(qos, _)| *qos != QoS::AtMostOnce);
    assert_eq!(first, in_order.collect::<Vec<_>>());
    for ((qos, number), count) in counts {
        assert!(sent.contains(&(qos, number)), "{number} was never sent so");
        assert!(count == 1 || qos == QoS::AtLeastOnce, "{number} came {count} times");
    }
}

proptest! {
    #[test]
    fn every_message_arrives_as_its_qos_promises_whatever_the_network_loses(
        version in select(vec![Version::V31, Version::V311, Version::V5, Version::V5, Version::V5]),
        bounds in bounds(),
        steps in vec(step(), 1..150),
    ) {
        let mut world = World::new(version, bounds);
        for step in steps {
            world.take(step);
        }
        world.calm_down();
        world.check();
    }
}

/// What the network and the broker may do next, where each has something to do.
fn moves(world: &World) -> Vec<Step> {
    let bounds = Bounds { receive_maximum: 2, maximum_packet_size: 1_000, topic_alias_maximum: 0 };
    let may = [
        (!world.to_client.is_empty(), Step::ClientReads(1)),
        (!world.to_session.is_empty(), Step::SessionReads(1)),
        (!world.asked.is_empty(), Step::BrokerAnswers(0)),
    ];
    let mut moves = may.into_iter().filter(|(may, _)| *may).map(|(_, it)| it).collect::<Vec<_>>();
    if !moves.is_empty() {
        moves.push(Step::Reconnect(bounds));
    }
    moves
}

/// Every order in which the packets of these messages arrive, are answered or are lost with their
/// connections, which end at most `losses` times; gives the number of orders. The world has no copy:
/// each order is played from the beginning.
fn every_order(version: Version, messages: &[Step], losses: usize) -> usize {
    let bounds = Bounds { receive_maximum: 2, maximum_packet_size: 1_000, topic_alias_maximum: 0 };
    let mut orders = 0;
    let mut unfinished = vec![Vec::<usize>::new()];
    while let Some(order) = unfinished.pop() {
        let mut world = World::new(version, bounds);
        messages.iter().for_each(|message| world.take(message.clone()));
        let mut lost = 0;
        for &at in &order {
            let step = moves(&world).swap_remove(at);
            lost += usize::from(matches!(step, Step::Reconnect(_)));
            world.take(step);
        }
        let next = moves(&world);
        let is_possible = |step: &Step| lost < losses || !matches!(step, Step::Reconnect(_));
        let next = next.iter().enumerate().filter(|(_, step)| is_possible(step));
        let before = unfinished.len();
        unfinished.extend(next.map(|(at, _)| [&order[..], &[at]].concat()));
        if unfinished.len() == before {
            assert!(world.is_quiet());
            world.check();
            orders += 1;
        }
    }
    orders
}

#[test]
fn qos_2_is_exactly_once_wherever_its_handshake_is_cut_and_however_often() {
    for version in [Version::V311, Version::V5] {
        for message in [Step::ToClient(QoS::ExactlyOnce, 0), Step::FromClient(QoS::ExactlyOnce)] {
            let orders = every_order(version, std::slice::from_ref(&message), 4);
            assert!(orders > 100, "{orders} orders of {message:?}");
        }
    }
}

#[test]
fn qos_2_is_exactly_once_in_both_directions_and_beside_qos_1() {
    let pairs = [
        [Step::ToClient(QoS::ExactlyOnce, 0), Step::FromClient(QoS::ExactlyOnce)],
        [Step::ToClient(QoS::ExactlyOnce, 0), Step::ToClient(QoS::AtLeastOnce, 0)],
        [Step::FromClient(QoS::ExactlyOnce), Step::FromClient(QoS::AtLeastOnce)],
    ];
    for messages in &pairs {
        let orders = every_order(Version::V5, messages, 1);
        assert!(orders > 20, "{orders} orders of {messages:?}");
    }
}
