//! Old files go: written down first, then noted by the head, and only then removed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Writer;
use crate::audit::AuditError;
use crate::audit::files::{compressed_path_of, path_of};
use crate::audit::kept::length_of;
use crate::audit::removal::{Removal, Why};
use crate::clock::Now;

impl Writer {
    /// Removes files whose time is over, from the first on, and then those that are too many together. The one
    /// that is written stays, and so do one that is being compressed and those after it.
    pub(in crate::audit) fn remove_old(&mut self, now: Now) -> Result<(), AuditError> {
        loop {
            self.remove_left_over()?;
            // What the head does not say yet, and what cannot be written down, stays.
            if self.kept.left_over(self.first_file).is_some()
                || !self.waiting.is_empty()
                || self.progress.has_failed_to_sync()
            {
                return Ok(());
            }
            let held = self.compressor.under_way();
            let due = self.kept.due(&self.settings, self.first_file, self.bytes, held, now);
            let Some(mut removal) = due else { return Ok(()) };
            removal.missing = self.missing_of(&removal);
            match removal.why {
                Why::Age { .. } => tracing::info!("the audit log: {removal}"),
                Why::Total { .. } => tracing::warn!("the audit log: {removal}"),
            }
            self.first_file = self.first_file.max(removal.last_file + 1);
            self.line(now.unix, &removal.body());
            self.flush();
            self.write_head();
        }
    }

    /// How many files were removed by others before the broker does.
    fn missing_of(&self, removal: &Removal) -> u64 {
        let is_there = |number: &u64| {
            path_of(&self.directory, *number).exists()
                || compressed_path_of(&self.directory, *number).exists()
        };
        let there = self.kept.numbers().take_while(|it| *it <= removal.last_file).filter(is_there);
        let all = (removal.last_file + 1).saturating_sub(removal.first_file);
        all.saturating_sub(there.count() as u64)
    }

    /// Removes the files that the head says are gone: one that is missing without that was removed by somebody
    /// else.
    fn remove_left_over(&mut self) -> Result<(), AuditError> {
        while let Some(number) = self.kept.left_over(self.head_first_file) {
            if self.compressor.under_way() == Some(number) {
                break;
            }
            // There may be both, where compressing it was cut short.
            remove(&path_of(&self.directory, number))?;
            remove(&compressed_path_of(&self.directory, number))?;
            self.kept.drop_first();
        }
        Ok(())
    }

    pub(in crate::audit) fn look_at_clock(&mut self, now: Now) {
        const DAY: u64 = Duration::from_secs(86_400).as_secs();
        if let Some(ahead) = self.kept.look_at_clock(now) {
            tracing::warn!(
                days = ahead.as_secs() / DAY,
                "the clock has gone ahead since the last record of the audit log, or the broker was down: for a \
                 day no file of the log is removed for its age"
            );
        }
    }

    pub(super) fn go_on_compressing(&mut self, now: Instant) {
        let Some(number) = self.compressor.go_on(now) else { return };
        if let Ok(metadata) = fs::metadata(compressed_path_of(&self.directory, number)) {
            self.kept.note_compressed(number, length_of(&metadata));
        }
    }
}

fn remove(path: &Path) -> Result<(), AuditError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(AuditError::system("remove", path)(error))
        }
        _ => Ok(()),
    }
}
