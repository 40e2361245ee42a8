//! A copy of a store while it is written to: all that was kept when it was asked for, as after a loss of power
//! at that moment.
//!
//! Segments only grow, so what one has is copied as it stands. The cleaner, which alone takes something away,
//! rests meanwhile. The keys are copied last: a copy that was not finished does not open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::batch::Batch;
use super::data_keys::FILES;
use super::directory::LOCK;
use super::reading::Reader;
use super::segment::name_of;
use super::{Directory, DirectoryError, Disk, Health, Store};

/// Bytes that are copied at once.
const CHUNK_BYTES: usize = 1 << 20;
/// How often is looked whether the disk of the store has become ill.
const LOOK: Duration = Duration::from_millis(100);

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How many segments.
    pub segments: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory for it cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is something in it.
    #[error("{0} is not empty: a copy is made in a directory of its own")]
    NotEmpty(PathBuf),
    /// What was given to the store last is not kept, and so cannot be copied.
    #[error("the store cannot be written: {0}")]
    Ill(Health),
    /// The store cannot be read.
    #[error("cannot read `{name}` of the store: {source}")]
    Read {
        /// The file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error("cannot write the copy: {0}")]
    Write(io::Error),
}

struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Store {
    /// Copies all that is kept to the new or empty directory `path`, for whoever has the same master key.
    /// Waits for the disk; meanwhile the store is used as ever, and nothing is cleaned.
    ///
    /// # Errors
    /// When the store cannot be read or the copy not be written; then there is no copy.
    pub fn backup(&self, path: &Path) -> Result<Copied, BackupError> {
        let target = Directory::lock(path)?;
        let names = target.list().map_err(BackupError::Write)?;
        if names.iter().any(|name| name != LOCK) {
            return Err(BackupError::NotEmpty(path.to_owned()));
        }
        let _pause = self.commits.pause_cleaning();
        // When this is kept, the writer has seen that it does not clean.
        self.wait_for_writer()?;
        let index = self.index.read();
        let segments = index.segments().map(|(number, usage)| (number, usage.bytes));
        let segments = segments.collect::<Vec<_>>();
        drop(index);
        let copied = self.files.copy(&segments, &target);
        if copied.is_err() {
            for name in target.list().unwrap_or_default().iter().filter(|name| *name != LOCK) {
                // Without keys it does not open in any case.
                let _ = target.remove(name);
            }
        }
        copied.map(|bytes| Copied { segments: segments.len(), bytes })
    }

    fn wait_for_writer(&self) -> Result<(), BackupError> {
        let ticket = self.append(Batch::default());
        self.wake_when_kept(ticket, Waker::from(Arc::new(Sleeper(thread::current()))));
        while !self.is_kept(ticket) {
            match self.health() {
                Health::Good => thread::park_timeout(LOOK),
                ill => return Err(BackupError::Ill(ill)),
            }
        }
        Ok(())
    }
}

impl<D: Disk> Reader<D> {
    /// Copies so many bytes of each of the segments, and then the keys.
    pub(super) fn copy_all(
        &self,
        segments: &[(u32, u64)],
        target: &Directory,
    ) -> Result<u64, BackupError> {
        let mut copied = 0;
        for &(number, bytes) in segments {
            copied += self.copy_segment(&name_of(number), bytes, target)?;
        }
        target.sync_names().map_err(BackupError::Write)?;
        for name in FILES {
            match self.disk.read(name) {
                Ok(sealed) => target.replace(name, &sealed).map_err(BackupError::Write)?,
                // The other one is enough.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(BackupError::Read { name: name.to_owned(), source }),
            }
        }
        Ok(copied)
    }

    fn copy_segment(&self, name: &str, bytes: u64, to: &Directory) -> Result<u64, BackupError> {
        let mut file = to.create(name).map_err(BackupError::Write)?;
        let mut at = 0;
        while at < bytes {
            let length = CHUNK_BYTES.min(usize::try_from(bytes - at).unwrap_or(CHUNK_BYTES));
            let chunk = self.disk.read_at(name, at, length);
            let chunk =
                chunk.map_err(|source| BackupError::Read { name: name.to_owned(), source })?;
            if chunk.is_empty() {
                // What the disk has not taken was written again elsewhere.
                break;
            }
            to.append(&mut file, &chunk).map_err(BackupError::Write)?;
            at += chunk.len() as u64;
        }
        to.sync(&mut file).map_err(BackupError::Write)?;
        Ok(at)
    }
}
