//! The file of the log: opened, watched whether it still is where it was, and set aside when it is full.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use super::guarded::{Complaints, Sink};
use super::rotated::{Keeper, Rotated};
use crate::private_file;
use crate::telemetry::{LogRotation, LogSettings};

/// Between two looks at what the path names, and two attempts to set a file aside.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const DAY_SECONDS: u64 = 86_400;

/// Somebody has moved the file, or may have.
static IS_TO_BE_REOPENED: AtomicBool = AtomicBool::new(false);

/// Has the file opened anew before the next line, as `logrotate` wants it.
pub fn reopen() {
    IS_TO_BE_REOPENED.store(true, Ordering::Relaxed);
}

/// Where lines are appended.
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    looked_at: Instant,
    /// Whether it could not be set aside, which is said once.
    is_stuck: bool,
    keeper: Keeper,
    complaints: Complaints,
}

struct Open {
    file: File,
    /// That of the file system and of the file there.
    identity: (u64, u64),
    bytes: u64,
    /// Of its last line, since the Unix epoch.
    day: u64,
}

impl LogFile {
    /// Opens the file that the settings name.
    ///
    /// # Errors
    /// When it cannot be opened, is no file, or another process writes to it.
    pub(super) fn open(
        path: &Path,
        settings: &LogSettings,
        complaints: Complaints,
    ) -> io::Result<Self> {
        let open = Open::at(path)?;
        let keeper = Keeper::start(path, settings, complaints.clone())?;
        keeper.tidy();
        Ok(Self {
            path: path.to_owned(),
            open: Some(open),
            looked_at: Instant::now(),
            is_stuck: false,
            keeper,
            complaints,
        })
    }

    /// What sets the rules for the files that are set aside.
    pub(super) fn keeper(&self) -> Keeper {
        self.keeper.clone()
    }

    /// Looks whether the path still names the file that is open, now and then and when told to.
    fn look(&mut self) {
        let is_told = IS_TO_BE_REOPENED.swap(false, Ordering::Relaxed);
        if !is_told && self.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked_at = Instant::now();
        let Some(open) = &mut self.open else { return };
        match fs::symlink_metadata(&self.path) {
            Ok(now) if identity(&now) == open.identity => open.bytes = now.len(),
            // Moved, removed, or out of reach: where it cannot be opened anew, that is told.
            _ => self.open = None,
        }
        if self.is_due() {
            self.set_aside();
        }
    }

    fn is_due(&self) -> bool {
        let Some(open) = &self.open else { return false };
        let settings = self.keeper.settings();
        let is_old = settings.rotate == LogRotation::Daily && open.day != today();
        open.bytes > 0 && (open.bytes >= settings.max_file_bytes() || is_old)
    }

    /// Renames the file, and begins the next one with the next line. Where that fails it goes on.
    fn set_aside(&mut self) {
        match Rotated::free_name(&self.path).and_then(|name| fs::rename(&self.path, name)) {
            Ok(()) => {
                (self.open, self.is_stuck) = (None, false);
                self.keeper.tidy();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_stuck, true) {
                    let path = self.path.display();
                    let text =
                        format!("{path} is full and cannot be renamed, and goes on: {error}");
                    self.complaints.say(&text);
                }
            }
        }
    }
}

impl Sink for LogFile {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.look();
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::at(&self.path).map_err(|error| naming(&self.path, &error))?),
        };
        if let Err(error) = open.file.write_all(line) {
            // A part of a line would be the beginning of the next one.
            let _ = open.file.set_len(open.bytes);
            return Err(naming(&self.path, &error));
        }
        open.bytes += line.len() as u64;
        open.day = today();
        if open.bytes >= self.keeper.settings().max_file_bytes() && !self.is_stuck {
            self.set_aside();
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            private_file::create_dir(directory).map_err(io::Error::other)?;
        }
        // Neither through a link that somebody has put there, nor waiting at the end of a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(0o600).custom_flags(flags);
        let file = options.open(path).map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                io::Error::other("it is a symbolic link: give the path of the file itself")
            }
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process writes to it: give each its own"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let day = metadata.modified().map_or_else(|_| today(), day_of);
        Ok(Self { file, identity: identity(&metadata), bytes: metadata.len(), day })
    }
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn today() -> u64 {
    day_of(SystemTime::now())
}

fn day_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY_SECONDS
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::rotated::tests::names;
    use super::*;

    fn open(path: &Path, settings: &LogSettings) -> io::Result<LogFile> {
        LogFile::open(path, settings, Complaints::default())
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_opened_anew_at_its_path() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("logs/it.log");
        let mut log = open(&path, &LogSettings::default()).unwrap();
        log.put(b"first\n").unwrap();
        fs::rename(&path, place.path().join("moved")).unwrap();
        log.looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        log.put(b"second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
        assert_eq!(fs::read_to_string(place.path().join("moved")).unwrap(), "first\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        log.looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        log.put(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn a_file_of_yesterday_is_set_aside_before_the_first_line_of_today() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it.log");
        fs::write(&path, "yesterday\n").unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(DAY_SECONDS);
        File::options().append(true).open(&path).unwrap().set_modified(yesterday).unwrap();
        let settings =
            LogSettings { rotate: LogRotation::Daily, compress: false, ..LogSettings::default() };
        let mut log = open(&path, &settings).unwrap();
        log.looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        log.put(b"today\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "today\n");
        let names = names(place.path());
        let [_, aside] = names.as_slice() else { panic!("{names:?}") };
        assert_eq!(fs::read_to_string(place.path().join(aside)).unwrap(), "yesterday\n");
        // An hour later it still is today.
        log.looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        log.put(b"later\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "today\nlater\n");
    }

    #[test]
    fn what_is_no_file_of_its_own_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let settings = LogSettings::default();
        let refused = |path: &Path| open(path, &settings).err().unwrap().to_string();
        let path = place.path().join("it.log");
        let log = open(&path, &settings).unwrap();
        assert!(refused(&path).contains("another process writes to it"));
        drop(log);
        let link = place.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("symbolic link"));
        fs::create_dir(place.path().join("directory")).unwrap();
        assert!(refused(&place.path().join("directory")).contains("directory"));
        assert!(refused(&path.join("below")).contains("cannot create the directory"));
    }
}
