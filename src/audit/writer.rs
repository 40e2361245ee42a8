//! The thread that writes the log.

mod removing;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::begun::{self, Before, Begun};
use super::bounds::body_of;
use super::chain::{Keys, Tag, add_record};
use super::compression::{Compress, Compressor};
use super::durability::Durability;
use super::earlier::Earlier;
use super::files::{lock, path_of};
use super::head::Head;
use super::kept::{Kept, KeptFile};
use super::progress::Progress;
use super::{AuditError, Entry, Event, Settings};
use crate::clock::Now;

/// Events that are written together.
const TOGETHER: usize = 1_024;
/// Bytes that wait for a disk that fails before nothing more is taken from the queue.
const MOST_WAITING: usize = 4 << 20;
/// Between two writings of the head, of which a crash loses the last, and two looks at the age of files.
const TICK: Duration = Duration::from_secs(1);
/// Records between two checkpoints, and the longest time without one.
const CHECKPOINT_RECORDS: u64 = 1_000;
const CHECKPOINT_TIME: Duration = Duration::from_secs(60);

/// Adds to a file, as much as the disk takes at once.
pub(super) type Append = Box<dyn FnMut(&File, &[u8]) -> io::Result<usize> + Send>;
/// Has the disk take what was written to a file.
pub(super) type SyncData = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// What is done to files that takes its time.
pub(super) struct Disk {
    pub(super) append: Append,
    pub(super) sync_data: SyncData,
    pub(super) compress: Compress,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            append: Box::new(|mut file, bytes| file.write(bytes)),
            sync_data: Box::new(File::sync_data),
            compress: Compressor::gzip(),
        }
    }
}

pub(super) struct Writer {
    directory: PathBuf,
    keys: Keys,
    settings: Settings,
    progress: Arc<Progress>,
    append: Append,
    sync_data: SyncData,
    compressor: Compressor,
    file: File,
    number: u64,
    /// Of the file, written.
    bytes: u64,
    /// Lines that are not written yet, of the first one what the file has not.
    waiting: Vec<u8>,
    /// When it is tried again, where the disk has taken nothing.
    retry_at: Option<Instant>,
    first_file: u64,
    kept: Kept,
    seq: u64,
    /// The time of the last record.
    last_at: Duration,
    /// Of the last record of an earlier run.
    seq_before: u64,
    tag: Tag,
    /// Of the whole file.
    digest: Sha256,
    /// Records since the last checkpoint, and when the first of them came.
    unsigned: u64,
    unsigned_since: Option<Instant>,
    /// What the head says by now.
    head_seq: u64,
    /// The same: files before that one may go.
    head_first_file: u64,
    /// What is known to be on disk, where somebody waits for that.
    synced_seq: u64,
    /// Held as long as the log is written.
    _lock: File,
}

impl Writer {
    pub(super) fn open(
        directory: &Path,
        keys: Keys,
        settings: &Settings,
        progress: Arc<Progress>,
        disk: Disk,
        now: Now,
    ) -> Result<Self, AuditError> {
        let lock = lock(directory)?;
        let earlier = Earlier::find(directory, &keys, now.unix)?;
        let number = earlier.number.saturating_add(1);
        let Disk { append, sync_data, compress } = disk;
        let compressor = Compressor::new(directory, compress, settings.max_file_bytes())?;
        let begun = Begun { seq: earlier.seq + 1, at: now.unix, before: earlier.before.clone() };
        let kept = Kept::find(directory, &keys, settings, number, &begun, now)?;
        let mut this = Self {
            file: create(directory, number)?,
            directory: directory.to_owned(),
            keys,
            settings: settings.clone(),
            progress,
            append,
            sync_data,
            compressor,
            number,
            bytes: 0,
            waiting: Vec::new(),
            retry_at: None,
            first_file: earlier.first_file,
            kept,
            seq: earlier.seq,
            last_at: now.unix,
            seq_before: earlier.seq,
            tag: earlier.tag,
            digest: Sha256::new(),
            unsigned: 0,
            unsigned_since: None,
            head_seq: earlier.seq,
            head_first_file: earlier.removed_before,
            synced_seq: earlier.seq,
            _lock: lock,
        };
        this.look_at_clock(now);
        this.begin_file(now.unix, earlier.before.as_ref());
        for damage in earlier.damages {
            tracing::error!(
                directory = %directory.display(),
                "the audit log is not as it was left: {damage}; `bastionmq audit verify` says more"
            );
            this.line(now.unix, &damage.body());
            this.progress.note_damage();
        }
        this.flush();
        Ok(this)
    }

    /// Writes what comes until nobody can send any more. Where somebody waits for the disk, it is told of
    /// what that has.
    pub(super) fn run(mut self, events: &Receiver<Entry>, told: Option<&Durability>) {
        let mut last_tick = Instant::now();
        let mut count = 0;
        loop {
            match events.recv_timeout(TICK) {
                // Whoever waits for the disk waits until it works again: nothing is lost meanwhile.
                Ok(entry) if self.waiting.len() < MOST_WAITING || told.is_some() => {
                    for entry in std::iter::once(entry).chain(events.try_iter().take(TOGETHER)) {
                        self.add(entry);
                        count += 1;
                    }
                    while told.is_some() && self.waiting.len() >= MOST_WAITING {
                        self.flush();
                        std::thread::sleep(if self.waiting.is_empty() {
                            Duration::ZERO
                        } else {
                            TICK
                        });
                    }
                }
                // It has come too late, and is counted with those that found no place.
                Ok(_) => {
                    self.progress.note_lost();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.flush();
            if let Some(told) = told
                && self.waiting.is_empty()
                && self.is_synced()
            {
                told.reach(count);
            }
            if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                self.tick();
            }
        }
        self.end();
    }

    /// Whether the disk has all that was written: never again, once it has failed in that. Asked again it may
    /// say that all is well, of what it has dropped.
    fn is_synced(&mut self) -> bool {
        if self.synced_seq == self.seq {
            return true;
        }
        if self.progress.has_failed_to_sync() {
            return false;
        }
        match self.sync() {
            Ok(()) => {
                self.synced_seq = self.seq;
                true
            }
            Err(error) => {
                tracing::error!(
                    "the disk has not taken what the audit log has written, so nothing is decided any more: \
                     mend it, and start the broker anew: {error}"
                );
                false
            }
        }
    }

    /// Fails for good once it has failed.
    fn sync(&mut self) -> io::Result<()> {
        if self.progress.has_failed_to_sync() {
            return Err(io::Error::other("the disk has failed to sync in this run"));
        }
        let synced = (self.sync_data)(&self.file);
        if synced.is_err() {
            self.progress.note_failed_sync();
        }
        synced
    }

    pub(super) fn add(&mut self, Entry { at, mut event }: Entry) {
        let lost = self.progress.take_untold();
        if lost > 0 {
            tracing::warn!(lost, "more happened than the audit log could be told");
            self.line(at, &body_of(&Event::Lost { count: lost }));
        }
        let correlation = event.subject().map(|who| {
            let since = who.since.to_string();
            self.keys.name(&[&who.principal, &who.client_id, &who.address, &since])
        });
        if self.settings.mask {
            event.mask(|name| self.keys.name(&[name]));
        }
        let mut body = body_of(&event);
        if let Some(correlation) = correlation {
            body.push_str(&format!(",\"correlation\":\"{correlation}\""));
        }
        self.line(at, &body);
        if self.unsigned >= CHECKPOINT_RECORDS {
            self.checkpoint(at);
        }
    }

    /// Adds a record: `body` is what stands in its object between number, time and tag.
    fn line(&mut self, at: Duration, body: &str) {
        let start = self.waiting.len();
        self.seq += 1;
        self.last_at = at;
        self.tag = add_record(&mut self.waiting, self.seq, at, body, &self.tag, &self.keys);
        self.digest.update(self.waiting.get(start..).unwrap_or_default());
        self.unsigned += 1;
        self.unsigned_since.get_or_insert_with(Instant::now);
    }

    /// A file says of itself which one it is, and what came before it.
    fn begin_file(&mut self, at: Duration, before: Option<&Before>) {
        self.digest = Sha256::new();
        let body = begun::body_of(self.number, &self.tag, &self.keys.public_key(), before);
        self.line(at, &body);
    }

    fn checkpoint(&mut self, at: Duration) {
        self.line(at, &self.keys.checkpoint(&self.digest));
        (self.unsigned, self.unsigned_since) = (0, None);
    }

    /// Writes what waits. What cannot be written waits on, and for a moment nothing is tried.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        match self.append_waiting() {
            Ok(()) => {
                self.retry_at = None;
                self.progress.note_waits(false);
                self.progress.note_records(self.seq - self.seq_before);
            }
            Err(error) => {
                self.retry_at = Instant::now().checked_add(TICK);
                if !self.progress.note_waits(true) {
                    tracing::error!("the audit log cannot be written, and waits: {error}");
                }
            }
        }
    }

    /// What the file has taken is done, also where that is half a line: the other half comes next.
    fn append_waiting(&mut self) -> io::Result<()> {
        let mut taken = 0;
        let result = loop {
            let rest = self.waiting.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match (self.append)(&self.file, rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => taken += count.min(rest.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..taken);
        self.bytes += taken as u64;
        result
    }

    fn tick(&mut self) {
        let now = Now::read();
        if self.unsigned_since.is_some_and(|since| since.elapsed() >= CHECKPOINT_TIME) {
            self.checkpoint(now.unix);
            self.flush();
        }
        if !self.waiting.is_empty() {
            return;
        }
        self.write_head();
        if self.bytes >= self.settings.max_file_bytes()
            && let Err(error) = self.rotate(now.unix)
        {
            tracing::error!("the audit log goes on in a file that is full: {error}");
        }
        self.go_on_compressing(now.instant);
        self.look_at_clock(now);
        if let Err(error) = self.remove_old(now) {
            tracing::error!("old files of the audit log stay: {error}");
        }
    }

    /// It never says more than is on disk: what is missing otherwise was removed by somebody else. So it says
    /// nothing more once the disk has failed to sync, of which nobody knows what it has.
    pub(super) fn write_head(&mut self) {
        let is_over = self.progress.has_failed_to_sync();
        if is_over || self.head_seq == self.seq || !self.waiting.is_empty() {
            return;
        }
        let digest = Tag::of_file(&self.digest);
        let head = Head { first_file: self.first_file, seq: self.seq, tag: self.tag, digest };
        let written = self.sync().map_err(AuditError::system("write", &self.directory));
        match written.and_then(|()| Ok(head.write(&self.directory, &self.keys)?)) {
            Ok(()) => (self.head_seq, self.head_first_file) = (self.seq, self.first_file),
            Err(error) => tracing::error!("how far the audit log goes cannot be noted: {error}"),
        }
    }

    /// Begins the next file, and has this one compressed.
    pub(super) fn rotate(&mut self, at: Duration) -> Result<(), AuditError> {
        let next = create(&self.directory, self.number + 1)?;
        self.checkpoint(at);
        self.flush();
        // Before there is anything in the next one: that is noted as on disk with all that is before it. Nothing
        // is noted any more once the disk has failed in that.
        let is_synced_in_vain = !self.waiting.is_empty() || self.progress.has_failed_to_sync();
        let synced = if is_synced_in_vain { Ok(()) } else { self.sync() };
        if !self.waiting.is_empty() || synced.is_err() {
            // Its end is not written: it goes on when it can be.
            let path = path_of(&self.directory, self.number + 1);
            fs::remove_file(&path).map_err(AuditError::system("remove", &path))?;
            return synced.map_err(AuditError::system("write", &self.directory));
        }
        let full = std::mem::replace(&mut self.file, next);
        let (number, bytes, until) = (self.number, self.bytes, self.last_at);
        self.kept.add(KeptFile { number, last_record: self.seq, until, bytes });
        (self.number, self.bytes) = (number + 1, 0);
        self.begin_file(at, Some(&Before::new(number, bytes, until)));
        self.flush();
        drop(full);
        self.compressor.add(number);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn rotate_for_test(&mut self) {
        self.rotate(Now::read().unix).unwrap();
        self.compress_for_test();
        self.write_head();
        self.remove_old(Now::read()).unwrap();
    }

    /// As [`Self::flush`], without waiting for the disk.
    #[cfg(test)]
    pub(super) fn flush_at_once(&mut self) {
        self.retry_at = None;
        self.flush();
    }

    /// Compresses the next file that is full.
    #[cfg(test)]
    pub(super) fn compress_for_test(&mut self) {
        self.go_on_compressing(Instant::now());
        while self.compressor.is_at_work() {
            std::thread::yield_now();
        }
        self.go_on_compressing(Instant::now());
    }

    /// What is being compressed is left to the next run, and so is what waits for that.
    fn end(mut self) {
        self.checkpoint(Now::read().unix);
        self.retry_at = None;
        self.flush();
        self.write_head();
    }
}

fn create(directory: &Path, number: u64) -> Result<File, AuditError> {
    let path = path_of(directory, number);
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).mode(0o600).open(&path);
    // Its name is durable once its directory is: before the head, which says that there are records in it.
    let named = file.and_then(|file| File::open(directory)?.sync_all().map(|()| file));
    named.map_err(AuditError::system("create", &path))
}
