//! The records of a file, one after the other. What cannot be read is told on standard error, and is in nobody's
//! way: a byte that somebody has changed does not hide what comes after it.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::audit::{AuditFile, Line, Lines};

/// So much that cannot be read is told of one by one.
const MOST_TOLD: u64 = 100;

/// What cannot be read.
#[derive(Default)]
pub(super) struct Unreadable {
    count: u64,
}

/// A line of the log.
pub(super) struct Record {
    /// From 1.
    pub(super) line: u64,
    /// Without its end. Whether it is JSON is not known yet.
    pub(super) text: String,
}

/// Reads a file of the log.
pub(super) struct Records {
    pub(super) file: AuditFile,
    lines: Lines,
    line: u64,
    /// What comes cannot be read.
    is_broken: bool,
}

impl Unreadable {
    /// Tells nobody.
    pub(super) fn silent() -> Self {
        Self { count: MOST_TOLD }
    }

    /// Says that something is not shown.
    pub(super) fn tell(&mut self, path: &Path, line: u64, what: impl Display) -> io::Result<()> {
        self.count += 1;
        match self.count <= MOST_TOLD {
            true => writeln!(io::stderr(), "{}:{line}: not shown: {what}", path.display()),
            false => Ok(()),
        }
    }

    /// What the command ends with.
    pub(super) fn exit_code(&self) -> io::Result<ExitCode> {
        if self.count == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let more = self.count.saturating_sub(MOST_TOLD);
        if more > 0 {
            writeln!(io::stderr(), "and {more} more")?;
        }
        writeln!(io::stderr(), "`bastionmq audit verify` says more of it")?;
        Ok(ExitCode::FAILURE)
    }
}

impl Records {
    /// Nothing where it cannot be opened. Where it was removed since it was listed, its time was over.
    pub(super) fn open(file: &AuditFile, unreadable: &mut Unreadable) -> io::Result<Option<Self>> {
        match Lines::open(file) {
            Ok(lines) => Ok(Some(Self { file: file.clone(), lines, line: 0, is_broken: false })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => {
                unreadable.tell(&file.path, 0, error)?;
                Ok(None)
            }
        }
    }

    /// The next line that is whole; nothing where there is none yet. Asked again, it goes on with what was
    /// written since.
    pub(super) fn next(&mut self, unreadable: &mut Unreadable) -> io::Result<Option<Record>> {
        while !self.is_broken {
            let line = self.line + 1;
            let fault = match self.lines.read() {
                Ok(Line::End(_)) => return Ok(None),
                Ok(Line::Whole(bytes)) => {
                    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                    match std::str::from_utf8(bytes) {
                        Ok(text) => {
                            self.line = line;
                            return Ok(Some(Record { line, text: text.to_owned() }));
                        }
                        Err(_) => "it is no text".to_owned(),
                    }
                }
                Ok(Line::TooLong) => "it is longer than any record".to_owned(),
                Err(error) => {
                    self.is_broken = true;
                    format!("the file cannot be read from here on: {error}")
                }
            };
            self.line = line;
            unreadable.tell(&self.file.path, line, fault)?;
        }
        Ok(None)
    }
}
