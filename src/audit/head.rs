//! How far the log goes: what nobody can tell from files whose start or end is missing.
//!
//! One line: a version, the number of the first file, number and tag of the last record, the SHA-256 of its
//! file up to there, and an Ed25519 signature of all that by the key that signs checkpoints.

use std::path::{Path, PathBuf};

use super::chain::{Keys, PublicKey, Tag};
use crate::private_file::{self, PrivateFileError};

const HEAD_FILE: &str = "head";
const VERSION: &str = "1";
/// Bytes of the longest.
const MOST_BYTES: u64 = 512;

/// From where the log goes to where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of its first file: earlier ones were removed when their time was over.
    pub(super) first_file: u64,
    /// The number of its last record.
    pub(super) seq: u64,
    /// The tag of that.
    pub(super) tag: Tag,
    /// The digest of its file up to there.
    pub(super) digest: Tag,
}

/// What is found in the place of a head.
pub(super) enum FoundHead {
    /// It is as it was written.
    Authentic(Head),
    /// There is none.
    Missing,
    /// It says something else than was written.
    Changed,
}

impl FoundHead {
    /// What it says, where that can be believed.
    pub(super) fn authentic(&self) -> Option<Head> {
        match self {
            Self::Authentic(head) => Some(*head),
            Self::Missing | Self::Changed => None,
        }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Authentic(_) => None,
            // It is older than the secret.
            Self::Missing => Some("the file `head` is missing: nothing says how far the log goes"),
            Self::Changed => Some("the file `head` was changed: nothing says how far the log goes"),
        }
    }
}

impl Head {
    /// Before there is any record.
    pub(super) const FIRST: Self =
        Self { first_file: 1, seq: 0, tag: Tag::NONE, digest: Tag::NONE };

    /// Reads that of the log in `directory`, of which this is the public key.
    pub(super) fn read(directory: &Path, public: PublicKey) -> Result<FoundHead, PrivateFileError> {
        let bytes = match private_file::read_bounded(&path_of(directory), MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(FoundHead::Missing),
            Err(PrivateFileError::TooLarge { .. }) => return Ok(FoundHead::Changed),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        let Some((said, signature)) = text.trim_end().rsplit_once(' ') else {
            return Ok(FoundHead::Changed);
        };
        let head = Self::parse(said).filter(|_| public.has_signed_head(said, signature));
        Ok(head.map_or(FoundHead::Changed, FoundHead::Authentic))
    }

    fn parse(said: &str) -> Option<Self> {
        let words: Vec<_> = said.split(' ').collect();
        let [VERSION, first_file, seq, tag, digest] = words.as_slice() else { return None };
        Some(Self {
            first_file: first_file.parse().ok()?,
            seq: seq.parse().ok()?,
            tag: tag.parse().ok()?,
            digest: digest.parse().ok()?,
        })
    }

    /// Puts it in the place of the one before, and waits for the disk.
    pub(super) fn write(&self, directory: &Path, keys: &Keys) -> Result<(), PrivateFileError> {
        let Self { first_file, seq, tag, digest } = self;
        let said = format!("{VERSION} {first_file} {seq} {tag} {digest}");
        let text = format!("{said} {}\n", keys.sign_head(&said));
        private_file::replace(&path_of(directory), text.as_bytes())
    }
}

fn path_of(directory: &Path) -> PathBuf {
    directory.join(HEAD_FILE)
}
