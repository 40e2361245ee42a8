//! The directory of the log: its secret, its lock, and its files in order.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::chain::Keys;
use super::head::Head;
use crate::keys::{MasterKey, OpenError, Purpose, SealError, SecretFile, SecretFileError};
use crate::private_file::{self, PrivateFileError};

const LOCK_FILE: &str = "lock";
const PREFIX: &str = "audit.";
const PLAIN: &str = ".jsonl";
const COMPRESSED: &str = ".jsonl.gz";

/// Why the log cannot be opened or read.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The file system is in the way.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of its own cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// Two brokers would write into each other's chain.
    #[error("another process uses {}: give each broker a directory of its own", .0.display())]
    InUse(PathBuf),
    /// The secret was sealed under another master key.
    #[error(
        "cannot open {}: {source}. If the master key was lost, move the directory away: its checkpoints \
         can still be checked with their public key",
        path.display()
    )]
    Key {
        /// Its file.
        path: PathBuf,
        /// What it is instead.
        source: OpenError,
    },
    /// A new secret cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl AuditError {
    pub(super) fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, path: path.to_owned(), source }
    }
}

impl From<SecretFileError> for AuditError {
    fn from(error: SecretFileError) -> Self {
        match error {
            SecretFileError::File(error) => Self::File(error),
            SecretFileError::NoRandomness { path, source } => Self::system("make", &path)(source),
            SecretFileError::Wrong { path, source } => Self::Key { path, source },
            SecretFileError::Seal(error) => Self::Seal(error),
        }
    }
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFile {
    /// Its place in the log, from 1.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is compressed.
    pub is_compressed: bool,
}

impl Keys {
    /// Those of the log in `directory`.
    ///
    /// # Errors
    /// When there are none, or they are another master key's.
    pub fn open(directory: &Path, master: &MasterKey) -> Result<Self, AuditError> {
        let file = SecretFile::in_directory(directory, Purpose::Audit);
        let secret = file.open(master)?;
        Ok(Self::new(&secret))
    }

    /// As [`Self::open`]; directory and secret are made where they are missing. The secret is sealed
    /// under the master key of now, so that an earlier one is not needed for ever.
    ///
    /// # Errors
    /// When they cannot be made, or are another master key's.
    pub fn open_or_make(directory: &Path, master: &MasterKey) -> Result<Self, AuditError> {
        private_file::create_dir(directory)?;
        let file = SecretFile::in_directory(directory, Purpose::Audit);
        match file.open_and_reseal(master) {
            Ok(secret) => Ok(Self::new(&secret)),
            Err(SecretFileError::File(error)) if error.is_not_found() => {
                Self::make(directory, &file, master)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// There is a head before there is a secret. So one that is missing where there is a secret was removed:
    /// no crash leaves it so.
    fn make(directory: &Path, file: &SecretFile, master: &MasterKey) -> Result<Self, AuditError> {
        // Two that start at once would put their heads into each other's place.
        let _lock = lock(directory)?;
        if file.exists() {
            return Self::open(directory, master);
        }
        let secret = file.draw()?;
        let keys = Self::new(&secret);
        Head::FIRST.write(directory, &keys)?;
        file.keep(&secret, master)?;
        Ok(keys)
    }
}

/// Holds the directory for this process, as long as the file is open.
pub(super) fn lock(directory: &Path) -> Result<File, AuditError> {
    let path = directory.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(AuditError::system("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::InUse(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(AuditError::system("lock", &path)(source)),
    }
}

/// The files of the log in `directory`, in order.
///
/// # Errors
/// When the directory cannot be read.
pub fn files_of(directory: &Path) -> Result<Vec<AuditFile>, AuditError> {
    let failed = || AuditError::system("read", directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(rest) = name.and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let (digits, is_compressed) = match rest.strip_suffix(PLAIN) {
            Some(digits) => (Some(digits), false),
            None => (rest.strip_suffix(COMPRESSED), true),
        };
        if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
            files.push(AuditFile { number, path, is_compressed });
        }
    }
    // Where compressing was cut short by a crash there are both: they say the same.
    files.sort_unstable_by_key(|file| (file.number, file.is_compressed));
    files.dedup_by_key(|file| file.number);
    Ok(files)
}

/// What `file` says, to be read line by line, also where it has been compressed since it was found.
///
/// # Errors
/// When it cannot be opened.
pub fn lines_of(file: &AuditFile) -> Result<Box<dyn BufRead>, AuditError> {
    let opened = match File::open(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_compressed => {
            let compressed = file.path.with_added_extension("gz");
            // What was looked for says more, where there is neither.
            File::open(compressed).map(|it| (it, true)).map_err(|_| error)
        }
        opened => opened.map(|it| (it, file.is_compressed)),
    };
    let (opened, is_compressed) = opened.map_err(AuditError::system("open", &file.path))?;
    Ok(match is_compressed {
        true => Box::new(BufReader::new(MultiGzDecoder::new(opened))),
        false => Box::new(BufReader::new(opened)),
    })
}

pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number:08}{PLAIN}"))
}

/// Where [`path_of`] goes once it is compressed.
pub(super) fn compressed_path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number:08}{COMPRESSED}"))
}
