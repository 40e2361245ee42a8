//! The windows of some senders, under one lock.

use std::collections::HashMap;

use super::packets::{Again, Packets};
use crate::envelope::{Authentic, Limits, Refusal, Streams};
use crate::message::SessionKey;
use crate::replay_log::{Packet, StreamHash};

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) streams: Streams,
    /// How the latest envelopes of each stream came.
    pub(super) packets: HashMap<StreamHash, Packets, foldhash::fast::RandomState>,
}

/// An envelope that is to be noted, and how it came.
pub(super) struct Noted<'n, 'a> {
    pub(super) authentic: &'n Authentic<'a>,
    pub(super) hash: StreamHash,
    pub(super) session: SessionKey,
    pub(super) packet: Option<Packet>,
    pub(super) fresh_until_ms: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// It is new.
    New,
    /// It has come before, in the same packet: see [`Again`].
    Lost,
    /// It has come before, and was routed.
    Routed,
}

impl Shard {
    pub(super) fn new(limits: Limits) -> Self {
        Self { streams: Streams::new(limits), packets: HashMap::default() }
    }

    /// Notes that an envelope has come, unless it is a replay.
    pub(super) fn note(&mut self, noted: &Noted<'_, '_>) -> Result<Note, Refusal> {
        let Noted { authentic, hash, session, packet, fresh_until_ms } = *noted;
        match (self.streams.accept(authentic), packet) {
            (Ok(()), None) => Ok(Note::New),
            (Ok(()), Some(packet)) => {
                let packets = self.packets.entry(hash).or_default();
                packets.fresh_until_ms = packets.fresh_until_ms.max(fresh_until_ms);
                packets.remember(packet, session);
                Ok(Note::New)
            }
            (Err(refusal @ Refusal::Replayed(_)), Some(packet)) => {
                let known = self.packets.get_mut(&hash);
                match known.map_or(Again::Replay, |known| known.judge(&packet, session)) {
                    Again::Routed => Ok(Note::Routed),
                    Again::Lost => Ok(Note::Lost),
                    Again::Replay => Err(refusal),
                }
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Forgets what the clock refuses by now.
    pub(super) fn sweep(&mut self, now_ms: u64) {
        self.streams.sweep(now_ms);
        self.packets.retain(|_, packets| packets.fresh_until_ms >= now_ms);
    }
}
