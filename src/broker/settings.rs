//! `[broker]`: what the sessions of one broker share.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// The bounds of the broker as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Connections held at once, over all listeners.
    pub max_connections: NonZeroU32,
    /// Sessions kept at once, connected or not.
    pub max_sessions: NonZeroU32,
    /// Messages waiting for one session.
    pub max_queued_messages: NonZeroU32,
    /// Bytes of messages waiting for one session.
    pub max_queued_bytes: NonZeroU64,
    /// Bytes of memory for the messages waiting for all sessions: what is kept on disk as well is only
    /// there, from a half of it on for clients that are away, from three quarters on for everybody. What
    /// cannot be on disk is dropped from there on.
    pub max_queued_memory_bytes: NonZeroU64,
    /// Bytes of messages that are kept on disk for all sessions: publishers of more are refused.
    pub max_queued_total_bytes: NonZeroU64,
    /// Retained messages.
    pub max_retained_messages: NonZeroU32,
    /// Bytes of retained messages.
    pub max_retained_bytes: NonZeroU64,
    /// Buckets of `[[throttle]]` that are remembered though nobody they are about is connected.
    pub max_idle_throttles: NonZeroU32,
    /// How a message to a shared subscription finds its member.
    pub shared_subscriptions: ShareStrategy,
    /// Seconds between updates of the `$SYS` topics; 0 turns them off.
    pub sys_interval_seconds: u32,
    /// Seconds that a shutdown waits for what is in flight.
    pub shutdown_timeout_seconds: u32,
}

/// How a message to a shared subscription finds its member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareStrategy {
    /// The connected member with the fewest messages waiting.
    #[default]
    LeastLoaded,
    /// Each connected member in turn.
    RoundRobin,
}

impl Settings {
    /// Retained messages, and their bytes.
    pub(super) fn retained_bounds(&self) -> (usize, usize) {
        (self.max_retained_messages.get() as usize, as_size(self.max_retained_bytes))
    }

    /// Bytes of what waits for all sessions: in memory, and kept.
    pub(super) fn queue_bounds(&self) -> (usize, usize) {
        (as_size(self.max_queued_memory_bytes), as_size(self.max_queued_total_bytes))
    }
}

fn as_size(bytes: NonZeroU64) -> usize {
    usize::try_from(bytes.get()).unwrap_or(usize::MAX)
}

impl Default for Settings {
    fn default() -> Self {
        const fn positive(value: u32) -> NonZeroU32 {
            match NonZeroU32::new(value) {
                Some(value) => value,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            max_connections: positive(100_000),
            max_sessions: positive(1_000_000),
            max_queued_messages: positive(10_000),
            max_queued_bytes: NonZeroU64::MIN.saturating_add((16 << 20) - 1),
            max_queued_memory_bytes: NonZeroU64::MIN.saturating_add((1 << 30) - 1),
            max_queued_total_bytes: NonZeroU64::MIN.saturating_add((16 << 30) - 1),
            max_retained_messages: positive(1_000_000),
            max_retained_bytes: NonZeroU64::MIN.saturating_add((1 << 30) - 1),
            max_idle_throttles: positive(1 << 18),
            shared_subscriptions: ShareStrategy::default(),
            sys_interval_seconds: 10,
            shutdown_timeout_seconds: 10,
        }
    }
}
