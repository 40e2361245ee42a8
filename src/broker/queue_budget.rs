//! What waits for all sessions together: how much there is of it, how much of that is in memory, and what
//! becomes of more.
//!
//! | memory in use | what becomes of a message |
//! | --- | --- |
//! | above a half | it stays on disk alone, where it is kept for a client that is away |
//! | above three quarters | the same for everybody; what cannot be on disk is not taken |
//! | all, or `max_queued_total_bytes` are kept | what would be kept is refused |
//!
//! Where there is no store, all of the memory is for what cannot be on disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Settings;
use super::spilled::PLACE_BYTES;
use crate::telemetry::WorkerGauge;

/// What a session that is not kept may have wait without being charged for it: most have less, and then
/// cost nothing here. As much is always taken.
pub(super) const FREE_BYTES: usize = 4 << 10;
/// What was asked for by several at once may exceed a bound by this part of it.
const SLACK: usize = 16;

/// Shared by all mailboxes.
#[derive(Debug)]
pub(super) struct QueueBudget {
    has_store: bool,
    /// How many messages wait.
    pub(super) messages: WorkerGauge,
    memory: AtomicUsize,
    kept: AtomicUsize,
    on_disk: AtomicUsize,
    bounds: Bounds,
}

/// In bytes.
#[derive(Debug, Default)]
struct Bounds {
    /// Of memory, above which what is kept for clients that are away is on disk alone.
    away: AtomicUsize,
    /// Of memory, above which all that is kept is, and above which nothing else is taken.
    present: AtomicUsize,
    memory: AtomicUsize,
    kept: AtomicUsize,
}

/// What one mailbox takes of it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    /// In memory.
    pub(super) memory: usize,
    /// Kept in the store for the session, in memory as well or not.
    pub(super) kept: usize,
    /// Kept, and not in memory.
    pub(super) on_disk: usize,
}

impl QueueBudget {
    pub(super) fn new(settings: &Settings, has_store: bool) -> Self {
        let (memory, kept, on_disk) = Default::default();
        let messages = WorkerGauge::new();
        let budget = Self { has_store, messages, memory, kept, on_disk, bounds: Bounds::default() };
        budget.follow(settings);
        budget
    }

    /// Other bounds, for what comes from now on.
    pub(super) fn follow(&self, settings: &Settings) {
        let (memory, kept) = settings.queue_bounds();
        let Bounds { away, present, memory: in_memory, kept: in_all } = &self.bounds;
        away.store(memory / 2, Ordering::Relaxed);
        let of_present = if self.has_store { memory - memory / 4 } else { memory };
        present.store(of_present, Ordering::Relaxed);
        in_memory.store(memory, Ordering::Relaxed);
        in_all.store(kept, Ordering::Relaxed);
    }

    /// A mailbox that took `before` takes `after` now. Called under its lock, so that no sum is ever less
    /// than nothing.
    pub(super) fn settle(&self, before: Charge, after: Charge) {
        let change = |sum: &AtomicUsize, before: usize, after: usize| {
            if before != after {
                sum.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            }
        };
        change(&self.memory, before.memory, after.memory);
        change(&self.kept, before.kept, after.kept);
        change(&self.on_disk, before.on_disk, after.on_disk);
    }

    /// Whether a message of this cost that is kept stays on disk alone. One that is smaller than what is
    /// remembered of its place does not.
    pub(super) fn is_for_disk(&self, cost: usize, is_away: bool) -> bool {
        let Bounds { away, present, .. } = &self.bounds;
        let bound = if is_away { away } else { present };
        cost > PLACE_BYTES && used(&self.memory) >= used(bound)
    }

    /// Whether there is memory for what cannot be on disk alone.
    pub(super) fn has_memory(&self) -> bool {
        used(&self.memory) < used(&self.bounds.present)
    }

    /// Whether a message of this cost can be kept for so many sessions.
    pub(super) fn can_keep(&self, cost: usize, sessions: usize) -> bool {
        self.would_fit(cost, sessions, 0)
    }

    /// As [`Self::can_keep`], of one that nobody could be refused.
    pub(super) fn takes(&self, cost: usize) -> bool {
        self.would_fit(cost, 1, SLACK)
    }

    fn would_fit(&self, cost: usize, sessions: usize, slack: usize) -> bool {
        let fits = |sum: &AtomicUsize, each: usize, bound: &AtomicUsize| {
            let bound = used(bound);
            let slack = bound.checked_div(slack).unwrap_or(0);
            used(sum).saturating_add(each.saturating_mul(sessions)) <= bound.saturating_add(slack)
        };
        fits(&self.kept, cost, &self.bounds.kept)
            && fits(&self.memory, cost.min(PLACE_BYTES), &self.bounds.memory)
    }

    /// What all mailboxes take.
    pub(super) fn charged(&self) -> Charge {
        Charge { memory: used(&self.memory), kept: used(&self.kept), on_disk: used(&self.on_disk) }
    }

    /// From now on nothing that can be on disk alone is in memory.
    #[cfg(test)]
    pub(super) fn leave_all_on_disk(&self) {
        self.bounds.away.store(0, Ordering::Relaxed);
        self.bounds.present.store(0, Ordering::Relaxed);
    }
}

fn used(bytes: &AtomicUsize) -> usize {
    bytes.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn budget(has_store: bool) -> QueueBudget {
        let bytes = |bytes| NonZeroU64::new(bytes).unwrap();
        let settings = Settings {
            max_queued_memory_bytes: bytes(16_000),
            max_queued_total_bytes: bytes(64_000),
            ..Settings::default()
        };
        QueueBudget::new(&settings, has_store)
    }

    fn take(budget: &QueueBudget, memory: usize, kept: usize) {
        budget.settle(Charge::default(), Charge { memory, kept, on_disk: 0 });
    }

    #[test]
    fn who_is_away_goes_to_disk_first_then_everybody_and_then_nothing_more_is_kept() {
        let budget = budget(true);
        take(&budget, 7_999, 0);
        assert!(!budget.is_for_disk(1_000, true));
        take(&budget, 1, 0);
        assert!(budget.is_for_disk(1_000, true) && !budget.is_for_disk(PLACE_BYTES, true));
        assert!(!budget.is_for_disk(1_000, false) && budget.has_memory());
        take(&budget, 4_000, 0);
        assert!(budget.is_for_disk(1_000, false) && !budget.has_memory());
        assert!(budget.can_keep(1_000, 1));
        take(&budget, 4_000 - PLACE_BYTES, 0);
        assert!(budget.can_keep(1_000, 1) && !budget.can_keep(1_000, 2));
        take(&budget, 1, 0);
        assert!(!budget.can_keep(1_000, 1) && budget.takes(1_000));
    }

    #[test]
    fn what_is_kept_in_all_is_bounded_for_all_who_are_to_have_it() {
        let budget = budget(true);
        take(&budget, 0, 60_000);
        assert!(budget.can_keep(1_000, 4) && !budget.can_keep(1_000, 5));
        take(&budget, 0, 8_000);
        assert!(!budget.takes(1_000));
    }

    #[test]
    fn without_a_store_all_of_the_memory_is_for_what_waits_there() {
        let budget = budget(false);
        take(&budget, 15_999, 0);
        assert!(budget.has_memory());
        take(&budget, 1, 0);
        assert!(!budget.has_memory());
    }
}
