//! The data keys of a store, sealed under the master key in a file and a copy of it.
//!
//! ```text
//!  0   8  "BMQSKEYS"
//!  8   4  version of what is in the store: see [`SCHEMA`]
//! 12  32  key of the hashes that records are found by
//! 44  ..  for each data key: its number (4), when it was made (8, ms since 1970), the key (32)
//! ```
//! The newest is last. New segments are written under it; those under older ones are rewritten in time,
//! and then the older ones are forgotten. In version 1 the first two fields are missing.

use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Disk;
use super::cipher::DATA_KEY_BYTES;
use super::opened::OpenError;
use crate::keys::{MasterKey, Purpose};
use crate::secret::Secret;

/// The file, and its copy: one may be damaged.
pub(super) const FILES: [&str; 2] = ["keys", "keys.copy"];
const MAGIC: [u8; 8] = *b"BMQSKEYS";
/// The version of what this BastionMQ keeps. A store of an earlier one is brought to it when it is opened,
/// before anything is written that only the later one knows; of a later one, nothing is touched.
///
/// 1: the beginning. 2: records may go on in the one behind them, and keys say the version.
pub(super) const SCHEMA: u32 = 2;
const ENTRY_BYTES: usize = 4 + 8 + DATA_KEY_BYTES;
const FRONT_BYTES: usize = MAGIC.len() + 4 + DATA_KEY_BYTES;

/// Every key of a store but the master key.
#[derive(Clone)]
pub(super) struct DataKeys {
    /// The version of the store that they were read from.
    schema: u32,
    hash_key: Zeroizing<[u8; DATA_KEY_BYTES]>,
    keys: Vec<DataKey>,
}

#[derive(Clone)]
struct DataKey {
    id: u32,
    /// Since the Unix epoch.
    made: Duration,
    key: Zeroizing<[u8; DATA_KEY_BYTES]>,
}

impl DataKeys {
    /// New keys, for a store that there is none of yet.
    pub(super) fn generate(now: Duration) -> io::Result<Self> {
        let mut keys = Self { schema: SCHEMA, hash_key: random()?, keys: Vec::new() };
        keys.add(now)?;
        Ok(keys)
    }

    /// Reads them; there are none where there is neither of the files. Says whether one of the files is
    /// not as it should be.
    pub(super) fn read<D: Disk>(
        disk: &D,
        master: &MasterKey,
    ) -> Result<Option<(Self, bool)>, OpenError> {
        let mut read = FILES.map(|name| Self::read_one(disk, master, name));
        let contents = read.each_ref().map(|it| match it {
            Ok(Some((_, sealed))) => Some(sealed.clone()),
            _ => None,
        });
        let is_whole = matches!(&contents, [Some(file), Some(copy)] if file == copy);
        if let Some(newer) = read.iter_mut().find(|it| matches!(it, Err(OpenError::Newer { .. }))) {
            return std::mem::replace(newer, Ok(None)).map(|_| None);
        }
        let mut failed = None;
        for one in read.iter_mut().map(|it| std::mem::replace(it, Ok(None))) {
            match one {
                Ok(Some((keys, _))) => {
                    let is_amiss = !is_whole || keys.schema < SCHEMA;
                    return Ok(Some((keys, is_amiss)));
                }
                Ok(None) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn read_one<D: Disk>(
        disk: &D,
        master: &MasterKey,
        name: &'static str,
    ) -> Result<Option<(Self, Vec<u8>)>, OpenError> {
        let sealed = match disk.read(name) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Disk { name: name.to_owned(), source }),
        };
        let opened = master.open_sealed(Purpose::Store, &sealed).map_err(OpenError::Keys)?;
        let (schema, content) = version_of(opened.expose());
        if schema > SCHEMA {
            return Err(OpenError::Newer { found: schema });
        }
        let keys = Self::parse(schema, content);
        keys.map(|keys| Some((keys, sealed)))
            .ok_or(OpenError::Keys(crate::keys::OpenError::Version))
    }

    fn parse(schema: u32, bytes: &[u8]) -> Option<Self> {
        let (hash_key, rest) = bytes.split_first_chunk()?;
        let (entries, rest) = rest.as_chunks::<ENTRY_BYTES>();
        let keys = entries.iter().map(DataKey::parse).collect::<Option<Vec<_>>>()?;
        let is_whole = rest.is_empty() && !keys.is_empty();
        is_whole.then(|| Self { schema, hash_key: Zeroizing::new(*hash_key), keys })
    }

    /// Writes file and copy.
    pub(super) fn write<D: Disk>(&self, disk: &D, master: &MasterKey) -> io::Result<()> {
        self.write_as_version(SCHEMA, disk, master)
    }

    pub(super) fn write_as_version<D: Disk>(
        &self,
        schema: u32,
        disk: &D,
        master: &MasterKey,
    ) -> io::Result<()> {
        let mut content =
            Zeroizing::new(Vec::with_capacity(FRONT_BYTES + self.keys.len() * ENTRY_BYTES));
        content.extend(MAGIC);
        content.extend(schema.to_be_bytes());
        content.extend(self.hash_key.iter());
        self.push_entries(&mut content);
        let sealed = master.seal(Purpose::Store, &content).map_err(io::Error::other)?;
        FILES.iter().try_for_each(|name| disk.replace(name, &sealed))
    }

    fn push_entries(&self, content: &mut Vec<u8>) {
        for DataKey { id, made, key } in &self.keys {
            let made = u64::try_from(made.as_millis()).unwrap_or(u64::MAX);
            content.extend(id.to_be_bytes());
            content.extend(made.to_be_bytes());
            content.extend(key.iter());
        }
    }

    #[cfg(test)]
    pub(super) fn write_as_version_1<D: Disk>(&self, disk: &D, master: &MasterKey) {
        let mut content = self.hash_key.to_vec();
        self.push_entries(&mut content);
        let sealed = master.seal(Purpose::Store, &content).unwrap();
        FILES.iter().for_each(|name| disk.replace(name, &sealed).unwrap());
    }

    /// The same keys, with another one for the hashes.
    pub(super) fn with_hash_key(mut self, hash_key: &[u8; DATA_KEY_BYTES]) -> Self {
        self.hash_key.copy_from_slice(hash_key);
        self
    }

    /// The version of the store that they were read from.
    pub(super) fn schema(&self) -> u32 {
        self.schema
    }

    /// The number of each key, and when it was made, since the Unix epoch; the newest last.
    pub(super) fn ages(&self) -> impl Iterator<Item = (u32, Duration)> {
        self.keys.iter().map(|key| (key.id, key.made))
    }

    /// Adds a key, which is the newest then.
    pub(super) fn add(&mut self, now: Duration) -> io::Result<()> {
        let id = self.keys.last().map_or(1, |key| key.id.wrapping_add(1));
        self.keys.push(DataKey { id, made: now, key: random()? });
        Ok(())
    }

    /// Forgets all keys but those of which `is_used`, and the newest; says whether any was.
    pub(super) fn forget_unused(&mut self, is_used: impl Fn(u32) -> bool) -> bool {
        let newest = self.newest().map(|(id, _)| id);
        let before = self.keys.len();
        self.keys.retain(|key| Some(key.id) == newest || is_used(key.id));
        self.keys.len() < before
    }

    /// What new segments are written under, and its number.
    pub(super) fn newest(&self) -> Option<(u32, &[u8; DATA_KEY_BYTES])> {
        self.keys.last().map(|key| (key.id, &*key.key))
    }

    /// When the newest was made.
    pub(super) fn newest_made(&self) -> Duration {
        self.keys.last().map_or(Duration::ZERO, |key| key.made)
    }

    pub(super) fn get(&self, id: u32) -> Option<&[u8; DATA_KEY_BYTES]> {
        self.keys.iter().find(|key| key.id == id).map(|key| &*key.key)
    }

    pub(super) fn hash_key(&self) -> Secret {
        Secret::new(self.hash_key.to_vec())
    }

    #[cfg(test)]
    pub(super) fn with_key(id: u32, key: [u8; DATA_KEY_BYTES]) -> Self {
        let key = DataKey { id, made: Duration::ZERO, key: Zeroizing::new(key) };
        Self { schema: SCHEMA, hash_key: Zeroizing::new([0; DATA_KEY_BYTES]), keys: vec![key] }
    }
}

/// The version in front of the keys, and the rest.
fn version_of(content: &[u8]) -> (u32, &[u8]) {
    let marked = content.strip_prefix(&MAGIC).and_then(<[u8]>::split_first_chunk);
    marked.map_or((1, content), |(version, rest)| (u32::from_be_bytes(*version), rest))
}

impl DataKey {
    fn parse(entry: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (id, rest) = entry.split_first_chunk()?;
        let (made, rest) = rest.split_first_chunk()?;
        let key = Zeroizing::new(rest.try_into().ok()?);
        let made = Duration::from_millis(u64::from_be_bytes(*made));
        Some(Self { id: u32::from_be_bytes(*id), made, key })
    }
}

/// What nobody can guess.
pub(super) fn random() -> io::Result<Zeroizing<[u8; DATA_KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    Ok(bytes)
}
