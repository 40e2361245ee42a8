//! Whether a log is what was written: nothing changed, removed, added, moved or cut off.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::AuditError;
use super::bounds::MOST_LINE_BYTES;
use super::chain::{Keys, PublicKey, Tag, split_line};
use super::damage::{DAMAGED, Damage};
use super::files::{AuditFile, files_of, lines_of};
use super::head::{FoundHead, Head};
use super::removal::{REMOVED, Removal};

/// Findings that are listed.
const MOST_FINDINGS: usize = 100;
/// Removals that are listed.
const MOST_REMOVALS: usize = 20;

/// What a log has turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Its files.
    pub files: usize,
    /// Its records.
    pub records: u64,
    /// Records after the last checkpoint: without the secret, nothing is known of them.
    pub unsigned: u64,
    /// The time of the first record.
    pub first: Option<String>,
    /// The time of the last record.
    pub last: Option<String>,
    /// What is wrong, the first 100.
    pub findings: Vec<Finding>,
    /// How much more is.
    pub more: usize,
    /// What the broker itself has removed, as its records say: when, which files and why, the last 20.
    pub removals: VecDeque<String>,
    /// How often it did so before those.
    pub earlier_removals: usize,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which file, or the directory.
    pub path: PathBuf,
    /// In which line; 0 for the file as a whole.
    pub line: u64,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

/// What is looked at of a line.
#[derive(Deserialize)]
struct Said {
    seq: u64,
    time: String,
    event: String,
    file: Option<u64>,
    previous: Option<String>,
    signature: Option<String>,
}

/// How far a reader has come.
struct Reader<'k> {
    keys: Option<&'k Keys>,
    public: PublicKey,
    /// Whether what the broker once wrote of something that was wrong is a finding.
    is_told: bool,
    verified: Verified,
    /// Number and tag of the last record.
    last: Option<(u64, Tag)>,
    /// Bytes before the first thing that is wrong.
    bytes: u64,
    /// The last file that has records, where it does not end with a checkpoint.
    unclosed: Option<PathBuf>,
}

/// How one file ends.
pub(super) struct FileEnd {
    /// Number and tag of its last record.
    pub(super) last: Option<(u64, Tag)>,
    /// Of the whole file.
    pub(super) digest: Sha256,
    /// Whether its last record is a checkpoint.
    pub(super) is_closed: bool,
    /// Its bytes, up to the first thing that is wrong with it.
    pub(super) bytes: u64,
    /// The time of its last record.
    pub(super) until: Option<String>,
    /// The first thing that is wrong with it.
    pub(super) finding: Option<Finding>,
}

/// Reads the whole log in `directory`. With its secret every record is checked, without it what the
/// signatures of its checkpoints cover.
///
/// # Errors
/// When it cannot be read.
pub fn verify(
    directory: &Path,
    keys: Option<&Keys>,
    public: PublicKey,
) -> Result<Verified, AuditError> {
    let mut reader = Reader { is_told: true, ..Reader::new(keys, public) };
    let head = keys.map(|keys| Head::read(directory, keys)).transpose()?;
    let files = files_of(directory)?;
    let mut expected = match &head {
        Some(FoundHead::Authentic(head)) => head.first_file,
        _ => files.first().map_or(1, |file| file.number),
    };
    for file in &files {
        // What is older than the first was about to be removed when the broker was killed.
        if file.number > expected {
            let missing = format!("files {expected} to {} are missing", file.number - 1);
            reader.find(&file.path, 0, missing);
        }
        expected = expected.max(file.number.saturating_add(1));
        reader.read(file)?;
    }
    let seq = reader.last.map_or(0, |(seq, _)| seq);
    match head {
        Some(FoundHead::Authentic(head)) if head.seq > seq => {
            let missing = format!("the end is missing: records {} to {}", seq + 1, head.seq);
            reader.find(directory, 0, missing);
        }
        // It is older than the secret.
        Some(FoundHead::Missing) => {
            reader.find(directory, 0, "the file `head` is missing".to_owned());
        }
        Some(FoundHead::Changed) => {
            reader.find(directory, 0, "the file `head` was changed".to_owned());
        }
        _ => {}
    }
    Ok(reader.verified)
}

/// Reads one file, whatever those before it say.
pub(super) fn end_of(file: &AuditFile, keys: &Keys) -> Result<FileEnd, AuditError> {
    let mut reader = Reader::new(Some(keys), keys.public_key());
    let digest = reader.read(file)?;
    let Reader { verified, last, unclosed, bytes, .. } = reader;
    let (finding, until) = (verified.findings.into_iter().next(), verified.last);
    Ok(FileEnd { last, digest, is_closed: unclosed.is_none(), bytes, until, finding })
}

impl<'k> Reader<'k> {
    fn new(keys: Option<&'k Keys>, public: PublicKey) -> Self {
        Self {
            keys,
            public,
            is_told: false,
            verified: Verified::default(),
            last: None,
            bytes: 0,
            unclosed: None,
        }
    }

    fn find(&mut self, path: &Path, line: u64, what: String) {
        match self.verified.findings.len() < MOST_FINDINGS {
            true => self.verified.findings.push(Finding { path: path.to_owned(), line, what }),
            false => self.verified.more += 1,
        }
    }

    /// The broker has removed files at `time`, says the record `text`.
    fn note_removal(&mut self, path: &Path, line: u64, time: &str, text: &[u8]) {
        let Some(removal) = Removal::told_by(text) else { return };
        if removal.missing > 0 && self.is_told {
            self.find(path, line, removal.to_string());
        }
        let verified = &mut self.verified;
        if verified.removals.len() == MOST_REMOVALS {
            verified.removals.pop_front();
            verified.earlier_removals += 1;
        }
        verified.removals.push_back(format!("{time}: {removal}"));
    }

    /// Gives the digest of the file.
    fn read(&mut self, file: &AuditFile) -> Result<Sha256, AuditError> {
        self.verified.files += 1;
        let records = self.verified.records;
        let mut lines = lines_of(file)?;
        let mut digest = Sha256::new();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            match lines.by_ref().take(MOST_LINE_BYTES as u64).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if file.is_compressed => {
                    self.find(&file.path, number, format!("it cannot be read on: {error}"));
                    break;
                }
                Err(error) => return Err(AuditError::system("read", &file.path)(error)),
            }
            self.check(file, number, &line, &digest);
            digest.update(&line);
            if self.verified.findings.is_empty() {
                self.bytes += line.len() as u64;
            }
        }
        if self.verified.records > records {
            self.unclosed = (self.verified.unsigned > 0).then(|| file.path.clone());
        }
        Ok(digest)
    }

    fn check(&mut self, file: &AuditFile, number: u64, line: &[u8], digest: &Sha256) {
        let path = &file.path;
        let Some((text, tag, said)) = parse(line) else {
            self.find(path, number, "it is no record, or a part of one".to_owned());
            return;
        };
        self.verified.records += 1;
        self.verified.unsigned += 1;
        self.verified.first.get_or_insert_with(|| said.time.clone());
        self.verified.last = Some(said.time.clone());
        if let Some(unclosed) = self.unclosed.take() {
            let what =
                "its end is missing: it has no checkpoint there, and another file comes after it";
            self.find(&unclosed, 0, what.to_owned());
        }
        let previous = self.previous(file, number, &said);
        if let Some(keys) = self.keys
            && keys.tag(&previous, text) != tag
        {
            let what = "it was changed, or what stood before it was";
            self.find(path, number, what.to_owned());
        }
        if let Some((last, _)) = self.last
            && last.checked_add(1) != Some(said.seq)
        {
            let what = format!("record {} comes after record {last}", said.seq);
            self.find(path, number, what);
        }
        self.last = Some((said.seq, tag));
        if said.event == DAMAGED && self.is_told {
            self.find(path, number, Damage::told_by(text));
        }
        if said.event == REMOVED {
            self.note_removal(path, number, &said.time, text);
        }
        if said.event == "checkpoint" {
            match said.signature.as_deref().is_some_and(|it| self.public.has_signed(digest, it)) {
                true => self.verified.unsigned = 0,
                false => self.find(path, number, "its signature is not of this log".to_owned()),
            }
        }
    }

    /// The tag before a line. The first line of a file says it, which is all there is where the files
    /// before it were removed when their time was over.
    fn previous(&mut self, file: &AuditFile, number: u64, said: &Said) -> Tag {
        let last = self.last.map(|(_, tag)| tag);
        if number > 1 {
            return last.unwrap_or(Tag::NONE);
        }
        let stated = said.previous.as_deref().and_then(|it| it.parse::<Tag>().ok());
        if said.event != "file_begun" || said.file != Some(file.number) {
            self.find(&file.path, number, "it is not the first record of this file".to_owned());
        }
        if let (Some(last), Some(stated)) = (last, stated)
            && last != stated
        {
            let what = "it does not go on where the file before it ends";
            self.find(&file.path, number, what.to_owned());
        }
        stated.or(last).unwrap_or(Tag::NONE)
    }
}

fn parse(line: &[u8]) -> Option<(&[u8], Tag, Said)> {
    let (text, tag) = split_line(line.strip_suffix(b"\n")?)?;
    let object = [text, b"}"].concat();
    Some((text, tag, serde_json::from_slice(&object).ok()?))
}
