//! How far the log is on disk, and who waits for that.

use std::cell::Cell;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// The number of an event that the log has been told of: it is on disk, or will be, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// The events that are on disk are those up to a number.
#[derive(Debug, Default)]
pub(super) struct Durability {
    reached: Mutex<u64>,
    changed: Condvar,
    notify: Notify,
}

thread_local! {
    static LAST_HERE: Cell<Option<Ticket>> = const { Cell::new(None) };
}

impl Ticket {
    /// Of what is not written, because there was no place for it.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// That of the last event that this thread has recorded since it was last asked.
    #[must_use]
    pub fn take_last_here() -> Option<Self> {
        LAST_HERE.take()
    }

    /// Whether there was no place for its event.
    #[must_use]
    pub fn is_lost(self) -> bool {
        self == Self::NEVER
    }

    pub(super) fn note_here(self) {
        LAST_HERE.set(Some(self));
    }
}

impl Durability {
    /// So many events are on disk.
    pub(super) fn reach(&self, count: u64) {
        *self.reached.lock() = count;
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        *self.reached.lock() >= ticket.0
    }

    /// Returns once it is on disk.
    pub(super) async fn until(&self, ticket: Ticket) {
        loop {
            let changed = self.notify.notified();
            // Looked at after the registration above, so that no change in between is missed.
            if self.has(ticket) {
                return;
            }
            changed.await;
        }
    }

    /// Whether it is on disk within `patience`; this thread waits for that.
    pub(super) fn wait(&self, ticket: Ticket, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut reached = self.reached.lock();
        while *reached < ticket.0 {
            if ticket == Ticket::NEVER
                || self.changed.wait_until(&mut reached, deadline).timed_out()
            {
                return *reached >= ticket.0;
            }
        }
        true
    }
}
