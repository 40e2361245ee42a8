//! The checks of the format, in its order. Those that need no table first: a verifier that serves many
//! connections holds no lock meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::stream_keys::{Purpose, StreamKeys};
use super::{Envelope, Key, KeyId, KeyRing, Receipt, Refusal, SenderKey, Streams, Suite};
use crate::topic::TopicNameRef;

/// How old an envelope may be unless told otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How far ahead the clock of a sender may be unless told otherwise.
pub const DEFAULT_MAX_SKEW: Duration = Duration::from_secs(60);

/// What an envelope is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The topic that it came on, after any alias was resolved.
    pub topic: TopicNameRef<'a>,
    /// Who brings it, where that must be who sealed it.
    pub sender: Option<&'a str>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How far in the past its time may be. With `None` its time is not judged at all: a subscriber's
    /// choice, for what was retained or queued.
    pub max_age: Option<Duration>,
    /// How far ahead its time may be.
    pub max_skew: Duration,
    /// Whether it must be new to its stream. What is read again, such as a capture or a retained
    /// message, is not; then nothing of the stream is kept either.
    pub once: bool,
    /// Whether only what is encrypted (suite 1) is taken.
    pub encrypted_only: bool,
    /// The public key of its sender, where that is known.
    pub sender_key: Option<&'a SenderKey>,
    /// Whether it must be signed by that key.
    pub signature_required: bool,
}

impl<'a> Check<'a> {
    /// As the format has it: any sender, five minutes of age, one of skew, once, either suite, and
    /// signatures as they come.
    #[must_use]
    pub fn new(topic: TopicNameRef<'a>, now_ms: u64) -> Self {
        Self {
            topic,
            sender: None,
            now_ms,
            max_age: Some(DEFAULT_MAX_AGE),
            max_skew: DEFAULT_MAX_SKEW,
            once: true,
            encrypted_only: false,
            sender_key: None,
            signature_required: false,
        }
    }

    /// Step 5: TIME, and that its key was in use then.
    fn time(&self, key: &Key, time_ms: u64, receipt: Receipt) -> Result<(), Refusal> {
        if !key.was_valid_at(time_ms) {
            return Err(Refusal::ExpiredKey(receipt));
        }
        let Some(max_age) = self.max_age else { return Ok(()) };
        if time_ms < self.now_ms.saturating_sub(millis(max_age)) {
            return Err(Refusal::Expired(receipt));
        }
        if time_ms > self.now_ms.saturating_add(millis(self.max_skew)) {
            return Err(Refusal::FromFuture(receipt));
        }
        Ok(())
    }

    /// Until when the clock lets through what is of that time.
    fn fresh_until_ms(&self, time_ms: u64) -> u64 {
        self.max_age.map_or(u64::MAX, |max_age| time_ms.saturating_add(millis(max_age)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An envelope whose key is at hand and whose sender is who brings it: steps 1 to 3. Nothing of it is
/// proven.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a, 'r> {
    pub(super) envelope: Envelope<'a>,
    pub(super) key: &'r Key,
}

impl<'a, 'r> Claim<'a, 'r> {
    /// Finds the key of `envelope`, and compares its sender.
    ///
    /// # Errors
    /// `unknown_key`, `wrong_topic`, `revoked_key`, `sender_mismatch`.
    #[inline]
    pub fn of(
        envelope: Envelope<'a>,
        ring: &'r KeyRing,
        check: &Check<'_>,
    ) -> Result<Self, Refusal> {
        let key = ring.verifying_key(envelope.key_id(), check.topic)?;
        if check.sender.is_some_and(|sender| sender != envelope.sender()) {
            return Err(Refusal::SenderMismatch);
        }
        Ok(Self { envelope, key })
    }

    /// Steps 4 and 5, with the keys of the stream that [`Streams::keys_of`] has; where it has none, they
    /// are derived.
    ///
    /// # Errors
    /// `bad_tag`, `not_encrypted`, `expired_key`, `expired`, `from_future`.
    #[inline]
    pub fn prove(
        self,
        cached: Option<Arc<StreamKeys>>,
        check: &Check<'_>,
    ) -> Result<Authentic<'a>, Refusal> {
        self.prove_for(Purpose::Verify, cached, check)
    }

    /// As [`Self::prove`], with keys that open too where the ring has them.
    ///
    /// # Errors
    /// As [`Self::prove`].
    #[inline]
    pub fn prove_to_open(
        self,
        cached: Option<Arc<StreamKeys>>,
        check: &Check<'_>,
    ) -> Result<Authentic<'a>, Refusal> {
        self.prove_for(Purpose::Open, cached, check)
    }

    #[inline]
    fn prove_for(
        self,
        purpose: Purpose,
        cached: Option<Arc<StreamKeys>>,
        check: &Check<'_>,
    ) -> Result<Authentic<'a>, Refusal> {
        let Self { envelope, key } = self;
        let keys = cached.filter(|keys| keys.are_of(key, purpose)).unwrap_or_else(|| {
            Arc::new(StreamKeys::derive(key, envelope.sender(), &envelope.stream(), purpose))
        });
        if !keys.made(&envelope, Context::of(check.topic)) {
            return Err(Refusal::BadTag);
        }
        let receipt = receipt(&envelope);
        if check.encrypted_only && envelope.suite() != Suite::Sealed {
            return Err(Refusal::NotEncrypted(receipt));
        }
        check.time(key, envelope.time_ms(), receipt)?;
        let fresh_until_ms = check.fresh_until_ms(envelope.time_ms());
        Ok(Authentic { envelope, keys, receipt, now_ms: check.now_ms, fresh_until_ms })
    }
}

fn receipt(envelope: &Envelope<'_>) -> Receipt {
    let (tag, _) = envelope.tag().split_first_chunk().unwrap_or((&[0; 16], &[]));
    Receipt { stream: envelope.stream(), seq: envelope.seq(), tag: *tag }
}

/// An envelope that a holder of its key made for this topic, and in time: steps 1 to 5. Only
/// [`Claim::prove`] makes one, so what is forged reaches no table.
#[derive(Debug)]
pub struct Authentic<'a> {
    pub(super) envelope: Envelope<'a>,
    /// Those of its stream.
    pub(super) keys: Arc<StreamKeys>,
    pub(super) receipt: Receipt,
    pub(super) now_ms: u64,
    /// Later than this the clock refuses it.
    pub(super) fresh_until_ms: u64,
}

impl<'a> Authentic<'a> {
    /// The envelope.
    #[must_use]
    pub fn envelope(&self) -> &Envelope<'a> {
        &self.envelope
    }

    /// What it is recognized by.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// The keys of its stream, for whoever keeps them himself.
    #[must_use]
    pub fn keys(&self) -> &Arc<StreamKeys> {
        &self.keys
    }

    /// Whether [`Self::signed`] can refuse it: then a replay is told first.
    #[must_use]
    pub fn depends_on_signature(&self, check: &Check<'_>) -> bool {
        check.signature_required || self.envelope.signature().is_some()
    }

    /// Step 7. It takes some 100 us, so call it without a lock, after [`Streams::look`] has refused what
    /// it can and before [`Streams::accept`].
    ///
    /// # Errors
    /// `bad_signature`: it is wrong; or it is missing or its key is not known, and it is required.
    pub fn signed(&self, check: &Check<'_>) -> Result<Signed, Refusal> {
        match (self.envelope.signature(), check.sender_key) {
            (Some(signature), Some(key)) => {
                let bytes = self.envelope.through_body();
                let right = key.made(signature, Context::of(check.topic), bytes);
                if right { Ok(Signed::Verified) } else { Err(Refusal::BadSignature(self.receipt)) }
            }
            _ if check.signature_required => Err(Refusal::BadSignature(self.receipt)),
            (Some(_), None) => Ok(Signed::Unchecked),
            (None, _) => Ok(Signed::Not),
        }
    }
}

/// What is known of the signature of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// It has none.
    Not,
    /// It has one, and no key of its sender is known.
    Unchecked,
    /// It is by the key of its sender.
    Verified,
}

/// An envelope that passed all checks.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    /// The envelope.
    pub envelope: Envelope<'a>,
    /// What it is recognized by when it comes again.
    pub receipt: Receipt,
    /// What is known of its signature.
    pub signed: Signed,
}

impl Verified<'_> {
    /// Which key it was sealed under.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.envelope.key_id()
    }
}

/// Verifies envelopes one after the other, with the streams it has seen.
#[derive(Debug, Default)]
pub struct Verifier {
    streams: Streams,
}

impl Verifier {
    /// One that goes on from what `streams` has seen.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        Self { streams }
    }

    /// The streams it has seen, to be exported.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The streams it has seen, to be restored or swept.
    pub fn streams_mut(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Judges `bytes`, and remembers what it accepts. Allocates nothing but for a stream that is new.
    ///
    /// # Errors
    /// The first check that fails, in the order of the format.
    pub fn verify<'a>(
        &mut self,
        ring: &KeyRing,
        check: &Check<'_>,
        bytes: &'a [u8],
    ) -> Result<Verified<'a>, Refusal> {
        let claim = Claim::of(Envelope::parse(bytes)?, ring, check)?;
        let authentic = claim.prove(self.streams.keys_of(&claim), check)?;
        if check.once && authentic.depends_on_signature(check) {
            self.streams.look(&authentic)?;
        }
        let signed = authentic.signed(check)?;
        if check.once {
            self.streams.accept(&authentic)?;
        }
        Ok(Verified { envelope: authentic.envelope, receipt: authentic.receipt, signed })
    }
}
