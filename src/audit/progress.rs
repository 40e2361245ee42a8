//! How the log is getting on, for whoever watches the broker.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the writer notes, and whoever asks reads.
#[derive(Debug, Default)]
pub(super) struct Progress {
    records: AtomicU64,
    lost: AtomicU64,
    /// Those among the lost that the log itself does not tell of yet.
    untold: AtomicU64,
    damage: AtomicU64,
    waits: AtomicBool,
    has_failed_to_sync: AtomicBool,
}

/// What the log has come to in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Records that were written, those about the log itself among them.
    pub records: u64,
    /// Events that found no place in the queue.
    pub lost: u64,
    /// Parts that were missing or changed when it was opened.
    pub damage: u64,
    /// How it is now.
    pub condition: Condition,
}

/// How the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// What happens is written.
    Well,
    /// What happens waits, because the disk takes nothing.
    Waits,
    /// The disk has once failed to sync what it had taken: what it has is not known in this run any more.
    Unsynced,
}

impl Progress {
    pub(super) fn note_records(&self, records: u64) {
        self.records.store(records, Ordering::Relaxed);
    }

    pub(super) fn note_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }

    /// How many are lost that nobody was told of, who is told now.
    pub(super) fn take_untold(&self) -> u64 {
        self.untold.swap(0, Ordering::Relaxed)
    }

    pub(super) fn note_damage(&self) {
        self.damage.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the disk takes nothing. Gives how it was before.
    pub(super) fn note_waits(&self, waits: bool) -> bool {
        self.waits.swap(waits, Ordering::Relaxed)
    }

    pub(super) fn note_failed_sync(&self) {
        self.has_failed_to_sync.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_failed_to_sync(&self) -> bool {
        self.has_failed_to_sync.load(Ordering::Relaxed)
    }

    pub(super) fn figures(&self) -> Figures {
        let condition = match (self.has_failed_to_sync(), self.waits.load(Ordering::Relaxed)) {
            (true, _) => Condition::Unsynced,
            (false, true) => Condition::Waits,
            (false, false) => Condition::Well,
        };
        Figures {
            records: self.records.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            damage: self.damage.load(Ordering::Relaxed),
            condition,
        }
    }
}
