//! One file of the log: a header, and records one behind the other.
//!
//! ```text
//!  0   8  "BMQSEGM", and the version of this format: 1
//!  8   4  number of the segment; the next one has the next
//! 12   4  data key that its own key is derived from
//! 16  32  salt of that derivation
//! 48  12  the segment before it (4), how many of its bytes count (4), the first one that is needed (4)
//! 60  16  tag of these 12
//! 76  ..  records: length of what is encrypted (4), mark (4), how many bytes of the segment were synced
//!         when it was written (4), a batch, tag (16)
//! ```
//! The last 12 bytes of the header, and the last two fields of a record, are encrypted; numbers are big-endian. A segment is
//! never written to again once writing to it has failed or its broker has ended, so that no place is
//! written twice.

use std::sync::Arc;

use super::batch::MORE;
use super::cipher::{DATA_KEY_BYTES, SegmentCipher, TAG_BYTES};
use super::data_keys::DataKeys;

const MAGIC: [u8; 8] = *b"BMQSEGM\x01";
const PLAIN_BYTES: usize = 48;
const SEALED_BYTES: usize = 12;
/// Where the records begin.
pub(super) const HEADER_BYTES: usize = PLAIN_BYTES + SEALED_BYTES + TAG_BYTES;
/// What a record has in front of its content.
pub(super) const FRONT_BYTES: usize = 8;
/// What a record takes besides its batch.
pub(super) const RECORD_BYTES: usize = FRONT_BYTES + SYNCED_BYTES + TAG_BYTES;
pub(super) const SYNCED_BYTES: usize = 4;
const ENDING: &str = ".log";

/// What is known of a segment before its records are read.
pub(super) struct Header {
    pub(super) key_id: u32,
    pub(super) cipher: Arc<SegmentCipher>,
    pub(super) links: Links,
}

/// What a segment says of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// The segment that was written before it.
    pub(super) previous: u32,
    /// How many bytes of that were on disk when this one was begun. What is behind them was written
    /// again.
    pub(super) previous_end: u32,
    /// The first segment that was needed then.
    pub(super) first: u32,
}

/// Why the header of a segment is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// The file ends before it does.
    #[error("it ends before its header does")]
    Short,
    /// It begins with something else.
    #[error("it does not begin as a segment does")]
    Foreign,
    /// Its data key is not known.
    #[error("it was written under a data key that is not known here")]
    UnknownKey,
    /// It is not as it was written, or not where it was written.
    #[error("its header is damaged, or it is another segment than its name says")]
    Unauthentic,
}

/// The name of the file of the segment `number`.
pub(super) fn name_of(number: u32) -> String {
    format!("{number:08x}{ENDING}")
}

/// Which segment the file `name` is, if it is one.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(ENDING)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (name_of(number) == name).then_some(number)
}

impl Header {
    /// Begins the segment `number`, and gives the bytes of its header with it.
    pub(super) fn begin(
        number: u32,
        keys: &DataKeys,
        salt: &[u8; DATA_KEY_BYTES],
        links: Links,
    ) -> Option<(Self, Vec<u8>)> {
        let (key_id, key) = keys.newest()?;
        let cipher = SegmentCipher::new(key, salt, number)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(number.to_be_bytes());
        bytes.extend(key_id.to_be_bytes());
        bytes.extend(salt);
        let Links { previous, previous_end, first } = links;
        let mut sealed = [previous, previous_end, first].map(u32::to_be_bytes).concat();
        let tag = cipher.seal(PLAIN_BYTES as u32, &mut sealed)?;
        bytes.extend(sealed);
        bytes.extend(tag);
        Some((Self { key_id, cipher: Arc::new(cipher), links }, bytes))
    }

    /// Reads the header at the start of `bytes`, which ought to be the segment `number`.
    pub(super) fn read(number: u32, keys: &DataKeys, bytes: &[u8]) -> Result<Self, BadHeader> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(BadHeader::Short)?;
        if *magic != MAGIC {
            return Err(BadHeader::Foreign);
        }
        let header = rest.get(..HEADER_BYTES - MAGIC.len()).ok_or(BadHeader::Short)?;
        let (written, rest) = header.split_first_chunk().ok_or(BadHeader::Short)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or(BadHeader::Short)?;
        let (salt, sealed) = rest.split_first_chunk().ok_or(BadHeader::Short)?;
        if u32::from_be_bytes(*written) != number {
            return Err(BadHeader::Unauthentic);
        }
        let key_id = u32::from_be_bytes(*key_id);
        let key = keys.get(key_id).ok_or(BadHeader::UnknownKey)?;
        let cipher = SegmentCipher::new(key, salt, number).ok_or(BadHeader::Unauthentic)?;
        let mut opened = Vec::new();
        if !cipher.open(PLAIN_BYTES as u32, sealed, &mut opened) {
            return Err(BadHeader::Unauthentic);
        }
        let (numbers, _) = opened.as_chunks::<4>();
        let &[previous, previous_end, first] = numbers else { return Err(BadHeader::Unauthentic) };
        let links = Links {
            previous: u32::from_be_bytes(previous),
            previous_end: u32::from_be_bytes(previous_end),
            first: u32::from_be_bytes(first),
        };
        Ok(Self { key_id, cipher: Arc::new(cipher), links })
    }
}

/// What a record is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    /// How many bytes of its segment are on disk.
    pub(super) synced: u32,
    /// Whether it counts only if the one behind it does.
    pub(super) goes_on: bool,
    pub(super) batch: &'a [u8],
}

/// Appends `record` to `to`, which goes to `place` of its segment.
pub(super) fn push_record(
    cipher: &SegmentCipher,
    place: u32,
    record: &Written<'_>,
    to: &mut Vec<u8>,
) -> Option<()> {
    let Written { synced, goes_on, batch } = *record;
    let more = goes_on.then_some(MORE);
    let length = u32::try_from(SYNCED_BYTES + usize::from(goes_on) + batch.len()).ok()?;
    to.extend(length.to_be_bytes());
    to.extend(cipher.mark(place, length).to_be_bytes());
    let start = to.len();
    to.extend(synced.to_be_bytes());
    to.extend(more);
    to.extend(batch);
    let tag = cipher.seal(place, to.get_mut(start..)?)?;
    to.extend(tag);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_segments_by_their_exact_names() {
        assert_eq!(number_of(&name_of(0x1f)), Some(0x1f));
        for name in ["1f.log", "0000001F.log", "+000001f.log", "0000001f", "0000001f.log.new", ""] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }

    #[test]
    fn one_changed_bit_of_a_header_is_found() {
        let keys = DataKeys::with_key(1, [7; 32]);
        let links = Links { previous: 4, previous_end: 1_000, first: 2 };
        let (_, bytes) = Header::begin(5, &keys, &[3; 32], links).unwrap();
        assert_eq!(bytes.len(), HEADER_BYTES);
        let header = Header::read(5, &keys, &bytes).unwrap();
        assert_eq!((header.key_id, header.links), (1, links));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::read(5, &keys, &changed).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(Header::read(5, &keys, &bytes[..end]).is_err(), "{end}");
        }
        assert!(Header::read(6, &keys, &bytes).is_err());
    }
}
