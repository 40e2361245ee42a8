//! The security audit log: who came, from where, what was decided and by which rule.
//!
//! A directory holds files of JSON lines that are only ever appended to, each with a number. Each line
//! carries a tag over itself and the tag of the line before it (`chain.rs`), and now and then one is a
//! checkpoint: a signature over all of its file up to there, which can be checked without the secret. A
//! file `head` says up to which record the log goes, so that a missing end is noticed, and with which file
//! it begins, so that a missing start is; it is signed as well. The secret is sealed under the master key.
//!
//! Whoever has something to say hands it to a bounded queue and goes on; a thread of its own writes it.
//! What finds no place in the queue is counted, and the log says how many there were. Where the log is
//! strict, whoever decides has a ticket instead, and waits for the disk before anything comes of it; what
//! finds no place is then not done.

mod begun;
mod bounds;
mod chain;
mod compression;
mod damage;
mod durability;
mod earlier;
mod event;
mod files;
mod head;
mod kept;
mod lines;
mod progress;
mod removal;
mod settings;
#[cfg(test)]
mod tests;
mod verification;
mod writer;

use std::fmt;
#[cfg(test)]
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

pub use bounds::as_recorded;
pub use chain::{Keys, PublicKey};
pub use durability::Ticket;
pub use event::{Event, Responded, Subject};
pub use files::{AuditError, AuditFile, begun_files_of, files_of};
pub use lines::{Line, Lines};
pub use progress::{Condition, Figures};
pub use settings::Settings;
pub use verification::{Finding, Verified, verify};

use self::durability::Durability;
use self::progress::Progress;
use self::writer::{Disk, Writer};
use crate::clock::Now;

/// Events that may wait to be written.
const QUEUE: usize = 16_384;

/// The log of one broker. Dropped, it is closed.
pub struct AuditLog {
    queue: Mutex<Queue>,
    /// Where decisions wait for the disk.
    durability: Option<Arc<Durability>>,
    progress: Arc<Progress>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Queue {
    /// Nothing once the log is closed.
    sender: Option<SyncSender<Entry>>,
    /// Events that were put into it.
    count: u64,
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
        Self::open_on(directory, keys, settings, Disk::default(), now)
    }

    /// As [`Self::open`], on such a disk.
    fn open_on(
        directory: &Path,
        keys: Keys,
        settings: &Settings,
        disk: Disk,
        now: Now,
    ) -> Result<Self, AuditError> {
        let progress = Arc::<Progress>::default();
        let durability = settings.strict.then(Arc::<Durability>::default);
        let writer = Writer::open(directory, keys, settings, Arc::clone(&progress), disk, now)?;
        let (sender, events) = sync_channel(QUEUE);
        let reached = durability.clone();
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&events, reached.as_deref()))
            .map_err(AuditError::system("write", directory))?;
        let queue = Mutex::new(Queue { sender: Some(sender), count: 0 });
        Ok(Self { queue, durability, progress, thread: Mutex::new(Some(thread)) })
    }

    /// A strict one in `directory`, whose disk takes all but what it is to have synced for the `nth` time.
    #[cfg(test)]
    pub(crate) fn strict_on_failing_disk(directory: &Path, keys: Keys, nth: u32) -> Self {
        let mut syncs = 0;
        let sync_data = move |file: &File| {
            syncs += 1;
            if syncs == nth {
                Err(std::io::Error::other("it fails once"))
            } else {
                file.sync_data()
            }
        };
        let settings = Settings { strict: true, ..Settings::default() };
        let disk = Disk { sync_data: Box::new(sync_data), ..Disk::default() };
        let log = Self::open_on(directory, keys, &settings, disk, Now::read());
        log.expect("a log")
    }

    /// Whether decisions wait for the disk.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.durability.is_some()
    }

    /// Has `event` written. Never waits: where the queue is full it is lost, and that is counted. Gives what
    /// to wait for, where the log is strict.
    ///
    /// What is long in it is cut, as [`as_recorded`] does.
    pub fn record(&self, now: Now, mut event: Event) -> Option<Ticket> {
        event.cut();
        let mut queue = self.queue.lock();
        let entry = Entry { at: now.unix, event };
        let sent = queue.sender.as_ref().map(|sender| sender.try_send(entry).is_ok());
        let ticket = match sent {
            Some(true) => {
                queue.count += 1;
                Ticket(queue.count)
            }
            Some(false) => {
                self.progress.note_lost();
                Ticket::NEVER
            }
            None => Ticket::NEVER,
        };
        self.is_strict().then(|| {
            ticket.note_here();
            ticket
        })
    }

    /// Returns once the event of `ticket` is on disk: never, where there was no place for it.
    pub async fn until_written(&self, ticket: Ticket) {
        if let Some(durability) = &self.durability {
            durability.until(ticket).await;
        }
    }

    /// Whether it is on disk within `patience`. This thread waits for that.
    #[must_use]
    pub fn is_written_within(&self, ticket: Ticket, patience: Duration) -> bool {
        self.durability.as_ref().is_none_or(|it| it.wait(ticket, patience))
    }

    /// How it is getting on.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.progress.figures()
    }

    /// Writes what waits, and ends the log in order. Waits for the disk.
    pub fn close(&self) {
        // Without a sender, the writer ends after the last event.
        drop(self.queue.lock().sender.take());
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
