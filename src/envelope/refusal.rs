//! Why an envelope is refused, by the names of the format.

use super::{KeyId, Malformed};

/// What tells one authentic envelope from every other: whoever keeps it recognizes the envelope when it
/// comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The stream of the sender.
    pub stream: [u8; 16],
    /// The place in the stream.
    pub seq: u64,
    /// The first half of the HMAC: equal for the same bytes, and for no others.
    pub tag: [u8; 16],
}

/// Why an envelope is refused. Those that carry a [`Receipt`] were found after its HMAC, so the envelope
/// is authentic, and may be one that was accepted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not an envelope as the format has it.
    #[error("not an envelope: {0}")]
    Malformed(#[from] Malformed),
    /// The ring has no such key.
    #[error("its key {0} is not in the ring")]
    UnknownKey(KeyId),
    /// The key is for other topics.
    #[error("its key {0} is not meant for this topic")]
    WrongTopic(KeyId),
    /// The key was revoked.
    #[error("its key {0} is revoked")]
    RevokedKey(KeyId),
    /// It names a sender other than the one who brings it.
    #[error("its sender is not who brings it")]
    SenderMismatch,
    /// The HMAC is not that of these bytes, on this topic, under this key.
    #[error(
        "its HMAC is wrong: it was changed, moved to another topic, or sealed with another key"
    )]
    BadTag,
    /// It is not encrypted, and only what is encrypted is taken here.
    #[error("it is not encrypted (suite 2), and here only what is encrypted is taken")]
    NotEncrypted(Receipt),
    /// Its time is after the last moment of its key.
    #[error("its key was out of date when it was sealed")]
    ExpiredKey(Receipt),
    /// Its time is too far in the past; or not later than that of a stream which has been forgotten.
    #[error("it is too old")]
    Expired(Receipt),
    /// Its time is too far ahead.
    #[error("its time is too far ahead: a clock is wrong")]
    FromFuture(Receipt),
    /// Its sequence number has been seen, or is left of the window.
    #[error("its sequence number has been seen, or is too old to tell")]
    Replayed(Receipt),
    /// Its sequence number has been seen in an envelope other than this: two senders use one stream.
    #[error("its sequence number was used for another envelope: two devices share one stream")]
    StreamReused(Receipt),
    /// There is no room for the window of one more stream, of its sender or of all.
    #[error("there are too many streams to keep another one apart from its replays")]
    TooManyStreams(Receipt),
    /// The sender's signature is missing where it must not, or wrong.
    #[error("the signature of its sender is missing or wrong")]
    BadSignature(Receipt),
    /// The key at hand verifies and opens nothing.
    #[error("its key {0} is at hand for verifying alone, and cannot open it")]
    VerifyOnlyKey(KeyId),
    /// It does not decrypt although its HMAC is right: made by a holder of the verify-only key.
    #[error("it does not decrypt, although its HMAC is right")]
    DecryptFailed(Receipt),
}

impl Refusal {
    /// Every name that [`Self::name`] gives.
    pub const NAMES: [&str; 16] = [
        "malformed",
        "unknown_key",
        "wrong_topic",
        "revoked_key",
        "sender_mismatch",
        "bad_tag",
        "not_encrypted",
        "expired_key",
        "expired",
        "from_future",
        "replayed",
        "stream_reused",
        "too_many_streams",
        "bad_signature",
        "verify_only_key",
        "decrypt_failed",
    ];

    /// The name of the format, for counters, logs and programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownKey(_) => "unknown_key",
            Self::WrongTopic(_) => "wrong_topic",
            Self::RevokedKey(_) => "revoked_key",
            Self::SenderMismatch => "sender_mismatch",
            Self::BadTag => "bad_tag",
            Self::NotEncrypted(_) => "not_encrypted",
            Self::ExpiredKey(_) => "expired_key",
            Self::Expired(_) => "expired",
            Self::FromFuture(_) => "from_future",
            Self::Replayed(_) => "replayed",
            Self::StreamReused(_) => "stream_reused",
            Self::TooManyStreams(_) => "too_many_streams",
            Self::BadSignature(_) => "bad_signature",
            Self::VerifyOnlyKey(_) => "verify_only_key",
            Self::DecryptFailed(_) => "decrypt_failed",
        }
    }

    /// Which envelope it was, where that is proven.
    #[must_use]
    pub fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::NotEncrypted(receipt)
            | Self::ExpiredKey(receipt)
            | Self::Expired(receipt)
            | Self::FromFuture(receipt)
            | Self::Replayed(receipt)
            | Self::StreamReused(receipt)
            | Self::TooManyStreams(receipt)
            | Self::BadSignature(receipt)
            | Self::DecryptFailed(receipt) => Some(*receipt),
            Self::Malformed(_)
            | Self::UnknownKey(_)
            | Self::WrongTopic(_)
            | Self::RevokedKey(_)
            | Self::SenderMismatch
            | Self::BadTag
            | Self::VerifyOnlyKey(_) => None,
        }
    }
}
