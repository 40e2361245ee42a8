//! One application message, shared by all of its recipients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::topic::TopicName;
use crate::trace_context::MessageTrace;

/// Quality of service (MQTT 5.0 section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// At most once: no acknowledgement.
    #[default]
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of the two bits `bits`; 3 is none.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// As the number that the standard gives it.
impl Serialize for QoS {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for QoS {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::from_bits(number).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Unsigned(number.into()), &"0, 1 or 2")
        })
    }
}

/// Identifies one session for the life of the process: a client that starts clean gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

/// A message on its way through the broker. Immutable: what differs per recipient is in its delivery.
#[derive(Clone, Debug)]
pub struct Message {
    /// The topic, after any alias is resolved.
    pub topic: TopicName,
    /// The application's bytes.
    pub payload: Bytes,
    /// The MQTT 5 properties that travel with a message (payload format indicator, content type,
    /// response topic, correlation data, user properties), encoded, in the order they came in
    /// `[MQTT-3.3.2-18]`. Empty for a 3.x publisher.
    pub properties: Bytes,
    /// The QoS it was published with.
    pub qos: QoS,
    /// Whether it was published as a retained message.
    pub retain: bool,
    /// When it ceases to be of use.
    pub expiry: Option<Instant>,
    /// When its packet came, where a client has published it in the life of this process: how long it is
    /// under way is counted from then.
    pub arrived: Option<Instant>,
    /// The session that published it, for the No Local option; the broker's own have none.
    pub publisher: Option<SessionKey>,
    /// The span that its deliveries are children of; most messages are not traced.
    pub trace: Option<Arc<MessageTrace>>,
}

/// What the store has of a message for those of its recipients whose sessions outlive the process. Each of
/// them gives its part back by itself when it is done with the message, never by being dropped: a process
/// that ends forgets nothing.
#[derive(Debug)]
pub struct Kept {
    number: u64,
    /// Recipients that are not done with it, where they share one record of it.
    sharers: Option<AtomicU32>,
}

impl Kept {
    /// For one recipient alone.
    #[must_use]
    pub fn alone(number: u64) -> Self {
        Self { number, sharers: None }
    }

    /// For this many recipients.
    #[must_use]
    pub fn shared(number: u64, recipients: u32) -> Self {
        Self { number, sharers: Some(AtomicU32::new(recipients)) }
    }

    /// Higher than that of each message before it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether recipients share one record of it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.sharers.is_some()
    }

    /// One more recipient shares it.
    pub fn share(&self) {
        if let Some(sharers) = &self.sharers {
            sharers.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether any of those who share it is not done with it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.sharers.as_ref().is_some_and(|left| left.load(Ordering::Acquire) > 0)
    }

    /// A recipient is done with it: whether that was the last of those who share it.
    #[must_use]
    pub fn give_back(&self) -> bool {
        self.sharers.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::AcqRel) == 1)
    }
}

impl Message {
    /// Whether its message expiry interval has passed `[MQTT-3.3.2-5]`.
    #[must_use]
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }

    /// The message expiry interval to forward, in seconds: what was received less the time spent
    /// here `[MQTT-3.3.2-6]`, rounded up so that a live message never says 0.
    #[must_use]
    pub fn remaining_expiry(&self, now: Instant) -> Option<u32> {
        let left = self.expiry?.saturating_duration_since(now) + Duration::from_nanos(999_999_999);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }

    /// The same with an empty payload, which clears what is retained on its topic `[MQTT-3.3.1-6]`.
    #[must_use]
    pub fn without_payload(&self) -> Self {
        Self { payload: Bytes::new(), ..self.clone() }
    }

    /// What it is counted as in every byte budget: its content and a fixed share of bookkeeping.
    #[must_use]
    pub fn cost(&self) -> usize {
        const BOOKKEEPING: usize = 128;
        self.topic.as_str().len() + self.properties.len() + self.payload.len() + BOOKKEEPING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(expiry: Option<Instant>) -> Message {
        Message {
            topic: TopicName::parse("a").expect("a topic"),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            expiry,
            arrived: None,
            publisher: None,
            trace: None,
        }
    }

    #[test]
    fn a_message_says_how_many_seconds_it_has_left_and_never_0_while_it_lives() {
        let now = Instant::now();
        let message = message(Some(now + Duration::from_secs(10)));
        assert_eq!(message.remaining_expiry(now), Some(10));
        assert_eq!(message.remaining_expiry(now + Duration::from_millis(9_999)), Some(1));
        assert!(!message.is_expired(now + Duration::from_millis(9_999)));
        assert!(message.is_expired(now + Duration::from_secs(10)));
    }

    #[test]
    fn a_message_without_expiry_lives_for_ever() {
        let now = Instant::now();
        assert!(!message(None).is_expired(now + Duration::from_secs(1 << 30)));
        assert_eq!(message(None).remaining_expiry(now), None);
    }
}
