//! A directory that nobody else changes meanwhile, and the files that are about to be in it.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::{PrivateFileError, beside};

/// How often, and after how long, a directory is tried again that somebody else has locked: a minute.
/// Others hold it as long as the disk takes; but whoever may read a directory can lock it.
const TRIES: u32 = 3_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

const FILE_MODE: u32 = 0o600;
/// What the group of a file may keep, that it may do with it.
const OF_GROUP: u32 = 0o060;

/// A directory in which no other process changes a file, as long as all of them lock it first. It is
/// the directory that is locked: a file itself is replaced by each change, and a lock file of its own
/// would be one more file.
#[derive(Debug)]
pub struct LockedDirectory {
    /// Empty for the one that the process is in: so files go by the names that they were given.
    path: PathBuf,
    /// Of this directory, whatever the path names by now.
    opened: File,
}

/// What a file is to hold, written beside it and on disk. Dropped, it is as if it had never been.
#[derive(Debug)]
#[must_use = "it is dropped, and nothing has changed"]
pub struct Staged<'a> {
    directory: &'a LockedDirectory,
    path: PathBuf,
    file: NamedTempFile,
}

impl LockedDirectory {
    /// Locks the directory `path`, or the one in which the file `path` is or will be.
    ///
    /// # Errors
    /// When it does not exist, or somebody else keeps it locked for a minute.
    pub fn of(path: &Path) -> Result<Self, PrivateFileError> {
        Self::lock(path.parent().unwrap_or(path))
    }

    /// Locks the directory `path`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn lock(path: &Path) -> Result<Self, PrivateFileError> {
        let path = if path == Path::new(".") { Path::new("") } else { path };
        let shown = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let failed = |action| PrivateFileError::system(action, shown);
        let opened = File::open(shown).map_err(failed("open the directory"))?;
        for _ in 0..TRIES {
            match opened.try_lock() {
                Ok(()) => return Ok(Self { path: path.to_owned(), opened }),
                Err(TryLockError::WouldBlock) => sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(failed("lock the directory")(error)),
            }
        }
        Err(PrivateFileError::Locked { path: shown.to_owned() })
    }

    /// Writes what the file `name` is to hold beside it. It will have the owner, the group and the
    /// rights of that group that the file has now.
    ///
    /// # Errors
    /// When it cannot be written, or would not be the same people's any more.
    pub fn stage(&self, name: &OsStr, bytes: &[u8]) -> Result<Staged<'_>, PrivateFileError> {
        let replaced = replaceable(&self.path.join(name))?;
        self.write(name, bytes, replaced.as_ref())
    }

    /// As [`Self::stage`], for a file that there is to be none of yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn stage_new(&self, name: &OsStr, bytes: &[u8]) -> Result<Staged<'_>, PrivateFileError> {
        self.write(name, bytes, None)
    }

    fn write(
        &self,
        name: &OsStr,
        bytes: &[u8],
        replaced: Option<&Metadata>,
    ) -> Result<Staged<'_>, PrivateFileError> {
        let path = self.path.join(name);
        let failed = || PrivateFileError::system("write", &path);
        let hidden = beside(name, ".new");
        // Of somebody who was killed: whoever lives would have the lock.
        remove_if_there(&self.path.join(&hidden)).map_err(failed())?;
        let mut file = tempfile::Builder::new()
            .prefix(&hidden)
            .rand_bytes(0)
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(&self.path)
            .map_err(failed())?;
        file.as_file_mut().write_all(bytes).map_err(failed())?;
        if let Some(replaced) = replaced {
            keep_rights(&path, replaced, file.as_file())?;
        }
        file.as_file().sync_all().map_err(failed())?;
        Ok(Staged { directory: self, path, file })
    }

    /// A new name is durable once its directory is.
    fn sync(&self) -> Result<(), PrivateFileError> {
        self.opened.sync_all().map_err(PrivateFileError::system("write the directory", &self.path))
    }
}

impl Staged<'_> {
    /// Puts it in place of what the file holds now.
    ///
    /// # Errors
    /// When the system refuses; then the old content is still there.
    pub fn replace(self) -> Result<(), PrivateFileError> {
        let Self { directory, path, file } = self;
        file.persist(&path).map_err(|e| PrivateFileError::system("replace", &path)(e.error))?;
        directory.sync()
    }

    /// As [`Self::replace`]; what the file holds now stays beside it, with a `~` behind its name.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn replace_and_keep(self) -> Result<(), PrivateFileError> {
        self.keep_previous().map_err(PrivateFileError::system("keep what was in", &self.path))?;
        self.replace()
    }

    /// Makes the file, which must not be there yet.
    ///
    /// # Errors
    /// When there is something of that name, or the system refuses.
    pub fn create(self) -> Result<(), PrivateFileError> {
        let Self { directory, path, file } = self;
        file.persist_noclobber(&path).map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => PrivateFileError::Exists { path: path.clone() },
            _ => PrivateFileError::system("create", &path)(e.error),
        })?;
        directory.sync()
    }

    /// Another name for the same file: it costs nothing, and is as much its owner's as before.
    fn keep_previous(&self) -> io::Result<()> {
        let Some(name) = self.path.file_name() else { return Ok(()) };
        let mut kept = name.to_owned();
        kept.push("~");
        let (linked, kept) =
            (self.directory.path.join(beside(name, ".old")), self.directory.path.join(kept));
        remove_if_there(&linked)?;
        match fs::hard_link(&self.path, &linked) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        fs::rename(&linked, kept)?;
        // Where both were names of one file already, nothing was renamed (rename(2)).
        remove_if_there(&linked)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is known of the file that would be replaced, where there is one.
fn replaceable(path: &Path) -> Result<Option<Metadata>, PrivateFileError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(PrivateFileError::system("replace", path)(e)),
    };
    let found = if metadata.is_file() {
        return Ok(Some(metadata));
    } else if metadata.is_symlink() {
        "a symbolic link"
    } else if metadata.is_dir() {
        "a directory"
    } else {
        "a device, pipe or socket"
    };
    Err(PrivateFileError::NotAFile { path: path.to_owned(), found })
}

/// Whoever could read the file, its owner and its group, still can: a broker that runs as another user
/// than whoever changes its files would otherwise lose them.
fn keep_rights(path: &Path, replaced: &Metadata, staged: &File) -> Result<(), PrivateFileError> {
    let failed = || PrivateFileError::system("write", path);
    let mine = staged.metadata().map_err(failed())?;
    let (owner, group) = (replaced.uid(), replaced.gid());
    let is_same = (mine.uid(), mine.gid()) == (owner, group);
    let is_given = is_same || fchown(staged, Some(owner), Some(group)).is_ok();
    let of_group = replaced.mode() & OF_GROUP;
    if !is_given && mine.uid() != owner {
        return Err(PrivateFileError::NotOwned { path: path.to_owned(), owner });
    }
    if !is_given && of_group != 0 {
        return Err(PrivateFileError::NotOfGroup { path: path.to_owned(), group });
    }
    staged.set_permissions(Permissions::from_mode(FILE_MODE | of_group)).map_err(failed())
}
