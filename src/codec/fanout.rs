//! PUBLISH to subscribers: one message written for many, with what differs per recipient.

use std::num::NonZeroU16;
use std::time::Instant;

use super::frame::{append, size_with_header};
use super::primitive::Writer;
use super::publish::Outgoing;
use super::{Delivery, Version};
use crate::message::Message;

/// What differs between the recipients of one message.
#[derive(Clone, Copy, Debug)]
pub struct PublishHeader<'a> {
    /// Whether this is sent again.
    pub dup: bool,
    /// QoS and packet identifier.
    pub delivery: Delivery,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic alias to send; 5.0 only.
    pub alias: Option<NonZeroU16>,
    /// Whether the topic is left out because the recipient knows `alias`.
    pub topic_is_aliased: bool,
    /// Of the subscriptions it is delivered for.
    pub subscription_ids: &'a [u32],
    /// For the remaining message expiry interval.
    pub now: Instant,
}

impl PublishHeader<'_> {
    fn outgoing<'m>(&'m self, message: &'m Message) -> Outgoing<'m> {
        Outgoing {
            dup: self.dup,
            delivery: self.delivery,
            retain: self.retain,
            topic: if self.topic_is_aliased { "" } else { message.topic.as_str() },
            topic_alias: self.alias,
            message_expiry_interval: message.remaining_expiry(self.now),
            subscription_ids: self.subscription_ids,
            properties: &message.properties,
            payload: &message.payload,
        }
    }
}

/// The bytes of the packet that [`encode_publish`] would append.
#[must_use]
pub fn publish_size(version: Version, message: &Message, header: &PublishHeader<'_>) -> usize {
    size_with_header(Writer::count(|counter| header.outgoing(message).write(version, counter)))
}

/// Appends the PUBLISH packet of `message` to `out`; its properties come after those of the
/// delivery, as they are. Appends nothing where [`publish_size`] is above
/// [`MAXIMUM_PACKET_SIZE`](super::MAXIMUM_PACKET_SIZE).
pub fn encode_publish(
    version: Version,
    message: &Message,
    header: &PublishHeader<'_>,
    out: &mut Vec<u8>,
) {
    let publish = header.outgoing(message);
    append(out, publish.first(), |writer| publish.write(version, writer));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::{Packet, Property, Publish, next_frame};
    use crate::message::QoS;
    use crate::topic::TopicName;

    fn message(now: Instant) -> Message {
        let properties = [Property::User("n", "v"), Property::ContentType("t")];
        Message {
            topic: TopicName::parse("a/b").expect("a topic"),
            payload: b"payload".as_slice().into(),
            properties: Property::encode_all(properties).into(),
            qos: QoS::ExactlyOnce,
            retain: false,
            expiry: Some(now + Duration::from_secs(10)),
            arrived: None,
            publisher: None,
            trace: None,
        }
    }

    fn header(now: Instant) -> PublishHeader<'static> {
        PublishHeader {
            dup: true,
            delivery: Delivery::AtLeastOnce(NonZeroU16::MIN),
            retain: true,
            alias: NonZeroU16::new(3),
            topic_is_aliased: false,
            subscription_ids: &[1, 300],
            now: now + Duration::from_millis(3_500),
        }
    }

    fn encoded(version: Version, message: &Message, header: &PublishHeader<'_>) -> Vec<u8> {
        let mut out = b"before".to_vec();
        encode_publish(version, message, header, &mut out);
        assert_eq!(out.len() - 6, publish_size(version, message, header));
        out.split_off(6)
    }

    fn decoded(version: Version, bytes: &[u8]) -> Publish<'_> {
        let frame = next_frame(bytes, 1_000).expect("a packet").expect("all of it");
        match frame.decode(version) {
            Ok(Packet::Publish(publish)) => publish,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_5_0_subscriber_gets_expiry_alias_and_identifiers_before_the_publishers_properties() {
        let now = Instant::now();
        let message = message(now);
        let bytes = encoded(Version::V5, &message, &header(now));
        let properties = b"\x02\0\0\0\x07\x23\0\x03\x0b\x01\x0b\xac\x02";
        let expected = [&properties[..], &message.properties].concat();
        assert!(bytes.windows(expected.len()).any(|window| window == expected), "{bytes:x?}");
        let publish = decoded(Version::V5, &bytes);
        assert_eq!(publish.topic, Some(message.topic.borrowed()));
        assert_eq!(publish.message_expiry_interval, Some(7));
        assert_eq!(publish.properties, &message.properties[..]);
        assert_eq!((publish.dup, publish.retain, publish.payload), (true, true, &b"payload"[..]));
        assert_eq!(publish.delivery, Delivery::AtLeastOnce(NonZeroU16::MIN));
    }

    #[test]
    fn an_alias_that_is_known_stands_for_the_topic() {
        let now = Instant::now();
        let header = PublishHeader { topic_is_aliased: true, ..header(now) };
        let bytes = encoded(Version::V5, &message(now), &header);
        let publish = decoded(Version::V5, &bytes);
        assert_eq!((publish.topic, publish.topic_alias), (None, NonZeroU16::new(3)));
    }

    #[test]
    fn a_3_x_subscriber_gets_no_properties() {
        let now = Instant::now();
        for version in [Version::V31, Version::V311] {
            let bytes = encoded(version, &message(now), &header(now));
            assert_eq!(bytes, b"\x3b\x0e\0\x03a/b\0\x01payload");
        }
    }

    #[test]
    fn every_size_around_the_widths_of_lengths_is_exact() {
        let now = Instant::now();
        for size in (0..300).chain(16_300..16_400) {
            let message = Message { payload: vec![0; size].into(), ..message(now) };
            for version in [Version::V311, Version::V5] {
                let bytes = encoded(version, &message, &header(now));
                let frame = next_frame(&bytes, 20_000).expect("a packet").expect("all of it");
                assert_eq!(frame.size, bytes.len());
            }
        }
    }
}
