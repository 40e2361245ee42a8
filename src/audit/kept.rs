//! The files of the log that are not written any more, as the log itself knows them, and which of them go: what
//! the file system says of their age, and of more bytes than they were given, counts for nothing.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::begun::{Before, Begun, begun_of, text_of};
use super::chain::Keys;
use super::files::{AuditFile, files_of};
use super::removal::{Removal, Why};
use super::{AuditError, Settings};
use crate::clock::Now;

const DAY: Duration = Duration::from_secs(86_400);
/// The clock does not go ahead of the time that passes by more, unless it is set.
const LEAP: Duration = DAY;
/// Nothing is removed for its age so long after that.
const REST: Duration = DAY;
/// Bytes of a block, as `st_blocks` counts.
const BLOCK: u64 = 512;

/// A file that is not written any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptFile {
    pub(super) number: u64,
    /// The number of its last record.
    pub(super) last_record: u64,
    /// The time of that, since the Unix epoch.
    pub(super) until: Duration,
    /// What it takes on disk: no more than was written to it.
    pub(super) bytes: u64,
}

/// All of them, in order.
pub(super) struct Kept {
    files: VecDeque<KeptFile>,
    clock: ClockWatch,
}

/// Where the clock has gone ahead, files do not go at once: somebody may have set it, or it may be wrong until
/// the network says what time it is.
struct ClockWatch {
    /// What the clock said last that is believed.
    believed: Now,
    rests_until: Option<Instant>,
}

impl Kept {
    /// Those in `directory` before the file `number`, which has `begun`. Files before `first_file` are left
    /// over: they were removed as far as the log knows.
    pub(super) fn find(
        directory: &Path,
        keys: &Keys,
        settings: &Settings,
        number: u64,
        begun: &Begun,
        now: Now,
    ) -> Result<Self, AuditError> {
        let mut files = VecDeque::new();
        let mut clock = ClockWatch::new(begun, now);
        let mut after = begun.clone();
        for file in files_of(directory)?.into_iter().rev().filter(|file| file.number < number) {
            files.push_front(kept_file(&file, &after, settings)?);
            if let Some(begun) = begun_of(&file, keys) {
                clock.recall(&begun, now);
                after = begun;
            }
        }
        Ok(Self { files, clock })
    }

    /// A file is not written any more.
    pub(super) fn add(&mut self, file: KeptFile) {
        self.files.push_back(file);
    }

    /// A file was compressed.
    pub(super) fn note_compressed(&mut self, number: u64, bytes: u64) {
        if let Some(file) = self.files.iter_mut().find(|file| file.number == number) {
            file.bytes = file.bytes.min(bytes);
        }
    }

    /// Their numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.files.iter().map(|file| file.number)
    }

    /// The first one, where that is before the file `first_file`.
    pub(super) fn left_over(&self, first_file: u64) -> Option<u64> {
        self.files.front().map(|file| file.number).filter(|number| *number < first_file)
    }

    /// The first one is gone.
    pub(super) fn drop_first(&mut self) {
        self.files.pop_front();
    }

    /// The clock is looked at. Says by how much it has gone ahead since it was last believed, where that is
    /// more than it does by itself.
    pub(super) fn look_at_clock(&mut self, now: Now) -> Option<Duration> {
        self.clock.look(now)
    }

    /// Which files go next, for one reason, from `first_file` on. The one that is written, with so many
    /// `written` bytes, stays; so does `held`, and what comes after it.
    pub(super) fn due(
        &self,
        settings: &Settings,
        first_file: u64,
        written: u64,
        held: Option<u64>,
        now: Now,
    ) -> Option<Removal> {
        let free = |file: &&KeptFile| Some(file.number) != held;
        let old = self.files.iter().take_while(free).enumerate();
        let old = old.take_while(|(at, _)| self.is_over(*at, settings, now)).last();
        let (last, why) = match old {
            Some((_, last)) => (last, Why::Age { keep_days: settings.keep_days }),
            None => {
                let most = settings.max_total_bytes()?;
                let total = self.files.iter().map(|file| file.bytes).sum::<u64>() + written;
                let mut left = total;
                let too_many = self.files.iter().take_while(free).take_while(|file| {
                    let is_too_much = left > most;
                    left -= file.bytes;
                    is_too_much
                });
                (too_many.last()?, Why::Total { max_total_mib: settings.max_total_mib })
            }
        };
        Some(Removal {
            first_file,
            last_file: last.number,
            last_record: last.last_record,
            until: text_of(last.until),
            missing: 0,
            why,
        })
    }

    /// Whether the time of a file is over.
    fn is_over(&self, at: usize, settings: &Settings, now: Now) -> bool {
        let Some(keep) = settings.keep().filter(|_| !self.clock.rests(now)) else { return false };
        let end = self.until(at, now.unix).and_then(|until| until.checked_add(keep));
        end.is_some_and(|end| end < now.unix)
    }

    /// The time of the last record of a file, as far as it is to be believed: no file is older than those before
    /// it, and one of a time that has not come yet no younger than those after it.
    fn until(&self, at: usize, now: Duration) -> Option<Duration> {
        let told = |file: &KeptFile| Some(file.until).filter(|until| *until <= now);
        let own = self.files.range(at..).find_map(told)?;
        Some(self.files.range(..at).filter_map(told).fold(own, Duration::max))
    }
}

/// What is known of `file` by the next one that the broker is known to have `begun`.
fn kept_file(file: &AuditFile, begun: &Begun, settings: &Settings) -> Result<KeptFile, AuditError> {
    let metadata = fs::metadata(&file.path).map_err(AuditError::system("look at", &file.path))?;
    let length = length_of(&metadata);
    let until = begun.before.as_ref().and_then(Before::until).unwrap_or(begun.at);
    let bytes = match &begun.before {
        Some(before) if before.file == file.number => length.min(before.bytes),
        // Others have put it there, or a run that was killed before it wrote anything.
        Some(before) if before.file < file.number => 0,
        _ => length.min(settings.max_file_bytes()),
    };
    Ok(KeptFile { number: file.number, last_record: begun.seq.saturating_sub(1), until, bytes })
}

/// What a file takes: a length without blocks is none.
pub(super) fn length_of(metadata: &fs::Metadata) -> u64 {
    metadata.len().min(metadata.blocks().saturating_mul(BLOCK))
}

impl ClockWatch {
    /// By the time of the last record of the run before.
    fn new(begun: &Begun, now: Now) -> Self {
        let last = begun.before.as_ref().and_then(Before::until);
        let believed = Now { unix: last.unwrap_or(now.unix), ..now };
        Self { believed, rests_until: None }
    }

    /// A run that ended within its rest leaves that to the next one.
    fn recall(&mut self, begun: &Begun, now: Now) {
        let Some(last) = begun.before.as_ref().and_then(Before::until) else { return };
        let left = begun.at.saturating_add(REST).saturating_sub(now.unix).min(REST);
        if begun.at.saturating_sub(last) > LEAP && now.unix >= begun.at && !left.is_zero() {
            self.rests_until = self.rests_until.max(now.instant.checked_add(left));
        }
    }

    fn look(&mut self, now: Now) -> Option<Duration> {
        let passed = now.instant.saturating_duration_since(self.believed.instant);
        let ahead = now.unix.saturating_sub(self.believed.unix.saturating_add(passed));
        if ahead <= LEAP {
            return None;
        }
        self.believed = now;
        self.rests_until = now.instant.checked_add(REST);
        Some(ahead)
    }

    fn rests(&self, now: Now) -> bool {
        self.rests_until.is_some_and(|until| now.instant < until)
    }
}
