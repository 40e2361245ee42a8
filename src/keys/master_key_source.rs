//! Where the master key is: a file, an environment variable, or a credential that systemd hands over.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::master_key::{MasterKey, MasterKeyError, no_key};
use super::settings::Settings;
use crate::private_file::{self, Change, PrivateFileError};
use crate::secret::Secret;

/// The environment variable that may hold the master key.
pub const VARIABLE: &str = "BASTIONMQ_MASTER_KEY";
/// The name of the credential that systemd may hand over (`LoadCredential=`, `LoadCredentialEncrypted=`).
pub const CREDENTIAL: &str = "bastionmq-master-key";
/// Where systemd puts credentials, as it tells a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// What the name of the master key beside a ring ends with.
const BESIDE: &str = ".master-key";

pub(super) const MAX_FILE_BYTES: u64 = 1_024;
/// Reading and writing, for others than the owner and the group.
const OTHERS: u32 = 0o007;

/// One place of the master key. It is read whenever it is needed, so that it is the one that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file of ours, made on first use.
    File(PathBuf),
    /// A credential of systemd, which is not ours to change.
    Credential(PathBuf),
    /// The environment variable [`VARIABLE`].
    Variable,
}

impl MasterKeySource {
    /// The first of these that there is: the `named` file, the credential of systemd, the environment
    /// variable, `master_key_file` of the settings, and the file beside `ring_file`. Whoever runs the
    /// program so decides before what it was configured with; a key that was generated for one ring
    /// alone counts where nobody has decided anything.
    #[must_use]
    pub fn find(named: Option<&Path>, settings: &Settings) -> Option<Self> {
        let file = |path: &Path| Self::File(path.to_owned());
        let beside = || settings.ring_file.as_deref().map(|ring| Self::File(beside(ring)));
        named
            .map(file)
            .or_else(Self::credential)
            .or_else(|| env::var_os(VARIABLE).map(|_| Self::Variable))
            .or_else(|| settings.master_key_file.as_deref().map(file))
            .or_else(beside)
    }

    fn credential() -> Option<Self> {
        let path = PathBuf::from(env::var_os(CREDENTIALS_DIRECTORY)?).join(CREDENTIAL);
        // One that is there and cannot be read is an error, and not to be passed over.
        path.symlink_metadata().is_ok().then_some(Self::Credential(path))
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or everybody could read it.
    pub fn read(&self) -> Result<MasterKey, MasterKeyError> {
        match self {
            Self::File(path) | Self::Credential(path) => {
                let bytes = private_file::read_bounded(path, MAX_FILE_BYTES)?;
                read_file(path, bytes)
            }
            Self::Variable => {
                let text = env::var_os(VARIABLE).map(OsString::into_encoded_bytes);
                let text = Secret::new(text.unwrap_or_default());
                MasterKey::parse(text.expose()).ok_or(MasterKeyError::NoKeyInVariable)
            }
        }
    }

    /// Reads the key; a file that is not there yet is made. Gives whether it was.
    ///
    /// # Errors
    /// As [`Self::read`], and when the file cannot be made.
    pub fn read_or_make(&self) -> Result<(MasterKey, bool), MasterKeyError> {
        let path = match (self.read(), self) {
            (Err(MasterKeyError::File(error)), Self::File(path)) if error.is_not_found() => path,
            (known, _) => return Ok((known?, false)),
        };
        let key = MasterKey::random()?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private_file::create_dir(parent)?;
        }
        match private_file::create_new(path, key.to_text().as_bytes()) {
            Ok(()) => Ok((key, true)),
            // Somebody was faster.
            Err(PrivateFileError::Exists { .. }) => Ok((self.read()?, false)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The master key that a ring has of its own, where no other one is named.
pub(super) fn beside(ring: &Path) -> PathBuf {
    let mut name = ring.as_os_str().to_owned();
    name.push(BESIDE);
    PathBuf::from(name)
}

/// What the file `path` holds, which is being changed.
pub(super) fn read_for_change(
    path: &Path,
    change: &mut Change,
) -> Result<MasterKey, MasterKeyError> {
    read_file(path, change.read(MAX_FILE_BYTES)?)
}

fn read_file(path: &Path, bytes: Vec<u8>) -> Result<MasterKey, MasterKeyError> {
    let bytes = Zeroizing::new(bytes);
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0) {
        return Err(MasterKeyError::Exposed(path.to_owned()));
    }
    MasterKey::parse(&bytes).ok_or_else(|| no_key(path))
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(path) => write!(f, "the credential {}", path.display()),
            Self::Variable => write!(f, "the environment variable {VARIABLE}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made(path: &Path) -> MasterKey {
        MasterKeySource::File(path.to_owned()).read_or_make().unwrap().0
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/master.key");
        let source = MasterKeySource::File(path.clone());
        assert!(matches!(source.read(), Err(MasterKeyError::File(error)) if error.is_not_found()));
        let (key, is_new) = source.read_or_make().unwrap();
        assert!(is_new);
        assert_eq!(source.read_or_make().unwrap(), (key.clone(), false));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(fs::read_to_string(&path).unwrap().starts_with("bastionmq-master-key-1:"));
        assert!(key != made(&directory.path().join("other.key")));
    }

    #[test]
    fn a_file_that_holds_something_else_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let source = MasterKeySource::File(path.clone());
        for text in ["", "\n", "-----BEGIN PRIVATE KEY-----\n"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = source.read_or_make().unwrap_err();
            assert!(matches!(error, MasterKeyError::NoKey(_)), "{text:?}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        made(&path);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = MasterKeySource::File(path).read();
        assert!(matches!(read, Err(MasterKeyError::Exposed(_))));
    }

    #[test]
    fn a_credential_is_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CREDENTIAL);
        let made = MasterKeySource::Credential(path.clone()).read_or_make();
        assert!(matches!(made, Err(MasterKeyError::File(error)) if error.is_not_found()));
        assert!(!path.exists());
    }
}
