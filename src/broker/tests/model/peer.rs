//! A client that keeps to the standard, and answers when the test says so.

use std::collections::{HashMap, HashSet, VecDeque};

use super::step::Content;
use super::wire::{Heard, Wire};
use crate::codec::{Ack, Packet, PacketId, ReasonCode};
use crate::message::QoS;

/// Messages that the broker takes at once from a client; also those of 3.1.1 keep to it.
pub(super) const QUOTA: usize = 3;

/// The connection, if there is one, and the Session State of a client.
#[derive(Default)]
pub(super) struct Peer {
    pub(super) wire: Option<Wire>,
    /// Of this connection.
    pub(super) receive_maximum: usize,
    quota: usize,
    /// On the way to it, with the debt that each message pays.
    pub(super) arriving: VecDeque<(Heard, Option<usize>)>,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP that are still to be said: each kind in its order
    /// `[MQTT-4.6.0-2]`.
    answers: [VecDeque<PacketId>; 4],
    /// Messages sent on this connection and not acknowledged in full.
    pub(super) in_window: HashSet<PacketId>,
    /// The place in `carried` of what was sent again last on this connection.
    pub(super) last_again: Option<u64>,

    /// Its own messages that are not done, oldest first.
    pub(super) unacknowledged: VecDeque<Unacknowledged>,
    /// QoS 2 messages that were not released.
    received: HashSet<PacketId>,
    /// What the broker's packet identifiers stand for: the place in the order of sending, and the
    /// debt.
    pub(super) carried: HashMap<PacketId, (u64, usize)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Unacknowledged {
    pub(super) packet_id: PacketId,
    pub(super) number: u32,
    pub(super) content: Content,
    /// What the broker has to answer.
    pub(super) answer: ReasonCode,
    pub(super) is_released: bool,
    is_counted: bool,
}

impl Peer {
    pub(super) fn on_connected(&mut self, wire: Wire, receive_maximum: usize, is_resumed: bool) {
        if !is_resumed {
            *self = Self::default();
        }
        self.wire = Some(wire);
        self.receive_maximum = receive_maximum;
        self.quota = QUOTA;
        for sent in &mut self.unacknowledged {
            sent.is_counted = !sent.is_released;
            self.quota -= usize::from(sent.is_counted);
        }
    }

    /// What is on its way is lost, and what is not said is never said.
    pub(super) fn on_disconnected(&mut self) {
        self.wire = None;
        self.arriving.clear();
        self.answers = Default::default();
        self.in_window.clear();
        self.last_again = None;
    }

    /// Makes a packet identifier for one more message, if the broker takes one more now.
    pub(super) fn begin(&mut self, number: u32, content: Content) -> Option<PacketId> {
        self.quota = self.quota.checked_sub(1)?;
        let is_free = |it: &PacketId| self.unacknowledged.iter().all(|sent| sent.packet_id != *it);
        let packet_id = (1..).filter_map(PacketId::new).find(is_free)?;
        self.unacknowledged.push_back(Unacknowledged {
            packet_id,
            number,
            content,
            answer: ReasonCode::Success,
            is_released: false,
            is_counted: true,
        });
        Some(packet_id)
    }

    /// Reads one packet: the debt that it pays the application.
    pub(super) fn read(&mut self) -> Option<usize> {
        let (heard, debt) = self.arriving.pop_front()?;
        match heard {
            Heard::Message(message) => match (message.qos, message.packet_id) {
                (QoS::AtLeastOnce, Some(packet_id)) => self.answers[0].push_back(packet_id),
                (QoS::ExactlyOnce, Some(packet_id)) => {
                    self.answers[1].push_back(packet_id);
                    return debt.filter(|_| self.received.insert(packet_id));
                }
                _ => {}
            },
            Heard::PubRel(packet_id) => {
                self.received.remove(&packet_id);
                self.answers[3].push_back(packet_id);
            }
            Heard::PubRec(packet_id, reason) if !reason.is_error() => {
                let sent = self.check_answer(packet_id, QoS::ExactlyOnce, reason);
                self.unacknowledged[sent].is_released = true;
                self.answers[2].push_back(packet_id);
            }
            Heard::PubAck(packet_id, reason) => {
                let sent = self.check_answer(packet_id, QoS::AtLeastOnce, reason);
                self.finish(sent);
            }
            Heard::PubRec(packet_id, reason) => {
                let sent = self.check_answer(packet_id, QoS::ExactlyOnce, reason);
                self.finish(sent);
            }
            Heard::PubComp(packet_id) => {
                let sent = self.find(packet_id);
                assert!(self.unacknowledged[sent].is_released);
                self.finish(sent);
            }
            other => panic!("{other:?}"),
        }
        debt
    }

    fn check_answer(&self, packet_id: PacketId, qos: QoS, reason: ReasonCode) -> usize {
        let at = self.find(packet_id);
        let sent = &self.unacknowledged[at];
        assert_eq!((sent.content.qos, sent.answer), (qos, reason), "{sent:?}");
        at
    }

    fn find(&self, packet_id: PacketId) -> usize {
        let is_it = |sent: &Unacknowledged| sent.packet_id == packet_id;
        self.unacknowledged.iter().position(is_it).expect("an answer to what was sent")
    }

    fn finish(&mut self, sent: usize) {
        let sent = self.unacknowledged.remove(sent).expect("it was found");
        self.quota += usize::from(sent.is_counted);
    }

    /// The oldest answer of a kind, and the debt that it is the last word on.
    pub(super) fn answer(&mut self, kind: usize) -> Option<(Packet<'static>, Option<usize>)> {
        let packet_id = self.answers[kind].pop_front()?;
        let ack = Ack::new(packet_id, ReasonCode::Success);
        let packet = [Packet::PubAck, Packet::PubRec, Packet::PubRel, Packet::PubComp][kind](ack);
        let is_last = kind == 0 || kind == 3;
        if is_last {
            self.in_window.remove(&packet_id);
        }
        let done = if is_last { self.carried.remove(&packet_id) } else { None };
        Some((packet, done.map(|(_, debt)| debt)))
    }

    /// Whether it waits for nothing and owes nothing.
    pub(super) fn is_done(&self) -> bool {
        let has_answered = self.answers.iter().all(VecDeque::is_empty);
        has_answered && self.unacknowledged.is_empty() && self.received.is_empty()
    }
}
