//! A directory of this machine, for one process alone.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Disk;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Held as long as the process lives: the kernel lets go of it, however that ends.
pub(super) const LOCK: &str = "lock";

/// The directory, locked. Whatever the umask, files have the mode 0600 and a new directory 0700.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// To sync the names.
    opened: File,
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
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
    /// Others could remove its files.
    #[error("others than its owner can write to the directory {}: chmod 700 it", .0.display())]
    Exposed(PathBuf),
    /// Another process has it.
    #[error(
        "another broker, or a tool, uses the store in {}: see what `fuser -v {}` shows",
        .0.display(), .0.join(LOCK).display()
    )]
    Locked(PathBuf),
}

impl Directory {
    /// Locks the directory `path`, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, others may write to it, or another process has it.
    pub fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::System { action, path, source }
        };
        let is_new = !path.exists();
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
        made.map_err(failed("create the directory", path))?;
        if is_new {
            // A new directory is there after a power loss once the one above it says so.
            let above = path.parent().filter(|above| !above.as_os_str().is_empty());
            let above = above.unwrap_or(Path::new("."));
            let synced = File::open(above).and_then(|above| above.sync_all());
            synced.map_err(failed("write the directory", above))?;
        }
        let opened = File::open(path).map_err(failed("open the directory", path))?;
        let mode =
            opened.metadata().map_err(failed("open the directory", path))?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(DirectoryError::Exposed(path.to_owned()));
        }
        let lock_path = path.join(LOCK);
        let lock = open_lock(&lock_path).map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), opened, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("lock", &lock_path)(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where nothing may be written, what is there can be served all the same.
fn open_lock(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).create(true).mode(FILE_MODE).open(path) {
        Ok(lock) => {
            lock.set_permissions(Permissions::from_mode(FILE_MODE))?;
            Ok(lock)
        }
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(path),
        Err(error) => Err(error),
    }
}

impl Disk for Directory {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<OsString>>>()?;
        // What is not UTF-8 is not ours.
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn read_at(&self, name: &str, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let there =
            usize::try_from(file.metadata()?.len().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(there)];
        file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)?;
        // A umask takes away from the mode, even from its owner.
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        Ok(file)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_names(&self) -> io::Result<()> {
        self.opened.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }
}
