//! PUBLISH (section 3.3 of both standards).

use std::borrow::Cow;
use std::num::{NonZeroU16, NonZeroU32};

use smallvec::SmallVec;

use super::primitive::{Reader, Writer};
use super::property::Properties;
use super::property_id as id;
use super::{DecodeError, Version};
use crate::message::QoS;
use crate::topic::TopicNameRef;

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// Identifies a packet among those in flight in one direction. Never 0 `[MQTT-2.2.1-3]`.
pub type PacketId = NonZeroU16;

/// The subscription identifiers of the subscriptions that a message is delivered for.
pub type SubscriptionIds = SmallVec<[u32; 2]>;

/// An application message on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether this is sent again.
    pub dup: bool,
    /// QoS, and the packet identifier that QoS 1 and 2 have.
    pub delivery: Delivery,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic; absent where a topic alias stands for it.
    pub topic: Option<TopicNameRef<'a>>,
    /// 5.0 only; never 0.
    pub topic_alias: Option<NonZeroU16>,
    /// Seconds; 5.0 only.
    pub message_expiry_interval: Option<u32>,
    /// 5.0, server to client only: in a client's packet the session refuses them
    /// `[MQTT-3.3.4-6]`.
    pub subscription_ids: SubscriptionIds,
    /// The properties that travel with the message, encoded, in their order. Owned only where a
    /// property of the packet stood among them.
    pub properties: Cow<'a, [u8]>,
    /// The application's bytes.
    pub payload: &'a [u8],
}

/// The QoS of a PUBLISH, with what only that QoS has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl<'a> Publish<'a> {
    pub(super) fn decode(
        first: u8,
        version: Version,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let topic = packet.string()?;
        let mut publish = Self {
            dup: first & DUP != 0,
            delivery: Delivery::decode(first >> 1 & 0b11, packet)?,
            retain: first & RETAIN != 0,
            topic: None,
            topic_alias: None,
            message_expiry_interval: None,
            subscription_ids: SubscriptionIds::new(),
            properties: Cow::Borrowed(&[]),
            payload: &[],
        };
        if version == Version::V5 {
            publish.decode_properties(packet)?;
        }
        publish.topic = publish.check_topic(topic, version)?;
        publish.payload = packet.rest();
        Ok(publish)
    }

    fn decode_properties(&mut self, packet: &mut Reader<'a>) -> Result<(), DecodeError> {
        let mut properties = Properties::of(packet)?;
        while let Some(id) = properties.next_id()? {
            let value = &mut properties.value;
            match id {
                id::MESSAGE_EXPIRY_INTERVAL => self.message_expiry_interval = Some(value.u32()?),
                id::TOPIC_ALIAS => {
                    let alias = NonZeroU16::new(value.u16()?).ok_or(DecodeError::TopicAlias)?;
                    self.topic_alias = Some(alias);
                }
                id::SUBSCRIPTION_IDENTIFIER => {
                    self.subscription_ids.push(subscription_id(value)?.get());
                }
                _ => properties.keep_forwarded(id)?,
            }
        }
        self.properties = properties.kept();
        Ok(())
    }

    /// Only an alias stands for a topic of no length `[MQTT-3.3.2-8]`.
    fn check_topic(
        &self,
        topic: &'a str,
        version: Version,
    ) -> Result<Option<TopicNameRef<'a>>, DecodeError> {
        if topic.is_empty() && version == Version::V5 {
            return match self.topic_alias {
                Some(_) => Ok(None),
                None => Err(DecodeError::Protocol("a PUBLISH has a topic or a topic alias")),
            };
        }
        TopicNameRef::parse(topic).map(Some).map_err(DecodeError::TopicName)
    }

    pub(super) fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            dup: self.dup,
            delivery: self.delivery,
            retain: self.retain,
            topic: self.topic.map_or("", TopicNameRef::as_str),
            topic_alias: self.topic_alias,
            message_expiry_interval: self.message_expiry_interval,
            subscription_ids: &self.subscription_ids,
            properties: &self.properties,
            payload: self.payload,
        }
    }
}

/// A Subscription Identifier is 1 to 268,435,455 (5.0 sections 3.3.2.3.8 and 3.8.2.1.2).
pub(super) fn subscription_id(value: &mut Reader<'_>) -> Result<NonZeroU32, DecodeError> {
    NonZeroU32::new(value.varint()?)
        .ok_or(DecodeError::Protocol("a subscription identifier is not 0"))
}

/// A PUBLISH about to be written, wherever its parts come from.
pub(super) struct Outgoing<'a> {
    pub(super) dup: bool,
    pub(super) delivery: Delivery,
    pub(super) retain: bool,
    pub(super) topic: &'a str,
    pub(super) topic_alias: Option<NonZeroU16>,
    pub(super) message_expiry_interval: Option<u32>,
    pub(super) subscription_ids: &'a [u32],
    pub(super) properties: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Outgoing<'_> {
    pub(super) fn first(&self) -> u8 {
        let dup = if self.dup { DUP } else { 0 };
        let retain = if self.retain { RETAIN } else { 0 };
        0x30 | dup | (self.delivery.qos() as u8) << 1 | retain
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.string(self.topic);
        if let Some(id) = self.delivery.packet_id() {
            out.u16(id.get());
        }
        if version == Version::V5 {
            out.properties(|section| self.write_properties(section));
        }
        out.put(self.payload);
    }

    fn write_properties(&self, out: &mut Writer<'_>) {
        out.property_u32(id::MESSAGE_EXPIRY_INTERVAL, self.message_expiry_interval);
        out.property_u16(id::TOPIC_ALIAS, self.topic_alias.map(NonZeroU16::get));
        for &subscription_id in self.subscription_ids {
            out.u8(id::SUBSCRIPTION_IDENTIFIER);
            out.varint(subscription_id as usize);
        }
        out.put(self.properties);
    }
}

impl Delivery {
    fn decode(qos: u8, packet: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match QoS::from_bits(qos).ok_or(DecodeError::QoS)? {
            QoS::AtMostOnce => Self::AtMostOnce,
            QoS::AtLeastOnce => Self::AtLeastOnce(packet.packet_id()?),
            QoS::ExactlyOnce => Self::ExactlyOnce(packet.packet_id()?),
        })
    }

    /// The QoS alone.
    #[must_use]
    pub fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier, where the QoS has one.
    #[must_use]
    pub fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}
