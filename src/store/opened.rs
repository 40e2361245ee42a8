//! A store that is read and not written to yet: what is in it, and what has become of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::Disk;
use super::batch::{Change, Record, Table, changes, goes_on};
use super::cipher::SegmentCipher;
use super::damage::{Damage, DamageKind};
use super::data_keys::{DataKeys, FILES};
use super::index::Index;
use super::records::{Found, Records};
use super::segment::{HEADER_BYTES, Header, name_of, number_of};
use crate::keys::{self, MasterKey};

/// What the names of files that were set aside end with.
pub(super) const SET_ASIDE: &str = ".damaged";

/// A store whose records have all been read once.
pub struct Opened<D: Disk> {
    pub(super) disk: D,
    pub(super) master: MasterKey,
    pub(super) keys: DataKeys,
    /// Whether the files of the keys have to be written.
    pub(super) writes_keys: bool,
    pub(super) index: Index,
    /// Segments, and how many of their bytes count; in order.
    pub(super) segments: Vec<(u32, usize)>,
    pub(super) damage: Vec<Damage>,
    /// The number of the next segment.
    pub(super) next: u32,
    /// Segments that are not needed any more.
    pub(super) obsolete: Vec<u32>,
    /// Segments that others say they follow.
    followed: BTreeSet<u32>,
    is_closed_in_order: bool,
}

/// A data key, and how much is written under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataKeyUse {
    /// Its number.
    pub id: u32,
    /// When it was made, since the Unix epoch.
    pub made: Duration,
    /// Segments under it.
    pub segments: usize,
}

/// Why a store cannot be opened. Nothing in it has changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] super::DirectoryError),
    /// Its keys do not open.
    #[error("the keys of the store do not open under this master key: {0}; nothing was changed")]
    Keys(keys::OpenError),
    /// It is of a later version.
    #[error(
        "the store was written by a later BastionMQ (version {found} of its layout; this one knows {}): \
         use that one; nothing was changed",
        super::data_keys::SCHEMA
    )]
    Newer {
        /// Of which version.
        found: u32,
    },
    /// Its keys are gone.
    #[error(
        "the store has data and no file `keys` or `keys.copy`, without which nobody can read it: put \
         one of them back, or choose another directory; nothing was changed"
    )]
    NoKeys,
    /// The system refuses.
    #[error("cannot read or write `{name}` of the store: {source}")]
    Disk {
        /// The file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A segment that is not applied yet: where it ends, the next one says.
struct Waiting {
    number: u32,
    header: Header,
    bytes: Vec<u8>,
}

impl<D: Disk> Opened<D> {
    /// Whether there is a store on `disk`, or what is left of one.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn is_there(disk: &D) -> Result<bool, OpenError> {
        let failed = |source| OpenError::Disk { name: ".".to_owned(), source };
        let names = disk.list().map_err(failed)?;
        let aside = |name: &str| name.strip_suffix(SET_ASIDE).and_then(number_of).is_some();
        let is_ours = |name: &str| number_of(name).is_some() || aside(name);
        Ok(names.iter().any(|name| FILES.contains(&name.as_str()) || is_ours(name)))
    }

    /// Reads all of the store on `disk`; memory is needed for one segment or two, and for where each
    /// record is. A store that there is none of yet is empty, and made by [`start`](Self::start).
    ///
    /// # Errors
    /// When the keys are missing, or damaged, or another master key's; not for damage of anything else.
    pub fn open(disk: D, master: &MasterKey, now: Duration) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Disk { name: ".".to_owned(), source };
        let names = disk.list().map_err(failed)?;
        let numbers = names.iter().filter_map(|it| number_of(it)).collect::<BTreeSet<_>>();
        let aside = names.iter().filter_map(|it| number_of(it.strip_suffix(SET_ASIDE)?));
        let aside = aside.collect::<BTreeSet<_>>();
        let (keys, writes_keys) = match DataKeys::read(&disk, master)? {
            // As long as the master key is being replaced, each start seals them under the new one.
            Some((keys, is_amiss)) => (keys, is_amiss || master.is_being_replaced()),
            None if numbers.is_empty() && aside.is_empty() => {
                (DataKeys::generate(now).map_err(failed)?, true)
            }
            None => return Err(OpenError::NoKeys),
        };
        let last = numbers.iter().chain(&aside).max().copied();
        let mut opened = Self::empty(disk, master, keys);
        opened.writes_keys = writes_keys;
        opened.next = last.map_or(1, |last| last.saturating_add(1));
        opened.is_closed_in_order = last.is_none();
        opened.read_segments(&numbers);
        opened.forget_obsolete(&numbers);
        opened.miss(&numbers, &aside);
        Ok(opened)
    }

    /// A store on `disk` with nothing in it, and its keys in memory alone.
    pub(super) fn empty(disk: D, master: &MasterKey, keys: DataKeys) -> Self {
        Self {
            disk,
            master: master.clone(),
            keys,
            writes_keys: false,
            index: Index::default(),
            segments: Vec::new(),
            damage: Vec::new(),
            next: 1,
            obsolete: Vec::new(),
            followed: BTreeSet::new(),
            is_closed_in_order: true,
        }
    }

    fn read_segments(&mut self, numbers: &BTreeSet<u32>) {
        let (mut waiting, mut without_records) = (None::<Waiting>, Vec::new());
        for &number in numbers {
            let bytes = match self.disk.read(&name_of(number)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.report(number, DamageKind::Unreadable(error));
                    continue;
                }
            };
            match Header::read(number, &self.keys, &bytes) {
                Ok(header) => {
                    if let Some(before) = waiting.take() {
                        let end = (header.links.previous == before.number)
                            .then_some(header.links.previous_end as usize);
                        self.apply_segment(&before, end, false);
                    }
                    self.followed.insert(header.links.previous);
                    self.index.apply(number, 0, &Change::First(header.links.first));
                    waiting = Some(Waiting { number, header, bytes });
                }
                Err(why) if bytes.len() <= HEADER_BYTES => without_records.push((number, why)),
                Err(why) => self.report(number, DamageKind::Header(why)),
            }
        }
        if let Some(last) = waiting {
            self.apply_segment(&last, None, true);
        }
        for (number, why) in without_records {
            match self.followed.contains(&number) {
                true => self.report(number, DamageKind::Header(why)),
                // It was just being begun when the broker, its machine or its disk gave up.
                false => self.obsolete.push(number),
            }
        }
    }

    /// Takes in the records of a segment of which the first `end` bytes count, where that is known.
    fn apply_segment(&mut self, segment: &Waiting, end: Option<usize>, is_last: bool) {
        let Waiting { number, header, bytes } = segment;
        let number = *number;
        let all = bytes.len();
        let counted = bytes.get(..end.unwrap_or(all)).unwrap_or(bytes);
        if let Some(missing) = end.and_then(|end| end.checked_sub(all)).filter(|it| *it > 0) {
            self.report(number, DamageKind::Truncated { bytes: missing });
        }
        self.index.add_segment(number, header);
        self.index.grow(number, all);
        let counted = match is_last {
            true => self.without_torn_end(number, &header.cipher, counted),
            false => counted,
        };
        let mut records = Records::new(&header.cipher, counted);
        self.is_closed_in_order = false;
        while let Some(found) = records.next() {
            let damaged = match found {
                Found::Record(read) => {
                    for change in changes(read.batch) {
                        self.index.apply(number, read.at, &change);
                        self.is_closed_in_order = change == Change::Closed;
                    }
                    continue;
                }
                Found::Damage(at, to) => DamageKind::Records { at, bytes: to - at },
                Found::Torn(at) => DamageKind::Records { at, bytes: counted.len() - at },
            };
            self.damage.push(Damage { segment: number, kind: damaged });
        }
        self.segments.push((number, counted.len()));
    }

    /// What counts of the segment that was written to last. What was not synced may be there in part, and
    /// a later record without an earlier one: so it ends at the first fault behind which nothing proves
    /// that the disk had said it was written; or before that, where what counts together is not all there.
    fn without_torn_end<'a>(
        &mut self,
        number: u32,
        cipher: &SegmentCipher,
        bytes: &'a [u8],
    ) -> &'a [u8] {
        // Faults, and where what counts together begins that has not come to its end before them.
        let (mut faults, mut synced, mut begun) = (Vec::new(), 0, None);
        let mut records = Records::new(cipher, bytes);
        while let Some(found) = records.next() {
            match found {
                Found::Record(read) => {
                    synced = synced.max(read.synced as usize);
                    let at = begun.unwrap_or(read.at as usize);
                    begun = goes_on(read.batch).then_some(at);
                }
                Found::Damage(at, _) | Found::Torn(at) => {
                    faults.push((at, begun.take().unwrap_or(at)));
                }
            }
        }
        // What counts together is synced together.
        let torn = faults.into_iter().find(|(at, _)| *at >= synced).map(|(_, begun)| begun);
        let torn = torn.or(begun);
        let Some((at, counted)) = torn.and_then(|at| Some((at, bytes.get(..at)?))) else {
            return bytes;
        };
        self.report(number, DamageKind::Torn { at, bytes: bytes.len() - at });
        counted
    }

    /// What was in them has been written again: see [`Change::First`].
    fn forget_obsolete(&mut self, numbers: &BTreeSet<u32>) {
        let first = self.index.first();
        for number in numbers.range(..first) {
            self.index.remove_segment(*number);
            self.obsolete.push(*number);
        }
        self.segments.retain(|(number, _)| *number >= first);
        self.damage.retain(|damage| damage.segment >= first);
    }

    /// What another segment follows must be there, as long as it is needed.
    fn miss(&mut self, numbers: &BTreeSet<u32>, aside: &BTreeSet<u32>) {
        let first = self.index.first().max(1);
        let missing = self
            .followed
            .iter()
            .copied()
            .filter(|it| *it >= first && !numbers.contains(it) && !aside.contains(it));
        let missing = missing.map(|segment| Damage { segment, kind: DamageKind::Missing });
        self.damage.extend(missing);
    }

    fn report(&mut self, segment: u32, kind: DamageKind) {
        self.damage.push(Damage { segment, kind });
    }

    /// Calls `each` with every live record, in the order in which they were written. What cannot be
    /// read any more is added to the damage.
    pub fn each_live(&mut self, mut each: impl FnMut(Record<'_>)) {
        let mut unreadable = Vec::new();
        for &(number, end) in &self.segments {
            if self.index.usage(number).live == 0 {
                continue;
            }
            let read = self.disk.read(&name_of(number)).map_err(DamageKind::Unreadable);
            let read = read.and_then(|bytes| {
                let header = Header::read(number, &self.keys, &bytes);
                Ok((header.map_err(DamageKind::Header)?, bytes))
            });
            match read {
                Ok((header, bytes)) => {
                    let counted = bytes.get(..end).unwrap_or(&bytes);
                    let mut records = Records::new(&header.cipher, counted);
                    while let Some(found) = records.next() {
                        let Found::Record(read) = found else { continue };
                        self.index.live(number, read.at, read.batch).for_each(&mut each);
                    }
                }
                Err(kind) => unreadable.push(Damage { segment: number, kind }),
            }
        }
        self.damage.extend(unreadable);
    }

    /// The version of its layout, as it was found. A start brings it to the present one.
    #[must_use]
    pub fn schema(&self) -> u32 {
        self.keys.schema()
    }

    /// How many records each table has, and their bytes.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<Table, (u64, u64)> {
        self.index.tables()
    }

    /// Its data keys; the newest last.
    #[must_use]
    pub fn data_keys(&self) -> Vec<DataKeyUse> {
        let uses = self.keys.ages().map(|(id, made)| {
            let segments = self.index.segments().filter(|(_, usage)| usage.key_id == id).count();
            DataKeyUse { id, made, segments }
        });
        uses.collect()
    }

    /// What is not as it was written.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Whether whoever wrote to it last has closed it. Where it was not closed, nobody can tell whether
    /// something was taken off its end.
    #[must_use]
    pub fn is_closed_in_order(&self) -> bool {
        self.is_closed_in_order
    }

    /// How many records are live.
    #[must_use]
    pub fn records(&self) -> usize {
        self.index.len()
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// How many bytes are live, and how many there are.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        self.index.bytes()
    }
}
