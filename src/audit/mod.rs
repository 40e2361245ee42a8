//! The security audit log: who came, from where, what was decided and by which rule.
//!
//! A directory holds files of JSON lines that are only ever appended to, each with a number. Each line
//! carries a tag over itself and the tag of the line before it (`chain.rs`), and now and then one is a
//! checkpoint: a signature over all of its file up to there, which can be checked without the secret. A
//! file `head` says up to which record the log goes, so that a missing end is noticed, and with which file
//! it begins, so that a missing start is. The secret is sealed under the master key.
//!
//! Whoever has something to say hands it to a bounded queue and goes on; a thread of its own writes it.
//! What finds no place in the queue is counted, and the log says how many there were.

mod chain;
mod event;
mod files;
mod head;
mod settings;
#[cfg(test)]
mod tests;
mod verification;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

pub use chain::{Keys, PublicKey};
pub use event::{Event, Responded, Subject};
pub use files::{AuditError, AuditFile, files_of, lines_of};
pub use settings::Settings;
pub use verification::{Finding, Verified, verify};

use self::writer::Writer;
use crate::clock::Now;

/// Events that may wait to be written.
const QUEUE: usize = 16_384;

/// The log of one broker. Dropped, it is closed.
pub struct AuditLog {
    queue: Mutex<Option<SyncSender<Entry>>>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What waits to be written, and when it happened.
struct Entry {
    /// Since the Unix epoch.
    at: Duration,
    event: Event,
}

impl AuditLog {
    /// Opens the log in `directory`, which is made where it is missing, and begins a new file.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or its secret is another master key's.
    pub fn open(
        directory: &Path,
        keys: Keys,
        settings: &Settings,
        now: Now,
    ) -> Result<Self, AuditError> {
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::open(directory, keys, settings, Arc::clone(&lost), now)?;
        let (queue, events) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&events))
            .map_err(AuditError::system("write", directory))?;
        Ok(Self { queue: Mutex::new(Some(queue)), lost, thread: Mutex::new(Some(thread)) })
    }

    /// Has `event` written. Never waits: where the queue is full it is lost, and that is counted.
    pub fn record(&self, now: Now, event: Event) {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return };
        match queue.try_send(Entry { at: now.unix, event }) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes what waits, and ends the log in order. Waits for the disk.
    pub fn close(&self) {
        // Without a sender, the writer ends after the last event.
        drop(self.queue.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the audit log has panicked");
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}
