//! A new master key in the place of the old one: what is sealed is sealed anew, and at no moment is
//! there anything that does not open.
//!
//! It takes two steps. First the master key becomes two keys, of which the first one seals and both open,
//! and what is at hand is sealed anew. A broker that runs goes on with the key that it began with, and
//! seals anew what is its own when it starts again. Only then, when asked to, the old key goes. So whoever
//! is killed, or finds the disk full, has harmed nothing, and the same step can be taken again.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::master_key::{MasterKey, MasterKeyError};
use super::master_key_source::{MasterKeySource, read_for_change};
use super::sealed::{OpenError, Purpose, SealError};
use crate::private_file::{Change, PrivateFileError, read_bounded};
use crate::secret::Secret;

/// Bytes of the largest sealed file.
const MAX_SEALED_BYTES: u64 = 1 << 30;

/// Why the master key is still the old one, or still both.
#[derive(Debug, Error)]
pub enum RotationError {
    /// The key cannot be read or written.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// A sealed file cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file is not sealed under the master key that is to be replaced.
    #[error("{}: {reason}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: OpenError,
    },
    /// There is no randomness.
    #[error(transparent)]
    Randomness(#[from] SealError),
    /// The key is not in a file of ours, and there is only one.
    #[error(
        "{place} holds one master key: put the new one before it, with a comma or a new line between, \
         and run this again"
    )]
    NoNewKey {
        /// Where the key is.
        place: MasterKeySource,
    },
    /// There is no old key.
    #[error("{place} holds one master key: there is nothing to finish")]
    NotBegun {
        /// Where the key is.
        place: MasterKeySource,
    },
    /// Two at once: the other one goes on.
    #[error("{} is being replaced by somebody else as well; run this again", .0.display())]
    Overtaken(PathBuf),
}

/// What has become of a sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub purpose: Purpose,
}

impl MasterKeySource {
    /// Whether the keys are to be put there and taken away by hand.
    #[must_use]
    pub fn is_changed_by_hand(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// Puts a new master key before the old one, and seals `files` under it; all of them must be there. A
    /// key in a file is drawn anew, unless that was done before. One that somebody else hands over must
    /// come with the old one behind it.
    ///
    /// # Errors
    /// When something cannot be read, opened or written. Everything still opens.
    pub fn rotate(&self, files: &[PathBuf]) -> Result<Vec<Resealed>, RotationError> {
        let before = self.read()?;
        for path in files {
            open(path, &before, &read_bounded(path, MAX_SEALED_BYTES)?)?;
        }
        let both = match self {
            Self::File(path) => begin(path)?,
            _ if before.is_being_replaced() => before,
            place => return Err(RotationError::NoNewKey { place: place.clone() }),
        };
        files.iter().map(|path| reseal(path, &both)).collect()
    }

    /// Seals `files` under the new key, where they are not yet, and takes the old one away, where that is
    /// in a file of ours. What else is sealed under it does not open any more.
    ///
    /// # Errors
    /// As [`Self::rotate`], and when there is no old key. Then it is still there, if there was one.
    pub fn finish_rotation(&self, files: &[PathBuf]) -> Result<Vec<Resealed>, RotationError> {
        let both = self.read()?;
        if !both.is_being_replaced() {
            return Err(RotationError::NotBegun { place: self.clone() });
        }
        let resealed = files.iter().map(|path| reseal(path, &both)).collect::<Result<_, _>>()?;
        if let Self::File(path) = self {
            end(path, &both)?;
        }
        Ok(resealed)
    }
}

/// Puts a new key before the one that the file `path` holds, unless that is done already.
fn begin(path: &Path) -> Result<MasterKey, RotationError> {
    let mut change = Change::begin(path)?;
    let before = read_for_change(path, &mut change)?;
    if before.is_being_replaced() {
        return Ok(before);
    }
    let both = MasterKey { previous: vec![before.current], ..MasterKey::random()? };
    change.write(both.to_text().as_bytes())?;
    Ok(both)
}

/// Takes the old key away.
fn end(path: &Path, both: &MasterKey) -> Result<(), RotationError> {
    let mut change = Change::begin(path)?;
    let now = read_for_change(path, &mut change)?;
    let new = MasterKey { previous: Vec::new(), ..both.clone() };
    if now == new {
        return Ok(());
    }
    // What somebody else has begun meanwhile is not sealed under this one throughout.
    if now != *both {
        return Err(RotationError::Overtaken(path.to_owned()));
    }
    Ok(change.write(new.to_text().as_bytes())?)
}

/// Seals anew what the file `path` holds. All of it, and not only its key: who has the old master key and
/// an old copy of the file has that key.
fn reseal(path: &Path, both: &MasterKey) -> Result<Resealed, RotationError> {
    let mut change = Change::begin(path)?;
    let sealed = change.read(MAX_SEALED_BYTES)?;
    let (purpose, content) = open(path, both, &sealed)?;
    change.write(&both.seal(purpose, content.expose())?)?;
    Ok(Resealed { path: path.to_owned(), purpose })
}

fn open(path: &Path, key: &MasterKey, sealed: &[u8]) -> Result<(Purpose, Secret), RotationError> {
    let failed = |reason| RotationError::Sealed { path: path.to_owned(), reason };
    let purpose = Purpose::of(sealed).map_err(failed)?;
    Ok((purpose, key.open_sealed(purpose, sealed).map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::private_file;

    struct Desk(TempDir);

    impl Desk {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn source(&self) -> MasterKeySource {
            MasterKeySource::File(self.path("master.key"))
        }

        fn seal(&self, name: &str, purpose: Purpose) -> PathBuf {
            let (key, _) = self.source().read_or_make().unwrap();
            let sealed = key.seal(purpose, name.as_bytes()).unwrap();
            private_file::replace(&self.path(name), &sealed).unwrap();
            self.path(name)
        }

        fn opened(&self, name: &str, purpose: Purpose) -> Result<Secret, OpenError> {
            let sealed = fs::read(self.path(name)).unwrap();
            self.source().read().unwrap().open_sealed(purpose, &sealed)
        }
    }

    #[test]
    fn every_file_opens_under_the_new_key_and_none_under_the_old_one() {
        let desk = Desk::new();
        let files = [desk.seal("ring", Purpose::KeyRing), desk.seal("cache", Purpose::Credentials)];
        let old = desk.source().read().unwrap();
        desk.source().rotate(&files).unwrap();
        assert!(desk.source().read().unwrap().is_being_replaced());
        let resealed = desk.source().finish_rotation(&files).unwrap();
        assert_eq!(resealed[1], Resealed { path: files[1].clone(), purpose: Purpose::Credentials });
        let new = desk.source().read().unwrap();
        assert!(new != old && !new.is_being_replaced());
        assert_eq!(desk.opened("ring", Purpose::KeyRing).unwrap().expose(), b"ring");
        assert_eq!(desk.opened("cache", Purpose::Credentials).unwrap().expose(), b"cache");
        let sealed = fs::read(&files[0]).unwrap();
        assert_eq!(old.open_sealed(Purpose::KeyRing, &sealed), Err(OpenError::Unauthentic));
    }

    #[test]
    fn whoever_was_killed_at_any_step_has_lost_nothing_and_the_next_one_goes_on() {
        for steps in 0..3 {
            let desk = Desk::new();
            let files = [desk.seal("one", Purpose::KeyRing), desk.seal("two", Purpose::KeyRing)];
            let both = begin(&desk.path("master.key")).unwrap();
            for path in &files[..steps] {
                reseal(path, &both).unwrap();
            }
            for name in ["one", "two"] {
                let opened = desk.opened(name, Purpose::KeyRing).unwrap();
                assert_eq!(opened.expose(), name.as_bytes(), "killed after {steps}");
            }
            desk.source().rotate(&files).unwrap();
            desk.source().finish_rotation(&files).unwrap();
            let now = desk.source().read().unwrap();
            assert!(now.current == both.current, "a third key was drawn");
            assert!(!now.is_being_replaced());
            assert_eq!(desk.opened("two", Purpose::KeyRing).unwrap().expose(), b"two");
        }
    }

    #[test]
    fn what_a_broker_seals_under_the_key_that_it_began_with_opens_until_the_end() {
        let desk = Desk::new();
        let ring = [desk.seal("ring", Purpose::KeyRing)];
        let of_broker = desk.source().read().unwrap();
        desk.source().rotate(&ring).unwrap();
        let sealed = of_broker.seal(Purpose::Credentials, b"cache").unwrap();
        private_file::replace(&desk.path("cache"), &sealed).unwrap();
        assert_eq!(desk.opened("cache", Purpose::Credentials).unwrap().expose(), b"cache");
        desk.source().finish_rotation(&ring).unwrap();
        assert_eq!(desk.opened("cache", Purpose::Credentials), Err(OpenError::Unauthentic));
        let again = desk.source().finish_rotation(&ring);
        assert!(matches!(again, Err(RotationError::NotBegun { .. })));
    }

    #[test]
    fn a_file_that_does_not_open_stops_it_before_anything_is_written() {
        let desk = Desk::new();
        let good = desk.seal("good", Purpose::KeyRing);
        let before = (fs::read(&good).unwrap(), desk.source().read().unwrap());
        let other = MasterKey::random().unwrap().seal(Purpose::KeyRing, b"").unwrap();
        private_file::replace(&desk.path("bad"), &other).unwrap();
        for name in ["bad", "missing", "master.key"] {
            let refused = desk.source().rotate(&[good.clone(), desk.path(name)]).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
            assert!((fs::read(&good).unwrap(), desk.source().read().unwrap()) == before, "{name}");
        }
    }

    #[test]
    fn the_old_key_stays_where_somebody_else_has_begun_again() {
        let desk = Desk::new();
        let path = desk.path("master.key");
        desk.seal("one", Purpose::KeyRing);
        let first = begin(&path).unwrap();
        end(&path, &first).unwrap();
        let second = begin(&path).unwrap();
        assert!(matches!(end(&path, &first), Err(RotationError::Overtaken(_))));
        assert!(desk.source().read().unwrap() == second);
        end(&path, &second).unwrap();
        end(&path, &second).unwrap();
    }
}
