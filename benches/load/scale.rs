//! How much of everything: for figures, or only to see that all is right.

use std::time::Duration;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How long a run goes on before it is measured, and then.
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
    pub(crate) pairs: usize,
    pub(crate) fan_out: usize,
    pub(crate) fan_in: usize,
    /// Subscribers that share a subscription.
    pub(crate) sharers: usize,
    pub(crate) subscriptions: usize,
    pub(crate) retained: usize,
    /// Sessions whose clients are away, and messages that wait for each.
    pub(crate) sessions: usize,
    pub(crate) queued: usize,
    /// The same, where a restart is measured.
    pub(crate) many_sessions: usize,
    pub(crate) few_queued: usize,
    /// Pairs whose sessions are kept.
    pub(crate) kept_pairs: usize,
    pub(crate) connections: usize,
    pub(crate) tls_connections: usize,
    /// Subscribers of whom one stops reading, and bytes of payload that it leaves unread before the
    /// others are measured: more than the kernel takes for it.
    pub(crate) neighbours: usize,
    pub(crate) unread_bytes: usize,
    /// Messages a second, for latency.
    pub(crate) rate: u32,
}

impl Scale {
    pub(crate) fn full(length: Duration) -> Self {
        Self {
            warm_up: Duration::from_millis(500),
            length,
            pairs: 20,
            fan_out: 500,
            fan_in: 200,
            sharers: 20,
            subscriptions: 100_000,
            retained: 200_000,
            sessions: 200,
            queued: 500,
            many_sessions: 100_000,
            few_queued: 10,
            kept_pairs: 50,
            connections: 5_000,
            tls_connections: 2_000,
            neighbours: 100,
            unread_bytes: 8 << 20,
            rate: 20_000,
        }
    }

    /// Each scenario in a moment.
    pub(crate) fn quick() -> Self {
        Self {
            warm_up: Duration::from_millis(20),
            length: Duration::from_millis(100),
            pairs: 4,
            fan_out: 20,
            fan_in: 20,
            sharers: 4,
            subscriptions: 2_000,
            retained: 2_000,
            sessions: 20,
            queued: 50,
            many_sessions: 500,
            few_queued: 4,
            kept_pairs: 4,
            connections: 100,
            tls_connections: 20,
            neighbours: 10,
            unread_bytes: 1 << 20,
            rate: 1_000,
        }
    }
}
