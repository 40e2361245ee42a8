//! How many, and how much together.

use super::Event;
use super::panes::Pane;

/// What came in one part of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Tally {
    pub(super) fn add(&mut self, event: &Event) {
        self.count = self.count.saturating_add(event.times.into());
        self.sum += event.number * f64::from(event.times);
    }

    /// 0 of nothing.
    pub(super) fn mean(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

impl Pane for Tally {
    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
    }
}
