//! How those who have not been let in yet learn that the broker stops.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A request to stop, made once and seen by everybody.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_requested: AtomicBool,
    requested: Notify,
}

impl Stop {
    /// Asks everybody to stop.
    pub(super) fn request(&self) {
        self.is_requested.store(true, Ordering::Release);
        self.requested.notify_waiters();
    }

    /// Returns once somebody has asked to stop.
    pub(super) async fn requested(&self) {
        let requested = self.requested.notified();
        // Asked for after the registration above, so that a request in between is not missed.
        if !self.is_requested.load(Ordering::Acquire) {
            requested.await;
        }
    }
}
