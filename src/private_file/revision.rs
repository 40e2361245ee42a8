//! Whether a file is still what it was, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Which version of a file it is: another one is another file, or was written later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    device: u64,
    file: u64,
    bytes: u64,
    /// Seconds and nanoseconds: of the content, and of the file itself.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Revision {
    /// That of the file which has this metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            file: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
