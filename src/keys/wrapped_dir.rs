//! Wrapped keys as an operator deposits them for the broker: a directory for each device, in it a file
//! for each key.
//!
//! `DIR/<SHA-256 of the device's name, hexadecimal>/<key id>.json`: names of devices may hold anything
//! that MQTT lets a user name hold, and be longer than the name of a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::hexadecimal;
use super::wrapped_key::{MAX_WRAPPED_BYTES, NotWrapped, WrappedKey};
use crate::private_file::{self, PrivateFileError};

/// The most keys that one device has. Who has rotated more often takes the old ones away.
pub const MAX_KEYS_PER_DEVICE: usize = 64;
const ENDING: &str = "json";

/// Why the wrapped keys of a device cannot be read or written.
#[derive(Debug, Error)]
pub enum WrappedDirError {
    /// The system refuses.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The directory of the device cannot be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds no wrapped key.
    #[error("{}: {reason}", path.display())]
    NotWrapped {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: NotWrapped,
    },
    /// A file is for another device than its directory.
    #[error("{} is not for the device that it was put away for", .0.display())]
    Misplaced(PathBuf),
    /// There are more than [`MAX_KEYS_PER_DEVICE`].
    #[error("{} holds more than {MAX_KEYS_PER_DEVICE} keys: take away those that are not used", .0.display())]
    TooMany(PathBuf),
}

/// The keys that are wrapped for the principal of the name `device`, by id; none where there is no
/// directory for it. Waits for the disk.
///
/// # Errors
/// When one of them cannot be read, or is not what it should be: then none is given.
pub fn wrapped_keys_for(dir: &Path, device: &str) -> Result<Vec<WrappedKey>, WrappedDirError> {
    let own = dir.join(directory_name(device));
    let listed = |source| WrappedDirError::List { path: own.clone(), source };
    let entries = match fs::read_dir(&own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(listed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(listed)?.path();
        // What is written aside has a name that begins with a dot.
        let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|ending| ending == ENDING) {
            paths.push(path);
        }
        if paths.len() > MAX_KEYS_PER_DEVICE {
            return Err(WrappedDirError::TooMany(own));
        }
    }
    paths.sort_unstable();
    paths.into_iter().map(|path| read(path, device)).collect()
}

fn read(path: PathBuf, device: &str) -> Result<WrappedKey, WrappedDirError> {
    let text = private_file::read_bounded(&path, MAX_WRAPPED_BYTES as u64)?;
    match WrappedKey::parse(&text) {
        Ok(key) if key.device() == device => Ok(key),
        Ok(_) => Err(WrappedDirError::Misplaced(path)),
        Err(reason) => Err(WrappedDirError::NotWrapped { path, reason }),
    }
}

/// Puts a wrapped key where [`wrapped_keys_for`] finds it; the one of the same id and device is replaced.
/// Gives the file.
///
/// # Errors
/// When it cannot be written.
pub fn deposit(dir: &Path, key: &WrappedKey) -> Result<PathBuf, WrappedDirError> {
    let own = dir.join(directory_name(key.device()));
    private_file::create_dir(&own)?;
    let path = own.join(key.key_id().to_string()).with_extension(ENDING);
    private_file::replace(&path, format!("{key}\n").as_bytes())?;
    Ok(path)
}

fn directory_name(device: &str) -> String {
    hexadecimal::encode(&Sha256::digest(device.as_bytes())).to_string()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::envelope::{Key, KeyId, KeyMaterial, KeyState, TopicKey};
    use crate::keys::{Extent, Recipient};
    use crate::topic::TopicFilter;

    fn wrapped(id: u8, device: &str) -> WrappedKey {
        let pair = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&pair).unwrap();
        let key = Key {
            id: KeyId([id; 8]),
            topics: vec![TopicFilter::parse("plant/#").unwrap()],
            state: KeyState::Active,
            created_ms: 0,
            not_after_ms: None,
            material: KeyMaterial::Topic(TopicKey::new([id; 32])),
        };
        let recipient = Recipient::of_certificate(certificate.der()).unwrap();
        WrappedKey::wrap(&key, Extent::Whole, device, &recipient).unwrap()
    }

    #[test]
    fn each_device_finds_its_own_keys_whatever_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let long = "d".repeat(1_000);
        let names = ["sensor-7", "../sensor-7", "a/b", "..", "", &long, "nul\u{0}", ".x", "é"];
        for (id, name) in (1..).zip(names.iter().filter(|name| !name.is_empty())) {
            let path = deposit(dir.path(), &wrapped(id, name)).unwrap();
            assert!(path.canonicalize().unwrap().starts_with(dir.path().canonicalize().unwrap()));
            let found = wrapped_keys_for(dir.path(), name).unwrap();
            assert_eq!(found.iter().map(WrappedKey::key_id).collect::<Vec<_>>(), [KeyId([id; 8])]);
        }
        assert!(wrapped_keys_for(dir.path(), "").unwrap().is_empty());
        assert!(wrapped_keys_for(dir.path(), "sensor-8").unwrap().is_empty());
        assert!(wrapped_keys_for(&dir.path().join("missing"), "sensor-7").unwrap().is_empty());
    }

    #[test]
    fn keys_come_by_id_and_one_that_is_wrapped_again_replaces_the_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        for id in [3, 1, 2, 1] {
            deposit(dir.path(), &wrapped(id, "sensor-7")).unwrap();
        }
        let found = wrapped_keys_for(dir.path(), "sensor-7").unwrap();
        let ids = found.iter().map(|key| key.key_id().0[0]).collect::<Vec<_>>();
        assert_eq!(ids, [1, 2, 3]);
    }

    #[test]
    fn what_is_broken_misplaced_or_too_much_gives_none_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = deposit(dir.path(), &wrapped(1, "sensor-7")).unwrap();
        let other = path.with_file_name("x.json");
        let elsewhere = wrapped(1, "sensor-8").to_string();
        for (text, matches) in [
            ("", "no wrapped key"),
            ("{}", "no wrapped key"),
            (&elsewhere, "not for the device"),
            (&" ".repeat(MAX_WRAPPED_BYTES + 1), "x.json"),
        ] {
            fs::write(&other, text).unwrap();
            let refused = wrapped_keys_for(dir.path(), "sensor-7").unwrap_err().to_string();
            assert!(refused.contains(matches), "{refused}");
        }
        fs::remove_file(&other).unwrap();
        // What is written aside, and what somebody put there as a note.
        fs::write(path.with_file_name(".x.json.new"), "").unwrap();
        fs::write(path.with_file_name("README"), "").unwrap();
        assert_eq!(wrapped_keys_for(dir.path(), "sensor-7").unwrap().len(), 1);
        for number in 0..MAX_KEYS_PER_DEVICE {
            fs::copy(&path, path.with_file_name(format!("{number}.json"))).unwrap();
        }
        let refused = wrapped_keys_for(dir.path(), "sensor-7");
        assert!(matches!(refused, Err(WrappedDirError::TooMany(_))));
    }
}
