//! `bastionmq audit tail`: the last records, and those that are added, without one missing between them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::TailArgs;
use super::records::{Record, Records, Unreadable};
use crate::audit::{AuditFile, begun_files_of};

/// How often a log that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(250);

/// What is looked at of a record.
#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

/// Prints what comes after a record.
struct Printer<'o, W> {
    out: &'o mut W,
    unreadable: Unreadable,
    /// Records up to that one are not asked for.
    after: Option<u64>,
    /// The number of the last one that there was.
    last: Option<u64>,
}

pub(super) fn run(args: &TailArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (directory, _) = args.place.choose()?;
    let after = args.after_seq;
    let unreadable = Unreadable::default();
    let mut printer = Printer { out, unreadable, after, last: after };
    // Nothing is written any more to those before the last of them.
    let files = begun_files_of(&directory)?;
    let records = match after {
        Some(after) => printer.print_after(&files, after)?,
        None => printer.print_last(&files, args.lines)?,
    };
    printer.out.flush()?;
    if args.follow {
        printer.follow(&directory, records)?;
    }
    Ok(printer.unreadable.exit_code()?)
}

impl<W: Write> Printer<'_, W> {
    /// Prints the last `count` records, and gives what the newest of `files` was read with.
    fn print_last(&mut self, files: &[AuditFile], count: usize) -> anyhow::Result<Option<Records>> {
        let mut newest = None;
        let mut last = VecDeque::new();
        for file in files.iter().rev() {
            let missing = count.saturating_sub(last.len());
            if missing == 0 && newest.is_some() {
                break;
            }
            let Some(mut records) = Records::open(file, &mut self.unreadable)? else { continue };
            let mut of_file: VecDeque<(PathBuf, Record)> = VecDeque::new();
            while let Some(record) = records.next(&mut self.unreadable)? {
                of_file.push_back((file.path.clone(), record));
                if of_file.len() > missing {
                    of_file.pop_front();
                }
            }
            of_file.append(&mut last);
            last = of_file;
            newest.get_or_insert(records);
        }
        for (path, record) in last {
            self.print(&path, &record)?;
        }
        Ok(newest)
    }

    /// Prints all records after the one with the number `after`, and gives what the newest of `files` was read
    /// with.
    fn print_after(&mut self, files: &[AuditFile], after: u64) -> anyhow::Result<Option<Records>> {
        let first_wanted = after.saturating_add(1);
        let mut start = 0;
        for (at, file) in files.iter().enumerate().rev() {
            if first_seq_of(file)?.is_some_and(|seq| seq <= first_wanted) {
                start = at;
                break;
            }
        }
        let mut newest = None;
        let mut found = None;
        for file in files.iter().skip(start) {
            let Some(mut records) = Records::open(file, &mut self.unreadable)? else { continue };
            while let Some(record) = records.next(&mut self.unreadable)? {
                found = self.print(&file.path, &record)?.or(found);
            }
            newest = Some(records);
        }
        if let Some(found) = found.filter(|found| *found < after) {
            writeln!(
                io::stderr(),
                "the log ends with record {found}, before record {after}: is it another one by now?"
            )?;
        }
        Ok(newest)
    }

    /// Prints what is added to the file that is read by `records`, and to those after it. Returns with an error
    /// alone.
    fn follow(&mut self, directory: &Path, mut records: Option<Records>) -> anyhow::Result<()> {
        let mut number = records.as_ref().map_or(0, |records| records.file.number);
        loop {
            // Looked for before the rest is read: where there is a next one, that is all of it.
            let next = begun_files_of(directory)?.into_iter().find(|file| file.number > number);
            if let Some(records) = &mut records {
                while let Some(record) = records.next(&mut self.unreadable)? {
                    self.print(&records.file.path, &record)?;
                }
            }
            self.out.flush()?;
            match next {
                Some(file) => {
                    number = file.number;
                    records = Records::open(&file, &mut self.unreadable)?;
                }
                None => thread::sleep(FOLLOW),
            }
        }
    }

    /// Prints a record, where it is asked for, and gives its number.
    fn print(&mut self, path: &Path, record: &Record) -> io::Result<Option<u64>> {
        let Record { line, text } = record;
        let Ok(Numbered { seq }) = serde_json::from_str(text) else {
            self.unreadable.tell(path, *line, "it is no record")?;
            return Ok(None);
        };
        if self.after.is_some_and(|after| seq <= after) {
            return Ok(Some(seq));
        }
        let expected = self.last.map_or(seq, |last| last.saturating_add(1));
        if seq > expected {
            let missing = format!("records {expected} to {} are not in the log", seq - 1);
            self.unreadable.tell(path, *line, missing)?;
        }
        self.last = Some(seq);
        writeln!(self.out, "{text}")?;
        Ok(Some(seq))
    }
}

/// The number of the first record of `file`, where that can be read.
fn first_seq_of(file: &AuditFile) -> io::Result<Option<u64>> {
    // Whoever reads all of it tells what is wrong.
    let mut untold = Unreadable::silent();
    let Some(mut records) = Records::open(file, &mut untold)? else { return Ok(None) };
    let first = records.next(&mut untold)?;
    let first = first.and_then(|it| serde_json::from_str::<Numbered>(&it.text).ok());
    Ok(first.map(|it| it.seq))
}
