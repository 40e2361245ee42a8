//! A client that does all that the standard asks of it: the other side of the model.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU16;

use super::super::*;
use super::driver::{ack, id, publish};
use crate::codec::{Ack, Delivery, Publish};
use crate::message::QoS;
use crate::topic::TopicNameRef;

/// One message: how it is sent, and what tells it from all others.
pub(super) type Numbered = (QoS, u32);

/// The topic of a message: few, so that aliases are used again.
pub(super) fn topic(number: u32) -> &'static str {
    ["t/0", "t/1", "t/2"][number as usize % 3]
}

/// Its own bounds and all that it remembers, of this connection and of its session.
#[derive(Default)]
pub(super) struct Peer {
    /// Messages that it may still send on this connection.
    quota: usize,
    topic_alias_maximum: u16,
    aliases: HashMap<u16, String>,
    backlog: VecDeque<Numbered>,
    unacknowledged: VecDeque<Sent>,
    received: HashSet<PacketId>,
    /// All that reached its application.
    pub(super) heard: Vec<Numbered>,
    /// What it says next.
    pub(super) says: Vec<Packet<'static>>,
}

#[derive(Clone, Copy)]
struct Sent {
    packet_id: PacketId,
    message: Numbered,
    is_released: bool,
    /// Whether it holds quota on this connection.
    is_counted: bool,
}

impl Peer {
    /// It is let in: the session goes on, and what it waits for is sent again in its order.
    pub(super) fn connected(&mut self, quota: usize, topic_alias_maximum: u16) {
        self.quota = quota;
        self.topic_alias_maximum = topic_alias_maximum;
        self.aliases.clear();
        self.says.clear();
        for sent in &mut self.unacknowledged {
            sent.is_counted = !sent.is_released;
            self.quota -= usize::from(sent.is_counted);
            self.says.push(match sent.is_released {
                true => Packet::PubRel(Ack::new(sent.packet_id, ReasonCode::Success)),
                false => message(*sent, true),
            });
        }
        self.send_backlog();
    }

    pub(super) fn publish(&mut self, message: Numbered) {
        self.backlog.push_back(message);
        self.send_backlog();
    }

    /// Whether it waits for nothing.
    pub(super) fn is_done(&self) -> bool {
        self.backlog.is_empty() && self.unacknowledged.is_empty() && self.received.is_empty()
    }

    fn send_backlog(&mut self) {
        while let Some(&(qos, number)) = self.backlog.front() {
            if qos == QoS::AtMostOnce {
                let payload = &*number.to_be_bytes().to_vec().leak();
                let packet = publish(topic(number), Delivery::AtMostOnce);
                self.says.push(Packet::Publish(Publish { payload, ..packet }));
            } else if self.quota == 0 {
                return;
            } else {
                self.quota -= 1;
                let packet_id = self.free_packet_id();
                let message = (qos, number);
                let sent = Sent { packet_id, message, is_released: false, is_counted: true };
                self.unacknowledged.push_back(sent);
                self.says.push(self::message(sent, false));
            }
            self.backlog.pop_front();
        }
    }

    /// The lowest: so that each is soon used again.
    fn free_packet_id(&self) -> PacketId {
        let is_free = |packet_id: &PacketId| {
            self.unacknowledged.iter().all(|sent| sent.packet_id != *packet_id)
        };
        (1..).map(id).find(is_free).expect("few are in use")
    }

    pub(super) fn hear(&mut self, packet: Packet<'_>) {
        match packet {
            Packet::Publish(publish) => self.hear_publish(publish),
            Packet::PubRel(ack) => {
                let reason = match self.received.remove(&ack.packet_id) {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                self.says.push(Packet::PubComp(Ack::new(ack.packet_id, reason)));
            }
            Packet::PubAck(ack) => self.finish(ack.packet_id, QoS::AtLeastOnce),
            Packet::PubRec(ack) if ack.reason.is_error() => {
                self.finish(ack.packet_id, QoS::ExactlyOnce);
            }
            Packet::PubRec(ack) => {
                let sent = self.find(ack.packet_id).expect("a PUBREC of what was sent");
                self.unacknowledged[sent].is_released = true;
                self.says.push(Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::Success)));
            }
            Packet::PubComp(ack) => self.finish(ack.packet_id, QoS::ExactlyOnce),
            other => panic!("{other:?}"),
        }
        self.send_backlog();
    }

    fn hear_publish(&mut self, publish: Publish<'_>) {
        let number = self.number(&publish);
        let message = (publish.delivery.qos(), number);
        match publish.delivery {
            Delivery::AtMostOnce => self.heard.push(message),
            Delivery::AtLeastOnce(packet_id) => {
                self.heard.push(message);
                self.says.push(Packet::PubAck(ack(packet_id.get())));
            }
            Delivery::ExactlyOnce(packet_id) => {
                if self.received.insert(packet_id) {
                    self.heard.push(message);
                }
                self.says.push(Packet::PubRec(ack(packet_id.get())));
            }
        }
    }

    /// The number of the message, which came on its own topic.
    fn number(&mut self, publish: &Publish<'_>) -> u32 {
        let (number, _) = publish.payload.split_first_chunk().expect("a number");
        let number = u32::from_be_bytes(*number);
        let named = publish.topic.map(TopicNameRef::as_str);
        match publish.topic_alias.map(NonZeroU16::get) {
            Some(alias) => {
                assert!(alias <= self.topic_alias_maximum);
                if let Some(topic) = named {
                    self.aliases.insert(alias, topic.to_owned());
                }
                assert_eq!(self.aliases[&alias], topic(number));
            }
            None => assert_eq!(named, Some(topic(number))),
        }
        number
    }

    fn find(&self, packet_id: PacketId) -> Option<usize> {
        self.unacknowledged.iter().position(|sent| sent.packet_id == packet_id)
    }

    fn finish(&mut self, packet_id: PacketId, qos: QoS) {
        let at = self.find(packet_id).expect("an acknowledgement of what was sent");
        let sent = self.unacknowledged.remove(at).expect("it was found");
        assert_eq!(sent.message.0, qos);
        self.quota += usize::from(sent.is_counted);
    }
}

fn message(sent: Sent, dup: bool) -> Packet<'static> {
    let Sent { packet_id, message: (qos, number), .. } = sent;
    let delivery = match qos {
        QoS::ExactlyOnce => Delivery::ExactlyOnce(packet_id),
        _ => Delivery::AtLeastOnce(packet_id),
    };
    let payload = &*number.to_be_bytes().to_vec().leak();
    Packet::Publish(Publish { dup, payload, ..publish(topic(number), delivery) })
}
