//! Where the latest value of each key is, and how much of each segment is still of use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::batch::{Change, Key, Record, Table, changes};
use super::cipher::SegmentCipher;
use super::segment::Header;

/// Where records are.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashMap<(Table, Key), Place, foldhash::fast::RandomState>,
    segments: BTreeMap<u32, Usage>,
    /// What each segment is read with.
    ciphers: BTreeMap<u32, Arc<SegmentCipher>>,
    live: u64,
    total: u64,
    /// The first segment that is needed.
    first: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u32,
    at: u32,
    /// In bytes, of the change that has put it.
    size: u32,
}

/// Where a record is, and what it is read with.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) segment: u32,
    pub(super) at: u32,
    /// In bytes, of the change that has put it.
    pub(super) size: u32,
    pub(super) cipher: Arc<SegmentCipher>,
}

/// What a segment is worth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// The data key that it was written under.
    pub(super) key_id: u32,
    /// All that was written.
    pub(super) bytes: u64,
    /// What is still of use.
    pub(super) live: u64,
}

impl Index {
    /// There is a segment `number` from now on.
    pub(super) fn add_segment(&mut self, number: u32, header: &Header) {
        let usage = Usage { key_id: header.key_id, ..Usage::default() };
        self.segments.insert(number, usage);
        self.ciphers.insert(number, Arc::clone(&header.cipher));
    }

    /// `bytes` were written to the segment `number`.
    pub(super) fn grow(&mut self, number: u32, bytes: usize) {
        if let Some(usage) = self.segments.get_mut(&number) {
            usage.bytes += bytes as u64;
            self.total += bytes as u64;
        }
    }

    /// The segment `number` is gone, and what was in it.
    pub(super) fn remove_segment(&mut self, number: u32) {
        self.ciphers.remove(&number);
        if let Some(usage) = self.segments.remove(&number) {
            self.total -= usage.bytes;
            if usage.live > 0 {
                self.places.retain(|_, place| place.segment != number);
                self.live -= usage.live;
            }
        }
    }

    /// A record at `at` of the segment `segment` says this.
    pub(super) fn apply(&mut self, segment: u32, at: u32, change: &Change<'_>) {
        let replaced = match change {
            Change::Put { table, key, .. } => {
                let size = u32::try_from(change.size()).unwrap_or(u32::MAX);
                if let Some(usage) = self.segments.get_mut(&segment) {
                    usage.live += u64::from(size);
                    self.live += u64::from(size);
                }
                self.places.insert((*table, *key), Place { segment, at, size })
            }
            Change::Delete { table, key } => self.places.remove(&(*table, *key)),
            Change::First(number) => {
                self.first = self.first.max(*number);
                None
            }
            Change::Closed | Change::More => None,
        };
        if let Some(replaced) = replaced {
            self.free(replaced);
        }
    }

    fn free(&mut self, place: Place) {
        if let Some(usage) = self.segments.get_mut(&place.segment) {
            usage.live -= u64::from(place.size);
            self.live -= u64::from(place.size);
        }
    }

    /// Whether `key` has anything.
    pub(super) fn contains(&self, key: (Table, Key)) -> bool {
        self.places.contains_key(&key)
    }

    /// Where `key` has what it has.
    pub(super) fn find(&self, key: (Table, Key)) -> Option<Located> {
        let Place { segment, at, size } = *self.places.get(&key)?;
        let cipher = Arc::clone(self.ciphers.get(&segment)?);
        Some(Located { segment, at, size, cipher })
    }

    /// What is live of the record at `at` of the segment `segment`, which has this content.
    pub(super) fn live<'a>(
        &self,
        segment: u32,
        at: u32,
        content: &'a [u8],
    ) -> impl Iterator<Item = Record<'a>> {
        changes(content).filter_map(move |change| {
            let Change::Put { table, key, value } = change else { return None };
            let place = self.places.get(&(table, key))?;
            ((place.segment, place.at) == (segment, at)).then_some(Record { table, key, value })
        })
    }

    /// Where in the segment `segment` something is live, in order, with the size of a change there. Looks
    /// at all that is live.
    pub(super) fn live_places(&self, segment: u32) -> BTreeMap<u32, u32> {
        let places = self.places.values().filter(|place| place.segment == segment);
        places.map(|place| (place.at, place.size)).collect()
    }

    /// What the segment `segment` is read with.
    pub(super) fn cipher(&self, segment: u32) -> Option<Arc<SegmentCipher>> {
        self.ciphers.get(&segment).cloned()
    }

    /// The oldest segment.
    pub(super) fn oldest(&self) -> Option<(u32, Usage)> {
        self.segments.first_key_value().map(|(number, usage)| (*number, *usage))
    }

    /// Segments, oldest first.
    pub(super) fn segments(&self) -> impl Iterator<Item = (u32, Usage)> {
        self.segments.iter().map(|(number, usage)| (*number, *usage))
    }

    pub(super) fn usage(&self, number: u32) -> Usage {
        self.segments.get(&number).copied().unwrap_or_default()
    }

    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// How many records of each table are live, and their bytes.
    pub(super) fn tables(&self) -> BTreeMap<Table, (u64, u64)> {
        let mut tables = BTreeMap::new();
        for ((table, _), place) in &self.places {
            let (records, bytes) = tables.entry(*table).or_insert((0, 0));
            *records += 1;
            *bytes += u64::from(place.size);
        }
        tables
    }

    /// How many records are live.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many bytes are live, and how many there are.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.live, self.total)
    }
}
