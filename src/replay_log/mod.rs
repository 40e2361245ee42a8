//! What keeps replay windows over a restart and a crash: each envelope that is accepted is written down
//! before anything is done with it.
//!
//! A directory holds a key, sealed under the master key, and files that are only ever appended to, each
//! with a number. One write holds what one connection brought in one go, and is authenticated as a whole.
//! Streams go by a keyed hash: neither senders nor keys can be read off the files.
//!
//! What a process has written is there after it was killed. What the machine has not brought to disk when
//! it loses power is not: each file says in which run of the machine it was written and whether it was
//! closed, so that this is known. Whatever is or may be missing is a [`Loss`], and whoever asks is told:
//! what was sealed before must then be refused, since it may have been accepted.

mod format;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use thiserror::Error;

use self::format::Frame;
pub use self::format::{
    Accepted, Floors, LogKey, PACKETS, Packet, StreamHash, StreamState, WINDOW,
};
use crate::keys::{MasterKey, OpenError, Purpose, SealError, SecretFile, SecretFileError};
use crate::private_file::{self, PrivateFileError};

/// A file that has grown to this is written anew: see [`ReplayLog::is_due`].
const LARGEST: u64 = 32 << 20;
/// What the process that uses the directory has locked.
const LOCK_FILE: &str = "lock";
/// What the names of all other files begin with, before their number.
const FILE_PREFIX: &str = "windows.";

/// The log of one broker. Shared by all of its connections.
#[derive(Debug)]
pub struct ReplayLog {
    directory: PathBuf,
    key: LogKey,
    current: Mutex<Current>,
    /// Held as long as the log is.
    _lock: File,
}

/// The file that is appended to.
#[derive(Debug)]
struct Current {
    file: File,
    number: u64,
    bytes: u64,
    /// How large it was when all that it takes up had been written anew.
    bytes_at_first: u64,
}

/// What was in the log when it was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By the hash of the stream.
    pub streams: HashMap<StreamHash, StreamState>,
    /// Why some of it is or may be missing.
    pub loss: Option<Loss>,
    /// Whether there was nothing at all, as at the first start.
    pub is_new: bool,
    /// Those that were noted, and what is needed for what was forgotten.
    pub floors: Floors,
}

/// Why windows may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Loss {
    /// The machine stopped before all was on disk.
    #[error("the machine stopped without an end of the broker")]
    MachineStopped,
    /// A file is not as it was written.
    #[error("{0} is damaged, or was not written by this broker")]
    Damaged(String),
}

/// Why the log cannot be used.
#[derive(Debug, Error)]
pub enum ReplayLogError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Two brokers would not know of each other's windows.
    #[error("another process uses {}: give each broker a directory of its own", .0.display())]
    InUse(PathBuf),
    /// The key was sealed under another master key.
    #[error(
        "cannot open {}: {source}. If the master key was lost, remove the directory: what was sealed \
         before the next start is then refused",
        path.display()
    )]
    Key {
        /// Its file.
        path: PathBuf,
        /// What it is instead.
        source: OpenError,
    },
    /// A new key cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ReplayLogError {
    fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, path: path.to_owned(), source }
    }
}

impl From<SecretFileError> for ReplayLogError {
    fn from(error: SecretFileError) -> Self {
        match error {
            SecretFileError::File(error) => Self::File(error),
            SecretFileError::NoRandomness { path, source } => Self::system("make", &path)(source),
            SecretFileError::Wrong { path, source } => Self::Key { path, source },
            SecretFileError::Seal(error) => Self::Seal(error),
        }
    }
}

impl ReplayLog {
    /// Opens the log in `directory`, which is made where it is missing, and begins a new file with all
    /// that `keep` wants of the streams that were there.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or its key is another master key's.
    pub fn open(
        directory: &Path,
        master: &MasterKey,
        keep: impl Fn(&StreamState) -> bool,
    ) -> Result<(Self, Recovered), ReplayLogError> {
        private_file::create_dir(directory)?;
        let lock = lock(directory)?;
        let file = SecretFile::in_directory(directory, Purpose::ReplayWindows);
        let key = LogKey::new(file.open_or_make(master)?.as_slice());
        let earlier = numbers(directory)?;
        let mut recovered = reading::read(directory, &key, &earlier)?;
        // What is forgotten must not come back, should the clock be set back.
        let forgotten = recovered.streams.extract_if(|_, state| !keep(state));
        let latest = forgotten.map(|(_, state)| state.latest_ms).max();
        let unknown_ms = latest.unwrap_or(0);
        recovered.floors = recovered.floors.and(Floors { all_ms: 0, unknown_ms });
        let number = earlier.last().copied().unwrap_or(0) + 1;
        let current = Current::create(directory, number, &key)?;
        let this = Self {
            directory: directory.to_owned(),
            key,
            current: Mutex::new(current),
            _lock: lock,
        };
        this.raise_floors(recovered.floors)?;
        this.write_streams(recovered.streams.iter())?;
        this.remove_earlier()?;
        Ok((this, recovered))
    }

    /// What hides the names of streams.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Writes down what was accepted, all of it or nothing: it is there when this has returned, even if
    /// the process is killed.
    ///
    /// # Errors
    /// When it cannot be written. Nothing of it must be taken for accepted then.
    pub fn append(&self, accepted: &[Accepted]) -> Result<(), ReplayLogError> {
        if accepted.is_empty() {
            return Ok(());
        }
        let frame = Frame::of_accepted(accepted, &self.key);
        self.write(frame.bytes())
    }

    /// Notes what is refused from now on whatever the windows say.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn raise_floors(&self, floors: Floors) -> Result<(), ReplayLogError> {
        self.write(Frame::of_floors(floors, &self.key).bytes())
    }

    /// Whether so much was appended that all is to be written anew: see [`Self::begin_anew`].
    #[must_use]
    pub fn is_due(&self) -> bool {
        let current = self.current.lock();
        current.bytes > LARGEST.max(current.bytes_at_first.saturating_mul(2))
    }

    /// Begins a new file, which is appended to from now on. All that is known is then written there by
    /// [`Self::raise_floors`] and [`Self::write_streams`]; the earlier files stay until
    /// [`Self::remove_earlier`].
    ///
    /// # Errors
    /// When it cannot be made; then the earlier one stays in use.
    pub fn begin_anew(&self) -> Result<(), ReplayLogError> {
        let mut current = self.current.lock();
        *current = Current::create(&self.directory, current.number + 1, &self.key)?;
        Ok(())
    }

    /// Writes down what is known of `streams`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_streams<'s>(
        &self,
        streams: impl Iterator<Item = (&'s StreamHash, &'s StreamState)>,
    ) -> Result<(), ReplayLogError> {
        for (hash, state) in streams {
            self.write(Frame::of_stream(hash, state, &self.key).bytes())?;
        }
        Ok(())
    }

    /// All that is known is in the current file: removes what was before. Waits for the disk.
    ///
    /// # Errors
    /// When the current file cannot be brought to disk; then the earlier ones stay.
    pub fn remove_earlier(&self) -> Result<(), ReplayLogError> {
        let (file, number) = {
            let mut current = self.current.lock();
            current.bytes_at_first = current.bytes;
            (current.file.try_clone(), current.number)
        };
        let failed = || ReplayLogError::system("write", &self.directory);
        file.and_then(|file| file.sync_all()).map_err(failed())?;
        File::open(&self.directory).and_then(|it| it.sync_all()).map_err(failed())?;
        for earlier in numbers(&self.directory)?.into_iter().filter(|it| *it < number) {
            let path = path_of(&self.directory, earlier);
            fs::remove_file(&path).map_err(ReplayLogError::system("remove", &path))?;
        }
        Ok(())
    }

    /// Notes that nothing more comes, and waits until all of it is on disk.
    ///
    /// # Errors
    /// When it cannot be written: the next start then finds that something may be missing.
    pub fn close(&self) -> Result<(), ReplayLogError> {
        self.write(Frame::of_end(&self.key).bytes())?;
        let current = self.current.lock();
        let path = path_of(&self.directory, current.number);
        current.file.sync_all().map_err(ReplayLogError::system("write", &path))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), ReplayLogError> {
        let mut current = self.current.lock();
        let path = || path_of(&self.directory, current.number);
        if let Err(source) = (&current.file).write_all(bytes) {
            // Half of it would hide what comes behind. If that cannot be helped either, the rest of this
            // file is damaged, and the next start says so.
            let error = ReplayLogError::system("write", &path())(source);
            let _ = current.file.set_len(current.bytes);
            return Err(error);
        }
        current.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Current {
    fn create(directory: &Path, number: u64, key: &LogKey) -> Result<Self, ReplayLogError> {
        let path = path_of(directory, number);
        let failed = || ReplayLogError::system("create", &path);
        let mut options = OpenOptions::new();
        let mut file =
            options.append(true).create_new(true).mode(0o600).open(&path).map_err(failed())?;
        let header = format::header(number, &reading::machine_run(), key);
        file.write_all(&header).map_err(failed())?;
        let bytes = header.len() as u64;
        Ok(Self { file, number, bytes, bytes_at_first: bytes })
    }
}

fn lock(directory: &Path) -> Result<File, ReplayLogError> {
    let path = directory.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(ReplayLogError::system("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReplayLogError::InUse(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(ReplayLogError::system("lock", &path)(source)),
    }
}

/// The numbers of the files that are there, in order.
fn numbers(directory: &Path) -> Result<Vec<u64>, ReplayLogError> {
    let failed = || ReplayLogError::system("read", directory);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(FILE_PREFIX));
        numbers.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{FILE_PREFIX}{number}"))
}
