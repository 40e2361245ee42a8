//! Hashes of outdated kinds, which argon2id replaces in the password file once their passwords have
//! been seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thiserror::Error;

use crate::auth::{CredentialMac, EntryError, MAX_PASSWORD_FILE_BYTES, PasswordFile};
use crate::private_file::{Change, PrivateFileError};

/// Replacements that wait at once. Who finds no room is replaced after its next login.
const MAX_WAITING: usize = 10_000;

/// What is to be written to the password file: together, since each writing takes as long as the
/// file is.
#[derive(Debug)]
pub(super) struct Replacements {
    path: Option<PathBuf>,
    waiting: Mutex<BTreeMap<Arc<str>, Replacement>>,
    has_failed: AtomicBool,
}

/// One user's new hash.
#[derive(Debug)]
pub(super) struct Replacement {
    /// The hash as it stands in the file now.
    pub(super) line: String,
    /// The one that takes its place.
    pub(super) phc: String,
    /// Of the password, against the new hash.
    pub(super) mac: CredentialMac,
}

/// Why the file stays as it is.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    File(#[from] PrivateFileError),
    #[error("{} is no password file any more", .0.display())]
    Broken(PathBuf),
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl Replacements {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, waiting: Mutex::default(), has_failed: AtomicBool::new(false) }
    }

    pub(super) fn add(&self, user: &Arc<str>, replacement: Replacement) {
        let mut waiting = self.waiting.lock();
        if self.path.is_some() && waiting.len() < MAX_WAITING {
            waiting.insert(Arc::clone(user), replacement);
        }
    }

    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    pub(super) fn take(&self) -> BTreeMap<Arc<str>, Replacement> {
        std::mem::take(&mut *self.waiting.lock())
    }

    /// Writes them to the file of now: lines that somebody has changed meanwhile stay, and so does
    /// everything else. Whether that has worked; if not, the log says so once. Waits for the disk.
    pub(super) fn write(&self, replacements: &BTreeMap<Arc<str>, Replacement>) -> bool {
        let Some(path) = &self.path else { return false };
        match write(path, replacements) {
            Ok(replaced) => {
                self.has_failed.store(false, Ordering::Release);
                let path = path.display();
                tracing::info!(replaced, %path, "hashes of Mosquitto replaced by argon2id");
                true
            }
            Err(error) => {
                if !self.has_failed.swap(true, Ordering::AcqRel) {
                    tracing::warn!("hashes of Mosquitto stay in the password file: {error}");
                }
                false
            }
        }
    }
}

/// As `bastionmq passwd` does it, and never at the same time.
fn write(path: &Path, replacements: &BTreeMap<Arc<str>, Replacement>) -> Result<usize, Failure> {
    let broken = || Failure::Broken(path.to_owned());
    let mut change = Change::begin(path)?;
    let bytes = change.read(MAX_PASSWORD_FILE_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| broken())?;
    let mut file = PasswordFile::parse(&text).map_err(|_| broken())?;
    let mut replaced = 0;
    for (user, Replacement { line, phc, .. }) in replacements {
        replaced += usize::from(file.replace(user, line, phc)?);
    }
    if replaced > 0 {
        change.write(file.to_string().as_bytes())?;
    }
    Ok(replaced)
}
