//! Reading the records of a segment, whatever has become of it: what is not as it was written is
//! skipped, up to the next record that is.

use super::cipher::{SegmentCipher, TAG_BYTES};
use super::segment::{FRONT_BYTES, HEADER_BYTES, RECORD_BYTES, SYNCED_BYTES};

/// How many times its own size is decrypted in search of what a segment still holds, at most: bytes
/// that somebody has made to look like many long records must not keep a broker from starting.
const SEARCH_FACTOR: usize = 4;

/// The records of a segment, one after the other.
pub(super) struct Records<'a> {
    cipher: &'a SegmentCipher,
    bytes: &'a [u8],
    at: usize,
    search: usize,
    opened: Vec<u8>,
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record.
    Record(Read<'a>),
    /// Bytes from one place to another that hold none, and a record behind them.
    Damage(usize, usize),
    /// Bytes from one place to the end that hold none.
    Torn(usize),
}

/// A record as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read<'a> {
    /// Where it begins.
    pub(super) at: u32,
    /// How many bytes of the segment were on disk when it was written.
    pub(super) synced: u32,
    /// What it says.
    pub(super) batch: &'a [u8],
}

impl<'a> Records<'a> {
    /// Those of the segment `bytes`.
    pub(super) fn new(cipher: &'a SegmentCipher, bytes: &'a [u8]) -> Self {
        Self::starting_at(cipher, bytes, HEADER_BYTES)
    }

    /// Those from the place `at` on.
    pub(super) fn starting_at(cipher: &'a SegmentCipher, bytes: &'a [u8], at: usize) -> Self {
        let search = bytes.len().saturating_mul(SEARCH_FACTOR);
        Self { cipher, bytes, at, search, opened: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<Found<'_>> {
        let start = self.at;
        if start >= self.bytes.len() {
            return None;
        }
        if let Some(end) = self.open(start) {
            self.at = end;
            let (synced, batch) = self.opened.split_first_chunk()?;
            let (at, synced) = (start as u32, u32::from_be_bytes(*synced));
            return Some(Found::Record(Read { at, synced, batch }));
        }
        for place in start + 1..self.bytes.len() {
            if self.search == 0 {
                break;
            }
            if self.open(place).is_some() {
                self.at = place;
                return Some(Found::Damage(start, place));
            }
        }
        self.at = self.bytes.len();
        Some(Found::Torn(start))
    }

    /// How far the records have been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Opens the record at `place`, if there is one, and says where it ends.
    fn open(&mut self, place: usize) -> Option<usize> {
        let rest = self.bytes.get(place..)?;
        let place_bytes = u32::try_from(place).ok()?;
        let end = size_of_record(self.cipher, place_bytes, rest)?;
        let sealed = rest.get(FRONT_BYTES..end)?;
        let is_whole = self.cipher.open(place_bytes, sealed, &mut self.opened)
            && self.opened.len() >= SYNCED_BYTES;
        if !is_whole {
            self.search = self.search.saturating_sub(sealed.len().max(RECORD_BYTES));
        }
        is_whole.then_some(place + end)
    }
}

/// What some bytes of a segment begin with.
pub(super) enum Beginning {
    /// A record: what was encrypted.
    Record(Vec<u8>),
    /// The beginning of what may be a record of so many bytes.
    Part { of: usize },
    /// Nothing that was written there.
    Nothing,
}

/// Opens the record that `bytes` begin with, which are at `place` of their segment.
pub(super) fn open_at(cipher: &SegmentCipher, place: u32, bytes: &[u8]) -> Beginning {
    let Some(of) = size_of_record(cipher, place, bytes) else { return Beginning::Nothing };
    let Some(sealed) = bytes.get(FRONT_BYTES..of) else { return Beginning::Part { of } };
    let mut opened = Vec::new();
    match cipher.open(place, sealed, &mut opened) {
        true => Beginning::Record(opened),
        false => Beginning::Nothing,
    }
}

/// The batch of what was encrypted.
pub(super) fn batch_of(opened: &[u8]) -> &[u8] {
    opened.get(SYNCED_BYTES..).unwrap_or_default()
}

/// Of how many bytes the record is that `bytes` seem to begin with.
fn size_of_record(cipher: &SegmentCipher, place: u32, bytes: &[u8]) -> Option<usize> {
    let (length, behind) = bytes.split_first_chunk()?;
    let (mark, _) = behind.split_first_chunk()?;
    let (length, mark) = (u32::from_be_bytes(*length), u32::from_be_bytes(*mark));
    let is_one = mark == cipher.mark(place, length);
    is_one.then(|| FRONT_BYTES.checked_add(length as usize)?.checked_add(TAG_BYTES))?
}

#[cfg(test)]
mod tests {
    use super::super::segment::{Written, push_record};
    use super::*;

    fn cipher() -> SegmentCipher {
        SegmentCipher::new(&[1; 32], &[2; 32], 3).unwrap()
    }

    fn segment(contents: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for content in contents {
            let place = bytes.len() as u32;
            let record = Written { synced: 0, goes_on: false, batch: content };
            push_record(&cipher(), place, &record, &mut bytes).unwrap();
        }
        bytes
    }

    /// The contents that are read, and whether anything else was found.
    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let (cipher, mut contents, mut is_damaged) = (cipher(), Vec::new(), false);
        let mut records = Records::new(&cipher, bytes);
        while let Some(found) = records.next() {
            match found {
                Found::Record(read) => contents.push(read.batch.to_vec()),
                Found::Damage(..) | Found::Torn(_) => is_damaged = true,
            }
        }
        (contents, is_damaged)
    }

    #[test]
    fn any_changed_bit_costs_one_record_and_is_found() {
        let contents: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes = segment(&contents);
        assert_eq!(read(&bytes), (contents.map(<[u8]>::to_vec).to_vec(), false));
        for bit in HEADER_BYTES * 8..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (left, is_damaged) = read(&changed);
            assert!(is_damaged, "bit {bit}");
            assert_eq!(left.len(), 2, "bit {bit}");
            assert!(left.iter().all(|content| contents.contains(&content.as_slice())));
        }
    }

    #[test]
    fn records_that_change_places_are_not_read() {
        let bytes = segment(&[b"one", b"two"]);
        let size = RECORD_BYTES + 3;
        let mut swapped = bytes.clone();
        swapped[HEADER_BYTES..].rotate_left(size);
        assert_eq!(read(&swapped), (vec![], true));
        let mut doubled = bytes.clone();
        doubled.extend(&bytes[HEADER_BYTES..]);
        assert_eq!(read(&doubled), (vec![b"one".to_vec(), b"two".to_vec()], true));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_torn_there() {
        let bytes = segment(&[b"one", b"two"]);
        let size = RECORD_BYTES + 3;
        for cut in 1..bytes.len() - HEADER_BYTES {
            let (left, is_damaged) = read(&bytes[..bytes.len() - cut]);
            assert_eq!((left.len(), is_damaged), (usize::from(cut <= size), cut != size), "{cut}");
        }
    }

    #[test]
    fn a_segment_full_of_beginnings_of_records_is_not_searched_for_ever() {
        let mut bytes = vec![0; HEADER_BYTES];
        while bytes.len() < 400_000 {
            let (place, length) = (bytes.len() as u32, 200_000);
            bytes.extend(u32::to_be_bytes(length));
            bytes.extend(cipher().mark(place, length).to_be_bytes());
        }
        let cipher = cipher();
        let mut records = Records::new(&cipher, &bytes);
        assert_eq!(records.next(), Some(Found::Torn(HEADER_BYTES)));
        assert_eq!(records.search, 0);
    }
}
