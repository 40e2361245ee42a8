//! The master key of an installation: 32 random bytes in a file of mode 0600, made on first use.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private_file::{self, PrivateFileError};
use crate::secret::Secret;

pub(super) const KEY_BYTES: usize = 32;
/// What the one line of the file starts with, so that nobody takes it for something else.
const MARK: &str = "bastionmq-master-key-1:";
const MAX_FILE_BYTES: u64 = 1_024;
/// Reading and writing, for others than the owner and the group.
const OTHERS: u32 = 0o007;

/// Seals the keys of files. Never written anywhere but to its own file.
#[derive(Clone)]
pub struct MasterKey(pub(super) Secret);

/// Why there is no master key. Names its file, and shows nothing of it.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// It cannot be read or made.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// It holds something else.
    #[error("{} holds no master key of BastionMQ; is it the right file?", .0.display())]
    NoKey(PathBuf),
    /// Whoever can read it can read what it seals.
    #[error("everybody can read or write {}: chmod 600 it", .0.display())]
    Exposed(PathBuf),
    /// The system gives no randomness.
    #[error("the system gives no random numbers for a master key: {0}")]
    NoRandomness(io::Error),
}

impl MasterKey {
    /// Reads the key in the file `path`, or makes both.
    ///
    /// # Errors
    /// When the file cannot be read or made, holds something else, or is there for everybody.
    pub fn open(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::read(path) {
            Err(MasterKeyError::File(error)) if error.is_not_found() => {}
            known => return known,
        }
        let key = random()?;
        let text = Zeroizing::new(format!("{MARK}{}\n", Base64::encode_string(key.expose())));
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private_file::create_dir(parent)?;
        }
        match private_file::create_new(path, text.as_bytes()) {
            Ok(()) => Ok(Self(key)),
            // Somebody was faster.
            Err(PrivateFileError::Exists { .. }) => Self::read(path),
            Err(error) => Err(error.into()),
        }
    }

    fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(private_file::read_bounded(path, MAX_FILE_BYTES)?);
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0) {
            return Err(MasterKeyError::Exposed(path.to_owned()));
        }
        let key = std::str::from_utf8(&bytes).ok().and_then(parse);
        key.map(Self).ok_or_else(|| MasterKeyError::NoKey(path.to_owned()))
    }
}

fn parse(text: &str) -> Option<Secret> {
    let encoded = text.strip_suffix('\n').unwrap_or(text).strip_prefix(MARK)?;
    let key = Secret::new(Base64::decode_vec(encoded).ok()?);
    (key.expose().len() == KEY_BYTES).then_some(key)
}

fn random() -> Result<Secret, MasterKeyError> {
    let mut key = vec![0; KEY_BYTES];
    let filled = getrandom::fill(&mut key);
    filled.map_err(|error| MasterKeyError::NoRandomness(io::Error::other(error)))?;
    Ok(Secret::new(key))
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/master.key");
        let made = MasterKey::open(&path).unwrap();
        assert!(made.0 == MasterKey::open(&path).unwrap().0);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(fs::read_to_string(&path).unwrap().starts_with("bastionmq-master-key-1:"));
        let other = MasterKey::open(&directory.path().join("other.key")).unwrap();
        assert!(made.0 != other.0);
    }

    #[test]
    fn a_file_that_holds_something_else_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::open(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let cut = &good[..good.len() - 5];
        for text in ["", "\n", "-----BEGIN PRIVATE KEY-----\n", cut, &format!("{good}\n")] {
            fs::write(&path, text).unwrap();
            let error = MasterKey::open(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::NoKey(_)), "{text:?}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::open(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(MasterKey::open(&path), Err(MasterKeyError::Exposed(_))));
    }

    #[test]
    fn debug_output_shows_nothing_of_the_key() {
        let key = MasterKey(Secret::from("canary"));
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
    }
}
