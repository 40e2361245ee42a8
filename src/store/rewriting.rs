//! A store that no broker has is written anew: without what is of no use, and under other keys.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::transfer::Filling;
use super::writer::{Limits, SEGMENT_BYTES, Writer};
use super::{Disk, Health, OpenError, Opened};
use crate::clock::Now;
use crate::keys::MasterKey;

/// Why a store is not written anew. It can be used as before, and be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// What is said about the store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system refuses.
    #[error("the store cannot be written: {0}")]
    System(#[from] io::Error),
    /// A part cannot be read, and so not be written again.
    #[error("a segment of the store cannot be read: {0:08x}.log")]
    Stuck(u32),
}

impl<D: Disk> Opened<D> {
    pub(super) fn fill(self, now: Instant) -> Filling<D> {
        let writer = Writer::new(self, Arc::default(), offline(), Arc::default(), now);
        Filling { writer, waiting: 0 }
    }

    /// Writes all that is live again, and removes what it was in. One segment after the other, as the cleaner
    /// does: it needs room for one more than there are, and may be interrupted at any time. Gives how many
    /// bytes the store has then.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn compact(self) -> Result<u64, RewriteError> {
        let before = self.next;
        let mut writer = self.into_writer(offline(), &Arc::default())?;
        writer.rewrite_before = before;
        while !writer.is_rewritten() {
            writer.work()?;
            if let Some(number) = writer.stuck_at {
                return Err(RewriteError::Stuck(number));
            }
        }
        writer.forget_old_keys();
        writer.finish()?;
        let (_, total) = writer.index.read().bytes();
        Ok(total)
    }

    /// Makes a new data key, seals all of them under `master`, and writes everything under the new one, as
    /// [`compact`](Self::compact) does.
    ///
    /// # Errors
    /// When something cannot be read or written. Until both files of the keys are written anew, the store
    /// opens with the master key that it had as well; from then on with the new one.
    pub fn rekey(mut self, master: &MasterKey, now: Now) -> Result<u64, RewriteError> {
        let mut keys = self.keys.clone();
        keys.add(now.unix)?;
        keys.write(&self.disk, master)?;
        self.keys = keys;
        self.master = master.clone();
        self.writes_keys = false;
        self.compact()
    }
}

/// Nobody waits, and nothing happens that was not asked for.
fn offline() -> Limits {
    Limits {
        window: Duration::ZERO,
        data_key_age: Duration::MAX,
        segment_bytes: SEGMENT_BYTES,
        rest: Duration::ZERO,
    }
}

impl<D: Disk> Writer<D> {
    /// Does what there is to do now.
    pub(super) fn work(&mut self) -> io::Result<()> {
        self.turn(Now::read());
        self.is_well()
    }

    /// Closes the store in order.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.commits.close();
        self.turn(Now::read());
        self.is_well()
    }

    fn is_well(&self) -> io::Result<()> {
        match self.commits.health() {
            Health::Good => Ok(()),
            ill => Err(io::Error::other(ill.to_string())),
        }
    }

    /// Whether nothing is left of what was to be written again.
    fn is_rewritten(&self) -> bool {
        let oldest = self.index.read().oldest();
        self.is_settled()
            && !self.is_dropping()
            && oldest.is_none_or(|(number, _)| number >= self.rewrite_before)
    }
}
