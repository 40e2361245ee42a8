//! How the store keeps what waits for sessions, and how far it has got.
//!
//! ```text
//! QUEUED    session 8, message 8
//!  0  1  version of this layout: 1
//!  1  1  bits 0 and 1: QoS, bit 2: RETAIN, bit 3: the message follows, bit 4: it is of a share
//!  2  2  how many subscription identifiers
//!     4  each of them
//!     2  length of the share, share, if it is of one
//!        the message, if it follows; else it is in MESSAGE
//! MESSAGE   0 8, message 8
//!        the message
//! SENT      session 8, message 8
//!  0  1  version of this layout: 1
//!  1  1  0: the client may not have it, 1: it has it
//!  2  2  packet identifier
//!  4  8  its place among those that were sent
//! 12  8  its place among those that the client has, if it has it
//! RECEIVED  session 8, packet identifier 8
//! ```
//! Numbers are big-endian. `message_record` says what a message looks like.

use super::durable::Keeper;
use super::message_record;
use crate::clock::Now;
use crate::codec::{PacketId, SubscriptionIds};
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::session::{Outbound, SentAs, Stage};
use crate::store::{Batch, Key, ReadError, Table};
use crate::topic::TopicFilter;

const VERSION: u8 = 1;
const RETAIN: u8 = 1 << 2;
const HAS_MESSAGE: u8 = 1 << 3;
const OF_SHARE: u8 = 1 << 4;
const QOS: u8 = 0b11;

/// What a session is to have of a message. The message itself is elsewhere, where others have it as well.
#[derive(Debug)]
pub(super) struct QueuedRecord {
    pub(super) message: Option<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) subscription_ids: SubscriptionIds,
    pub(super) share: Option<TopicFilter>,
}

impl Keeper {
    /// Keeps a message for more than one session.
    pub(super) fn put_message(&self, batch: &mut Batch, number: u64, message: &Message) {
        batch.put_with(Table::MESSAGE, Key::of_numbers(0, number), |value| {
            message_record::encode(message, self.clocks(), value);
        });
    }

    /// The message that `kept` stands for, as it waits for `session`; nothing where it is not there. Waits
    /// for the disk.
    ///
    /// # Errors
    /// When it is damaged, or the system does not give it.
    pub(super) fn read_message(
        &self,
        session: SessionKey,
        kept: &Kept,
    ) -> Result<Option<Message>, ReadError> {
        let number = kept.number();
        if kept.is_shared() {
            let value = self.store().read(Table::MESSAGE, Key::of_numbers(0, number))?;
            return Ok(value.and_then(|value| message_record::decode(&value, self.clocks())));
        }
        let value = self.store().read(Table::QUEUED, Key::of_numbers(session.0, number))?;
        let record = value.and_then(|value| QueuedRecord::decode(&value, self.clocks()));
        Ok(record.and_then(|record| record.message))
    }

    /// Keeps a message for `session`: the message itself, unless it shares it with others.
    pub(super) fn put_queued(&self, batch: &mut Batch, session: SessionKey, outbound: &Outbound) {
        if let Some(kept) = &outbound.kept {
            batch.put_with(Table::QUEUED, Key::of_numbers(session.0, kept.number()), |value| {
                encode(outbound, kept, self.clocks(), value);
            });
        }
    }
}

fn encode(outbound: &Outbound, kept: &Kept, clocks: Now, value: &mut Vec<u8>) {
    let Outbound { message, qos, retain, subscription_ids, share, .. } = outbound;
    let has_message = !kept.is_shared();
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let flags =
        flag(*retain, RETAIN) | flag(has_message, HAS_MESSAGE) | flag(share.is_some(), OF_SHARE);
    value.extend([VERSION, *qos as u8 | flags]);
    let count = u16::try_from(subscription_ids.len()).unwrap_or(u16::MAX);
    value.extend(count.to_be_bytes());
    let ids = subscription_ids.iter().take(count.into());
    ids.for_each(|id| value.extend(id.to_be_bytes()));
    if let Some(share) = share {
        // No filter is longer.
        value.extend(u16::try_from(share.as_str().len()).unwrap_or(u16::MAX).to_be_bytes());
        value.extend(share.as_str().as_bytes());
    }
    if has_message {
        message_record::encode(message, clocks, value);
    }
}

/// As what a message was sent.
pub(super) fn put_sent(batch: &mut Batch, session: SessionKey, kept: &Kept, stage: &Stage) {
    if let Some(value) = sent_value(stage) {
        batch.put(Table::SENT, Key::of_numbers(session.0, kept.number()), &value);
    }
}

fn sent_value(stage: &Stage) -> Option<Vec<u8>> {
    let (sent_as, released) = match stage {
        Stage::Sent(sent_as) => (sent_as, None),
        Stage::Released { sent_as, order } => (sent_as, Some(order)),
        Stage::Done { .. } => return None,
    };
    let SentAs { packet_id, order } = sent_as;
    let mut value = vec![VERSION, u8::from(released.is_some())];
    value.extend(packet_id.get().to_be_bytes());
    value.extend(order.to_be_bytes());
    released.into_iter().for_each(|order| value.extend(order.to_be_bytes()));
    Some(value)
}

/// The session is done with a message; the message itself goes with the last one.
pub(super) fn delete(batch: &mut Batch, session: SessionKey, kept: &Kept, was_sent: bool) {
    let place = Key::of_numbers(session.0, kept.number());
    batch.delete(Table::QUEUED, place);
    if was_sent {
        batch.delete(Table::SENT, place);
    }
    if kept.give_back() {
        batch.delete(Table::MESSAGE, Key::of_numbers(0, kept.number()));
    }
}

/// The session has received a message of QoS 2 that is not released yet.
pub(super) fn put_received(batch: &mut Batch, session: SessionKey, packet_id: PacketId) {
    batch.put(Table::RECEIVED, Key::of_numbers(session.0, packet_id.get().into()), &[]);
}

/// It has been released.
pub(super) fn delete_received(batch: &mut Batch, session: SessionKey, packet_id: PacketId) {
    batch.delete(Table::RECEIVED, Key::of_numbers(session.0, packet_id.get().into()));
}

/// Nobody waits for a message any more that was shared.
pub(super) fn delete_message(batch: &mut Batch, number: u64) {
    batch.delete(Table::MESSAGE, Key::of_numbers(0, number));
}

impl QueuedRecord {
    /// Nothing where the layout is unknown.
    pub(super) fn decode(bytes: &[u8], clocks: Now) -> Option<Self> {
        let (&[version, flags], rest) = bytes.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        let (count, rest) = rest.split_first_chunk()?;
        let (ids, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes(*count)))?;
        let ids = ids.chunks_exact(4).filter_map(|id| id.first_chunk());
        let (share, rest) = match flags & OF_SHARE {
            0 => (None, rest),
            _ => {
                let (length, rest) = rest.split_first_chunk()?;
                let (share, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
                (Some(TopicFilter::parse(std::str::from_utf8(share).ok()?).ok()?), rest)
            }
        };
        let message = match flags & HAS_MESSAGE {
            0 => None,
            _ => Some(message_record::decode(rest, clocks)?),
        };
        Some(Self {
            message,
            qos: QoS::from_bits(flags & QOS).filter(|qos| *qos != QoS::AtMostOnce)?,
            retain: flags & RETAIN != 0,
            subscription_ids: ids.map(|id| u32::from_be_bytes(*id)).collect(),
            share,
        })
    }
}

/// As what a message was sent; and where the client has it, its place among those that it has.
pub(super) fn decode_sent(bytes: &[u8]) -> Option<(SentAs, Option<u64>)> {
    let (&[version, is_released, first, second], rest) = bytes.split_first_chunk()?;
    let (order, rest) = rest.split_first_chunk()?;
    let released = match is_released {
        0 => None,
        _ => Some(u64::from_be_bytes(*rest.first_chunk()?)),
    };
    let packet_id = PacketId::new(u16::from_be_bytes([first, second]))?;
    let sent_as = SentAs { packet_id, order: u64::from_be_bytes(*order) };
    (version == VERSION).then_some((sent_as, released))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::topic::TopicName;

    fn outbound(kept: Kept) -> Outbound {
        let message = Message {
            topic: TopicName::parse("a/b").unwrap(),
            payload: Bytes::from_static(b"payload"),
            properties: Bytes::from_static(&[1, 1]),
            qos: QoS::ExactlyOnce,
            retain: true,
            expiry: None,
            arrived: None,
            publisher: Some(SessionKey(7)),
            trace: None,
        };
        Outbound {
            message: Arc::new(message),
            qos: QoS::AtLeastOnce,
            retain: true,
            subscription_ids: [1, 268_435_455].into_iter().collect(),
            share: Some(TopicFilter::parse("$share/s/a/+").unwrap()),
            kept: Some(Arc::new(kept)),
            was_sent: false,
        }
    }

    fn value_of(outbound: &Outbound, now: Now) -> Vec<u8> {
        let mut value = Vec::new();
        encode(outbound, outbound.kept.as_ref().unwrap(), now, &mut value);
        value
    }

    #[test]
    fn what_waits_is_read_as_it_was_written_with_its_message_or_without() {
        let now = Now::read();
        for (kept, has_message) in [(Kept::alone(3), true), (Kept::shared(3, 2), false)] {
            let outbound = outbound(kept);
            let read = QueuedRecord::decode(&value_of(&outbound, now), now).unwrap();
            assert_eq!(read.message.is_some(), has_message);
            if let Some(message) = read.message {
                assert!(message.retain && message.payload == outbound.message.payload);
            }
            assert_eq!(
                (read.qos, read.retain, &read.subscription_ids, &read.share),
                (QoS::AtLeastOnce, true, &outbound.subscription_ids, &outbound.share)
            );
        }
    }

    #[test]
    fn no_changed_bit_and_no_missing_end_makes_it_panic() {
        let now = Now::read();
        for kept in [Kept::alone(3), Kept::shared(3, 2)] {
            let value = value_of(&outbound(kept), now);
            for bit in 0..value.len() * 8 {
                let mut changed = value.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let _ = QueuedRecord::decode(&changed, now);
            }
            for end in 0..value.len() {
                let _ = QueuedRecord::decode(&value[..end], now);
            }
        }
    }

    #[test]
    fn as_what_a_message_was_sent_is_read_as_it_was_written() {
        let sent_as = SentAs { packet_id: PacketId::new(0x1234).unwrap(), order: 70_000 };
        for stage in [Stage::Sent(sent_as), Stage::Released { sent_as, order: 9 }] {
            let value = sent_value(&stage).unwrap();
            let released = matches!(stage, Stage::Released { .. }).then_some(9);
            assert_eq!(decode_sent(&value), Some((sent_as, released)));
            for end in 0..value.len() {
                assert_eq!(decode_sent(&value[..end]), None);
            }
        }
        assert_eq!(sent_value(&Stage::Done { was_sent: true }), None);
    }
}
