//! Files of the log that were set aside: how they are called, compressed, and which of them are kept.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};

use super::guarded::Complaints;
use crate::clock::{Moment, Now};
use crate::private_file::compress;
use crate::telemetry::LogSettings;

/// Files whose time is over are looked for as often, where nothing else happens.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
const COMPRESSED: &str = ".gz";
/// `2026-11-22T08-40-17.123Z`, where `0` is any digit.
const STAMP: &[u8] = b"0000-00-00T00-00-00.000Z";
/// Milliseconds that are tried for a name that nothing has yet.
const TRIES: u64 = 1_000;

/// A file that was set aside.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    /// Their order is that of time.
    stamp: String,
    is_compressed: bool,
    bytes: u64,
    modified: SystemTime,
}

/// Compresses and removes files by a thread of its own, so that no line waits for that. The thread ends
/// with the last of it.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    asked: SyncSender<()>,
    settings: Arc<ArcSwap<LogSettings>>,
}

struct Tidying {
    path: PathBuf,
    settings: Arc<ArcSwap<LogSettings>>,
    complaints: Complaints,
    /// What was wrong the last time, which is said once.
    wrong: Option<String>,
}

impl Rotated {
    /// What the file `path` is renamed to when it is set aside now.
    pub(super) fn free_name(path: &Path) -> io::Result<PathBuf> {
        let now = u64::try_from(Now::read().unix.as_millis()).unwrap_or(u64::MAX);
        let names = (0..TRIES).map(|later| {
            let stamp = format!("{:#}", Moment(now.saturating_add(later))).replace(':', "-");
            with(path, &format!(".{stamp}"))
        });
        let is_free = |name: &PathBuf| {
            let compressed = with(name, COMPRESSED);
            [name, &compressed].iter().all(|it| fs::symlink_metadata(it).is_err())
        };
        let mut free = names.filter(is_free);
        free.next().ok_or_else(|| io::Error::other("there are files of all names it could have"))
    }

    /// All of those that were set aside of the file `path`, the oldest first.
    fn all_of(path: &Path) -> io::Result<Vec<Self>> {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(directory.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((stamp, is_compressed)) = stamp_of(path, &name.to_string_lossy()) else {
                continue;
            };
            // One that was removed meanwhile is none.
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            if metadata.is_file() {
                let (bytes, modified) = (metadata.len(), metadata.modified()?);
                found.push(Self { path: entry.path(), stamp, is_compressed, bytes, modified });
            }
        }
        found
            .sort_unstable_by(|a, b| (&a.stamp, a.is_compressed).cmp(&(&b.stamp, b.is_compressed)));
        Ok(found)
    }
}

/// When the file `name` was set aside of the file `path`, if it is one of those, and whether it is
/// compressed. Nothing else is ever touched.
fn stamp_of(path: &Path, name: &str) -> Option<(String, bool)> {
    let of = path.file_name()?.to_str()?;
    let rest = name.strip_prefix(of)?.strip_prefix('.')?;
    let (stamp, is_compressed) = match rest.strip_suffix(COMPRESSED) {
        Some(stamp) => (stamp, true),
        None => (rest, false),
    };
    let is_alike = |(byte, like): (u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    };
    let is_stamp = stamp.len() == STAMP.len() && stamp.bytes().zip(STAMP).all(is_alike);
    is_stamp.then(|| (stamp.to_owned(), is_compressed))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start(
        path: &Path,
        settings: &LogSettings,
        complaints: Complaints,
    ) -> io::Result<Self> {
        // One that waits is enough: it sees all there is.
        let (asked, requests) = sync_channel(1);
        let settings = Arc::new(ArcSwap::from_pointee(settings.clone()));
        let path = path.to_owned();
        let tidying = Tidying { path, settings: Arc::clone(&settings), complaints, wrong: None };
        thread::Builder::new()
            .name("log-keeper".to_owned())
            .spawn(move || tidying.run(&requests))?;
        Ok(Self { asked, settings })
    }

    /// What says when the file is full, and what is kept.
    pub(super) fn settings(&self) -> Guard<Arc<LogSettings>> {
        self.settings.load()
    }

    /// Keeps to other settings from now on.
    pub(super) fn follow(&self, settings: &LogSettings) {
        self.settings.store(Arc::new(settings.clone()));
        self.tidy();
    }

    /// Has all that were set aside looked at soon.
    pub(super) fn tidy(&self) {
        // Where there is no place, somebody has asked already.
        let _ = self.asked.try_send(());
    }
}

impl Tidying {
    fn run(mut self, requests: &Receiver<()>) {
        loop {
            match requests.recv_timeout(TIDY_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => self.tidy(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tidy(&mut self) {
        let settings = self.settings.load_full();
        let compressed = if settings.compress { self.compress_all() } else { Ok(()) };
        let wrong = compressed.and(self.remove_old(&settings)).err();
        if let Some(wrong) = &wrong
            && self.wrong.as_ref() != Some(wrong)
        {
            self.complaints.say(&format!("files of the log stay as they are: {wrong}"));
        }
        self.wrong = wrong;
    }

    fn compress_all(&self) -> Result<(), String> {
        let files = Rotated::all_of(&self.path).map_err(|error| self.naming(&error))?;
        for file in files.iter().filter(|file| !file.is_compressed) {
            compress(&file.path, &with(&file.path, COMPRESSED))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Removes those whose time is over, those that are too many, and then those that are too much together
    /// with the file that is written; the oldest first.
    fn remove_old(&self, settings: &LogSettings) -> Result<(), String> {
        let files = Rotated::all_of(&self.path).map_err(|error| self.naming(&error))?;
        let oldest = settings.keep().and_then(|keep| SystemTime::now().checked_sub(keep));
        let most = settings.max_total_bytes().unwrap_or(u64::MAX);
        let written = fs::symlink_metadata(&self.path).map_or(0, |metadata| metadata.len());
        let mut left = files.len();
        let mut total = files.iter().fold(written, |sum, file| sum.saturating_add(file.bytes));
        for file in files {
            let is_old = oldest.is_some_and(|oldest| file.modified < oldest);
            let are_many = settings.max_files().is_some_and(|most| left > most);
            if !is_old && !are_many && total <= most {
                break;
            }
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("cannot remove {}: {error}", file.path.display()));
                }
                _ => {}
            }
            (left, total) = (left - 1, total.saturating_sub(file.bytes));
        }
        Ok(())
    }

    fn naming(&self, error: &io::Error) -> String {
        let directory = self.path.parent().unwrap_or(&self.path);
        format!("cannot read {}: {error}", directory.display())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::num::NonZeroU32;

    use super::*;

    fn tidying(path: &Path, change: impl FnOnce(&mut LogSettings)) -> Tidying {
        let mut settings = LogSettings::default();
        change(&mut settings);
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Tidying { path: path.to_owned(), settings, complaints: Complaints::default(), wrong: None }
    }

    /// Of all that is in `directory`, in order.
    pub(in super::super) fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn stamp(day: u32) -> String {
        format!("2026-11-{day:02}T08-40-17.123Z")
    }

    #[test]
    fn files_are_known_by_their_whole_name() {
        let path = Path::new("/var/log/it.log");
        let name = |rest: &str| stamp_of(path, &format!("it.log{rest}"));
        let name_of_now = Rotated::free_name(path).unwrap();
        let name_of_now = name_of_now.file_name().unwrap().to_str().unwrap();
        assert!(stamp_of(path, name_of_now).is_some_and(|(_, is_compressed)| !is_compressed));
        assert_eq!(name(&format!(".{}.gz", stamp(1))), Some((stamp(1), true)));
        for other in ["", ".1", ".gz", "x", ".2026-11-01", &format!(".{}.old", stamp(1))] {
            assert_eq!(name(other), None, "{other}");
        }
        assert_eq!(stamp_of(path, &format!("other.log.{}", stamp(1))), None);
    }

    #[test]
    fn what_was_set_aside_is_compressed_and_the_oldest_go() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it.log");
        fs::write(&path, "now").unwrap();
        fs::write(place.path().join("it.log.1"), "of somebody else").unwrap();
        for day in 1..=4 {
            fs::write(with(&path, &format!(".{}", stamp(day))), "then").unwrap();
        }
        tidying(&path, |settings| settings.keep_files = 2).tidy();
        let kept = [3, 4].map(|day| format!("it.log.{}.gz", stamp(day)));
        assert_eq!(names(place.path()), ["it.log", "it.log.1", &kept[0], &kept[1]]);
        let old = File::options().append(true).open(place.path().join(&kept[0])).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_secs(2 * 86_400)).unwrap();
        tidying(&path, |settings| settings.keep_days = 1).tidy();
        assert_eq!(names(place.path()), ["it.log", "it.log.1", &kept[1]]);
    }

    #[test]
    fn all_files_together_take_no_more_than_they_may() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("it.log");
        fs::write(&path, vec![b'x'; 700 << 10]).unwrap();
        for day in 1..=3 {
            fs::write(with(&path, &format!(".{}", stamp(day))), vec![b'x'; 200 << 10]).unwrap();
        }
        let bounded = |settings: &mut LogSettings| {
            settings.compress = false;
            settings.max_total_mib = NonZeroU32::MIN.get();
        };
        tidying(&path, bounded).tidy();
        assert_eq!(names(place.path()), ["it.log".to_owned(), format!("it.log.{}", stamp(3))]);
    }
}
