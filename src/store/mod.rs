//! What outlives the process: records in tables, found by keys, in a log on disk that nobody can read or
//! change without the master key.
//!
//! The log is a row of segments, files that are only appended to. One writer takes all that waits,
//! encrypts it, appends it and syncs once; a [`Ticket`] says whether a batch is kept by now. Where each
//! live record is, is known in memory. What is not of use any more is left behind as the oldest segment
//! is written again and removed. A start reads all segments, cuts off what was not written to its end,
//! and sets aside and reports what is damaged: it refuses to start only without the right keys.
//!
//! # How to keep something here
//!
//! Take a [`Table`] of your own. Make keys of names by [`Store::key`], or of numbers that only you know
//! the meaning of: they are encrypted like everything else. At start, [`Opened::each_live`] gives every
//! record once. Afterwards ask [`Store::admit`] before you change your own state, change it, and
//! [`append`](Store::append) a [`Batch`] of what has changed, all of it or nothing after a crash; append
//! under the same lock as you change, so that the log has the order of your changes. Whoever must not be
//! told before it is kept waits for the ticket. A ticket covers all that were given before.
//!
//! Batches that wait together are written without what later ones of them undo: a record that is deleted
//! before the disk was asked costs nothing there.
//!
//! The last value of a key wins, so that a record which changes often, such as a replay window, is just
//! put again: collect some of them into one batch, for a record of its own costs 24 bytes and a change 22
//! besides its value. What nobody waits for costs no sync of its own.

mod archive;
mod backup;
mod batch;
mod cipher;
mod cleaning;
mod commits;
mod damage;
mod data_keys;
mod directory;
mod disk;
mod elision;
mod health;
mod index;
mod opened;
mod reading;
mod records;
mod rewriting;
mod segment;
mod settings;
mod starting;
mod transfer;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{self, JoinHandle};

use aws_lc_rs::hmac;
use parking_lot::{Mutex, RwLock};

pub use archive::ArchiveError;
pub use backup::{BackupError, Copied};
pub use batch::{Batch, Key, Record, Table};
pub use commits::{Refused, Ticket};
pub use damage::{Damage, DamageKind};
pub use directory::{Directory, DirectoryError};
pub use disk::Disk;
pub use health::Health;
pub use opened::{DataKeyUse, OpenError, Opened};
pub use reading::ReadError;
pub use rewriting::RewriteError;
pub use segment::BadHeader;
pub use settings::{Durability, Settings};
pub use transfer::{TransferError, import};

use self::commits::Commits;
use self::index::Index;
use self::reading::{Files, Reader};
use self::writer::Writer;
use crate::telemetry::{Metrics, StoreState};

/// A store that is written to, by a thread of its own. Dropped, it is closed.
pub struct Store {
    commits: Arc<Commits>,
    hash_key: hmac::Key,
    index: Arc<RwLock<Index>>,
    files: Box<dyn Files>,
    metrics: Arc<Metrics>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    fn start<D: Disk>(writer: Writer<D>) -> io::Result<Self> {
        let commits = Arc::clone(&writer.commits);
        let hash_key = writer.keys.hash_key();
        let hash_key = hmac::Key::new(hmac::HMAC_SHA256, hash_key.expose());
        let (index, metrics) = (Arc::clone(&writer.index), Arc::clone(&writer.metrics));
        let (disk, read) = (Arc::clone(&writer.disk), Arc::clone(&index));
        let files = Box::new(Reader { disk, index: read });
        let thread = thread::Builder::new().name("store".to_owned()).spawn(|| writer.run())?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { commits, hash_key, index, files, metrics, writer })
    }

    /// What the record of this `name` is found by. Nobody can tell the name from it.
    #[must_use]
    pub fn key(&self, name: &[u8]) -> Key {
        let tag = hmac::sign(&self.hash_key, name);
        let mut key = Key([0; 16]);
        key.0.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        key
    }

    /// Whether what changes now can be kept soon. Ask before anything changes: what is appended is never
    /// taken back, and is tried until it is on disk.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn admit(&self) -> Result<(), Refused> {
        self.commits.admit()
    }

    /// Keeps the changes of `batch`, behind all that were appended before.
    pub fn append(&self, batch: Batch) -> Ticket {
        self.commits.append(batch)
    }

    /// Stands for all that was appended before.
    #[must_use]
    pub fn latest(&self) -> Ticket {
        self.commits.latest()
    }

    /// Whether the batch that `ticket` stands for is kept, and all before it.
    #[must_use]
    pub fn is_kept(&self, ticket: Ticket) -> bool {
        self.commits.is_committed(ticket)
    }

    /// Wakes `waker` as soon as [`is_kept`](Self::is_kept) says so.
    pub fn wake_when_kept(&self, ticket: Ticket, waker: Waker) {
        self.commits.wake_when_committed(ticket, waker);
    }

    /// What `key` has in `table`, as far as it is kept: what waits may be seen or not. Waits for the disk.
    ///
    /// # Errors
    /// When it is damaged, or the system does not give it.
    pub fn read(&self, table: Table, key: Key) -> Result<Option<Vec<u8>>, ReadError> {
        self.metrics.store_reads.increment(1);
        self.files.read(table, key)
    }

    /// Whether so much waits for the disk that whoever can wait ought to.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.commits.is_behind()
    }

    /// How the disk is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.commits.health()
    }

    /// Brings the gauges of the store up to date.
    pub fn show(&self) {
        let metrics = &self.metrics;
        let index = self.index.read();
        let (live, total) = index.bytes();
        metrics.store_records.set(index.len() as f64);
        metrics.store_live_bytes.set(live as f64);
        metrics.store_bytes.set(total as f64);
        metrics.store_segments.set(index.segments().count() as f64);
        drop(index);
        metrics.store_waiting_bytes.set(self.commits.waiting_bytes() as f64);
        let present = match self.health() {
            Health::Good => StoreState::Ok,
            Health::Full => StoreState::Full,
            Health::ReadOnly => StoreState::ReadOnly,
            Health::Failing => StoreState::Failing,
        };
        metrics.store_state.set_only(present);
    }

    /// Writes what waits, and ends. Waits for the disk.
    pub fn close(&self) {
        self.commits.close();
        if let Some(thread) = self.writer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the store has panicked");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}
