//! Windows over a restart and a crash.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use super::{EnvelopeSettings, Envelopes, Refused, SHARDS, STREAMS_PER_SENDER, millis};
use crate::clock::Now;
use crate::envelope::{Envelope, Limits, StreamImage};
use crate::keys::MasterKey;
use crate::replay_log::{
    Accepted, Floors, LogKey, Recovered, ReplayLog, ReplayLogError, StreamHash, StreamState,
};

/// Replay windows as they were left, and where they are kept from now on.
#[derive(Debug)]
pub struct Windows {
    pub(super) log: Option<ReplayLog>,
    pub(super) key: LogKey,
    pub(super) recovered: HashMap<StreamHash, StreamState>,
    pub(super) floors: Floors,
    pub(super) limits: Limits,
}

/// Why windows cannot be kept.
#[derive(Debug, Error)]
pub enum WindowsError {
    /// The directory cannot be used.
    #[error(transparent)]
    Log(#[from] ReplayLogError),
    /// There is no randomness for a key.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(io::Error),
}

impl Windows {
    /// Windows that nothing has gone through, and that nothing keeps: as of a broker without envelopes.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn in_memory(settings: &EnvelopeSettings) -> Result<Self, WindowsError> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())
            .map_err(|error| WindowsError::NoRandomness(io::Error::other(error)))?;
        let key = LogKey::new(key.as_slice());
        Ok(Self {
            log: None,
            key,
            recovered: HashMap::new(),
            floors: Floors::default(),
            limits: limits(settings),
        })
    }

    /// As [`Self::in_memory`], for a broker that verifies envelopes: what was sealed before is refused.
    ///
    /// # Errors
    /// As [`Self::in_memory`].
    pub fn forgetful(
        settings: &EnvelopeSettings,
        max_skew: Duration,
        now: Now,
    ) -> Result<Self, WindowsError> {
        tracing::warn!(
            seconds = max_skew.as_secs(),
            "replay windows are not kept: what was sealed before this start is refused, and all envelopes \
             are for these seconds, since clocks may be as far ahead; set `state_dir` in [envelope]"
        );
        let floors = Floors { all_ms: millis(now.unix + max_skew), unknown_ms: 0 };
        Ok(Self { floors, ..Self::in_memory(settings)? })
    }

    /// Takes up the windows in the `state_dir` of `settings`, and keeps them there from now on. Where
    /// they are new, what was sealed before `now` is refused; where some are or may be lost, also what was
    /// by clocks that are `max_skew` ahead.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(
        settings: &EnvelopeSettings,
        directory: &Path,
        master: &MasterKey,
        max_skew: Duration,
        now: Now,
    ) -> Result<Self, WindowsError> {
        let now_ms = millis(now.unix);
        let (log, recovered) =
            ReplayLog::open(directory, master, |state| state.fresh_until_ms >= now_ms)?;
        let Recovered { streams, loss, is_new, floors } = recovered;
        let path = directory.display();
        let floors = floors.and(match loss {
            Some(loss) => {
                tracing::error!(
                    %path,
                    seconds = max_skew.as_secs(),
                    "replay windows are or may be lost: {loss}. What was sealed before this start is \
                     refused, and all envelopes are for these seconds, since clocks may be as far ahead"
                );
                Floors { all_ms: millis(now.unix + max_skew), unknown_ms: 0 }
            }
            None if is_new => {
                tracing::info!(%path, "replay windows begin here: what was sealed before is refused");
                Floors { all_ms: now_ms, unknown_ms: 0 }
            }
            None => {
                tracing::info!(%path, streams = streams.len(), "replay windows are taken up");
                Floors::default()
            }
        });
        log.raise_floors(floors)?;
        let key = log.key().clone();
        Ok(Self { log: Some(log), key, recovered: streams, floors, limits: limits(settings) })
    }
}

/// Of each shard: senders spread evenly, but not quite.
fn limits(settings: &EnvelopeSettings) -> Limits {
    let streams = settings.max_streams.get() as usize;
    let of_shard = streams / SHARDS + streams / SHARDS / 4;
    Limits { streams: of_shard.max(STREAMS_PER_SENDER), streams_per_sender: STREAMS_PER_SENDER }
}

/// What an earlier run has seen of the stream of `envelope`.
pub(super) fn image<'e>(envelope: &Envelope<'e>, state: &StreamState) -> StreamImage<'e> {
    let (key_id, stream) = (envelope.key_id(), envelope.stream());
    let times = (state.latest_ms, state.fresh_until_ms);
    StreamImage::of_numbers(key_id, envelope.sender(), stream, times, state.numbers())
}

impl Envelopes {
    /// Writes down what was accepted. It is there when this has returned, even if the process is killed.
    pub(in crate::broker) fn keep(&self, accepted: &[Accepted]) -> Result<(), Refused> {
        let Some(log) = &self.log else { return Ok(()) };
        log.append(accepted).map_err(|error| {
            tracing::error!("envelopes are refused: {error}");
            Refused::NotKept
        })
    }

    /// Forgets what the clock refuses by now, and keeps what is kept within its bounds. Waits for the
    /// disk.
    pub(in crate::broker) fn tidy(&self, now: Now) {
        let now_ms = millis(now.unix);
        for shard in &self.shards {
            shard.lock().sweep(now_ms);
        }
        self.recovered.lock().retain(|_, state| state.fresh_until_ms >= now_ms);
        if self.log.as_ref().is_some_and(ReplayLog::is_due)
            && let Err(error) = self.write_anew()
        {
            tracing::error!("replay windows cannot be written anew, and grow: {error}");
        }
    }

    /// What is accepted meanwhile goes into the new file as well: to note it twice changes nothing.
    pub(in crate::broker) fn write_anew(&self) -> Result<(), ReplayLogError> {
        let Some(log) = &self.log else { return Ok(()) };
        log.begin_anew()?;
        let unknown_ms = self.shards.iter().map(|shard| shard.lock().streams.floor_ms()).max();
        let unknown_ms = unknown_ms.flatten().unwrap_or(0);
        log.raise_floors(self.floors.and(Floors { all_ms: 0, unknown_ms }))?;
        for shard in &self.shards {
            let streams = self.states(&shard.lock());
            log.write_streams(streams.iter().map(|(hash, state)| (hash, state)))?;
        }
        log.write_streams(self.recovered.lock().iter())?;
        log.remove_earlier()
    }

    fn states(&self, shard: &super::Shard) -> Vec<(StreamHash, StreamState)> {
        let state = |image: StreamImage<'_>| {
            let parts = [b"stream", &image.key_id.0[..], image.sender.as_bytes(), &image.stream];
            let hash = StreamHash(self.key.hash(&parts));
            let (latest_ms, fresh_until_ms) = image.times();
            let packets = shard.packets.get(&hash).into_iter().flat_map(|it| it.iter()).copied();
            let mut state = StreamState {
                latest_ms,
                fresh_until_ms,
                packets: packets.collect(),
                ..StreamState::default()
            };
            image.numbers().for_each(|seq| state.see(seq));
            (hash, state)
        };
        shard.streams.images().map(state).collect()
    }

    /// Nothing more comes: all of it is brought to disk.
    pub(in crate::broker) fn close(&self) {
        if let Some(log) = &self.log
            && let Err(error) = log.close()
        {
            tracing::error!("replay windows may be lost: {error}");
        }
    }
}
