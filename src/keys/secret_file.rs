//! A secret of its own, in a file that the master key seals: drawn on first use, and kept from then on.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::sealed::{OpenError, Purpose, SealError};
use crate::private_file::{self, PrivateFileError};

/// Bytes of such a secret.
const SECRET_BYTES: usize = 32;
/// Bytes of the largest file that is read: a sealed secret is far smaller.
const MAX_FILE_BYTES: u64 = 4_096;

/// Where a secret is kept, and what it is for.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    purpose: Purpose,
}

/// Why a secret cannot be had.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The system gives no randomness.
    #[error("cannot make {}: {source}", path.display())]
    NoRandomness {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else, or was sealed under another master key.
    #[error("cannot open {}: {source}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        source: OpenError,
    },
    /// The secret cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl SecretFile {
    /// The file `key` in `directory`.
    #[must_use]
    pub fn in_directory(directory: &Path, purpose: Purpose) -> Self {
        Self { path: directory.join("key"), purpose }
    }

    /// What is kept there.
    ///
    /// # Errors
    /// When there is nothing, or it is another master key's.
    pub fn open(
        &self,
        master: &MasterKey,
    ) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SecretFileError> {
        let sealed = private_file::read_bounded(&self.path, MAX_FILE_BYTES)?;
        let wrong = |source| SecretFileError::Wrong { path: self.path.clone(), source };
        let opened = master.open_sealed(self.purpose, &sealed).map_err(wrong)?;
        let secret = <[u8; SECRET_BYTES]>::try_from(opened.expose());
        secret.map(Zeroizing::new).map_err(|_| wrong(OpenError::Unauthentic))
    }

    /// As [`Self::open`]; it is sealed under the master key of now, so that an earlier one is not needed for
    /// ever.
    ///
    /// # Errors
    /// As [`Self::open`], and when it cannot be written.
    pub fn open_and_reseal(
        &self,
        master: &MasterKey,
    ) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SecretFileError> {
        let secret = self.open(master)?;
        private_file::replace(&self.path, &master.seal(self.purpose, secret.as_slice())?)?;
        Ok(secret)
    }

    /// As [`Self::open_and_reseal`]; a secret is drawn where there is none.
    ///
    /// # Errors
    /// When it cannot be made, or is another master key's.
    pub fn open_or_make(
        &self,
        master: &MasterKey,
    ) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SecretFileError> {
        match self.open_and_reseal(master) {
            Err(SecretFileError::File(error)) if error.is_not_found() => {
                let secret = self.draw()?;
                self.keep(&secret, master)?;
                Ok(secret)
            }
            opened => opened,
        }
    }

    /// Whether something is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// A new secret, which is nowhere yet.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn draw(&self) -> Result<Zeroizing<[u8; SECRET_BYTES]>, SecretFileError> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(secret.as_mut_slice()).map_err(|error| {
            let source = io::Error::other(error);
            SecretFileError::NoRandomness { path: self.path.clone(), source }
        })?;
        Ok(secret)
    }

    /// Makes the file, of mode 0600, which must not be there yet.
    ///
    /// # Errors
    /// When it is there, or cannot be written.
    pub fn keep(
        &self,
        secret: &[u8; SECRET_BYTES],
        master: &MasterKey,
    ) -> Result<(), SecretFileError> {
        Ok(private_file::create_new(&self.path, &master.seal(self.purpose, secret)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_drawn_once_kept_to_its_owner_and_goes_with_the_master_key() {
        let place = tempfile::tempdir().unwrap();
        let file = SecretFile::in_directory(place.path(), Purpose::Audit);
        let master = MasterKey::random().unwrap();
        assert!(matches!(file.open(&master), Err(SecretFileError::File(it)) if it.is_not_found()));
        let drawn = file.open_or_make(&master).unwrap();
        assert_eq!(file.open(&master).unwrap(), drawn);
        let mode = fs::metadata(place.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);

        let newer =
            MasterKey { previous: vec![master.current.clone()], ..MasterKey::random().unwrap() };
        assert_eq!(file.open_or_make(&newer).unwrap(), drawn);
        let alone = MasterKey { current: newer.current.clone(), previous: Vec::new() };
        assert_eq!(file.open(&alone).unwrap(), drawn);

        let sealed = fs::read(place.path().join("key")).unwrap();
        let other = SecretFile::in_directory(place.path(), Purpose::ReplayWindows);
        for (file, master) in [(&file, &master), (&other, &alone)] {
            let refused = file.open_or_make(master).unwrap_err();
            assert!(matches!(refused, SecretFileError::Wrong { .. }), "{refused}");
        }
        assert_eq!(fs::read(place.path().join("key")).unwrap(), sealed);
    }
}
