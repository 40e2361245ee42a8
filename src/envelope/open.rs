//! Verifying and then decrypting.

use super::context::Context;
use super::{Authentic, Check, Claim, Envelope, KeyRing, Refusal, Streams, Suite, Verified};

/// Opens envelopes one after the other, with the streams it has seen.
#[derive(Debug, Default)]
pub struct Opener {
    streams: Streams,
    /// What AES-GCM authenticates, put together; kept for its memory.
    aad: Vec<u8>,
}

impl Opener {
    /// One that goes on from what `streams` has seen.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        Self { streams, aad: Vec::new() }
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

    /// Judges `bytes`, appends the payload to `into`, and remembers what it accepted. On an error nothing
    /// is appended, and nothing has changed.
    ///
    /// # Errors
    /// The first check that fails, in the order of the format; then `verify_only_key`,
    /// `decrypt_failed`.
    pub fn open<'a>(
        &mut self,
        ring: &KeyRing,
        check: &Check<'_>,
        bytes: &'a [u8],
        into: &mut Vec<u8>,
    ) -> Result<Verified<'a>, Refusal> {
        let claim = Claim::of(Envelope::parse(bytes)?, ring, check)?;
        let cached = self.streams.keys_of(&claim);
        let authentic = claim.prove_to_open(cached, check)?;
        if check.once {
            self.streams.look(&authentic)?;
        }
        let signed = authentic.signed(check)?;
        let start = into.len();
        authentic.open(check, &mut self.aad, into)?;
        if check.once {
            self.streams.accept(&authentic).inspect_err(|_| into.truncate(start))?;
        }
        Ok(Verified { envelope: authentic.envelope, receipt: authentic.receipt, signed })
    }
}

impl Authentic<'_> {
    /// Step 8: appends the payload to `into`, on an error nothing. What is authenticated besides is put
    /// together in `aad`.
    ///
    /// # Errors
    /// `verify_only_key`, where it was not proven with keys that open; `decrypt_failed`.
    pub fn open(
        &self,
        check: &Check<'_>,
        aad: &mut Vec<u8>,
        into: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let envelope = &self.envelope;
        if envelope.suite() == Suite::Signed {
            into.extend_from_slice(envelope.body());
            return Ok(());
        }
        let cipher = self.keys.cipher().ok_or(Refusal::VerifyOnlyKey(envelope.key_id()))?;
        Context::of(check.topic).join(envelope.before_body(), aad);
        let opened = cipher.open(envelope.seq(), aad, envelope.body(), into);
        opened.map_err(|_| Refusal::DecryptFailed(self.receipt))
    }
}
