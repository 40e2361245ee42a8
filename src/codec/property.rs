//! Properties (5.0 section 2.2.2): strict reading, typed writing.

use std::borrow::Cow;
use std::ops::Range;

use super::DecodeError;
use super::primitive::{Reader, Writer};
use super::property_id as id;
use crate::topic::TopicNameRef;

/// One property of an application message, as [`crate::message::Message::properties`] holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the standard")]
pub enum Property<'a> {
    PayloadFormatIndicator(u8),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    User(&'a str, &'a str),
}

impl<'a> Property<'a> {
    /// The properties that `bytes`, without a length before them, hold in their order. Ends at the
    /// first that is none; what the decoder has accepted has no such.
    pub fn iter(bytes: &'a [u8]) -> impl Iterator<Item = Self> + use<'a> {
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(move || {
            let id = reader.u8().ok()?;
            Self::read(id, &mut reader).ok()
        })
    }

    /// Encodes `properties` in their order, without a length before them. Strings and data longer
    /// than 65,535 bytes are cut there.
    #[must_use]
    pub fn encode_all<'p>(properties: impl IntoIterator<Item = Property<'p>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        properties.into_iter().for_each(|property| property.write(&mut writer));
        bytes
    }

    fn read(id: u8, value: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match id {
            id::PAYLOAD_FORMAT_INDICATOR => Self::PayloadFormatIndicator(value.flag()?.into()),
            id::CONTENT_TYPE => Self::ContentType(value.string()?),
            id::RESPONSE_TOPIC => Self::ResponseTopic(response_topic(value)?),
            id::CORRELATION_DATA => Self::CorrelationData(value.binary()?),
            id::USER_PROPERTY => Self::User(value.string()?, value.string()?),
            _ => return Err(NOT_ALLOWED),
        })
    }

    fn write(&self, out: &mut Writer<'_>) {
        match *self {
            Self::PayloadFormatIndicator(format) => {
                out.property_u8(id::PAYLOAD_FORMAT_INDICATOR, Some(format));
            }
            Self::ContentType(text) => out.property_string(id::CONTENT_TYPE, Some(text)),
            Self::ResponseTopic(text) => out.property_string(id::RESPONSE_TOPIC, Some(text)),
            Self::CorrelationData(data) => out.property_binary(id::CORRELATION_DATA, Some(data)),
            Self::User(name, value) => {
                out.u8(id::USER_PROPERTY);
                out.string(name);
                out.string(value);
            }
        }
    }
}

/// A topic name, so without wildcards `[MQTT-3.3.2-14]`.
fn response_topic<'a>(value: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let text = value.string()?;
    match TopicNameRef::parse(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(DecodeError::Protocol("a response topic is a topic name")),
    }
}

/// User properties: name and value pairs in their order, encoded, checked by the decoder and read
/// as they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserProperties<'a>(pub(super) Cow<'a, [u8]>);

impl UserProperties<'_> {
    /// Names and values, in their order. A name may come more than once.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        Property::iter(&self.0).filter_map(|property| match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'p> FromIterator<(&'p str, &'p str)> for UserProperties<'static> {
    fn from_iter<I: IntoIterator<Item = (&'p str, &'p str)>>(pairs: I) -> Self {
        let properties = pairs.into_iter().map(|(name, value)| Property::User(name, value));
        Self(Property::encode_all(properties).into())
    }
}

/// A property of another packet or of none (section 2.2.2.2).
pub(super) const NOT_ALLOWED: DecodeError =
    DecodeError::Malformed("a property that this packet does not have");

/// A property of which the packet has one at most.
pub(super) const GIVEN_TWICE: DecodeError = DecodeError::Protocol("a property is given twice");

/// The properties of one packet as they are read, one after the other.
pub(super) struct Properties<'a> {
    section: &'a [u8],
    /// Stands on the value of the property that [`Self::next_id`] has named.
    pub(super) value: Reader<'a>,
    start: usize,
    seen: u64,
    kept: Kept,
}

/// What is passed on of a section: borrowed as long as it is one run, else copied together.
enum Kept {
    Run(Range<usize>),
    Copy(Vec<u8>),
}

impl<'a> Properties<'a> {
    /// Takes a section, with the length before it, off the front of `packet`.
    pub(super) fn of(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let size = packet.varint()?;
        let section = packet.take(size as usize)?;
        let value = Reader::new(section);
        Ok(Self { section, value, start: 0, seen: 0, kept: Kept::Run(0..0) })
    }

    /// The identifier of the next property, unless it was the last. The caller reads the value.
    pub(super) fn next_id(&mut self) -> Result<Option<u8>, DecodeError> {
        if self.value.is_empty() {
            return Ok(None);
        }
        self.start = self.position();
        let id = self.value.u8()?;
        self.only_once(id)?;
        Ok(Some(id))
    }

    /// Only user properties repeat, and in a PUBLISH subscription identifiers.
    fn only_once(&mut self, id: u8) -> Result<(), DecodeError> {
        if matches!(id, id::USER_PROPERTY | id::SUBSCRIPTION_IDENTIFIER) {
            return Ok(());
        }
        // No identifier of 64 or above exists: the packet refuses it next.
        let bit = 1u64.checked_shl(id.into()).unwrap_or(0);
        if self.seen & bit != 0 {
            return Err(GIVEN_TWICE);
        }
        self.seen |= bit;
        Ok(())
    }

    fn position(&self) -> usize {
        self.section.len() - self.value.left()
    }

    /// Reads and keeps a user property; no other is left to be read.
    pub(super) fn keep_user(&mut self, id: u8) -> Result<(), DecodeError> {
        if id != id::USER_PROPERTY {
            return Err(NOT_ALLOWED);
        }
        self.keep_forwarded(id)
    }

    /// Reads and keeps a property that travels with a message; no other is left to be read.
    pub(super) fn keep_forwarded(&mut self, id: u8) -> Result<(), DecodeError> {
        Property::read(id, &mut self.value)?;
        self.keep(self.start..self.position());
        Ok(())
    }

    fn keep(&mut self, property: Range<usize>) {
        match &mut self.kept {
            Kept::Run(run) if run.start == run.end => *run = property,
            Kept::Run(run) if run.end == property.start => run.end = property.end,
            Kept::Run(run) => {
                let parts = [&self.section[run.clone()], &self.section[property]];
                self.kept = Kept::Copy(parts.concat());
            }
            Kept::Copy(copy) => copy.extend_from_slice(&self.section[property]),
        }
    }

    /// What was kept, in its order.
    pub(super) fn kept(self) -> Cow<'a, [u8]> {
        match self.kept {
            Kept::Run(run) => Cow::Borrowed(&self.section[run]),
            Kept::Copy(copy) => Cow::Owned(copy),
        }
    }

    /// The user properties, where [`Self::keep_user`] has kept them.
    pub(super) fn user_properties(self) -> UserProperties<'a> {
        UserProperties(self.kept())
    }
}

impl Writer<'_> {
    pub(super) fn property_u8(&mut self, id: u8, value: Option<u8>) {
        if let Some(value) = value {
            self.put(&[id, value]);
        }
    }

    pub(super) fn property_flag(&mut self, id: u8, value: Option<bool>) {
        self.property_u8(id, value.map(u8::from));
    }

    pub(super) fn property_u16(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(id);
            self.u16(value);
        }
    }

    pub(super) fn property_u32(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(id);
            self.u32(value);
        }
    }

    pub(super) fn property_string(&mut self, id: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.u8(id);
            self.string(value);
        }
    }

    pub(super) fn property_binary(&mut self, id: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.u8(id);
            self.binary(value);
        }
    }

    pub(super) fn user_properties(&mut self, properties: &UserProperties<'_>) {
        self.put(&properties.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Property<'_>; 6] = [
        Property::User("a", "1"),
        Property::PayloadFormatIndicator(1),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("answers/here"),
        Property::CorrelationData(&[0, 255]),
        Property::User("a", ""),
    ];

    #[test]
    fn properties_are_read_as_they_were_written_and_in_their_order() {
        let bytes = Property::encode_all(ALL);
        assert_eq!(Property::iter(&bytes).collect::<Vec<_>>(), ALL);
    }

    #[test]
    fn reading_damaged_properties_ends_at_the_damage() {
        let bytes = Property::encode_all(ALL);
        for end in 0..bytes.len() {
            assert!(Property::iter(&bytes[..end]).count() < ALL.len());
        }
        assert_eq!(Property::iter(&[0x26, 0xFF, 0xFF, 0]).count(), 0);
    }

    #[test]
    fn user_properties_repeat_and_keep_their_order() {
        let pairs = [("b", "2"), ("a", "1"), ("b", "2")];
        let properties = pairs.into_iter().collect::<UserProperties<'_>>();
        assert_eq!(properties.iter().collect::<Vec<_>>(), pairs);
        assert!(!properties.is_empty() && UserProperties::default().is_empty());
    }

    #[test]
    fn kept_properties_are_borrowed_unless_another_stands_between_them() {
        let user = Property::encode_all([Property::User("n", "v")]);
        let alias = [id::TOPIC_ALIAS, 0, 1];
        for (parts, borrowed) in [
            ([&user[..], &user, &alias], true),
            ([&alias[..], &user, &user], true),
            ([&user[..], &alias, &user], false),
        ] {
            let section = parts.concat();
            let packet = [&[section.len() as u8][..], &section].concat();
            let mut properties = Properties::of(&mut Reader::new(&packet)).expect("a section");
            while let Some(id) = properties.next_id().expect("an identifier") {
                match id {
                    id::TOPIC_ALIAS => assert_eq!(properties.value.u16(), Ok(1)),
                    _ => properties.keep_forwarded(id).expect("a property"),
                }
            }
            let kept = properties.kept();
            assert_eq!(*kept, [&user[..], &user].concat());
            assert_eq!(matches!(kept, Cow::Borrowed(_)), borrowed);
        }
    }
}
