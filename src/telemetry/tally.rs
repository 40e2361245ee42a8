//! A counter that the broker reads as well: for what happens far more seldom than messages come.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::Counter;

/// Counts, and shows what it has counted.
#[derive(Debug)]
pub struct Tally {
    shown: Counter,
    count: AtomicU64,
}

impl Tally {
    pub(super) fn new(shown: Counter) -> Self {
        Self { shown, count: AtomicU64::new(0) }
    }

    /// Counts so many more.
    pub fn increment(&self, count: u64) {
        self.shown.increment(count);
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there have been.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
