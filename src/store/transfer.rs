//! All records of a store at once, in a file: an encrypted archive, or lines of JSON that anybody can read.
//!
//! An archive holds the key of the hashes that records are found by (32), and puts as a batch has them. The
//! lines are one with `hash_key`, one for each record, and one with how many they were, without which the
//! file was cut off. Bytes are in base64, keys in hexadecimal digits.

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::archive::{ArchiveError, ArchiveReader, ArchiveWriter, MAGIC};
use super::batch::{Batch, Change, Key, Record, Table, changes};
use super::cipher::DATA_KEY_BYTES;
use super::data_keys::DataKeys;
use super::segment::number_of;
use super::{Disk, OpenError, Opened};
use crate::clock::Now;
use crate::keys::MasterKey;

/// What an archive of any version begins with.
const MAGIC_NAME: &[u8] = b"BMQARCH";
/// Bytes of the longest line that is read.
const MAX_LINE_BYTES: u64 = 512 << 20;
/// Bytes of records that are written to a new store at once.
const TOGETHER_BYTES: usize = 1 << 20;
/// What the first line of JSON says of the format.
const VERSION: u32 = 1;

/// Why records are not transferred.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// What is said about the archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is said about the store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
    /// There is something already.
    #[error("{0} has a store already, or what is left of one: records are imported into a new one")]
    NotEmpty(PathBuf),
    /// A line is not what is expected.
    #[error("line {line} is no record of a store: {why}")]
    Line {
        /// Which one; the first is 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Records are missing, or there are more.
    #[error("the file is cut off or changed: it has {found} records, and ought to have {wanted}")]
    Count {
        /// How many there are.
        found: u64,
        /// How many there ought to be.
        wanted: u64,
    },
}

/// One line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    First { bastionmq_store: u32, hash_key: String },
    Record { table: u8, name: Option<String>, key: String, value: String },
    Last { records: u64 },
}

impl<D: Disk> Opened<D> {
    /// Writes every live record to an archive that `key` opens, and says how many they are. What cannot be
    /// read is added to the damage.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn export(&mut self, key: &MasterKey, out: impl Write) -> Result<u64, TransferError> {
        let mut archive = ArchiveWriter::begin(out, key)?;
        archive.write(self.keys.hash_key().expose())?;
        let mut count = 0;
        self.each_until_failure(|Record { table, key, value }| {
            let mut batch = Batch::default();
            batch.put(table, key, value);
            count += 1;
            archive.write(batch.bytes())
        })?;
        archive.finish()?;
        Ok(count)
    }

    /// Writes every live record as a line of JSON, which anybody can read.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn export_plain(&mut self, mut out: impl Write) -> Result<u64, TransferError> {
        let hash_key = Base64::encode_string(self.keys.hash_key().expose());
        write_line(&mut out, &Line::First { bastionmq_store: VERSION, hash_key })?;
        let mut count = 0;
        self.each_until_failure(|Record { table, key, value }| {
            count += 1;
            let (name, value) = (table.name().map(str::to_owned), Base64::encode_string(value));
            let line = Line::Record { table: table.0, name, key: format!("{key:?}"), value };
            write_line(&mut out, &line)
        })?;
        write_line(&mut out, &Line::Last { records: count })?;
        out.flush()?;
        Ok(count)
    }

    fn each_until_failure<E>(
        &mut self,
        mut each: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut result = Ok(());
        self.each_live(|record| {
            if result.is_ok() {
                result = each(record);
            }
        });
        result
    }
}

fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Makes a store on `disk` of what [`Opened::export`] or [`Opened::export_plain`] has written. Its keys are
/// written last: before that there is no store. `archive_key` opens the archive, where it is one.
///
/// # Errors
/// When there is a store already, or the input is not whole. Then nothing is left of it.
pub fn import<D: Disk>(
    disk: D,
    name: PathBuf,
    master: &MasterKey,
    archive_key: impl FnOnce() -> Result<MasterKey, TransferError>,
    mut input: impl BufRead,
) -> Result<u64, TransferError> {
    if Opened::is_there(&disk)? {
        return Err(TransferError::NotEmpty(name));
    }
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic == MAGIC {
        let mut source = Archived::begin(input, &archive_key()?)?;
        let hash_key = source.hash_key()?;
        return fill(disk, master, &hash_key, &mut source);
    }
    if magic.starts_with(MAGIC_NAME) {
        return Err(ArchiveError::Newer.into());
    }
    let mut source = Lines { input: magic.as_slice().chain(input), number: 0, found: 0 };
    let hash_key = source.hash_key()?;
    fill(disk, master, &hash_key, &mut source)
}

/// Where records come from.
trait Source {
    /// The next one: the batch that puts it.
    fn next(&mut self) -> Result<Option<Batch>, TransferError>;
}

fn fill<D: Disk>(
    disk: D,
    master: &MasterKey,
    hash_key: &[u8; DATA_KEY_BYTES],
    source: &mut impl Source,
) -> Result<u64, TransferError> {
    let now = Now::read();
    let keys = DataKeys::generate(now.unix)?.with_hash_key(hash_key);
    let mut filling = Opened::empty(disk, master, keys).fill(Instant::now());
    let filled = filling.take_all(|| source.next());
    filling.end(filled)
}

/// A new store, and how many bytes wait to be written to it.
pub(super) struct Filling<D: Disk> {
    pub(super) writer: super::writer::Writer<D>,
    pub(super) waiting: usize,
}

impl<D: Disk> Filling<D> {
    fn take_all(
        &mut self,
        mut next: impl FnMut() -> Result<Option<Batch>, TransferError>,
    ) -> Result<u64, TransferError> {
        let mut count = 0;
        while let Some(batch) = next()? {
            self.waiting += batch.bytes().len();
            self.writer.commits.append(batch);
            count += 1;
            if self.waiting >= TOGETHER_BYTES {
                self.writer.work()?;
                self.waiting = 0;
            }
        }
        self.writer.finish()?;
        Ok(count)
    }

    /// Makes it a store, or takes away what was written of it.
    fn end(self, filled: Result<u64, TransferError>) -> Result<u64, TransferError> {
        let (disk, keys) = (&self.writer.disk, &self.writer.keys);
        let ended = filled.and_then(|count| {
            keys.write(&**disk, &self.writer.master)?;
            Ok(count)
        });
        if ended.is_err() {
            let names = disk.list().unwrap_or_default();
            for name in names.iter().filter(|name| number_of(name).is_some()) {
                // Without keys it is no store in any case.
                let _ = disk.remove(name);
            }
        }
        ended
    }
}

/// Records of an archive.
struct Archived<R> {
    archive: ArchiveReader<R>,
    content: Vec<u8>,
    at: usize,
}

impl<R: Read> Archived<R> {
    fn begin(input: R, key: &MasterKey) -> Result<Self, TransferError> {
        Ok(Self { archive: ArchiveReader::begin(input, key)?, content: Vec::new(), at: 0 })
    }

    fn hash_key(&mut self) -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>, TransferError> {
        self.archive.read(&mut self.content)?;
        let key = self.content.first_chunk().ok_or(ArchiveError::Foreign)?;
        self.at = key.len();
        Ok(Zeroizing::new(*key))
    }
}

impl<R: Read> Source for Archived<R> {
    fn next(&mut self) -> Result<Option<Batch>, TransferError> {
        loop {
            let rest = self.content.get(self.at..).unwrap_or_default();
            if let Some(change) = changes(rest).next() {
                let Change::Put { table, key, value } = change else {
                    return Err(ArchiveError::Foreign.into());
                };
                let mut batch = Batch::default();
                batch.put(table, key, value);
                self.at += change.size();
                return Ok(Some(batch));
            }
            if self.archive.is_over() {
                return if rest.is_empty() { Ok(None) } else { Err(ArchiveError::Foreign.into()) };
            }
            self.content.drain(..self.at);
            self.at = 0;
            self.archive.read(&mut self.content)?;
        }
    }
}

/// Records as lines of JSON.
struct Lines<R> {
    input: R,
    number: u64,
    found: u64,
}

impl<R: BufRead> Lines<R> {
    fn line(&mut self) -> Result<Option<Line>, TransferError> {
        let mut line = Vec::new();
        self.input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let read = serde_json::from_slice(&line).map_err(|why| self.wrong(&why))?;
        Ok(Some(read))
    }

    fn wrong(&self, why: &impl ToString) -> TransferError {
        TransferError::Line { line: self.number, why: why.to_string() }
    }

    fn hash_key(&mut self) -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>, TransferError> {
        match self.line()? {
            Some(Line::First { bastionmq_store: VERSION, hash_key }) => {
                let mut key = Zeroizing::new([0; DATA_KEY_BYTES]);
                let read = Base64::decode(hash_key, key.as_mut_slice());
                let length = read.map_err(|why| self.wrong(&why))?.len();
                match length == DATA_KEY_BYTES {
                    true => Ok(key),
                    false => Err(self.wrong(&"the key of the hashes is too short")),
                }
            }
            Some(Line::First { .. }) => Err(ArchiveError::Newer.into()),
            _ => Err(self.wrong(&"it ought to begin with `bastionmq_store`")),
        }
    }
}

impl<R: BufRead> Source for Lines<R> {
    fn next(&mut self) -> Result<Option<Batch>, TransferError> {
        match self.line()? {
            Some(Line::Record { table, key, value, .. }) => {
                let key = key_of(&key).ok_or_else(|| self.wrong(&"its key is no key"))?;
                let value = Base64::decode_vec(&value).map_err(|why| self.wrong(&why))?;
                let mut batch = Batch::default();
                batch.put(Table(table), key, &value);
                self.found += 1;
                Ok(Some(batch))
            }
            Some(Line::Last { records }) if records == self.found => Ok(None),
            Some(Line::Last { records }) => {
                Err(TransferError::Count { found: self.found, wanted: records })
            }
            Some(Line::First { .. }) => Err(self.wrong(&"it begins again")),
            None => Err(self.wrong(&"the file ends without the line that says how many there are")),
        }
    }
}

fn key_of(digits: &str) -> Option<Key> {
    let number = u128::from_str_radix(digits, 16).ok()?;
    let key = Key(number.to_be_bytes());
    (format!("{key:?}") == digits).then_some(key)
}
