//! A session: whose it is, and how long it lives.

use std::num::NonZeroU64;
use std::time::Duration;

use super::fields::{FieldWriter, Fields};
use super::who::WhoRecord;
use crate::message::SessionKey;
use crate::session::SessionExpiry;

const VERSION: u8 = 1;

/// Everything about a session that is not kept in records of its own.
#[derive(Clone, Debug)]
pub(crate) struct SessionRecord {
    pub(crate) key: SessionKey,
    pub(crate) expiry: SessionExpiry,
    /// When its client left, since the Unix epoch in milliseconds; it was connected where there is none.
    pub(crate) left_ms: Option<u64>,
    /// The number of the will that counts, where there is one. Others are void: their client has come back.
    pub(crate) will: Option<NonZeroU64>,
    /// Who its last connection belonged to.
    pub(crate) who: WhoRecord,
}

impl SessionRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.u8(VERSION);
        fields.u64(self.key.0);
        fields.u32(self.expiry.seconds());
        fields.option(self.left_ms, FieldWriter::u64);
        fields.u64(self.will.map_or(0, NonZeroU64::get));
        self.who.write(&mut fields);
        fields.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of_version(bytes, VERSION)?;
        let record = Self {
            key: SessionKey(fields.u64()?),
            expiry: SessionExpiry::from_seconds(fields.u32()?),
            left_ms: fields.option(Fields::u64)?,
            will: NonZeroU64::new(fields.u64()?),
            who: WhoRecord::read(&mut fields)?,
        };
        fields.end()?;
        Some(record)
    }

    /// When it ends, where it does: in milliseconds since the Unix epoch. One whose client was connected
    /// has been left by `now`.
    pub(crate) fn ends_ms(&self, now: Duration) -> Option<u64> {
        let lifetime = match self.expiry {
            SessionExpiry::Now => Duration::ZERO,
            SessionExpiry::After(lifetime) => lifetime,
            SessionExpiry::Never => return None,
        };
        let left = self.left_ms.map_or(now, Duration::from_millis);
        Some(u64::try_from((left.saturating_add(lifetime)).as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::assert_is_read_with_care;
    use super::super::who::tests::{anonymous, certified};
    use super::*;

    fn record() -> SessionRecord {
        let expiry = SessionExpiry::After(Duration::from_secs(60));
        let left_ms = Some(1_000);
        SessionRecord { key: SessionKey(7), expiry, left_ms, will: None, who: anonymous() }
    }

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let connected = SessionRecord {
            left_ms: None,
            expiry: SessionExpiry::Never,
            will: NonZeroU64::new(8),
            who: certified(),
            ..record()
        };
        for record in [record(), connected] {
            let read = SessionRecord::decode(&record.encode()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{record:?}"));
        }
    }

    #[test]
    fn it_ends_when_its_client_has_been_away_for_long_enough() {
        let now = Duration::from_secs(100);
        assert_eq!(record().ends_ms(now), Some(61_000));
        assert_eq!(SessionRecord { left_ms: None, ..record() }.ends_ms(now), Some(160_000));
        let for_ever = SessionRecord { expiry: SessionExpiry::Never, ..record() };
        assert_eq!(for_ever.ends_ms(now), None);
        let at_once = SessionRecord { expiry: SessionExpiry::Now, left_ms: None, ..record() };
        assert_eq!(at_once.ends_ms(now), Some(100_000));
    }

    #[test]
    fn whatever_a_disk_makes_of_it_is_read_with_care() {
        assert_is_read_with_care(&record().encode(), SessionRecord::decode);
    }
}
