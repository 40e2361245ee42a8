//! What a connection that brings envelopes keeps of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use x509_parser::prelude::FromDer;

use crate::broker::gate::Who;
use crate::envelope::{Envelope, KeyId, SenderKey, StreamKeys};
use crate::replay_log::{LogKey, StreamHash};

/// Between two lines of the log about one connection.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// The last stream of a connection, and what does not change about its client. There is none before the
/// first envelope.
#[derive(Debug)]
pub(in crate::broker) struct EnvelopeMemo {
    /// Stands for the client, by its principal and its identifier.
    pub(super) client: u64,
    /// The key of its certificate, where it has shown one and can sign with that.
    pub(super) sender_key: Option<SenderKey>,
    last: Option<LastStream>,
    reported: Option<Instant>,
    /// Refused since, and not in the log.
    unreported: u64,
}

#[derive(Debug)]
struct LastStream {
    key_id: KeyId,
    stream: [u8; 16],
    hash: StreamHash,
    keys: Arc<StreamKeys>,
}

impl EnvelopeMemo {
    pub(super) fn of(who: &Who, key: &LogKey) -> Self {
        let principal = who.principal.to_string();
        let [a, b, c, d, e, f, g, h, ..] =
            key.hash(&[b"client", principal.as_bytes(), who.client_id.as_str().as_bytes()]);
        Self {
            client: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            sender_key: sender_key(who),
            last: None,
            reported: None,
            unreported: 0,
        }
    }

    /// The keys and the hash of the stream that `envelope` names, where it is the last one. Its sender is
    /// the client itself.
    pub(super) fn recall(&self, envelope: &Envelope<'_>) -> Option<(Arc<StreamKeys>, StreamHash)> {
        let last = self.last.as_ref()?;
        let is_last = last.stream == envelope.stream() && last.key_id == envelope.key_id();
        is_last.then(|| (Arc::clone(&last.keys), last.hash))
    }

    pub(super) fn remember(
        &mut self,
        envelope: &Envelope<'_>,
        keys: Arc<StreamKeys>,
        hash: StreamHash,
    ) {
        let (key_id, stream) = (envelope.key_id(), envelope.stream());
        self.last = Some(LastStream { key_id, stream, hash, keys });
    }

    /// Whether a refusal is to be told to the log, and how many were not since the last that was.
    pub(in crate::broker) fn report(&mut self, now: Instant) -> Option<u64> {
        let is_due =
            self.reported.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN_REPORTS);
        if !is_due {
            self.unreported += 1;
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

/// The public key of the certificate that the client has shown, if it is of a kind that signs envelopes.
fn sender_key(who: &Who) -> Option<SenderKey> {
    let certificate = who.standing.certificate.as_ref()?.evidence.as_ref()?;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&certificate.own).ok()?;
    let info = parsed.public_key();
    let bytes = &*info.subject_public_key.data;
    let algorithm = &info.algorithm.algorithm;
    if *algorithm == x509_parser::oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return SenderKey::p256(bytes).ok();
    }
    if *algorithm == x509_parser::oid_registry::OID_SIG_ED25519 {
        return SenderKey::ed25519(bytes.try_into().ok()?).ok();
    }
    None
}
