//! The client's half of a session: it outlives its connections, and so it knows what was sent and not
//! acknowledged, and which messages of QoS 2 it has already.

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use crate::harness::Login;
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, Frame, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC,
    PUBREL, RawClient, Received, Will, acknowledge, packet, publish_with, subscribe,
};
use crate::network::Network;

/// A client with a session.
#[derive(Debug)]
pub(crate) struct Device {
    id: String,
    version: u8,
    login: Option<Login>,
    /// Whether its session is kept.
    is_persistent: bool,
    /// The broker has said that there is a session: it must be there from now on.
    is_known: bool,
    last_id: u16,
    /// Not acknowledged yet, in the order in which it was sent.
    sent: VecDeque<Sent>,
    /// Identifiers of messages of QoS 2 that it has and the broker has not released.
    received: BTreeSet<u16>,
}

/// A message of QoS 1 or 2 to be published.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
}

#[derive(Debug)]
struct Sent {
    id: u16,
    message: Outgoing,
    is_released: bool,
}

/// A device that is connected.
pub(crate) struct Visit<'a> {
    device: &'a mut Device,
    network: &'a Network,
    link: RawClient,
    /// It takes in what comes, and what it says of that is lost.
    pub(crate) is_mute: bool,
}

/// What has come.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message that it has not had, as far as its QoS lets it know.
    Message(Received),
    /// One of its own is the broker's now.
    Acknowledged,
    /// A step on the way of something.
    Step,
    /// What answers something else than a PUBLISH.
    Answer(Frame),
}

impl Device {
    pub(crate) fn new(id: impl Into<String>, version: u8) -> Self {
        Self {
            id: id.into(),
            version,
            login: None,
            is_persistent: true,
            is_known: false,
            last_id: 0,
            sent: VecDeque::new(),
            received: BTreeSet::new(),
        }
    }

    /// One whose sessions end with their connections, and that publishes anew what was not acknowledged.
    pub(crate) fn forgotten(id: impl Into<String>, version: u8) -> Self {
        Self { is_persistent: false, ..Self::new(id, version) }
    }

    /// One that proves who it is.
    pub(crate) fn of(id: impl Into<String>, login: Login) -> Self {
        Self { login: Some(login), ..Self::new(id, 5) }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Connects; none when the connection ends before that is answered.
    pub(crate) fn visit<'a>(&'a mut self, network: &'a Network) -> Option<Visit<'a>> {
        self.visit_with(network, None)
    }

    /// The same with a will.
    pub(crate) fn visit_with<'a>(
        &'a mut self,
        network: &'a Network,
        will: Option<Will<'_>>,
    ) -> Option<Visit<'a>> {
        const HOUR: u32 = 3_600;
        let connect = Connect { will, login: self.login, ..Connect::new(self.version, &self.id) };
        let connect = match (self.is_persistent, self.version) {
            (true, 5) => connect.keep_session(false, HOUR),
            (is_persistent, _) => Connect { clean: !is_persistent, ..connect },
        };
        let mut link = network.connect()?;
        link.send(&connect.encode());
        let answer = network.read(&mut link)?;
        assert_eq!((answer.first, answer.body[1]), (CONNACK, 0), "{answer:?}");
        let is_present = answer.body[0] == 1;
        assert!(is_present || !self.is_known, "the session of {} is lost", self.id);
        self.is_known = self.is_persistent;
        let mut visit = Visit { device: self, network, link, is_mute: false };
        visit.send_again();
        Some(visit)
    }
}

impl Visit<'_> {
    /// Messages of its own that are not acknowledged.
    pub(crate) fn in_flight(&self) -> usize {
        self.device.sent.len()
    }

    pub(crate) fn version(&self) -> u8 {
        self.device.version
    }

    pub(crate) fn publish(&mut self, message: Outgoing) {
        let device = &mut *self.device;
        loop {
            device.last_id = device.last_id % u16::MAX + 1;
            if device.sent.iter().all(|sent| sent.id != device.last_id) {
                break;
            }
        }
        let sent = Sent { id: device.last_id, message, is_released: false };
        self.link.send(&sent.encode(self.device.version, 0));
        self.device.sent.push_back(sent);
    }

    fn send_again(&mut self) {
        const DUP: u8 = 8;
        if !self.device.is_persistent {
            let sent = mem::take(&mut self.device.sent);
            sent.into_iter().for_each(|sent| self.publish(sent.message));
            return;
        }
        for sent in &self.device.sent {
            self.link.send(&match sent.is_released {
                false => sent.encode(self.device.version, DUP),
                true => acknowledge(PUBREL, sent.id),
            });
        }
    }

    /// Subscribes, before anything else can come.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(&subscribe(self.version(), 1, filter, qos));
        match self.next() {
            Some(Event::Answer(frame)) => assert_eq!(frame.body.last(), Some(&qos), "{frame:?}"),
            event => panic!("{event:?} instead of a SUBACK"),
        }
    }

    /// Publishes, and waits until nothing is in flight.
    pub(crate) fn publish_all(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        for message in messages {
            self.publish(message);
            while self.in_flight() > 0 {
                self.next().expect("the broker stays");
            }
        }
    }

    /// All messages that have come by now.
    pub(crate) fn until_quiet(&mut self) -> Vec<Received> {
        let (mut all, mut quiet) = (Vec::new(), 0);
        // What comes after one answer was on its way before the next.
        while quiet < 2 {
            self.send(&packet(PINGREQ, &[]));
            quiet += 1;
            loop {
                match self.next().expect("the broker stays") {
                    Event::Answer(frame) if frame.first == PINGRESP => break,
                    Event::Message(message) => all.push(message),
                    Event::Step | Event::Acknowledged => {}
                    event => panic!("{event:?}"),
                }
                quiet = 0;
            }
        }
        all
    }

    /// Sends what is answered by [`Event::Answer`].
    pub(crate) fn send(&mut self, packet: &[u8]) {
        self.link.send(packet);
    }

    /// What comes next; none when the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let frame = self.network.read(&mut self.link)?;
        Some(match frame.first & 0xF0 {
            PUBLISH => self.take(frame.publish(self.device.version)),
            0x60 => self.on_released(&frame),
            PUBACK | PUBREC | PUBCOMP => self.on_acknowledged(&frame),
            _ => Event::Answer(frame),
        })
    }

    fn take(&mut self, message: Received) -> Event {
        let Some(id) = message.id else { return Event::Message(message) };
        if message.qos == 1 {
            self.say(PUBACK, id);
            return Event::Message(message);
        }
        let is_new = self.device.received.insert(id);
        assert!(is_new || message.dup, "{id} means something else: {message:?}");
        self.say(PUBREC, id);
        if is_new { Event::Message(message) } else { Event::Step }
    }

    fn on_released(&mut self, frame: &Frame) -> Event {
        let (id, _) = frame.acknowledged();
        self.device.received.remove(&id);
        self.say(PUBCOMP, id);
        Event::Step
    }

    fn on_acknowledged(&mut self, frame: &Frame) -> Event {
        /// What was released before the broker died and is not known any more.
        const PACKET_ID_NOT_FOUND: u8 = 0x92;
        let (id, reason) = frame.acknowledged();
        let is_good = reason < 0x80 || frame.first == PUBCOMP && reason == PACKET_ID_NOT_FOUND;
        assert!(is_good, "{}: {frame:?}", self.device.id);
        let place = self.device.sent.iter().position(|sent| sent.id == id);
        let place = place.unwrap_or_else(|| panic!("{} never sent {id}", self.device.id));
        if frame.first == PUBREC {
            self.device.sent[place].is_released = true;
            self.say(PUBREL, id);
            return Event::Step;
        }
        self.device.sent.remove(place);
        Event::Acknowledged
    }

    fn say(&mut self, first: u8, id: u16) {
        if !self.is_mute {
            self.link.send(&acknowledge(first, id));
        }
    }

    /// Ends the connection in order; whether the broker has seen that for certain. What it said before is
    /// lost on the way.
    pub(crate) fn leave(mut self) -> bool {
        self.link.send(&packet(DISCONNECT, &[]));
        while self.network.read(&mut self.link).is_some() {}
        !self.network.is_over()
    }

    /// Ends it without a word.
    pub(crate) fn break_off(self) {
        self.link.break_off();
    }
}

impl Outgoing {
    pub(crate) fn new(topic: &str, qos: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.to_owned(), payload: payload.into(), qos }
    }
}

impl Sent {
    fn encode(&self, version: u8, flags: u8) -> Vec<u8> {
        let Outgoing { topic, payload, qos } = &self.message;
        publish_with(version, PUBLISH | qos << 1 | flags, topic, Some(self.id), &[], payload)
    }
}
