//! Files that are full are compressed by a thread of its own, one at a time: nobody waits for that.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::AuditError;
use super::files::{compressed_path_of, files_of, path_of};
use crate::private_file::{self, PrivateFileError};

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
    is_stopped: Arc<AtomicBool>,
}

struct UnderWay {
    number: u64,
    thread: JoinHandle<()>,
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
        Ok(Self { directory, compress, full, under_way: None, is_stopped: Arc::default() })
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

    /// Begins with the next file, where none is under way. Gives the number of one that is done.
    pub(super) fn go_on(&mut self) -> Option<u64> {
        if self.under_way.as_ref().is_some_and(|it| !it.thread.is_finished()) {
            return None;
        }
        let done = self.under_way.as_ref().map(|it| it.number);
        self.wait();
        if let Some(number) = self.full.pop_front() {
            self.begin_with(number);
        }
        done
    }

    fn begin_with(&mut self, number: u64) {
        match self.begin(number) {
            Ok(thread) => self.under_way = Some(UnderWay { number, thread }),
            Err(error) => {
                tracing::error!("a full file of the audit log is not compressed: {error}")
            }
        }
    }

    fn begin(&self, number: u64) -> io::Result<JoinHandle<()>> {
        let (plain, compressed) =
            (path_of(&self.directory, number), compressed_path_of(&self.directory, number));
        let (compress, is_stopped) = (Arc::clone(&self.compress), Arc::clone(&self.is_stopped));
        thread::Builder::new().name("audit-gzip".to_owned()).spawn(move || {
            match compress(&plain, &compressed, &is_stopped) {
                // Its time was over before its turn came.
                Err(_) if !plain.exists() || is_stopped.load(Ordering::Relaxed) => {}
                Err(error) => {
                    tracing::error!("a full file of the audit log is not compressed: {error}");
                }
                Ok(()) => {}
            }
        })
    }

    pub(super) fn wait(&mut self) {
        if let Some(UnderWay { thread, .. }) = self.under_way.take()
            && thread.join().is_err()
        {
            tracing::error!("what compresses files of the audit log has panicked");
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.wait();
    }
}
