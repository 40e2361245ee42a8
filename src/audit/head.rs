//! How far the log goes: what nobody can tell from files whose start or end is missing.

use std::path::{Path, PathBuf};

use super::chain::{Keys, Tag};
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

impl Head {
    /// Before there is any record.
    pub(super) const FIRST: Self = Self { first_file: 1, seq: 0, tag: Tag::NONE };

    /// Reads that of the log in `directory`.
    pub(super) fn read(directory: &Path, keys: &Keys) -> Result<FoundHead, PrivateFileError> {
        let bytes = match private_file::read_bounded(&path_of(directory), MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(FoundHead::Missing),
            Err(PrivateFileError::TooLarge { .. }) => return Ok(FoundHead::Changed),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        Ok(Self::parse(&text, keys).map_or(FoundHead::Changed, FoundHead::Authentic))
    }

    fn parse(text: &str, keys: &Keys) -> Option<Self> {
        let (said, tag) = text.trim_end().rsplit_once(' ')?;
        if keys.head_tag(said.as_bytes()) != tag.parse().ok()? {
            return None;
        }
        let mut words = said.split(' ');
        let is_known = words.next() == Some(VERSION);
        let first_file = words.next()?.parse().ok()?;
        let seq = words.next()?.parse().ok()?;
        let tag = words.next()?.parse().ok()?;
        (is_known && words.next().is_none()).then_some(Self { first_file, seq, tag })
    }

    /// Puts it in the place of the one before, and waits for the disk.
    pub(super) fn write(&self, directory: &Path, keys: &Keys) -> Result<(), PrivateFileError> {
        let said = format!("{VERSION} {} {} {}", self.first_file, self.seq, self.tag);
        let text = format!("{said} {}\n", keys.head_tag(said.as_bytes()));
        private_file::replace(&path_of(directory), text.as_bytes())
    }
}

fn path_of(directory: &Path) -> PathBuf {
    directory.join(HEAD_FILE)
}
