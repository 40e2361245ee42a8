//! Files for nobody but their owner: passwords, keys, what the broker keeps. Mode 0600, directories
//! 0700, whatever the umask; written whole or not at all, and durably.
//!
//! A symbolic link is never written through: whoever may place one in a directory would choose
//! which file is overwritten. Nor is it replaced: the file that it names would keep the old
//! content. It is an error that says so. Reading follows links.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

const FILE_MODE: u32 = 0o600;
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
/// the new one, never a part. The file keeps its owner.
///
/// # Errors
/// When it cannot be written; then the old content is still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let replaced = replaceable(path)?;
    let staged = stage(path, bytes)?;
    if let Some(replaced) = replaced {
        keep_owner(path, &replaced, staged.as_file())?;
    }
    staged.persist(path).map_err(|e| PrivateFileError::system("replace", path)(e.error))?;
    sync_directory_of(path)
}

/// Creates the file `path` with the content `bytes`, whole or not at all.
///
/// # Errors
/// When there is something of that name, or it cannot be written.
pub fn create_new(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    stage(path, bytes)?.persist_noclobber(path).map_err(|e| match e.error.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists { path: path.to_owned() },
        _ => PrivateFileError::system("create", path)(e.error),
    })?;
    sync_directory_of(path)
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
    let failed = || PrivateFileError::system("read", path);
    let file = File::open(path).map_err(failed())?;
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

/// Holds off other processes that want to change the same file, until it is dropped.
#[derive(Debug)]
pub struct ChangeLock {
    _directory: File,
}

/// Waits until no other process changes `path`; for those who read a file, change it and write it
/// back, so that none of two changes is lost. It locks the directory: the file itself is replaced
/// by each change, and a lock file of its own would be one more file.
///
/// # Errors
/// When the directory does not exist, or cannot be locked.
pub fn lock_for_change(path: &Path) -> Result<ChangeLock, PrivateFileError> {
    let directory = directory_of(path);
    let failed = || PrivateFileError::system("lock the directory", directory);
    let file = File::open(directory).map_err(failed())?;
    file.lock().map_err(failed())?;
    Ok(ChangeLock { _directory: file })
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

/// Writes `bytes` to a new file beside `path`, which vanishes unless it is given that name.
fn stage(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, PrivateFileError> {
    let failed = || PrivateFileError::system("write", path);
    let mut staged = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(directory_of(path))
        .map_err(failed())?;
    staged.write_all(bytes).map_err(failed())?;
    staged.as_file().sync_all().map_err(failed())?;
    Ok(staged)
}

fn keep_owner(path: &Path, replaced: &Metadata, staged: &File) -> Result<(), PrivateFileError> {
    let mine = staged.metadata().map_err(PrivateFileError::system("write", path))?;
    if mine.uid() == replaced.uid() {
        return Ok(());
    }
    fchown(staged, Some(replaced.uid()), Some(replaced.gid()))
        .map_err(|_| PrivateFileError::NotOwned { path: path.to_owned(), owner: replaced.uid() })
}

/// A new name is durable once its directory is.
fn sync_directory_of(path: &Path) -> Result<(), PrivateFileError> {
    let directory = directory_of(path);
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(PrivateFileError::system("write the directory", directory))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names_in(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomically(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names_in(dir.path()), ["secret"]);
    }

    #[test]
    fn replacing_an_open_file_closes_it_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "one, and longer").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn who_reads_the_old_file_meanwhile_sees_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomically(&path, b"one").unwrap();
        let mut open = File::open(&path).unwrap();
        write_atomically(&path, b"two").unwrap();
        let mut seen = String::new();
        open.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "one");
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomically(&path, b"one").unwrap();
        let mine = fs::metadata(&path).unwrap().uid();
        // Only root may give a file away.
        let owner = if chown(&path, Some(12_345), None).is_ok() { 12_345 } else { mine };
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_link_is_neither_followed_nor_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| dir.path().join(name));
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        let refused = write_atomically(&link, b"new").unwrap_err();
        assert!(refused.to_string().contains("is a symbolic link"), "{refused}");
        assert!(matches!(create_new(&link, b"new"), Err(PrivateFileError::Exists { .. })));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names_in(dir.path()), ["link", "target"]);
    }

    #[test]
    fn a_link_to_nowhere_is_not_created_through() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink(dir.path().join("target"), &link).unwrap();
        assert!(write_atomically(&link, b"new").is_err());
        assert!(create_new(&link, b"new").is_err());
        assert_eq!(names_in(dir.path()), ["link"]);
    }

    #[test]
    fn a_directory_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let refused = write_atomically(dir.path(), b"new").unwrap_err();
        assert!(refused.to_string().contains("is a directory"), "{refused}");
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("secret");
        for refused in [write_atomically(&path, b""), create_new(&path, b"")] {
            let refused = refused.unwrap_err();
            assert!(refused.is_not_found());
            assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
        }
    }

    #[test]
    fn creating_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create_new(&path, b"one").unwrap();
        assert!(matches!(create_new(&path, b"two"), Err(PrivateFileError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names_in(dir.path()), ["secret"]);
    }

    #[test]
    fn new_directories_are_for_their_owner_only_and_old_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        create_dir(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        create_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o750);
        fs::write(path.join("file"), "").unwrap();
        assert!(create_dir(&path.join("file")).is_err());
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "four").unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap(), b"four");
        assert!(matches!(read_bounded(&path, 3), Err(PrivateFileError::TooLarge { limit: 3, .. })));
        let endless = read_bounded(Path::new("/dev/zero"), 1_000);
        assert!(matches!(endless, Err(PrivateFileError::TooLarge { limit: 1_000, .. })));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!read_bounded(dir.path(), 10).unwrap_err().is_not_found());
        let missing = read_bounded(&dir.path().join("missing"), 10).unwrap_err();
        assert!(missing.is_not_found());
        assert!(missing.to_string().contains("missing"), "{missing}");
    }

    #[test]
    fn a_second_change_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let first = lock_for_change(&path).unwrap();
        let (changes, order) = mpsc::channel();
        let second = thread::spawn({
            let (changes, path) = (changes.clone(), path.clone());
            move || {
                let _lock = lock_for_change(&path).unwrap();
                changes.send("second").unwrap();
            }
        });
        assert!(File::open(dir.path()).unwrap().try_lock().is_err());
        changes.send("first").unwrap();
        drop(first);
        second.join().unwrap();
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    }
}
