//! Files for nobody but their owner: passwords, keys, what the broker keeps. Whatever the umask, a new
//! file has the mode 0600 and a new directory 0700; written whole or not at all, and durably.
//!
//! A file that is replaced keeps its owner, its group and what that may do with it; everybody else may
//! do nothing. A symbolic link is never written through: whoever may place one in a directory would
//! choose which file is overwritten. Nor is it replaced: the file that it names would keep the old
//! content. It is an error that says so. Reading follows links.
//!
//! Whoever writes locks the directory first. So no two writers undo each other's change, and what a
//! writer that was killed has left behind has a name that the next one knows and clears away.

mod change;
mod compressed;
mod directory;
mod revision;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use change::Change;
pub use compressed::{compress, compress_unless};
pub use directory::{LockedDirectory, Staged};
pub use revision::Revision;

const DIRECTORY_MODE: u32 = 0o700;
/// Reserved before the first byte is read, at most.
const MAX_RESERVED_BYTES: u64 = 1 << 20;

/// Why a private file could not be read or written. Names the file.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// The system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a file that must not be overwritten.
    #[error("{} exists already; remove it, or choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The path names something else than a file.
    #[error("{} is {found}; give the path of the file itself", path.display())]
    NotAFile {
        /// What is named.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file belongs to somebody else, who could not read it any more after it was replaced.
    #[error("{} belongs to the user with the id {owner}; run this as that user or as root", path.display())]
    NotOwned {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The file is for a group that this process cannot give a file to.
    #[error(
        "{} is for the group with the id {group}, which could not read it any more; run this as root \
         or as a member of that group",
        path.display()
    )]
    NotOfGroup {
        /// The file.
        path: PathBuf,
        /// Its group.
        group: u32,
    },
    /// Somebody has changed the file since it was read, without locking its directory.
    #[error("something else has changed {} meanwhile, and nothing was written: try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Somebody keeps the directory locked.
    #[error("another process keeps {} locked: see what `fuser -v {}` shows", path.display(), path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file is larger than any of its kind.
    #[error("{} is larger than {limit} bytes; is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
}

impl PrivateFileError {
    /// Whether there simply is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, path: path.to_owned(), source }
    }
}

/// Makes `bytes` the content of the file `path`, new or not: after a crash it has the old content or
/// the new one, never a part. Who changes what is there already begins a [`Change`].
///
/// # Errors
/// When it cannot be written; then the old content is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    LockedDirectory::of(path)?.stage(name_of(path)?, bytes)?.replace()
}

/// Creates the file `path` with the content `bytes`, whole or not at all.
///
/// # Errors
/// When there is something of that name, or it cannot be written.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    LockedDirectory::of(path)?.stage_new(name_of(path)?, bytes)?.create()
}

/// Creates the directory `path`, and those above it that are missing. One that exists is left as it
/// is.
///
/// # Errors
/// When it cannot be created, or is no directory.
pub fn create_dir(path: &Path) -> Result<(), PrivateFileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(PrivateFileError::system("create the directory", path))
}

/// Reads all of the file `path`.
///
/// # Errors
/// When it cannot be read, or has more than `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, PrivateFileError> {
    let file = File::open(path).map_err(PrivateFileError::system("read", path))?;
    read_all(path, &file, limit)
}

fn read_all(path: &Path, file: &File, limit: u64) -> Result<Vec<u8>, PrivateFileError> {
    let failed = || PrivateFileError::system("read", path);
    let expected = file.metadata().map_err(failed())?.len();
    // Room for all of it: a buffer that grows leaves copies of a secret behind.
    let room = usize::try_from(expected.min(limit).min(MAX_RESERVED_BYTES)).unwrap_or(0) + 1;
    let mut bytes = Vec::with_capacity(room);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(PrivateFileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

fn name_of(path: &Path) -> Result<&OsStr, PrivateFileError> {
    let no_file =
        || PrivateFileError::NotAFile { path: path.to_owned(), found: "no name of a file" };
    path.file_name().ok_or_else(no_file)
}

/// `.name.ending`: what only stands in a directory while something is done to the file `name`.
fn beside(name: &OsStr, ending: &str) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    hidden
}
