//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 and 3.10 of both standards).

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::primitive::{Reader, Writer};
use super::property::{GIVEN_TWICE, Properties};
use super::property_id as id;
use super::publish::subscription_id;
use super::{DecodeError, PacketId, UserProperties, Version};
use crate::message::QoS;
use crate::topic::TopicFilterRef;

const NO_LOCAL: u8 = 0b0100;
const RETAIN_AS_PUBLISHED: u8 = 0b1000;
const RETAIN_HANDLING_SHIFT: u32 = 4;

/// Asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Of the SUBACK to come.
    pub packet_id: PacketId,
    /// 1 to 268,435,455; 5.0 only.
    pub subscription_id: Option<NonZeroU32>,
    /// 5.0 only.
    pub user_properties: UserProperties<'a>,
    /// One or more.
    pub filters: SubscribeFilters<'a>,
}

/// How a subscription is served (5.0 section 3.8.3.1); a 3.x SUBSCRIBE sets the QoS alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// The highest QoS to deliver with.
    pub maximum_qos: QoS,
    /// Not what the same session publishes.
    pub no_local: bool,
    /// Keep the RETAIN flag as published.
    pub retain_as_published: bool,
    /// Which retained messages to send at once.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a SUBSCRIBE asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match. What 3.x does.
    #[default]
    Send = 0,
    /// All that match, where the subscription is new.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// Ends subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Of the UNSUBACK to come.
    pub packet_id: PacketId,
    /// 5.0 only.
    pub user_properties: UserProperties<'a>,
    /// One or more.
    pub filters: UnsubscribeFilters<'a>,
}

/// The filters of a SUBSCRIBE, checked by the decoder and read as they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeFilters<'a> {
    bytes: Cow<'a, [u8]>,
}

/// The filters of an UNSUBSCRIBE, checked by the decoder and read as they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubscribeFilters<'a> {
    bytes: Cow<'a, [u8]>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(version: Version, packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = packet.packet_id()?;
        let (subscription_id, user_properties) = match version {
            Version::V5 => decode_properties(packet)?,
            _ => Default::default(),
        };
        let filters = SubscribeFilters::decode(version, packet)?;
        Ok(Self { packet_id, subscription_id, user_properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.u16(self.packet_id.get());
        if version == Version::V5 {
            out.properties(|section| {
                if let Some(subscription_id) = self.subscription_id {
                    section.u8(id::SUBSCRIPTION_IDENTIFIER);
                    section.varint(subscription_id.get() as usize);
                }
                section.user_properties(&self.user_properties);
            });
        }
        for (filter, options) in self.filters.iter() {
            out.string(filter.as_str());
            out.u8(options.byte(version));
        }
    }
}

type SubscribeProperties<'a> = (Option<NonZeroU32>, UserProperties<'a>);

fn decode_properties<'a>(packet: &mut Reader<'a>) -> Result<SubscribeProperties<'a>, DecodeError> {
    let mut subscription = None;
    let mut properties = Properties::of(packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            id::SUBSCRIPTION_IDENTIFIER if subscription.is_some() => return Err(GIVEN_TWICE),
            id::SUBSCRIPTION_IDENTIFIER => {
                subscription = Some(subscription_id(&mut properties.value)?);
            }
            _ => properties.keep_user(id)?,
        }
    }
    Ok((subscription, properties.user_properties()))
}

impl<'a> SubscribeFilters<'a> {
    fn decode(version: Version, packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = packet.rest();
        let mut reader = Reader::new(bytes);
        if reader.is_empty() {
            return Err(DecodeError::Protocol("a SUBSCRIBE has a topic filter or more"));
        }
        while !reader.is_empty() {
            let (filter, options) = read_subscription(version, &mut reader)?;
            if options.no_local && filter.share().is_some() {
                return Err(DecodeError::Protocol("a shared subscription is not No Local"));
            }
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// Filters and options, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = (TopicFilterRef<'_>, SubscriptionOptions)> {
        let mut reader = Reader::new(&self.bytes);
        // The options of 3.x are those of 5.0 with all but the QoS left 0.
        std::iter::from_fn(move || read_subscription(Version::V5, &mut reader).ok())
    }

    /// How many there are; counts them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none, which no packet that was decoded has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'f> FromIterator<(TopicFilterRef<'f>, SubscriptionOptions)> for SubscribeFilters<'static> {
    fn from_iter<I>(filters: I) -> Self
    where
        I: IntoIterator<Item = (TopicFilterRef<'f>, SubscriptionOptions)>,
    {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for (filter, options) in filters {
            writer.string(filter.as_str());
            writer.u8(options.byte(Version::V5));
        }
        Self { bytes: bytes.into() }
    }
}

fn read_subscription<'a>(
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<(TopicFilterRef<'a>, SubscriptionOptions), DecodeError> {
    let filter = read_filter(reader)?;
    Ok((filter, SubscriptionOptions::decode(version, reader.u8()?)?))
}

fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<TopicFilterRef<'a>, DecodeError> {
    TopicFilterRef::parse(reader.string()?).map_err(DecodeError::TopicFilter)
}

impl SubscriptionOptions {
    /// Reads the byte behind the filter of a SUBSCRIBE `[MQTT-3.8.3-5]`; in 3.x all but the QoS is reserved.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let reserved = if version == Version::V5 { 0b1100_0000 } else { 0b1111_1100 };
        if byte & reserved != 0 {
            return Err(DecodeError::Malformed("reserved bits of the subscription options"));
        }
        Ok(Self {
            maximum_qos: QoS::from_bits(byte & 0b11)
                .ok_or(DecodeError::Protocol("a subscription has QoS 0, 1 or 2"))?,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling: RetainHandling::decode(byte >> RETAIN_HANDLING_SHIFT & 0b11)?,
        })
    }

    /// Writes what [`decode`](Self::decode) reads.
    #[must_use]
    pub fn byte(self, version: Version) -> u8 {
        let qos = self.maximum_qos as u8;
        if version != Version::V5 {
            return qos;
        }
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        qos | no_local | as_published | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }
}

impl RetainHandling {
    fn decode(bits: u8) -> Result<Self, DecodeError> {
        match bits {
            0 => Ok(Self::Send),
            1 => Ok(Self::SendIfNew),
            2 => Ok(Self::DoNotSend),
            _ => Err(DecodeError::Protocol("retain handling is 0, 1 or 2")),
        }
    }
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(version: Version, packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = packet.packet_id()?;
        let user_properties = match version {
            Version::V5 => decode_user_properties(packet)?,
            _ => UserProperties::default(),
        };
        let filters = UnsubscribeFilters::decode(packet)?;
        Ok(Self { packet_id, user_properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.u16(self.packet_id.get());
        if version == Version::V5 {
            out.properties(|section| section.user_properties(&self.user_properties));
        }
        out.put(&self.filters.bytes);
    }
}

fn decode_user_properties<'a>(packet: &mut Reader<'a>) -> Result<UserProperties<'a>, DecodeError> {
    let mut properties = Properties::of(packet)?;
    while let Some(id) = properties.next_id()? {
        properties.keep_user(id)?;
    }
    Ok(properties.user_properties())
}

impl<'a> UnsubscribeFilters<'a> {
    fn decode(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = packet.rest();
        let mut reader = Reader::new(bytes);
        if reader.is_empty() {
            return Err(DecodeError::Protocol("an UNSUBSCRIBE has a topic filter or more"));
        }
        while !reader.is_empty() {
            read_filter(&mut reader)?;
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// Filters, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = TopicFilterRef<'_>> {
        let mut reader = Reader::new(&self.bytes);
        std::iter::from_fn(move || read_filter(&mut reader).ok())
    }

    /// How many there are; counts them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none, which no packet that was decoded has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'f> FromIterator<TopicFilterRef<'f>> for UnsubscribeFilters<'static> {
    fn from_iter<I: IntoIterator<Item = TopicFilterRef<'f>>>(filters: I) -> Self {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        filters.into_iter().for_each(|filter| writer.string(filter.as_str()));
        Self { bytes: bytes.into() }
    }
}
