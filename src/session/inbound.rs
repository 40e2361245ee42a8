//! Messages from the client: topic aliases, receive maximum, QoS 2 once, acknowledgements in order.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Action, Closed, Identified, Output, Settings};
use crate::codec::{Ack, Delivery, Packet, PacketId, Publish, ReasonCode, Version};
use crate::message::{Message, QoS, SessionKey};
use crate::topic::{TopicName, TopicNameRef};

/// QoS 2 packet identifiers that were received and not yet released. They outlive the connection
/// `[MQTT-4.3.3-10]`.
#[derive(Clone, Debug, Default)]
pub struct Received(HashSet<PacketId, foldhash::fast::RandomState>);

impl Received {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        self.0.iter().copied()
    }
}

impl FromIterator<PacketId> for Received {
    fn from_iter<T: IntoIterator<Item = PacketId>>(packet_ids: T) -> Self {
        Self(packet_ids.into_iter().collect())
    }
}

/// What one connection sends to the broker.
#[derive(Debug)]
pub(super) struct Inbound {
    version: Version,
    publisher: SessionKey,
    /// Whether the session outlives the process.
    is_durable: bool,
    receive_maximum: usize,
    max_topic_levels: usize,
    alias_maximum: usize,
    aliases: Vec<Option<TopicName>>,
    recent: RecentTopics,
    unanswered: VecDeque<Unanswered>,
    /// QoS 1 and 2 messages of this connection that its client still waits to be done with: what the
    /// receive maximum bounds.
    in_flight: usize,
    pub(super) received: Received,
    /// Those of `received` that this connection has not sent. The client's quota began anew with it
    /// (5.0 section 4.9), so they do not count.
    earlier: Received,
}

/// The topics that this connection published to last, so that a repeated one is not allocated anew.
/// A few slots, found by hash; allocated with the first message.
#[derive(Debug, Default)]
struct RecentTopics {
    slots: Vec<Option<TopicName>>,
    hasher: foldhash::fast::FixedState,
}

impl RecentTopics {
    const SLOTS: usize = 16;

    fn slot(&self, topic: TopicNameRef<'_>) -> usize {
        // Masked to the slots, so that the narrowing loses nothing that matters.
        self.hasher.hash_one(topic.as_str()) as usize % Self::SLOTS
    }

    fn find(&self, topic: TopicNameRef<'_>) -> Option<TopicName> {
        let kept = self.slots.get(self.slot(topic))?.as_ref()?;
        (kept.borrowed() == topic).then(|| kept.clone())
    }

    fn keep(&mut self, topic: TopicNameRef<'_>) -> TopicName {
        self.slots.resize(Self::SLOTS, None);
        let topic = topic.to_owned();
        let slot = self.slot(topic.borrowed());
        self.slots[slot] = Some(topic.clone());
        topic
    }
}

/// A PUBLISH of QoS 1 or 2 that waits for its outcome. Acknowledgements leave in order of receipt
/// `[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    packet_id: PacketId,
    qos: QoS,
    /// What to acknowledge it with, or why there is no saying it.
    outcome: Option<Result<ReasonCode, Closed>>,
}

impl Inbound {
    pub(super) fn new(
        version: Version,
        identified: &Identified,
        settings: &Settings,
        received: Received,
    ) -> Self {
        Self {
            version,
            publisher: identified.key,
            is_durable: identified.is_durable,
            receive_maximum: match version {
                Version::V5 => settings.receive_maximum.get().into(),
                // 3.x clients cannot be told, so only the packet identifiers are a bound.
                Version::V31 | Version::V311 => u16::MAX.into(),
            },
            max_topic_levels: settings.max_topic_levels.get().into(),
            alias_maximum: settings.topic_alias_maximum.into(),
            aliases: Vec::new(),
            recent: RecentTopics::default(),
            unanswered: VecDeque::new(),
            in_flight: 0,
            earlier: received.clone(),
            received,
        }
    }

    pub(super) fn on_publish(
        &mut self,
        packet: Publish<'_>,
        now: Instant,
        output: &mut Output,
    ) -> Result<(), Closed> {
        if !packet.subscription_ids.is_empty() {
            return Err(violation(ReasonCode::ProtocolError, "a client sent a subscription id"));
        }
        let topic = self.resolve_topic(&packet)?;
        match packet.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(packet_id) => self.expect(packet_id, QoS::AtLeastOnce)?,
            Delivery::ExactlyOnce(packet_id) => {
                if self.received.0.contains(&packet_id) {
                    return self.on_duplicate(packet_id, output);
                }
                self.expect(packet_id, QoS::ExactlyOnce)?;
                self.received.0.insert(packet_id);
            }
        }
        let packet_id = packet.delivery.packet_id();
        let message = self.message(packet, topic, now);
        output.actions.push(Action::Publish { message: Arc::new(message), packet_id });
        Ok(())
    }

    fn message(&self, packet: Publish<'_>, topic: TopicName, now: Instant) -> Message {
        let lifetime = packet.message_expiry_interval.map(u64::from).map(Duration::from_secs);
        Message {
            topic,
            payload: Bytes::copy_from_slice(packet.payload),
            properties: match packet.properties {
                Cow::Borrowed([]) => Bytes::new(),
                Cow::Borrowed(properties) => Bytes::copy_from_slice(properties),
                Cow::Owned(properties) => properties.into(),
            },
            qos: packet.delivery.qos(),
            retain: packet.retain,
            expiry: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            arrived: Some(now),
            publisher: Some(self.publisher),
            trace: None,
        }
    }

    fn resolve_topic(&mut self, packet: &Publish<'_>) -> Result<TopicName, Closed> {
        let topic = packet.topic.map(|topic| self.admit(topic)).transpose()?;
        let Some(alias) = packet.topic_alias else {
            return topic.ok_or(violation(ReasonCode::ProtocolError, "no topic and no alias"));
        };
        let alias = usize::from(alias.get());
        if alias > self.alias_maximum {
            let what = "a topic alias above the topic alias maximum";
            return Err(violation(ReasonCode::TopicAliasInvalid, what));
        }
        match topic {
            Some(topic) => Ok(self.define_alias(alias, topic)),
            None => self
                .aliases
                .get(alias - 1)
                .and_then(Clone::clone)
                .ok_or(violation(ReasonCode::ProtocolError, "an unknown topic alias")),
        }
    }

    fn define_alias(&mut self, alias: usize, topic: TopicName) -> TopicName {
        if self.aliases.len() < alias {
            self.aliases.resize(alias, None);
        }
        self.aliases[alias - 1] = Some(topic.clone());
        topic
    }

    fn admit(&mut self, topic: TopicNameRef<'_>) -> Result<TopicName, Closed> {
        if let Some(topic) = self.recent.find(topic) {
            return Ok(topic);
        }
        if topic.levels().take(self.max_topic_levels + 1).count() > self.max_topic_levels {
            return Err(violation(ReasonCode::TopicNameInvalid, "a topic of too many levels"));
        }
        Ok(self.recent.keep(topic))
    }

    /// Makes room for one more acknowledgement.
    fn expect(&mut self, packet_id: PacketId, qos: QoS) -> Result<(), Closed> {
        self.count()?;
        self.unanswered.push_back(Unanswered { packet_id, qos, outcome: None });
        Ok(())
    }

    /// Counts one more message in flight `[MQTT-3.3.4-7]`.
    fn count(&mut self) -> Result<(), Closed> {
        if self.in_flight >= self.receive_maximum {
            return Err(violation(
                ReasonCode::ReceiveMaximumExceeded,
                "more messages in flight than the receive maximum",
            ));
        }
        self.in_flight += 1;
        Ok(())
    }

    /// The message is known: it is acknowledged again, not published again `[MQTT-4.3.3-10]`.
    fn on_duplicate(&mut self, packet_id: PacketId, output: &mut Output) -> Result<(), Closed> {
        if self.earlier.0.contains(&packet_id) {
            self.count()?;
            self.earlier.0.remove(&packet_id);
        }
        if !self.is_unanswered(packet_id) {
            let ack = Ack::new(packet_id, ReasonCode::Success);
            output.send(&Packet::PubRec(ack), self.version);
        }
        Ok(())
    }

    /// Whether a QoS 2 message waits for its PUBREC.
    fn is_unanswered(&self, packet_id: PacketId) -> bool {
        self.unanswered
            .iter()
            .any(|waiting| waiting.qos == QoS::ExactlyOnce && waiting.packet_id == packet_id)
    }

    pub(super) fn on_published(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
        output: &mut Output,
    ) -> Result<(), Closed> {
        self.settle(packet_id, reason);
        while let Some(&Unanswered { packet_id, qos, outcome: Some(outcome) }) =
            self.unanswered.front()
        {
            self.unanswered.pop_front();
            let reason = outcome?;
            let stays = qos == QoS::ExactlyOnce && !reason.is_error();
            self.in_flight -= usize::from(!stays);
            let ack = Ack::new(packet_id, reason);
            let packet = match qos {
                QoS::ExactlyOnce => Packet::PubRec(ack),
                QoS::AtMostOnce | QoS::AtLeastOnce => Packet::PubAck(ack),
            };
            output.send(&packet, self.version);
        }
        Ok(())
    }

    /// Notes what became of a message. One of QoS 2 that was not taken is forgotten at once, whether
    /// its acknowledgement leaves or not: sent again, it is new `[MQTT-4.3.3-9]`.
    fn settle(&mut self, packet_id: PacketId, reason: ReasonCode) {
        let outcome = self.sayable(reason);
        let asked = self
            .unanswered
            .iter_mut()
            .find(|waiting| waiting.packet_id == packet_id && waiting.outcome.is_none());
        let Some(waiting) = asked else { return };
        waiting.outcome = Some(outcome);
        let is_taken = outcome.is_ok_and(|reason| !reason.is_error());
        if waiting.qos == QoS::ExactlyOnce && !is_taken {
            self.received.0.remove(&packet_id);
        }
    }

    /// 3.x has no negative acknowledgement: what is not allowed is acknowledged and goes nowhere
    /// (3.1.1 `[MQTT-3.3.5-2]`), and so is what would be refused ever again for what it is; what failed
    /// otherwise must not look as if it had been taken, so the connection ends.
    fn sayable(&self, reason: ReasonCode) -> Result<ReasonCode, Closed> {
        match self.version {
            Version::V5 => Ok(reason),
            _ if !reason.is_error() => Ok(ReasonCode::Success),
            _ if is_final(reason) => Ok(ReasonCode::Success),
            _ => Err(Closed::ByBroker(reason)),
        }
    }

    /// PUBREL. What was never received, or is released already, is answered as well: the client may
    /// not have heard PUBCOMP.
    pub(super) fn on_release(
        &mut self,
        packet_id: PacketId,
        output: &mut Output,
    ) -> Result<(), Closed> {
        if self.is_unanswered(packet_id) {
            return Err(violation(ReasonCode::ProtocolError, "PUBREL before PUBREC"));
        }
        let is_known = self.received.0.remove(&packet_id);
        let is_earlier = self.earlier.0.remove(&packet_id);
        self.in_flight -= usize::from(is_known && !is_earlier);
        if is_known && self.is_durable {
            output.actions.push(Action::Released(packet_id));
        }
        let reason = match is_known {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        output.send(&Packet::PubComp(Ack::new(packet_id, reason)), self.version);
        Ok(())
    }
}

/// Whether the same message would be refused for the same reason whenever it came.
fn is_final(reason: ReasonCode) -> bool {
    matches!(reason, ReasonCode::NotAuthorized | ReasonCode::PayloadFormatInvalid)
}

fn violation(reason: ReasonCode, what: &'static str) -> Closed {
    Closed::Violation { reason, what }
}
