//! The directory of the log: its secret, its lock, and its files in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
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
/// Behind the name of a file that is being compressed.
const PART: &str = ".part";

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

    /// Whether there is no such file: that of a log that is written may be gone since it was listed.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
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

/// What stands in the directory of a log.
#[derive(Default)]
pub(super) struct Listing {
    /// Its files, in order. One that is there in both forms is the plain one here.
    pub(super) files: Vec<AuditFile>,
    /// The compressed form of those that are there in both.
    pub(super) twins: Vec<AuditFile>,
    /// What looks like a file of a log by its name, and is none by that or by its kind: nobody reads these.
    pub(super) strays: BTreeSet<OsString>,
}

/// The files of the log in `directory`, in order. Only what has exactly the name that the broker gives is one.
///
/// # Errors
/// When the directory cannot be read.
pub fn files_of(directory: &Path) -> Result<Vec<AuditFile>, AuditError> {
    Ok(Listing::of(directory)?.files)
}

/// As [`files_of`], up to the last one that has anything in it: nothing is written any more to those before
/// that one.
///
/// # Errors
/// As [`files_of`].
pub fn begun_files_of(directory: &Path) -> Result<Vec<AuditFile>, AuditError> {
    let mut files = files_of(directory)?;
    files.truncate(begun(&files));
    Ok(files)
}

/// How many of `files` are left without the newest ones that have nothing in them yet.
pub(super) fn begun(files: &[AuditFile]) -> usize {
    let is_empty = |file: &AuditFile| fs::metadata(&file.path).is_ok_and(|it| it.len() == 0);
    files.iter().rposition(|file| !is_empty(file)).map_or(0, |at| at + 1)
}

impl Listing {
    pub(super) fn of(directory: &Path) -> Result<Self, AuditError> {
        let mut found = BTreeMap::new();
        let mut this = Self::default();
        this.look(directory, &mut found)?;
        if has_gap(&found) {
            // A system may show neither form of a file that is given its other one meanwhile. It is there now.
            this.look(directory, &mut found)?;
        }
        for ((number, is_compressed), path) in found {
            let file = AuditFile { number, path, is_compressed };
            match this.files.last().is_some_and(|last| last.number == number) {
                true => this.twins.push(file),
                false => this.files.push(file),
            }
        }
        Ok(this)
    }

    fn look(
        &mut self,
        directory: &Path,
        found: &mut BTreeMap<(u64, bool), PathBuf>,
    ) -> Result<(), AuditError> {
        let failed = || AuditError::system("read", directory);
        for entry in fs::read_dir(directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            // Whoever opens a pipe waits for ever.
            let is_file = entry.file_type().map_or(true, |kind| kind.is_file());
            match name.to_str().map(named) {
                Some(Named::File(number, is_compressed)) if is_file => {
                    found.insert((number, is_compressed), entry.path());
                }
                Some(Named::Other) => {}
                _ if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) => {}
                _ => {
                    self.strays.insert(name);
                }
            }
        }
        Ok(())
    }
}

fn has_gap(found: &BTreeMap<(u64, bool), PathBuf>) -> bool {
    let numbers = found.keys().map(|(number, _)| *number);
    numbers.clone().zip(numbers.skip(1)).any(|(before, after)| after - before > 1)
}

/// What a name is that of.
enum Named {
    /// A file of the log, by its number, and whether it is compressed.
    File(u64, bool),
    /// What looks like one.
    Stray,
    /// Something else, or a file that is being compressed.
    Other,
}

fn named(name: &str) -> Named {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Named::Other };
    let is_part = rest.ends_with(PART);
    let rest = rest.strip_suffix(PART).unwrap_or(rest);
    let (digits, ending) = match rest.strip_suffix(PLAIN) {
        Some(digits) => (digits, PLAIN),
        None => (rest.strip_suffix(COMPRESSED).unwrap_or_default(), COMPRESSED),
    };
    let number = digits.parse().ok().filter(|number| {
        *number > 0 && name.strip_suffix(PART).unwrap_or(name) == name_of(*number, ending)
    });
    match (number, is_part, ending == COMPRESSED) {
        (Some(number), false, is_compressed) => Named::File(number, is_compressed),
        (Some(_), true, true) => Named::Other,
        _ => Named::Stray,
    }
}

/// What `file` says, also where it has been compressed since it was found.
pub(super) fn lines_of(file: &AuditFile) -> Result<Box<dyn BufRead + Send>, AuditError> {
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
    directory.join(name_of(number, PLAIN))
}

/// Where [`path_of`] goes once it is compressed.
pub(super) fn compressed_path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(name_of(number, COMPRESSED))
}

fn name_of(number: u64, ending: &str) -> String {
    format!("{PREFIX}{number:08}{ending}")
}
