//! Whether a log is what was written: nothing changed, removed, added, moved or cut off.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::AuditError;
use super::chain::{Keys, PublicKey, Tag, split_line};
use super::damage::{DAMAGED, Damage};
use super::files::{AuditFile, Listing, begun, lines_of};
use super::head::Head;
use super::lines::{Line, Lines};
use super::removal::{REMOVED, Removal};

const NO_RECORD: &str = "it is no record, or a part of one";
/// Findings that are listed, and notes.
const MOST_FINDINGS: usize = 100;
/// Removals that are listed.
const MOST_REMOVALS: usize = 20;
/// How often a log is looked at whose files are all removed before they are read.
const MOST_LOOKS: u32 = 10;

/// What a log has turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Its files.
    pub files: usize,
    /// Its records.
    pub records: u64,
    /// Records after what is signed: without the secret, nothing is known of them.
    pub unsigned: u64,
    /// The number of the last record; 0 where there is none.
    pub seq: u64,
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
    /// What is worth knowing and does not make it less whole, the first 100.
    pub notes: Vec<Finding>,
    /// How many more of those there are.
    pub more_notes: usize,
}

impl Verified {
    /// Whether it is what was written: there is nothing in it that was not, and something that was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty() && self.more == 0 && self.records > 0
    }

    /// Finds that the end of the log in `directory` is missing where it does not go as far as record `seq`,
    /// which somebody has noted elsewhere.
    pub fn expect_seq(&mut self, directory: &Path, seq: u64) {
        if self.seq < seq {
            let what = format!("it ends with record {}, and is to go on to record {seq}", self.seq);
            self.find(directory, 0, what);
        }
    }

    fn find(&mut self, path: &Path, line: u64, what: String) {
        match self.findings.len() < MOST_FINDINGS {
            true => self.findings.push(Finding { path: path.to_owned(), line, what }),
            false => self.more += 1,
        }
    }
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
    /// How far the log goes, where that is known.
    head: Option<Head>,
    /// Whether the record that it names was there.
    has_met_head: bool,
    verified: Verified,
    /// Records since the last checkpoint.
    open: u64,
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

/// Reads the whole log in `directory`. With its secret every record is checked, without it what its
/// signatures cover: of checkpoints, and of how far the log goes.
///
/// A broker may write it meanwhile, begin and compress files, and remove those whose time is over.
///
/// # Errors
/// When it cannot be read.
pub fn verify(
    directory: &Path,
    keys: Option<&Keys>,
    public: PublicKey,
) -> Result<Verified, AuditError> {
    let mut looks = 1;
    loop {
        let (verified, is_overtaken) = look(directory, keys, public)?;
        if !is_overtaken || looks == MOST_LOOKS {
            return Ok(verified);
        }
        looks += 1;
    }
}

/// As [`verify`], once. Says whether the newest file was removed before it was read.
///
/// In this order nothing that a broker does meanwhile is taken for damage: the head never says more than the
/// files have that are listed after it, those before the last that is begun are not written any more, and
/// before a file is removed the head says so, which is read again where one is missing.
fn look(
    directory: &Path,
    keys: Option<&Keys>,
    public: PublicKey,
) -> Result<(Verified, bool), AuditError> {
    let found = Head::read(directory, public)?;
    let Listing { mut files, twins, strays } = Listing::of(directory)?;
    let empty = files.split_off(begun(&files));
    let mut reader = Reader { is_told: true, head: found.authentic(), ..Reader::new(keys, public) };
    for name in strays {
        let what = format!(
            "{name:?} is not a file of this log, by its name or by its kind: it is not read"
        );
        reader.note(directory, 0, what);
    }
    let mut gaps = Vec::new();
    let mut expected = reader.head.map(|head| head.first_file);
    let mut is_overtaken = false;
    for (at, file) in files.iter().enumerate() {
        let is_last = at + 1 == files.len();
        let lines = match Lines::open(file) {
            Err(error) if error.is_not_found() => {
                is_overtaken = is_last;
                continue;
            }
            lines => lines?,
        };
        if let Some(expected) = expected.filter(|expected| file.number > *expected) {
            gaps.push((expected, file));
            reader.begin_anew();
        }
        expected = Some(file.number.saturating_add(1));
        let digest = reader.read(file, lines, is_last)?;
        if let Some(twin) = twins.iter().find(|twin| twin.number == file.number) {
            reader.compare(twin, &digest);
        }
    }
    reader.verified.files += empty.len();
    if !gaps.is_empty() {
        let later = Head::read(directory, public)?.authentic();
        let first_file = later.map_or(0, |head| head.first_file);
        for (from, file) in gaps.into_iter().filter(|(_, file)| file.number > first_file) {
            let (from, to) = (from.max(first_file), file.number - 1);
            reader.find(&file.path, 0, format!("files {from} to {to} are missing"));
        }
    }
    reader.end(directory, found.fault());
    Ok((reader.verified, is_overtaken))
}

/// Reads one file, whatever those before it say.
pub(super) fn end_of(file: &AuditFile, keys: &Keys) -> Result<FileEnd, AuditError> {
    let mut reader = Reader::new(Some(keys), keys.public_key());
    let digest = reader.read(file, Lines::open(file)?, false)?;
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
            head: None,
            has_met_head: false,
            verified: Verified::default(),
            open: 0,
            last: None,
            bytes: 0,
            unclosed: None,
        }
    }

    fn find(&mut self, path: &Path, line: u64, what: String) {
        self.verified.find(path, line, what);
    }

    fn note(&mut self, path: &Path, line: u64, what: String) {
        match self.verified.notes.len() < MOST_FINDINGS {
            true => self.verified.notes.push(Finding { path: path.to_owned(), line, what }),
            false => self.verified.more_notes += 1,
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

    /// What comes does not go on after what was read.
    fn begin_anew(&mut self) {
        (self.last, self.unclosed, self.open) = (None, None, 0);
    }

    /// Gives the digest of the file.
    fn read(
        &mut self,
        file: &AuditFile,
        mut lines: Lines,
        is_last: bool,
    ) -> Result<Sha256, AuditError> {
        self.verified.files += 1;
        let records = self.verified.records;
        let mut digest = Sha256::new();
        for number in 1.. {
            match lines.read() {
                Ok(Line::Whole(line)) => {
                    self.check(file, number, line, &digest);
                    digest.update(line);
                    self.compare_with_head(file, number, &digest);
                    if self.verified.findings.is_empty() {
                        self.bytes += line.len() as u64;
                    }
                }
                Ok(Line::TooLong) => {
                    self.find(&file.path, number, "it is longer than any record".to_owned());
                }
                Ok(Line::End([])) => break,
                Ok(Line::End(part)) => {
                    digest.update(part);
                    self.find_part(file, number, is_last);
                    break;
                }
                Err(error) if file.is_compressed => {
                    self.find(&file.path, number, format!("it cannot be read on: {error}"));
                    break;
                }
                Err(error) => return Err(AuditError::system("read", &file.path)(error)),
            }
        }
        if self.verified.records > records {
            self.unclosed = (self.open > 0).then(|| file.path.clone());
        }
        Ok(digest)
    }

    /// Where it is written just now, or was when the broker was killed, nobody was told of that record yet:
    /// the head would say so.
    fn find_part(&mut self, file: &AuditFile, number: u64, is_last: bool) {
        match is_last && !file.is_compressed {
            true => {
                let what =
                    "the log ends within a line: it is being written, or a crash has left it";
                self.note(&file.path, number, what.to_owned());
            }
            false => self.find(&file.path, number, NO_RECORD.to_owned()),
        }
    }

    /// What `head` signs goes up to the record that it names.
    fn compare_with_head(&mut self, file: &AuditFile, number: u64, digest: &Sha256) {
        let (Some(head), Some((seq, tag))) = (self.head, self.last) else { return };
        if head.seq != seq || self.has_met_head {
            return;
        }
        self.has_met_head = true;
        if (head.tag, head.digest) == (tag, Tag::of_file(digest)) {
            self.verified.unsigned = 0;
        } else {
            let what = "up to here, this file is not what it was when `head` was written";
            self.find(&file.path, number, what.to_owned());
        }
    }

    /// The other form of a file says the same, to the byte.
    fn compare(&mut self, twin: &AuditFile, digest: &Sha256) {
        match digest_of(twin) {
            // It was only there until the file was compressed, or it has been removed with it.
            Err(AuditError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.find(&twin.path, 0, format!("it cannot be read: {error}")),
            Ok(found) if Tag::of_file(&found) == Tag::of_file(digest) => {}
            Ok(_) => {
                let what = "it does not say what the same file says that is not compressed";
                self.find(&twin.path, 0, what.to_owned());
            }
        }
    }

    /// Finds what is missing in the end, and `fault` of the head.
    fn end(&mut self, directory: &Path, fault: Option<&str>) {
        let seq = self.verified.seq;
        if let Some(fault) = fault {
            self.find(directory, 0, fault.to_owned());
        }
        let Some(head) = self.head else { return };
        if head.seq > seq {
            let missing = format!("the end is missing: records {} to {}", seq + 1, head.seq);
            self.find(directory, 0, missing);
        }
    }

    /// Looks at a line, which comes after what `digest` is of.
    fn check(&mut self, file: &AuditFile, number: u64, line: &[u8], digest: &Sha256) {
        let path = &file.path;
        let Some((text, tag, said)) = parse(line) else {
            self.find(path, number, NO_RECORD.to_owned());
            return;
        };
        self.verified.records += 1;
        self.verified.unsigned += 1;
        self.open += 1;
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
        self.verified.seq = said.seq;
        if said.event == DAMAGED && self.is_told {
            self.find(path, number, Damage::told_by(text));
        }
        if said.event == REMOVED {
            self.note_removal(path, number, &said.time, text);
        }
        if said.event == "checkpoint" {
            match said.signature.as_deref().is_some_and(|it| self.public.has_signed(digest, it)) {
                true => (self.verified.unsigned, self.open) = (0, 0),
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

fn digest_of(file: &AuditFile) -> Result<Sha256, AuditError> {
    let mut reader = lines_of(file)?;
    let mut digest = Sha256::new();
    loop {
        let bytes = reader.fill_buf().map_err(AuditError::system("read", &file.path))?;
        if bytes.is_empty() {
            return Ok(digest);
        }
        digest.update(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
}

fn parse(line: &[u8]) -> Option<(&[u8], Tag, Said)> {
    let (text, tag) = split_line(line.strip_suffix(b"\n")?)?;
    let object = [text, b"}"].concat();
    Some((text, tag, serde_json::from_slice(&object).ok()?))
}
