//! Files that are full are compressed by a thread of its own, one at a time: nobody waits for that.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::AuditError;
use super::files::{compressed_path_of, files_of, path_of};
use crate::private_file::{self, PrivateFileError};

/// Between two attempts at files, where one has failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Puts a compressed file in the place of one that is full, unless it is told to stop.
pub(super) type Compress =
    Arc<dyn Fn(&Path, &Path, &AtomicBool) -> Result<(), PrivateFileError> + Send + Sync>;

/// Dropped, it stops, and what it was at stays as it is.
pub(super) struct Compressor {
    directory: PathBuf,
    compress: Compress,
    /// The numbers of those that are full.
    full: VecDeque<u64>,
    under_way: Option<UnderWay>,
    /// When it goes on, where it has failed.
    rests_until: Option<Instant>,
    is_stopped: Arc<AtomicBool>,
}

struct UnderWay {
    number: u64,
    /// Gives whether nothing is left to do.
    thread: JoinHandle<bool>,
}

impl Compressor {
    /// For the log in `directory`. What an earlier run has not come to is done first: files that have
    /// `full_bytes`, and those that are there in both forms.
    pub(super) fn new(
        directory: &Path,
        compress: Compress,
        full_bytes: u64,
    ) -> Result<Self, AuditError> {
        let mut full = VecDeque::new();
        for file in files_of(directory)?.into_iter().filter(|file| !file.is_compressed) {
            let metadata = fs::metadata(&file.path);
            let bytes = metadata.map_err(AuditError::system("look at", &file.path))?.len();
            if bytes >= full_bytes || compressed_path_of(directory, file.number).exists() {
                full.push_back(file.number);
            }
        }
        let directory = directory.to_owned();
        let (under_way, rests_until) = (None, None);
        Ok(Self { directory, compress, full, under_way, rests_until, is_stopped: Arc::default() })
    }

    /// The default.
    pub(super) fn gzip() -> Compress {
        Arc::new(private_file::compress_unless)
    }

    /// Has a file compressed that nobody writes to any more, once it is its turn.
    pub(super) fn add(&mut self, number: u64) {
        self.full.push_back(number);
    }

    /// Which file is being compressed: it is not to be removed meanwhile, since it would come back.
    pub(super) fn under_way(&self) -> Option<u64> {
        self.under_way.as_ref().map(|it| it.number)
    }

    /// Begins with the next file, where none is under way. Gives the number of one that is done. One that has
    /// failed is tried again, after a pause and after the others: what is in its way may be its own.
    pub(super) fn go_on(&mut self, now: Instant) -> Option<u64> {
        if self.is_at_work() {
            return None;
        }
        let ended = self.wait();
        if let Some((number, false)) = ended {
            self.put_back(number, now);
        }
        if self.rests_until.is_none_or(|until| now >= until)
            && let Some(number) = self.full.pop_front()
        {
            match self.begin(number) {
                Ok(thread) => self.under_way = Some(UnderWay { number, thread }),
                Err(error) => {
                    tracing::error!("a full file of the audit log is not compressed: {error}");
                    self.put_back(number, now);
                }
            }
        }
        ended.and_then(|(number, is_done)| is_done.then_some(number))
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.under_way.as_ref().is_some_and(|it| !it.thread.is_finished())
    }

    fn put_back(&mut self, number: u64, now: Instant) {
        self.full.push_back(number);
        self.rests_until = now.checked_add(PAUSE);
    }

    fn begin(&self, number: u64) -> io::Result<JoinHandle<bool>> {
        let (plain, compressed) =
            (path_of(&self.directory, number), compressed_path_of(&self.directory, number));
        let (compress, is_stopped) = (Arc::clone(&self.compress), Arc::clone(&self.is_stopped));
        thread::Builder::new().name("audit-gzip".to_owned()).spawn(move || {
            match compress(&plain, &compressed, &is_stopped) {
                // Its time was over before its turn came.
                Err(_) if !plain.exists() || is_stopped.load(Ordering::Relaxed) => true,
                Err(error) => {
                    tracing::error!("a full file of the audit log is not compressed: {error}");
                    false
                }
                Ok(()) => true,
            }
        })
    }

    /// Gives which one was under way, and whether nothing is left to do of it.
    pub(super) fn wait(&mut self) -> Option<(u64, bool)> {
        let UnderWay { number, thread } = self.under_way.take()?;
        let is_done = thread.join().unwrap_or_else(|_| {
            tracing::error!("what compresses files of the audit log has panicked");
            false
        });
        Some((number, is_done))
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.wait();
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Goes on, and gives the number of the file that this has begun with.
    fn begun(compressor: &mut Compressor, now: Instant) -> Option<u64> {
        while compressor.is_at_work() {
            thread::yield_now();
        }
        compressor.go_on(now);
        compressor.under_way()
    }

    #[test]
    fn a_file_that_cannot_be_compressed_is_tried_again_after_a_pause_and_after_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let fails = Arc::new(Mutex::new(true));
        let failing = Arc::clone(&fails);
        let compress: Compress = Arc::new(move |plain, compressed, is_stopped| {
            if *failing.lock() {
                let source = io::Error::other("full");
                return Err(PrivateFileError::System {
                    action: "write",
                    path: plain.to_owned(),
                    source,
                });
            }
            private_file::compress_unless(plain, compressed, is_stopped)
        });
        for number in [1, 2] {
            fs::write(path_of(directory.path(), number), "line\n").unwrap();
        }
        let mut compressor = Compressor::new(directory.path(), compress, 1).unwrap();
        let now = Instant::now();
        assert_eq!(begun(&mut compressor, now), Some(1));
        assert_eq!(begun(&mut compressor, now), None, "it has failed");
        let almost = now + PAUSE - Duration::from_millis(1);
        assert_eq!(begun(&mut compressor, almost), None);
        *fails.lock() = false;
        assert_eq!(begun(&mut compressor, now + PAUSE), Some(2));
        assert_eq!(begun(&mut compressor, now + PAUSE), Some(1));
        assert_eq!(begun(&mut compressor, now + PAUSE), None);
        let files = files_of(directory.path()).unwrap();
        assert!(files.len() == 2 && files.iter().all(|file| file.is_compressed), "{files:?}");
    }
}
