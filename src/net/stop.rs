//! How those who came by a listener learn that they are to go: before they are let in, because the
//! broker stops; and at any time, because the listener is closed.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A request to stop, made once and seen by everybody.
#[derive(Debug, Default)]
pub(super) struct Stop {
    is_requested: AtomicBool,
    is_closed: AtomicBool,
    requested: Notify,
}

impl Stop {
    /// Asks those to go who have not been let in. The others are told by the broker.
    pub(super) fn request(&self) {
        self.is_requested.store(true, Ordering::Release);
        self.requested.notify_waiters();
    }

    /// Asks everybody to go. Those who have been let in look at [`Self::is_closed`] when their bell
    /// rings: it has to be rung after this.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.request();
    }

    /// Whether everybody is to go.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
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
