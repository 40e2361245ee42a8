//! Sealed payloads: what is verified or sealed as it comes, and opened as it leaves.
//!
//! What a connection brings is judged without a lock, and then notes its place in the windows that all
//! connections share, by a short one. What was accepted is written down, all of one round at once, before
//! it is routed: see [`Broker::settle`](super::Broker::settle).

mod admission;
mod keeping;
mod memo;
mod packets;
mod sealers;
mod shard;

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(super) use self::admission::{Admission, Brought, PacketKind};
pub use self::keeping::{Windows, WindowsError};
pub(super) use self::memo::EnvelopeMemo;
use self::sealers::Sealers;
use self::shard::Shard;
use super::gate::Who;
use crate::codec::ReasonCode;
use crate::envelope::{KeyRing, Refusal};
use crate::replay_log::{Floors, LogKey, ReplayLog, StreamHash, StreamState};
use crate::telemetry::{EnvelopeRefusal, Metrics};

/// `[envelope]`: what is kept of sealed payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnvelopeSettings {
    /// Directory that keeps replay windows over a restart; made on first use. Without one, what was
    /// sealed before a start is refused after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Streams of devices that are kept apart from their replays; each takes about 1 KiB.
    pub max_streams: std::num::NonZeroU32,
}

impl Default for EnvelopeSettings {
    fn default() -> Self {
        Self { state_dir: None, max_streams: std::num::NonZeroU32::MIN.saturating_add(262_143) }
    }
}

/// Parts of the windows that are locked by themselves: a sender is in one of them.
const SHARDS: usize = 64;
/// Streams of one sender: some for each of its connections, and for those it had a while ago.
const STREAMS_PER_SENDER: usize = 64;

/// What the broker needs for topics that are not plain.
pub(super) struct Envelopes {
    ring: ArcSwap<KeyRing>,
    shards: Box<[Mutex<Shard>]>,
    hasher: foldhash::fast::RandomState,
    /// Streams of earlier runs that have not come since.
    recovered: Mutex<HashMap<StreamHash, StreamState>>,
    floors: Floors,
    log: Option<ReplayLog>,
    key: LogKey,
    sealers: Sealers,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Envelopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelopes").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Why a payload is not taken.
#[derive(Debug, Error)]
pub(super) enum Refused {
    /// It is no envelope that holds.
    #[error(transparent)]
    Envelope(#[from] Refusal),
    /// It is to be sealed here, and there is no key for that.
    #[error("there is no key to seal it with: {0}")]
    NoSealingKey(String),
    /// That it was accepted could not be written down.
    #[error("what is accepted cannot be written down")]
    NotKept,
}

impl Envelopes {
    pub(super) fn new(ring: KeyRing, windows: Windows, metrics: Arc<Metrics>) -> Self {
        let Windows { log, key, recovered, floors, limits } = windows;
        let shard = || {
            let mut shard = Shard::new(limits);
            if floors.unknown_ms > 0 {
                shard.streams.raise_floor(floors.unknown_ms);
            }
            Mutex::new(shard)
        };
        Self {
            ring: ArcSwap::from_pointee(ring),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            recovered: Mutex::new(recovered),
            floors,
            log,
            key,
            sealers: Sealers::default(),
            metrics,
        }
    }

    /// Puts other keys in force: for every payload that is looked at from now on.
    pub(super) fn replace_ring(&self, ring: KeyRing) {
        self.sealers.forget();
        self.ring.store(Arc::new(ring));
    }

    /// What is kept of the connection of `who`.
    pub(super) fn memo<'m>(
        &self,
        memo: &'m mut Option<Box<EnvelopeMemo>>,
        who: &Who,
    ) -> &'m mut EnvelopeMemo {
        memo.get_or_insert_with(|| Box::new(EnvelopeMemo::of(who, &self.key)))
    }

    fn shard(&self, sender: &str) -> &Mutex<Shard> {
        let place = self.hasher.hash_one(sender) as usize % SHARDS;
        &self.shards[place]
    }
}

impl Refused {
    /// What the publisher is told.
    pub(super) fn reason(&self) -> ReasonCode {
        match self.label() {
            EnvelopeRefusal::UnknownKey
            | EnvelopeRefusal::WrongTopic
            | EnvelopeRefusal::RevokedKey
            | EnvelopeRefusal::ExpiredKey
            | EnvelopeRefusal::SenderMismatch
            | EnvelopeRefusal::NoSealingKey => ReasonCode::NotAuthorized,
            EnvelopeRefusal::NotKept | EnvelopeRefusal::TooManyStreams => ReasonCode::QuotaExceeded,
            _ => ReasonCode::PayloadFormatInvalid,
        }
    }

    /// What it is counted as.
    pub(super) fn label(&self) -> EnvelopeRefusal {
        match self {
            Self::NoSealingKey(_) => EnvelopeRefusal::NoSealingKey,
            Self::NotKept => EnvelopeRefusal::NotKept,
            Self::Envelope(refusal) => match refusal {
                Refusal::Malformed(_) => EnvelopeRefusal::Malformed,
                Refusal::UnknownKey(_) => EnvelopeRefusal::UnknownKey,
                Refusal::WrongTopic(_) => EnvelopeRefusal::WrongTopic,
                Refusal::RevokedKey(_) => EnvelopeRefusal::RevokedKey,
                Refusal::SenderMismatch => EnvelopeRefusal::SenderMismatch,
                Refusal::BadTag => EnvelopeRefusal::BadTag,
                Refusal::NotEncrypted(_) => EnvelopeRefusal::NotEncrypted,
                Refusal::ExpiredKey(_) => EnvelopeRefusal::ExpiredKey,
                Refusal::Expired(_) => EnvelopeRefusal::Expired,
                Refusal::FromFuture(_) => EnvelopeRefusal::FromFuture,
                Refusal::Replayed(_) => EnvelopeRefusal::Replayed,
                Refusal::StreamReused(_) => EnvelopeRefusal::StreamReused,
                Refusal::TooManyStreams(_) => EnvelopeRefusal::TooManyStreams,
                Refusal::BadSignature(_) => EnvelopeRefusal::BadSignature,
                Refusal::VerifyOnlyKey(_) => EnvelopeRefusal::VerifyOnlyKey,
                Refusal::DecryptFailed(_) => EnvelopeRefusal::DecryptFailed,
            },
        }
    }
}

pub(super) fn millis(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
