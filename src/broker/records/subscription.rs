//! One subscription of a session.

use std::num::NonZeroU32;

use super::fields::{FieldWriter, Fields};
use crate::codec::{SubscriptionOptions, Version};
use crate::message::SessionKey;
use crate::session::Granted;
use crate::topic::TopicFilter;

const VERSION: u8 = 1;
/// A bit that the options have no use for (MQTT 5.0 section 3.8.3.1).
const OWES_RETAINED: u8 = 1 << 7;

/// What a session is subscribed to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionRecord {
    pub(crate) session: SessionKey,
    pub(crate) filter: TopicFilter,
    pub(crate) granted: Granted,
    /// Whether its client has not been sent yet all that was retained.
    pub(crate) owes_retained: bool,
}

impl SubscriptionRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.u8(VERSION);
        fields.u64(self.session.0);
        let owes = if self.owes_retained { OWES_RETAINED } else { 0 };
        fields.u8(self.granted.options.byte(Version::V5) | owes);
        fields.u32(self.granted.id.map_or(0, NonZeroU32::get));
        fields.text(self.filter.as_str());
        fields.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of_version(bytes, VERSION)?;
        let session = SessionKey(fields.u64()?);
        let options = fields.u8()?;
        let owes_retained = options & OWES_RETAINED != 0;
        let options = SubscriptionOptions::decode(Version::V5, options & !OWES_RETAINED).ok()?;
        let id = NonZeroU32::new(fields.u32()?);
        let filter = TopicFilter::parse(fields.text()?).ok()?;
        fields.end()?;
        Some(Self { session, filter, granted: Granted { options, id }, owes_retained })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::assert_is_read_with_care;
    use super::*;
    use crate::codec::RetainHandling;
    use crate::message::QoS;

    #[test]
    fn a_subscription_is_read_as_it_was_written_and_with_care() {
        let options = SubscriptionOptions {
            maximum_qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        for owes_retained in [false, true] {
            let record = SubscriptionRecord {
                session: SessionKey(9),
                filter: TopicFilter::parse("$share/g/a/+/#").unwrap(),
                granted: Granted { options, id: NonZeroU32::new(5) },
                owes_retained,
            };
            let bytes = record.encode();
            assert_eq!(SubscriptionRecord::decode(&bytes), Some(record));
            assert_is_read_with_care(&bytes, SubscriptionRecord::decode);
        }
    }
}
