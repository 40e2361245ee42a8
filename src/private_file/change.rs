//! Reading a file, changing what it says, and writing it back, so that nobody's change is lost.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{LockedDirectory, PrivateFileError, Revision, name_of, read_all};

/// A file that is being changed. Those who do it this way take turns; a change by anybody else, such
/// as an editor, is noticed before it is overwritten.
#[derive(Debug)]
pub struct Change {
    directory: LockedDirectory,
    path: PathBuf,
    /// What was read.
    before: Before,
}

#[derive(Debug, PartialEq, Eq)]
enum Before {
    /// Nobody has looked.
    Unread,
    Missing,
    Was(Revision),
}

impl Change {
    /// Waits until nobody else changes `path`, which need not be there yet.
    ///
    /// # Errors
    /// When its directory does not exist, or somebody keeps it locked for a minute.
    pub fn begin(path: &Path) -> Result<Self, PrivateFileError> {
        let directory = LockedDirectory::of(path)?;
        Ok(Self { directory, path: path.to_owned(), before: Before::Unread })
    }

    /// Reads all of the file.
    ///
    /// # Errors
    /// When it cannot be read, or has more than `limit` bytes.
    pub fn read(&mut self, limit: u64) -> Result<Vec<u8>, PrivateFileError> {
        let failed = || PrivateFileError::system("read", &self.path);
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.before = Before::Missing;
                return Err(failed()(error));
            }
            file => file.map_err(failed())?,
        };
        // Before its content: what changes while it is read is noticed.
        self.before = Before::Was(Revision::of(&file.metadata().map_err(failed())?));
        read_all(&self.path, &file, limit)
    }

    /// Makes `bytes` the content of the file. It is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written, or is not any more what was read; then what is there stays.
    pub fn write(self, bytes: &[u8]) -> Result<(), PrivateFileError> {
        let staged = self.directory.stage(name_of(&self.path)?, bytes)?;
        let now = match fs::symlink_metadata(&self.path) {
            Ok(metadata) => Before::Was(Revision::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Before::Missing,
            Err(error) => return Err(PrivateFileError::system("look at", &self.path)(error)),
        };
        if self.before != Before::Unread && self.before != now {
            return Err(PrivateFileError::Changed { path: self.path.clone() });
        }
        staged.replace()
    }
}
