//! `[role.limits]`: how much the holders of a role may take up.

use std::num::NonZeroU32;

/// The most that one client may have; no limit where none is said. What the broker allows everybody
/// bounds it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of its principal, connected or not.
    pub max_sessions: Option<NonZeroU32>,
    /// Subscriptions of its session.
    pub max_subscriptions: Option<NonZeroU32>,
    /// QoS 1 and 2 messages in flight towards it.
    pub max_inflight: Option<NonZeroU32>,
    /// Messages that wait for its session.
    pub max_queued_messages: Option<NonZeroU32>,
    /// Bytes of messages that wait for its session.
    pub max_queued_bytes: Option<NonZeroU32>,
}

impl Limits {
    /// The narrower of each: one more role never widens a limit.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            max_sessions: narrower(self.max_sessions, other.max_sessions),
            max_subscriptions: narrower(self.max_subscriptions, other.max_subscriptions),
            max_inflight: narrower(self.max_inflight, other.max_inflight),
            max_queued_messages: narrower(self.max_queued_messages, other.max_queued_messages),
            max_queued_bytes: narrower(self.max_queued_bytes, other.max_queued_bytes),
        }
    }

    /// What these leave open, as `inherited` has it.
    #[must_use]
    pub fn or(self, inherited: Self) -> Self {
        Self {
            max_sessions: self.max_sessions.or(inherited.max_sessions),
            max_subscriptions: self.max_subscriptions.or(inherited.max_subscriptions),
            max_inflight: self.max_inflight.or(inherited.max_inflight),
            max_queued_messages: self.max_queued_messages.or(inherited.max_queued_messages),
            max_queued_bytes: self.max_queued_bytes.or(inherited.max_queued_bytes),
        }
    }
}

fn narrower(one: Option<NonZeroU32>, other: Option<NonZeroU32>) -> Option<NonZeroU32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
