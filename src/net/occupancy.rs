//! How many connections there are, up to a bound that may change while they come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Counts those who are there.
#[derive(Debug)]
pub(super) struct Occupancy {
    count: AtomicU32,
    most: AtomicU32,
    /// Told whenever the last one has gone.
    emptied: Notify,
}

/// One of those who are there, until it is dropped.
#[derive(Debug)]
pub(super) struct Occupant(Arc<Occupancy>);

impl Occupancy {
    pub(super) fn new(most: u32) -> Self {
        Self { count: AtomicU32::new(0), most: AtomicU32::new(most), emptied: Notify::new() }
    }

    /// Another bound for those who come from now on. Nobody has to go for it.
    pub(super) fn set_most(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// One more, if there is room.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Occupant> {
        let most = self.most.load(Ordering::Relaxed);
        let one_more = |count: u32| (count < most).then(|| count + 1);
        let entered = self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        entered.ok().map(|_| Occupant(Arc::clone(self)))
    }

    /// Returns once nobody is there.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            // Looked at after the registration above, so that no end in between is missed.
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Occupant {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_sends_nobody_away_and_lets_nobody_in_until_it_is_kept() {
        let places = Arc::new(Occupancy::new(2));
        let (one, two) = (places.enter().unwrap(), places.enter().unwrap());
        assert!(places.enter().is_none());
        places.set_most(1);
        drop(one);
        assert!(places.enter().is_none());
        drop(two);
        let three = places.enter().unwrap();
        assert!(places.enter().is_none());
        places.set_most(2);
        assert!(places.enter().is_some());
        drop(three);
    }

    #[tokio::test]
    async fn the_last_one_to_go_is_waited_for() {
        let places = Arc::new(Occupancy::new(2));
        places.emptied().await;
        let (one, two) = (places.enter().unwrap(), places.enter().unwrap());
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.emptied().await }
        });
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        waiting.await.unwrap();
    }
}
