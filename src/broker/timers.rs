//! What is due when nobody is connected: the end of sessions, and wills that wait.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::identity::ClientId;
use crate::message::SessionKey;

/// The deadlines of parked sessions, at most one of each kind per session.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: Mutex<BTreeMap<Timer, ClientId>>,
    /// Rung when an earlier deadline than all others is set.
    earlier: Notify,
}

/// One deadline: when, of which session, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    pub(super) session: SessionKey,
    pub(super) what: What,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The will of the session is published. Before its end, where both are due at once.
    Will,
    /// The session ends.
    SessionEnd,
}

impl Timers {
    pub(super) fn set(&self, timer: Timer, client_id: ClientId) {
        let mut due = self.due.lock();
        let is_first = due.first_key_value().is_none_or(|(first, _)| timer < *first);
        due.insert(timer, client_id);
        drop(due);
        if is_first {
            self.earlier.notify_one();
        }
    }

    pub(super) fn cancel(&self, timer: Timer) {
        self.due.lock().remove(&timer);
    }

    /// Removes one deadline that has come.
    pub(super) fn take_due(&self, now: Instant) -> Option<(Timer, ClientId)> {
        let mut due = self.due.lock();
        let first = due.first_entry()?;
        (first.key().at <= now).then(|| first.remove_entry())
    }

    /// Returns when a deadline has come.
    pub(super) async fn next_due(&self) {
        loop {
            let first = self.due.lock().first_key_value().map(|(timer, _)| timer.at);
            match first {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => return,
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.lock().len()
    }
}
