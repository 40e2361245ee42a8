//! How many, and how much together.

use super::panes::Pane;

/// What came in one part of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Tally {
    pub(super) fn add(&mut self, number: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += number;
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
