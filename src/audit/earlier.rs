//! How far an earlier run came, and what has become of its log since.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::AuditError;
use super::begun::{Before, time_of};
use super::chain::{Keys, Tag, add_record};
use super::damage::Damage;
use super::files::{AuditFile, files_of};
use super::head::{FoundHead, Head};
use super::verification::{FileEnd, Finding, end_of};

/// Bytes that are looked at together, from the end of a file on.
const CHUNK: u64 = 64 << 10;
/// A number that says more than that is nobody's but a forger's.
const LAST_SEQ: u64 = u64::MAX >> 1;

pub(super) struct Earlier {
    /// The number of its newest file; 0 where it has none.
    pub(super) number: u64,
    /// The number of its first file; of the next one where it has none.
    pub(super) first_file: u64,
    /// Files before that one were removed, and noted to be.
    pub(super) removed_before: u64,
    /// What had been written to the newest file that has records.
    pub(super) before: Option<Before>,
    /// Number and tag of its last record.
    pub(super) seq: u64,
    pub(super) tag: Tag,
    /// What is not as it was left.
    pub(super) damages: Vec<Damage>,
}

impl Earlier {
    /// Looks at the log in `directory`. The file that was written last is closed, where a crash has left it
    /// open and nothing is wrong with it.
    pub(super) fn find(directory: &Path, keys: &Keys, at: Duration) -> Result<Self, AuditError> {
        let files = files_of(directory)?;
        let mut this = Self {
            number: files.last().map_or(0, |file| file.number),
            first_file: files.first().map_or(1, |file| file.number),
            removed_before: 0,
            before: None,
            seq: 0,
            tag: Tag::NONE,
            damages: Vec::new(),
        };
        let last = this.go_on_after(&files, keys, at)?;
        this.compare(&Head::read(directory, keys.public_key())?);
        if let Some((file, end)) = last
            && this.damages.is_empty()
            && !end.is_closed
        {
            this.close(file, &end, keys, at)?;
        }
        Ok(this)
    }

    /// The newest of `files` that has records: a run that was killed as it began one has left it empty.
    fn go_on_after<'f>(
        &mut self,
        files: &'f [AuditFile],
        keys: &Keys,
        at: Duration,
    ) -> Result<Option<(&'f AuditFile, FileEnd)>, AuditError> {
        for file in files.iter().rev() {
            if !file.is_compressed {
                cut_half_line(&file.path).map_err(AuditError::system("mend", &file.path))?;
            }
            let end = end_of(file, keys)?;
            if let Some(Finding { line, .. }) = end.finding {
                self.damages.push(Damage::RecordsChanged { in_file: file.number, line });
            }
            if let Some((seq, tag)) = end.last {
                (self.seq, self.tag) = (seq.min(LAST_SEQ), tag);
                // Whoever has changed it does not say how old it is.
                let told = end.until.as_deref().filter(|_| end.finding.is_none());
                let until = told.and_then(time_of).unwrap_or(at);
                self.before = Some(Before::new(file.number, end.bytes, until));
                return Ok(Some((file, end)));
            }
        }
        Ok(None)
    }

    fn compare(&mut self, head: &FoundHead) {
        let found = self.seq;
        match head {
            FoundHead::Authentic(head) => {
                self.first_file = head.first_file;
                self.removed_before = head.first_file;
                self.number = self.number.max(head.first_file.saturating_sub(1));
                if head.seq > self.seq {
                    self.damages.push(Damage::EndMissing { found, expected: head.seq });
                    (self.seq, self.tag) = (head.seq, head.tag);
                }
            }
            FoundHead::Missing => self.damages.push(Damage::HeadMissing { found }),
            FoundHead::Changed => self.damages.push(Damage::HeadChanged { found }),
        }
    }

    /// Each file ends with a checkpoint before there is a record in the next one. What it says was checked:
    /// nothing is signed that others have written.
    fn close(
        &mut self,
        file: &AuditFile,
        end: &FileEnd,
        keys: &Keys,
        at: Duration,
    ) -> Result<(), AuditError> {
        let mut line = Vec::new();
        self.seq += 1;
        let body = keys.checkpoint(&end.digest);
        self.tag = add_record(&mut line, self.seq, at, &body, &self.tag, keys);
        let opened = OpenOptions::new().append(true).open(&file.path);
        let written =
            opened.and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()));
        // It is as old as what was in it before: that this is written now makes it no younger.
        if let Some(before) = &mut self.before {
            before.bytes += line.len() as u64;
        }
        written.map_err(AuditError::system("close", &file.path))
    }
}

/// The power went while it was written: nobody was told of it.
fn cut_half_line(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let (length, whole) = (file.metadata()?.len(), end_of_lines(&file)?);
    if whole < length { file.set_len(whole) } else { Ok(()) }
}

/// Where the last line that is whole ends.
fn end_of_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.read_exact_at(&mut chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
