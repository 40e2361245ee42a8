//! A stream as it is kept over a restart: what has been seen, and nothing of its keys.

use super::window::{PLACES, Place, WORDS, Window};
use super::{KeyId, Verified};

/// What has been seen of one stream. The bytes hold no secret and prove nothing: whoever keeps them sees to
/// it that they come back as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamImage<'a> {
    /// The key of the stream.
    pub key_id: KeyId,
    /// Its sender.
    pub sender: &'a str,
    /// Its id.
    pub stream: [u8; 16],
    pub(super) highest: u64,
    pub(super) seen: [u64; WORDS],
    pub(super) newest_ms: u64,
    pub(super) fresh_until_ms: u64,
}

/// Bytes are no image of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no image of a stream")]
pub struct NotAnImage;

/// Bytes before the sender's name.
const FIXED: usize = 8 + 16 + 3 * 8 + WORDS * 8;

impl<'a> StreamImage<'a> {
    /// Of one accepted message alone: what a journal appends, where the whole window would be too much.
    /// `max_age_ms` is that of the check that accepted it, `None` where its time was not judged.
    #[must_use]
    pub fn of_message(verified: &Verified<'a>, max_age_ms: Option<u64>) -> Self {
        let envelope = &verified.envelope;
        let mut window = Window::new();
        window.mark(envelope.seq(), None);
        let time_ms = envelope.time_ms();
        Self {
            key_id: envelope.key_id(),
            sender: envelope.sender(),
            stream: envelope.stream(),
            highest: window.highest(),
            seen: *window.seen(),
            newest_ms: time_ms,
            fresh_until_ms: max_age_ms.map_or(u64::MAX, |age| time_ms.saturating_add(age)),
        }
    }

    /// Of a stream of which these sequence numbers were seen, for who keeps windows in a form of their own.
    /// `newest_ms` and `fresh_until_ms` are as [`Self::times`] gave them.
    #[must_use]
    pub fn of_numbers(
        key_id: KeyId,
        sender: &'a str,
        stream: [u8; 16],
        (newest_ms, fresh_until_ms): (u64, u64),
        numbers: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut window = Window::new();
        numbers.into_iter().for_each(|seq| window.mark(seq, None));
        let (highest, seen) = (window.highest(), *window.seen());
        Self { key_id, sender, stream, highest, seen, newest_ms, fresh_until_ms }
    }

    /// The sequence numbers that were seen, the lowest first, as far back as a window goes.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let window = Window::restored(self.highest, self.seen);
        let lowest = self.highest.saturating_sub(PLACES - 1).max(1);
        (lowest..=self.highest).filter(move |seq| window.look(*seq) != Place::New)
    }

    /// The newest TIME that was accepted, and later than when the clock refuses all that was; in
    /// milliseconds since the Unix epoch.
    #[must_use]
    pub fn times(&self) -> (u64, u64) {
        (self.newest_ms, self.fresh_until_ms)
    }

    /// Appends its bytes: 184, and the sender's name.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.key_id.0);
        into.extend_from_slice(&self.stream);
        for number in [self.highest, self.newest_ms, self.fresh_until_ms].iter().chain(&self.seen) {
            into.extend_from_slice(&number.to_be_bytes());
        }
        into.extend_from_slice(self.sender.as_bytes());
    }

    /// Reads what [`Self::write`] appended, and nothing else.
    ///
    /// # Errors
    /// When the bytes are too few, or their end is no name of a sender.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NotAnImage> {
        let (fixed, sender) = bytes.split_at_checked(FIXED).ok_or(NotAnImage)?;
        let sender = str::from_utf8(sender).map_err(|_| NotAnImage)?;
        if sender.is_empty() || sender.len() > super::MAX_SENDER {
            return Err(NotAnImage);
        }
        let (key_id, rest) = fixed.split_first_chunk().ok_or(NotAnImage)?;
        let (stream, rest) = rest.split_first_chunk().ok_or(NotAnImage)?;
        let (numbers, _) = rest.as_chunks();
        let mut numbers = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let mut next = || numbers.next().ok_or(NotAnImage);
        let (highest, newest_ms, fresh_until_ms) = (next()?, next()?, next()?);
        let mut seen = [0; WORDS];
        for word in &mut seen {
            *word = next()?;
        }
        Ok(Self {
            key_id: KeyId(*key_id),
            sender,
            stream: *stream,
            highest,
            seen,
            newest_ms,
            fresh_until_ms,
        })
    }
}
