//! The will in a CONNECT (5.0 section 3.1.3.2 to 3.1.3.4).

use std::borrow::Cow;

use super::primitive::{Reader, Writer};
use super::property::Properties;
use super::property_id as id;
use super::{DecodeError, Version};
use crate::message::QoS;
use crate::topic::TopicNameRef;

/// The Connect Flag that announces a will.
pub(super) const ANNOUNCED: u8 = 0x04;
/// The Connect Flags of its QoS.
pub(super) const QOS: u8 = 0x18;
const QOS_SHIFT: u32 = 3;
/// The Connect Flag that retains it.
pub(super) const RETAIN: u8 = 0x20;

/// The message to publish when the connection ends without a normal DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to.
    pub topic: TopicNameRef<'a>,
    /// What.
    pub payload: &'a [u8],
    /// With which QoS.
    pub qos: QoS,
    /// Whether as a retained message.
    pub retain: bool,
    /// Seconds to wait; absent is 0.
    pub delay_interval: Option<u32>,
    /// Seconds that the message lives once published.
    pub message_expiry_interval: Option<u32>,
    /// The properties that travel with the message, encoded, in their order.
    pub properties: Cow<'a, [u8]>,
}

impl<'a> Will<'a> {
    pub(super) fn decode(
        version: Version,
        flags: u8,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let (delay_interval, message_expiry_interval, properties) = match version {
            Version::V5 => decode_will_properties(packet)?,
            _ => Default::default(),
        };
        Ok(Self {
            topic: TopicNameRef::parse(packet.string()?).map_err(DecodeError::TopicName)?,
            payload: packet.binary()?,
            qos: QoS::from_bits(flags >> QOS_SHIFT & 0b11).ok_or(DecodeError::QoS)?,
            retain: flags & RETAIN != 0,
            delay_interval,
            message_expiry_interval,
            properties,
        })
    }

    /// Its share of the Connect Flags.
    pub(super) fn flags(&self) -> u8 {
        let retain = if self.retain { RETAIN } else { 0 };
        ANNOUNCED | (self.qos as u8) << QOS_SHIFT | retain
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        if version == Version::V5 {
            out.properties(|section| {
                section.property_u32(id::WILL_DELAY_INTERVAL, self.delay_interval);
                section.property_u32(id::MESSAGE_EXPIRY_INTERVAL, self.message_expiry_interval);
                section.put(&self.properties);
            });
        }
        out.string(self.topic.as_str());
        out.binary(self.payload);
    }
}

/// Delay, expiry, and what travels with the message (5.0 section 3.1.3.2).
type WillProperties<'a> = (Option<u32>, Option<u32>, Cow<'a, [u8]>);

fn decode_will_properties<'a>(packet: &mut Reader<'a>) -> Result<WillProperties<'a>, DecodeError> {
    let (mut delay, mut expiry) = (None, None);
    let mut properties = Properties::of(packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            id::WILL_DELAY_INTERVAL => delay = Some(properties.value.u32()?),
            id::MESSAGE_EXPIRY_INTERVAL => expiry = Some(properties.value.u32()?),
            _ => properties.keep_forwarded(id)?,
        }
    }
    Ok((delay, expiry, properties.kept()))
}
