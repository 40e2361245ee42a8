//! Reading a live record by its key, while the writer writes and cleans.

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::backup::BackupError;
use super::batch::{Change, Key, Table, changes};
use super::cipher::SegmentCipher;
use super::index::{Index, Located};
use super::records::{self, Beginning};
use super::segment::{RECORD_BYTES, name_of};
use super::{Directory, Disk};

/// How many times a record may move while it is looked for.
const TRIES: usize = 8;

/// Why a record is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not what was written there.
    #[error("a record at byte {at} of {segment} of the store is damaged")]
    Damaged {
        /// The file.
        segment: String,
        /// Where in it.
        at: u32,
    },
    /// The system does not give it.
    #[error("a record of the store cannot be read: {0}")]
    Disk(#[from] io::Error),
}

/// What is read beside the writer, whatever the disk is.
pub(super) trait Files: Send + Sync {
    /// What `key` has in `table`.
    fn read(&self, table: Table, key: Key) -> Result<Option<Vec<u8>>, ReadError>;

    /// Copies so many bytes of each of the segments, and then the keys.
    fn copy(&self, segments: &[(u32, u64)], target: &Directory) -> Result<u64, BackupError>;
}

/// Reads from a disk, as the index says.
pub(super) struct Reader<D> {
    pub(super) disk: Arc<D>,
    pub(super) index: Arc<RwLock<Index>>,
}

impl<D: Disk> Files for Reader<D> {
    fn read(&self, table: Table, key: Key) -> Result<Option<Vec<u8>>, ReadError> {
        let mut tries = 0;
        loop {
            let Some(located) = self.index.read().find((table, key)) else { return Ok(None) };
            match self.fetch(&located, (table, key)) {
                // It was written again elsewhere, and its segment removed.
                Err(ReadError::Disk(error))
                    if error.kind() == io::ErrorKind::NotFound && tries < TRIES =>
                {
                    tries += 1;
                }
                read => return read,
            }
        }
    }

    fn copy(&self, segments: &[(u32, u64)], target: &Directory) -> Result<u64, BackupError> {
        self.copy_all(segments, target)
    }
}

impl<D: Disk> Reader<D> {
    fn fetch(&self, located: &Located, wanted: (Table, Key)) -> Result<Option<Vec<u8>>, ReadError> {
        let Located { segment, at, size, cipher } = located;
        let name = name_of(*segment);
        let opened = read_record(&*self.disk, &name, cipher, *at, *size)?;
        let damaged = || ReadError::Damaged { segment: name, at: *at };
        let Some(opened) = opened else { return Err(damaged()) };
        let value = changes(records::batch_of(&opened)).filter_map(|change| match change {
            Change::Put { table, key, value } if (table, key) == wanted => Some(value.to_vec()),
            _ => None,
        });
        value.last().map(Some).ok_or_else(damaged)
    }
}

/// What was encrypted in the record at `at` of the file `name`, in which a change of `size` bytes is;
/// nothing where it is damaged.
pub(super) fn read_record<D: Disk>(
    disk: &D,
    name: &str,
    cipher: &SegmentCipher,
    at: u32,
    size: u32,
) -> io::Result<Option<Vec<u8>>> {
    // Most batches are of one change, so that this is all of its record.
    let enough = RECORD_BYTES + size as usize;
    let bytes = disk.read_at(name, at.into(), enough)?;
    let of = match records::open_at(cipher, at, &bytes) {
        Beginning::Record(opened) => return Ok(Some(opened)),
        Beginning::Part { of } if bytes.len() == enough => of,
        Beginning::Part { .. } | Beginning::Nothing => return Ok(None),
    };
    let bytes = disk.read_at(name, at.into(), of)?;
    Ok(match records::open_at(cipher, at, &bytes) {
        Beginning::Record(opened) => Some(opened),
        Beginning::Part { .. } | Beginning::Nothing => None,
    })
}
