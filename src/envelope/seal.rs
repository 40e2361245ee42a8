//! Making envelopes: one stream of one sender under one key.

use std::fmt;

use super::context::Context;
use super::stream_keys::{Purpose, StreamKeys};
use super::tlv::{tag, write, write_header};
use super::wire::{GCM_TAG, HMAC_TLV, MAGIC, MAX_SENDER, VERSION};
use super::{Key, KeyId, KeyMaterial, KeyState, Signer, Suite};
use crate::topic::TopicNameRef;

/// How long a payload may be: no MQTT packet carries more.
pub const MAX_PAYLOAD: usize = 268_435_455;

/// What an envelope has besides its payload.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How the payload is protected: encrypted, unless told otherwise.
    pub suite: Suite,
    /// What the payload is, such as `application/json`; less than 65,535 bytes.
    pub content_type: Option<&'a str>,
    /// A W3C traceparent: printable ASCII, less than 65,535 bytes.
    pub trace: Option<&'a str>,
    /// Values for private use, by types from 0x90 to 0xEF, the lower first; less than 65,535 bytes each.
    pub private: &'a [(u8, &'a [u8])],
    /// Signs with the sender's own key.
    pub signer: Option<&'a Signer>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { suite: Suite::Sealed, content_type: None, trace: None, private: &[], signer: None }
    }
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The name of the sender is empty, or longer than 128 bytes.
    #[error("the name of a sender has 1 to 128 bytes")]
    Sender,
    /// The key verifies and does not seal.
    #[error("the key {0} is at hand for verifying alone, and cannot seal")]
    VerifyOnlyKey(KeyId),
    /// The key is retiring or revoked.
    #[error("the key {0} seals no more: it is retiring or revoked")]
    InactiveKey(KeyId),
    /// It is later than the last moment of the key.
    #[error("the key {0} is out of date")]
    ExpiredKey(KeyId),
    /// The key is for other topics.
    #[error("the key {0} is not meant for this topic")]
    WrongTopic(KeyId),
    /// Every sequence number has been used.
    #[error("the stream is used up: draw another one")]
    StreamUsedUp,
    /// The payload is longer than an MQTT packet.
    #[error("the payload is longer than an MQTT packet may be")]
    PayloadTooLong,
    /// Content type, trace or a private value is not as the format has it.
    #[error("the value for type {0:#04x} is none that the format allows")]
    Option(u8),
    /// The signature could not be made.
    #[error("the signature could not be made with this key")]
    Signature,
}

/// Seals messages of one stream, each under the next sequence number.
///
/// A stream belongs to one sealer for ever: two with the same stream would use the same nonces, which
/// tells who listens what both payloads have in common, and lets them forge. So draw 16 random bytes
/// whenever a sealer is made.
pub struct Sealer {
    key: Key,
    sender: Box<str>,
    stream: [u8; 16],
    /// `None` when all have been used.
    next_seq: Option<u64>,
    keys: StreamKeys,
    /// What is authenticated or signed, put together; kept for its memory.
    joined: Vec<u8>,
}

impl Sealer {
    /// A new stream: `stream` is 16 random bytes.
    ///
    /// # Errors
    /// When the name of the sender is too short or too long, or the key does not seal.
    pub fn new(key: &Key, sender: &str, stream: [u8; 16]) -> Result<Self, SealError> {
        if sender.is_empty() || sender.len() > MAX_SENDER {
            return Err(SealError::Sender);
        }
        if matches!(key.material, KeyMaterial::VerifyOnly(_)) {
            return Err(SealError::VerifyOnlyKey(key.id));
        }
        if key.state != KeyState::Active {
            return Err(SealError::InactiveKey(key.id));
        }
        let keys = StreamKeys::derive(key, sender, &stream, Purpose::Open);
        let (key, sender, joined) = (key.clone(), sender.into(), Vec::new());
        Ok(Self { key, sender, stream, next_seq: Some(1), keys, joined })
    }

    /// Goes on with a stream whose numbers below `next_seq` have been used: for senders that keep stream
    /// and number over a restart. A number that is used twice gives the payloads of both away.
    #[must_use]
    pub fn resume_at(self, next_seq: u64) -> Self {
        Self { next_seq: Some(next_seq.max(1)), ..self }
    }

    /// Under which key it seals.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.id
    }

    /// The number of the next envelope; `None` when all have been used.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.next_seq
    }

    /// Seals `payload` for `topic`; `now_ms` counts from the Unix epoch.
    ///
    /// # Errors
    /// When the key is not for this topic or this time, or the payload or an option is not as the format
    /// has it. Then no number is used.
    pub fn seal(
        &mut self,
        topic: TopicNameRef<'_>,
        now_ms: u64,
        payload: &[u8],
        options: &Options<'_>,
    ) -> Result<Vec<u8>, SealError> {
        self.check(topic, now_ms, payload, options)?;
        let seq = self.next_seq.ok_or(SealError::StreamUsedUp)?;
        let context = Context::of(topic);
        let mut envelope = Vec::with_capacity(self.room_for(payload, options));
        self.write_head(&mut envelope, seq, now_ms, options);
        match options.suite {
            Suite::Signed => write(&mut envelope, tag::PLAINTEXT, payload),
            Suite::Sealed => self.encrypt(&mut envelope, context, seq, payload)?,
        }
        if let Some(signer) = options.signer {
            let signature = signer.sign(context, &envelope).map_err(|_| SealError::Signature)?;
            write_header(&mut envelope, tag::SIGNATURE, 1 + signature.len());
            envelope.push(signer.algorithm().number());
            envelope.extend_from_slice(&signature);
        }
        let hmac = self.keys.tag(context, &envelope);
        write(&mut envelope, tag::HMAC, &hmac);
        self.next_seq = seq.checked_add(1);
        Ok(envelope)
    }

    fn check(
        &self,
        topic: TopicNameRef<'_>,
        now_ms: u64,
        payload: &[u8],
        options: &Options<'_>,
    ) -> Result<(), SealError> {
        if !self.key.is_for(topic) {
            return Err(SealError::WrongTopic(self.key.id));
        }
        if !self.key.was_valid_at(now_ms) {
            return Err(SealError::ExpiredKey(self.key.id));
        }
        if payload.len() > MAX_PAYLOAD {
            return Err(SealError::PayloadTooLong);
        }
        options.check()
    }

    fn room_for(&self, payload: &[u8], options: &Options<'_>) -> usize {
        /// All that has one length: the header, SUITE, KEY_ID, STREAM, SEQ, TIME, the headers of SENDER
        /// and of the body.
        const FIXED: usize = 4 + 4 + 11 + 19 + 11 + 11 + 3 + 7;
        const SIGNATURE: usize = 3 + 65;
        let text = |value: Option<&str>| value.map_or(0, |value| 3 + value.len());
        let private: usize = options.private.iter().map(|(_, value)| 3 + value.len()).sum();
        let optional = text(options.content_type) + text(options.trace) + private;
        let body = payload.len() + GCM_TAG;
        let signature = options.signer.map_or(0, |_| SIGNATURE);
        FIXED + self.sender.len() + optional + body + signature + HMAC_TLV
    }

    fn write_head(&self, into: &mut Vec<u8>, seq: u64, now_ms: u64, options: &Options<'_>) {
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&[VERSION, 0]);
        write(into, tag::SUITE, &[options.suite.number()]);
        write(into, tag::KEY_ID, &self.key.id.0);
        write(into, tag::SENDER, self.sender.as_bytes());
        write(into, tag::STREAM, &self.stream);
        write(into, tag::SEQ, &seq.to_be_bytes());
        write(into, tag::TIME, &now_ms.to_be_bytes());
        if let Some(content_type) = options.content_type {
            write(into, tag::CONTENT_TYPE, content_type.as_bytes());
        }
        if let Some(trace) = options.trace {
            write(into, tag::TRACE, trace.as_bytes());
        }
        for (tag, value) in options.private {
            write(into, *tag, value);
        }
    }

    fn encrypt(
        &mut self,
        envelope: &mut Vec<u8>,
        context: Context<'_>,
        seq: u64,
        payload: &[u8],
    ) -> Result<(), SealError> {
        context.join(envelope, &mut self.joined);
        write_header(envelope, tag::CIPHERTEXT, payload.len() + GCM_TAG);
        let start = envelope.len();
        envelope.extend_from_slice(payload);
        let body = envelope.get_mut(start..).unwrap_or_default();
        let cipher = self.keys.cipher().ok_or(SealError::VerifyOnlyKey(self.key.id))?;
        let tag = cipher.seal(seq, &self.joined, body).map_err(|_| SealError::PayloadTooLong)?;
        envelope.extend_from_slice(&tag);
        Ok(())
    }
}

impl Options<'_> {
    /// That a reader will take them.
    fn check(&self) -> Result<(), SealError> {
        let short = |value: &[u8]| value.len() < usize::from(u16::MAX);
        if self.content_type.is_some_and(|value| !short(value.as_bytes())) {
            return Err(SealError::Option(tag::CONTENT_TYPE));
        }
        let printable = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if self.trace.is_some_and(|value| !short(value.as_bytes()) || !printable(value)) {
            return Err(SealError::Option(tag::TRACE));
        }
        let mut last = 0x8F;
        for (tag, value) in self.private {
            if !(last + 1..=0xEF).contains(tag) || !short(value) {
                return Err(SealError::Option(*tag));
            }
            last = *tag;
        }
        Ok(())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, sender, next_seq, .. } = self;
        let mut shown = f.debug_struct("Sealer");
        shown.field("key", &key.id).field("sender", sender).field("next_seq", next_seq);
        shown.finish_non_exhaustive()
    }
}
