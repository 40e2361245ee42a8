//! A message as the store keeps it.
//!
//! ```text
//!  0  1  version of this layout: 1
//!  1  1  bits 0 and 1: QoS, bit 2: it expires, bit 3: a session has published it, bit 4: it was
//!        published as a retained message
//!  2  8  when it expires (ms since 1970), if it does
//!     8  the session, if there is one
//!     2  length of the topic, topic
//!     4  length of the properties, properties
//!        payload
//! ```
//! Numbers are big-endian.

use bytes::Bytes;

use crate::clock::Now;
use crate::message::{Message, QoS, SessionKey};
use crate::topic::TopicName;

const VERSION: u8 = 1;
const QOS: u8 = 0b11;
const EXPIRES: u8 = 1 << 2;
const OF_SESSION: u8 = 1 << 3;
const RETAIN: u8 = 1 << 4;

/// Appends `message` to `bytes`. `clocks` are both clocks at one moment: a deadline is kept as a time of
/// day.
pub(super) fn encode(message: &Message, clocks: Now, bytes: &mut Vec<u8>) {
    let topic = message.topic.as_str().as_bytes();
    let rest = topic.len() + message.properties.len() + message.payload.len();
    bytes.reserve(24 + rest);
    let expires = if message.expiry.is_some() { EXPIRES } else { 0 };
    let of_session = if message.publisher.is_some() { OF_SESSION } else { 0 };
    let retain = if message.retain { RETAIN } else { 0 };
    bytes.extend([VERSION, message.qos as u8 | expires | of_session | retain]);
    if let Some(expiry) = message.expiry {
        bytes.extend(clocks.unix_ms_of(expiry).to_be_bytes());
    }
    if let Some(SessionKey(publisher)) = message.publisher {
        bytes.extend(publisher.to_be_bytes());
    }
    // No topic is longer, and no packet.
    bytes.extend(u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(topic);
    bytes.extend(u32::try_from(message.properties.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(&message.properties);
    bytes.extend(&message.payload);
}

/// What [`encode`] has made of a message; nothing where it is something else.
pub(super) fn decode(bytes: &[u8], clocks: Now) -> Option<Message> {
    let (&[version, flags], rest) = bytes.split_first_chunk()?;
    if version != VERSION {
        return None;
    }
    let (expiry, rest) = match flags & EXPIRES {
        0 => (None, rest),
        _ => {
            let (unix, rest) = rest.split_first_chunk()?;
            // A deadline that no clock reaches is not in this file's reach: it was made here.
            let expiry = clocks.instant_of(u64::from_be_bytes(*unix)).unwrap_or(clocks.instant);
            (Some(expiry), rest)
        }
    };
    let (publisher, rest) = match flags & OF_SESSION {
        0 => (None, rest),
        _ => {
            let (key, rest) = rest.split_first_chunk()?;
            (Some(SessionKey(u64::from_be_bytes(*key))), rest)
        }
    };
    let (length, rest) = rest.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (properties, payload) = rest.split_at_checked(length)?;
    Some(Message {
        topic: TopicName::parse(std::str::from_utf8(topic).ok()?).ok()?,
        payload: Bytes::copy_from_slice(payload),
        properties: Bytes::copy_from_slice(properties),
        qos: QoS::from_bits(flags & QOS)?,
        retain: flags & RETAIN != 0,
        expiry,
        arrived: None,
        publisher,
        trace: None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(now: Now) -> Message {
        Message {
            topic: TopicName::parse("a/é").unwrap(),
            payload: Bytes::from_static(b"payload"),
            properties: Bytes::from_static(&[1, 1]),
            qos: QoS::ExactlyOnce,
            retain: true,
            expiry: Some(now.instant + Duration::from_secs(100)),
            arrived: None,
            publisher: Some(SessionKey(7)),
            trace: None,
        }
    }

    fn encoded(message: &Message, now: Now) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(message, now, &mut bytes);
        bytes
    }

    #[test]
    fn a_message_is_read_as_it_was_written_and_its_time_goes_on_meanwhile() {
        let now = Now::read();
        let message = message(now);
        let bytes = encoded(&message, now);
        let later = Now { instant: now.instant, unix: now.unix + Duration::from_secs(40) };
        let read = decode(&bytes, later).unwrap();
        assert_eq!(read.remaining_expiry(now.instant), Some(60));
        assert_eq!(
            (&read.topic, &read.payload, &read.properties, read.qos, read.retain, read.publisher),
            (
                &message.topic,
                &message.payload,
                &message.properties,
                message.qos,
                true,
                message.publisher
            )
        );
        let much_later = Now { instant: now.instant, unix: now.unix + Duration::from_secs(400) };
        assert!(decode(&bytes, much_later).unwrap().is_expired(now.instant));
        let plain = Message { expiry: None, publisher: None, ..message };
        let read = decode(&encoded(&plain, now), now).unwrap();
        assert_eq!((read.expiry, read.publisher, read.payload), (None, None, plain.payload));
    }

    #[test]
    fn no_changed_bit_and_no_missing_end_makes_it_panic() {
        let now = Now::read();
        let bytes = encoded(&message(now), now);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&changed, now);
        }
        for end in 0..bytes.len() - b"payload".len() {
            assert!(decode(&bytes[..end], now).is_none(), "{end}");
        }
    }
}
