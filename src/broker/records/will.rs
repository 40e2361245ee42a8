//! A will that is not published yet.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;

use super::fields::{FieldWriter, Fields};
use super::who::WhoRecord;
use crate::message::{Message, QoS, SessionKey};
use crate::session::Will;
use crate::topic::TopicName;

const VERSION: u8 = 1;

/// The will of a session, with or without one that is kept itself.
#[derive(Clone, Debug)]
pub(crate) struct WillRecord {
    pub(crate) session: SessionKey,
    /// Tells it from others that the session has had.
    pub(crate) number: NonZeroU64,
    /// When it is to be published, since the Unix epoch in milliseconds; its client was connected where
    /// there is none.
    pub(crate) due_ms: Option<u64>,
    pub(crate) will: Will,
    /// Who has left it.
    pub(crate) who: WhoRecord,
}

impl WillRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Will { message, message_expiry, delay } = &self.will;
        let mut fields = FieldWriter::default();
        fields.u8(VERSION);
        fields.u64(self.session.0);
        fields.u64(self.number.get());
        fields.option(self.due_ms, FieldWriter::u64);
        fields.u64(delay.as_secs());
        fields.option(message_expiry.as_ref(), |fields, expiry| fields.u64(expiry.as_secs()));
        fields.u8(message.qos as u8);
        fields.u8(message.retain.into());
        fields.text(message.topic.as_str());
        fields.bytes(&message.properties);
        fields.bytes(&message.payload);
        self.who.write(&mut fields);
        fields.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of_version(bytes, VERSION)?;
        let session = SessionKey(fields.u64()?);
        let number = NonZeroU64::new(fields.u64()?)?;
        let due_ms = fields.option(Fields::u64)?;
        let delay = Duration::from_secs(fields.u64()?);
        let message_expiry = fields.option(Fields::u64)?.map(Duration::from_secs);
        let qos = QoS::from_bits(fields.u8()?)?;
        let retain = fields.u8()? != 0;
        let message = Message {
            qos,
            retain,
            topic: TopicName::parse(fields.text()?).ok()?,
            properties: Bytes::copy_from_slice(fields.bytes()?),
            payload: Bytes::copy_from_slice(fields.bytes()?),
            expiry: None,
            arrived: None,
            publisher: Some(session),
            trace: None,
        };
        let who = WhoRecord::read(&mut fields)?;
        fields.end()?;
        let will = Will { message, message_expiry, delay };
        Some(Self { session, number, due_ms, will, who })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::assert_is_read_with_care;
    use super::super::who::tests::anonymous;
    use super::*;

    #[test]
    fn a_will_is_read_as_it_was_written_and_with_care() {
        let session = SessionKey(3);
        let message = Message {
            topic: TopicName::parse("a/b").unwrap(),
            payload: Bytes::from_static(b"gone"),
            properties: Bytes::from_static(&[1, 1]),
            qos: QoS::AtLeastOnce,
            retain: true,
            expiry: None,
            arrived: None,
            publisher: Some(session),
            trace: None,
        };
        let delay = Duration::from_secs(30);
        let message_expiry = Some(Duration::from_secs(60));
        let will = Will { message, message_expiry, delay };
        let (number, due_ms) = (NonZeroU64::MIN, Some(5_000));
        let record = WillRecord { session, number, due_ms, will, who: anonymous() };
        let bytes = record.encode();
        let read = WillRecord::decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_is_read_with_care(&bytes, WillRecord::decode);
    }
}
