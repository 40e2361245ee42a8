//! The key ring as a file: sealed under the master key, changed by one at a time, whole or not at all.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::key_document::{KeyDocument, NotAKey, to_json};
use super::master_key_source::beside;
use super::{MasterKeyError, MasterKeySource, OpenError, Purpose, SealError};
use crate::envelope::KeyRing;
use crate::private_file::{Change, PrivateFileError, read_bounded};
use crate::secret::Secret;

/// Bytes of the largest ring: about a hundred thousand keys.
pub const MAX_RING_BYTES: u64 = 32 << 20;

/// A key ring on disk.
#[derive(Clone, Debug)]
pub struct RingFile {
    path: PathBuf,
    master: MasterKeySource,
}

/// What to do where there is no ring yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Begin with an empty one.
    Make,
    /// That is an error.
    Refuse,
}

/// Why a ring cannot be used. Names the file; nothing was changed.
#[derive(Debug, Error)]
pub enum RingError {
    /// There is none.
    #[error("there is no key ring {}: `bastionmq keys create` makes one", .0.display())]
    Missing(PathBuf),
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// There is no key that it is or would be sealed under.
    #[error("there is no master key for {}: {reason}", path.display())]
    MasterKey {
        /// The ring.
        path: PathBuf,
        /// Why there is no master key.
        reason: MasterKeyError,
    },
    /// It does not open.
    #[error("{} does not open under the master key of {place}: {reason}{}", path.display(), hint(path, place))]
    Sealed {
        /// The ring.
        path: PathBuf,
        /// Where the master key was taken from.
        place: MasterKeySource,
        /// What is wrong.
        reason: OpenError,
    },
    /// What was sealed is no ring.
    #[error("{} was sealed by another version of BastionMQ, or is faulty: {reason}", path.display())]
    Content {
        /// The ring.
        path: PathBuf,
        /// What is wrong with one of its keys.
        reason: NotAKey,
    },
    /// It would have more than [`MAX_RING_BYTES`].
    #[error("{} would be larger than {MAX_RING_BYTES} bytes: use several rings", .0.display())]
    Full(PathBuf),
    /// There is no randomness.
    #[error(transparent)]
    Randomness(#[from] SealError),
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    keys: Vec<KeyDocument>,
}

impl RingFile {
    /// The ring in the file `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf, master: MasterKeySource) -> Self {
        Self { path, master }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its master key is.
    #[must_use]
    pub fn master(&self) -> &MasterKeySource {
        &self.master
    }

    /// Reads the ring.
    ///
    /// # Errors
    /// When it is not there, or does not open.
    pub fn read(&self) -> Result<KeyRing, RingError> {
        match read_bounded(&self.path, MAX_RING_BYTES) {
            Ok(sealed) => self.open(&sealed),
            Err(error) => Err(self.unread(error)),
        }
    }

    /// Makes the master key of a ring that is not there yet, if it is in a file that is not there
    /// either. Gives whether it did.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn prepare(&self) -> Result<bool, RingError> {
        // A ring that is there was sealed under another key than one that would be made now.
        let is_there = self.path.symlink_metadata().is_ok();
        let known = if is_there { self.master.read().map(|_| false) } else { self.made() };
        known.map_err(|reason| self.without_key(reason))
    }

    fn made(&self) -> Result<bool, MasterKeyError> {
        self.master.read_or_make().map(|(_, is_new)| is_new)
    }

    /// Lets `work` change the ring, while nobody else does, and writes it. Where `work` fails, nothing is
    /// written. The master key must be there.
    ///
    /// # Errors
    /// When the ring cannot be read or written, and those of `work`.
    pub fn change<T, E: From<RingError>>(
        &self,
        absent: Absent,
        work: impl FnOnce(&mut KeyRing) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut change = Change::begin(&self.path).map_err(RingError::File)?;
        let mut ring = match change.read(MAX_RING_BYTES) {
            Ok(sealed) => self.open(&sealed)?,
            Err(error) if error.is_not_found() && absent == Absent::Make => KeyRing::default(),
            Err(error) => return Err(self.unread(error).into()),
        };
        let done = work(&mut ring)?;
        change.write(&self.seal(&ring)?).map_err(RingError::File)?;
        Ok(done)
    }

    fn seal(&self, ring: &KeyRing) -> Result<Vec<u8>, RingError> {
        let content = to_json(&Content { keys: ring.keys().map(KeyDocument::of).collect() });
        let master = self.master.read().map_err(|reason| self.without_key(reason))?;
        let sealed = master.seal(Purpose::KeyRing, content.expose())?;
        let is_small = u64::try_from(sealed.len()).is_ok_and(|length| length <= MAX_RING_BYTES);
        if is_small { Ok(sealed) } else { Err(RingError::Full(self.path.clone())) }
    }

    fn open(&self, sealed: &[u8]) -> Result<KeyRing, RingError> {
        let master = self.master.read().map_err(|reason| self.without_key(reason))?;
        let opened = master.open_sealed(Purpose::KeyRing, sealed);
        let content = opened.map_err(|reason| RingError::Sealed {
            path: self.path.clone(),
            place: self.master.clone(),
            reason,
        })?;
        parse(&content).map_err(|reason| RingError::Content { path: self.path.clone(), reason })
    }

    fn unread(&self, error: PrivateFileError) -> RingError {
        match error {
            error if error.is_not_found() => RingError::Missing(self.path.clone()),
            error => RingError::File(error),
        }
    }

    fn without_key(&self, reason: MasterKeyError) -> RingError {
        RingError::MasterKey { path: self.path.clone(), reason }
    }
}

/// What may have been forgotten.
fn hint(ring: &Path, place: &MasterKeySource) -> String {
    let beside = beside(ring);
    let is_another = beside.exists() && *place != MasterKeySource::File(beside.clone());
    if is_another {
        format!("; there is {} as well, for --master-key-file", beside.display())
    } else {
        String::new()
    }
}

fn parse(content: &Secret) -> Result<KeyRing, NotAKey> {
    let Content { keys } = serde_json::from_slice(content.expose()).map_err(NotAKey::Json)?;
    let mut ring = KeyRing::default();
    for document in keys {
        ring.insert(document.into_key(0)?);
    }
    Ok(ring)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use tempfile::TempDir;

    use super::*;
    use crate::envelope::{Key, KeyId, KeyMaterial, KeyState, TopicKey};
    use crate::keys::Settings;
    use crate::topic::TopicFilter;

    struct Desk(TempDir);

    impl Desk {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn ring(&self) -> RingFile {
            self.ring_under("master.key")
        }

        fn ring_under(&self, master: &str) -> RingFile {
            RingFile::new(self.path("ring"), MasterKeySource::File(self.path(master)))
        }
    }

    fn key(id: u8) -> Key {
        Key {
            id: KeyId([id; 8]),
            topics: vec![TopicFilter::parse("plant/#").unwrap()],
            state: KeyState::Retiring,
            created_ms: 5,
            not_after_ms: Some(9),
            material: KeyMaterial::Topic(TopicKey::new([id; 32])),
        }
    }

    fn insert(ring: &RingFile, id: u8) -> Result<(), RingError> {
        ring.prepare()?;
        ring.change(Absent::Make, |ring| {
            ring.insert(key(id));
            Ok(())
        })
    }

    #[test]
    fn a_key_is_read_as_it_was_put_in_and_shows_in_no_file() {
        let desk = Desk::new();
        insert(&desk.ring(), 0x5a).unwrap();
        let ring = desk.ring().read().unwrap();
        assert_eq!(ring.keys().collect::<Vec<_>>(), [&key(0x5a)]);
        let bytes = fs::read(desk.path("ring")).unwrap();
        for shown in [&[0x5a; 8][..], b"5a5a5a5a", b"plant"] {
            assert!(!bytes.windows(shown.len()).any(|window| window == shown));
        }
        let mode = fs::metadata(desk.path("ring")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn changes_at_the_same_time_are_all_there() {
        let desk = Desk::new();
        thread::scope(|scope| {
            for id in 1..=8 {
                let ring = desk.ring();
                scope.spawn(move || insert(&ring, id).unwrap());
            }
        });
        assert_eq!(desk.ring().read().unwrap().len(), 8);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let desk = Desk::new();
        insert(&desk.ring(), 1).unwrap();
        let before = fs::read(desk.path("ring")).unwrap();
        let failed: Result<(), RingError> = desk.ring().change(Absent::Refuse, |ring| {
            ring.remove(KeyId([1; 8]));
            Err(RingError::Full(PathBuf::new()))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(desk.path("ring")).unwrap(), before);
    }

    #[test]
    fn a_ring_that_does_not_open_is_named_and_never_written() {
        let desk = Desk::new();
        insert(&desk.ring(), 1).unwrap();
        let good = fs::read(desk.path("ring")).unwrap();
        let faulty = |error: RingError| {
            let text = error.to_string();
            assert!(text.contains("ring"), "{text}");
        };
        desk.ring_under("other.key").master().read_or_make().unwrap();
        faulty(desk.ring_under("other.key").read().unwrap_err());
        faulty(insert(&desk.ring_under("other.key"), 2).unwrap_err());
        for bytes in [&good[..good.len() - 1], &good[..20], b"", b"users:x"] {
            fs::write(desk.path("ring"), bytes).unwrap();
            faulty(insert(&desk.ring(), 2).unwrap_err());
            faulty(desk.ring().read().unwrap_err());
            assert_eq!(fs::read(desk.path("ring")).unwrap(), bytes);
        }
    }

    #[test]
    fn a_ring_whose_master_key_is_missing_gets_no_new_one() {
        let desk = Desk::new();
        insert(&desk.ring(), 1).unwrap();
        fs::remove_file(desk.path("master.key")).unwrap();
        assert!(matches!(desk.ring().prepare(), Err(RingError::MasterKey { .. })));
        assert!(!desk.path("master.key").exists());
    }

    #[test]
    fn without_a_ring_only_who_may_begins_one() {
        let desk = Desk::new();
        assert!(matches!(desk.ring().read(), Err(RingError::Missing(_))));
        let changed: Result<(), RingError> = desk.ring().change(Absent::Refuse, |_| Ok(()));
        assert!(matches!(changed, Err(RingError::Missing(_))));
        assert!(desk.ring().prepare().unwrap() && !desk.ring().prepare().unwrap());
    }

    #[test]
    fn what_was_sealed_and_is_no_ring_is_refused() {
        let desk = Desk::new();
        let (master, _) = desk.ring().master().read_or_make().unwrap();
        for content in ["", "[]", "{\"keys\":[{}]}", "{\"keys\":[],\"more\":1}"] {
            let sealed = master.seal(Purpose::KeyRing, content.as_bytes()).unwrap();
            fs::write(desk.path("ring"), sealed).unwrap();
            let refused = desk.ring().read();
            assert!(matches!(refused, Err(RingError::Content { .. })), "{content}");
        }
    }

    #[test]
    fn a_ring_has_a_master_key_of_its_own_where_nothing_else_is_set() {
        let mut settings = Settings { ring_file: Some("keys/ring".into()), ..Settings::default() };
        let beside = MasterKeySource::File("keys/ring.master-key".into());
        assert_eq!(MasterKeySource::find(None, &settings), Some(beside));
        settings.master_key_file = Some("master.key".into());
        let set = MasterKeySource::File("master.key".into());
        assert_eq!(MasterKeySource::find(None, &settings), Some(set));
        let named = MasterKeySource::File("named".into());
        assert_eq!(MasterKeySource::find(Some(Path::new("named")), &settings), Some(named));
        assert_eq!(MasterKeySource::find(None, &Settings::default()), None);
    }
}
