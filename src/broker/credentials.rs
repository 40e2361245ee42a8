//! VerifiedCredentials that have been verified, in memory and, where there is a file for it, over a restart.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;

use crate::auth::{
    self, CredentialCache, CredentialMac, INSTALLATION_KEY_BYTES, InstallationKey,
    MAX_CREDENTIAL_CACHE_BYTES,
};
use crate::clock::Now;
use crate::keys::{self, MasterKey, MasterKeyError, MasterKeySource, Purpose};
use crate::private_file::{self, Change, PrivateFileError};
use crate::secret::Secret;

/// What sealing adds is far less.
const MAX_FILE_BYTES: u64 = MAX_CREDENTIAL_CACHE_BYTES as u64 + 1_024;

/// The key of this installation, and the credentials that were verified under it.
#[derive(Debug)]
pub struct VerifiedCredentials {
    key: InstallationKey,
    cache: Mutex<CredentialCache>,
    file: Option<CredentialFile>,
    is_changed: AtomicBool,
}

#[derive(Debug)]
struct CredentialFile {
    path: PathBuf,
    master: MasterKeySource,
    /// Whether the last writing failed, and the log says so already.
    has_failed: AtomicBool,
}

/// Why credentials cannot be kept.
#[derive(Debug, Error)]
pub enum KeepingError {
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// There is no randomness for a key.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(io::Error),
}

/// Why what was kept of credentials is of no use.
#[derive(Debug, Error)]
enum Unusable {
    #[error(transparent)]
    File(#[from] PrivateFileError),
    #[error(transparent)]
    Sealed(#[from] keys::OpenError),
    #[error(transparent)]
    Content(#[from] auth::BrokenCache),
}

impl VerifiedCredentials {
    /// Reads what was kept, where the settings name files for it, and begins anew where there is
    /// nothing or nothing that can be used: the log says so. Makes the master key, if need be.
    ///
    /// # Errors
    /// When there is no master key to be had, or no randomness.
    pub fn open(keys: &keys::Settings, auth: &auth::Settings) -> Result<Self, KeepingError> {
        let lifetime = Duration::from_secs(auth.credential_cache_seconds.into());
        let files = keys.master_key_source().zip(auth.credential_cache_file.as_ref());
        let Some((master, path)) = files.filter(|_| !lifetime.is_zero()) else {
            return Self::in_memory(auth);
        };
        let (key, _) = master.read_or_make()?;
        let kept = read(path, &key, lifetime).unwrap_or_else(|error| {
            let path = path.display();
            tracing::warn!(%path, "the cache of verified credentials begins empty: {error}");
            None
        });
        let (key, cache) = match kept {
            Some(kept) => kept,
            None => (new_key()?, CredentialCache::new(lifetime)),
        };
        let file =
            CredentialFile { path: path.clone(), master, has_failed: AtomicBool::new(false) };
        Ok(Self { key, cache: Mutex::new(cache), file: Some(file), is_changed: false.into() })
    }

    /// Remembers credentials for as long as it lives itself.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn in_memory(auth: &auth::Settings) -> Result<Self, KeepingError> {
        let lifetime = Duration::from_secs(auth.credential_cache_seconds.into());
        let cache = Mutex::new(CredentialCache::new(lifetime));
        Ok(Self { key: new_key()?, cache, file: None, is_changed: false.into() })
    }

    /// Decides how unknown users look.
    pub(super) fn decoy_key(&self) -> Secret {
        self.key.decoy_key()
    }

    pub(super) fn mac(&self, user: &str, password: &Secret, line: &str) -> CredentialMac {
        self.key.mac(user, password, line)
    }

    /// Whether what `mac` is of has been verified lately.
    pub(super) fn holds(&self, user: &str, mac: &CredentialMac) -> bool {
        self.cache.lock().holds(Now::read().unix, user, mac)
    }

    pub(super) fn insert(&self, user: &Arc<str>, mac: CredentialMac) {
        self.cache.lock().insert(Now::read().unix, user, mac);
        self.is_changed.store(true, Ordering::Release);
    }

    /// Forgets the users that `is_meant`.
    pub(super) fn forget_if(&self, is_meant: impl Fn(&str) -> bool) {
        self.cache.lock().forget_if(is_meant);
        self.is_changed.store(true, Ordering::Release);
    }

    /// Writes the file, if there is one and anything to write. Waits for the disk.
    pub(super) fn save(&self) {
        let Some(file) = &self.file else { return };
        if !self.is_changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let content = {
            let mut cache = self.cache.lock();
            cache.expire(Now::read().unix);
            cache.write(&self.key)
        };
        match file.write(&content) {
            Ok(()) => file.has_failed.store(false, Ordering::Release),
            Err(error) => {
                self.is_changed.store(true, Ordering::Release);
                if !file.has_failed.swap(true, Ordering::AcqRel) {
                    tracing::warn!("the cache of verified credentials is not kept: {error}");
                }
            }
        }
    }
}

impl CredentialFile {
    fn write(&self, content: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        let change = Change::begin(&self.path)?;
        // Read anew while nobody else writes: who replaces the master key writes this file after it.
        let sealed = self.master.read()?.seal(Purpose::Credentials, content)?;
        Ok(change.write(&sealed)?)
    }
}

/// What was kept, or nothing where nothing was kept yet.
fn read(
    path: &Path,
    master: &MasterKey,
    lifetime: Duration,
) -> Result<Option<(InstallationKey, CredentialCache)>, Unusable> {
    let sealed = match private_file::read_bounded(path, MAX_FILE_BYTES) {
        Ok(sealed) => sealed,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let content = master.open_sealed(Purpose::Credentials, &sealed)?;
    Ok(Some(CredentialCache::read(lifetime, content.expose())?))
}

fn new_key() -> Result<InstallationKey, KeepingError> {
    let mut bytes = zeroize::Zeroizing::new([0; INSTALLATION_KEY_BYTES]);
    let filled = getrandom::fill(bytes.as_mut_slice());
    filled.map_err(|error| KeepingError::NoRandomness(io::Error::other(error)))?;
    Ok(InstallationKey::new(*bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    struct Desk(TempDir);

    impl Desk {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn open(&self, seconds: u32) -> VerifiedCredentials {
            let keys = keys::Settings {
                master_key_file: Some(self.path("master.key")),
                ..keys::Settings::default()
            };
            let auth = auth::Settings {
                credential_cache_file: Some(self.path("credentials")),
                credential_cache_seconds: seconds,
                ..auth::Settings::default()
            };
            VerifiedCredentials::open(&keys, &auth).unwrap()
        }
    }

    fn desk() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    fn remember(credentials: &VerifiedCredentials, user: &str) {
        let mac = credentials.mac(user, &Secret::from("apple"), "line");
        credentials.insert(&Arc::from(user), mac);
    }

    fn remembers(credentials: &VerifiedCredentials, user: &str, password: &str) -> bool {
        credentials.holds(user, &credentials.mac(user, &Secret::from(password), "line"))
    }

    #[test]
    fn what_was_verified_is_known_after_a_restart() {
        let desk = desk();
        let before = desk.open(100);
        remember(&before, "ann");
        before.save();
        let after = desk.open(100);
        assert!(remembers(&after, "ann", "apple"));
        assert!(!remembers(&after, "ann", "pear") && !remembers(&after, "bob", "apple"));
        assert_eq!(after.decoy_key(), before.decoy_key());
        let bytes = fs::read(desk.path("credentials")).unwrap();
        assert!(!bytes.windows(3).any(|window| window == b"ann"));
    }

    #[test]
    fn a_file_that_is_damaged_or_of_another_key_begins_empty_and_is_written_anew() {
        let desk = desk();
        let spoil: [&dyn Fn(); 4] = [
            &|| fs::write(desk.path("credentials"), "").unwrap(),
            &|| fs::write(desk.path("credentials"), [0; 500]).unwrap(),
            &|| {
                let mut bytes = fs::read(desk.path("credentials")).unwrap();
                bytes[90] ^= 1;
                fs::write(desk.path("credentials"), bytes).unwrap();
            },
            &|| fs::remove_file(desk.path("master.key")).unwrap(),
        ];
        for spoil in spoil {
            let before = desk.open(100);
            remember(&before, "ann");
            before.save();
            assert!(remembers(&desk.open(100), "ann", "apple"));
            spoil();
            let after = desk.open(100);
            assert!(!remembers(&after, "ann", "apple"));
        }
    }

    #[test]
    fn a_cache_that_is_switched_off_touches_no_file() {
        let desk = desk();
        let off = desk.open(0);
        remember(&off, "ann");
        off.save();
        assert!(!remembers(&off, "ann", "apple"));
        assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_tried_again() {
        let desk = desk();
        let credentials = desk.open(100);
        remember(&credentials, "ann");
        fs::create_dir(desk.path("credentials")).unwrap();
        credentials.save();
        fs::remove_dir(desk.path("credentials")).unwrap();
        credentials.save();
        assert!(remembers(&desk.open(100), "ann", "apple"));
    }
}
