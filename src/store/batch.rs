//! Changes that are kept together or not at all.
//!
//! ```text
//! put     01  table  key 16  length 4  value
//! delete  02  table  key 16
//! first   03  number 4            segments before this one are not needed any more
//! closed  04                      the store was closed in order
//! more    05                      what is written behind it belongs to it: both count or neither
//! ```
//! Numbers are big-endian.

use std::fmt;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const FIRST: u8 = 3;
const CLOSED: u8 = 4;
pub(super) const MORE: u8 = 5;
const KEY_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;

/// A kind of record. Each has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub u8);

impl Table {
    /// Retained messages, by topic.
    pub const RETAINED: Self = Self(1);
    /// Messages that wait for sessions or are on their way to clients, by session and number.
    pub const QUEUED: Self = Self(5);
    /// Those that more than one session waits for, by number.
    pub const MESSAGE: Self = Self(6);
    /// As what messages were sent, by session and number.
    pub const SENT: Self = Self(7);
    /// Packet identifiers of QoS 2 that were received and are not released, by session and identifier.
    pub const RECEIVED: Self = Self(8);
    /// Quarantines, by whom they are about.
    pub const QUARANTINE: Self = Self(10);
    /// Bans, by whom they are about.
    pub const BAN: Self = Self(9);
    /// Sessions, by their numbers.
    pub const SESSION: Self = Self(2);
    /// Subscriptions, by session and filter.
    pub const SUBSCRIPTION: Self = Self(3);
    /// Wills, by session and connection.
    pub const WILL: Self = Self(4);

    /// What operators call it, where it has a name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "retained",
            2 => "session",
            3 => "subscription",
            4 => "will",
            5 => "queued",
            6 => "message",
            7 => "sent",
            8 => "received",
            9 => "ban",
            10 => "quarantine",
            _ => return None,
        })
    }
}

/// What a record is found by: see [`super::Store::key`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// The key of two numbers, in tables whose keys are not made of names.
    #[must_use]
    pub fn of_numbers(first: u64, second: u64) -> Self {
        let mut key = [0; KEY_BYTES];
        let numbers = first.to_be_bytes().into_iter().chain(second.to_be_bytes());
        key.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// The numbers that it was made of.
    #[must_use]
    pub fn numbers(self) -> (u64, u64) {
        let both = u128::from_be_bytes(self.0);
        ((both >> 64) as u64, both as u64)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A record that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its kind.
    pub table: Table,
    /// What it is found by.
    pub key: Key,
    /// What was put last.
    pub value: &'a [u8],
}

/// Changes, in order. After a crash all of them are there or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
}

/// One change of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    Put { table: Table, key: Key, value: &'a [u8] },
    Delete { table: Table, key: Key },
    First(u32),
    Closed,
    More,
}

impl Batch {
    /// One that has room for so many bytes already.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Makes `value` what `key` has in `table`; 4 GiB at most.
    pub fn put(&mut self, table: Table, key: Key, value: &[u8]) {
        self.push(Change::Put { table, key, value });
    }

    /// Makes what `write` appends, 4 GiB at most, what `key` has in `table`.
    pub fn put_with(&mut self, table: Table, key: Key, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend([PUT, table.0]);
        self.bytes.extend(key.0);
        let length_at = self.bytes.len();
        self.bytes.extend([0; LENGTH_BYTES]);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        if let Some(at) = self.bytes.get_mut(length_at..start) {
            at.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Takes away what `key` has in `table`.
    pub fn delete(&mut self, table: Table, key: Key) {
        self.push(Change::Delete { table, key });
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn push(&mut self, change: Change<'_>) {
        match change {
            Change::Put { table, key, value } => {
                self.put_with(table, key, |bytes| bytes.extend_from_slice(value));
            }
            Change::Delete { table, key } => {
                self.bytes.extend([DELETE, table.0]);
                self.bytes.extend(key.0);
            }
            Change::First(number) => {
                self.bytes.push(FIRST);
                self.bytes.extend(number.to_be_bytes());
            }
            Change::Closed => self.bytes.push(CLOSED),
            Change::More => self.bytes.push(MORE),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("bytes", &self.bytes.len()).finish()
    }
}

impl Change<'_> {
    /// How many bytes it takes in a batch.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Put { value, .. } => 2 + KEY_BYTES + LENGTH_BYTES + value.len(),
            Self::Delete { .. } => 2 + KEY_BYTES,
            Self::First(_) => 5,
            Self::Closed | Self::More => 1,
        }
    }
}

/// The changes in `bytes`; one that is not understood ends them.
pub(super) fn changes(mut bytes: &[u8]) -> impl Iterator<Item = Change<'_>> {
    std::iter::from_fn(move || {
        let (change, rest) = split_change(bytes)?;
        bytes = rest;
        Some(change)
    })
}

/// Whether a record with this content counts only if the one behind it does.
pub(super) fn goes_on(content: &[u8]) -> bool {
    content.first() == Some(&MORE)
}

fn split_change(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    match *kind {
        PUT => {
            let (table, key, rest) = split_key(rest)?;
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            Some((Change::Put { table, key, value }, rest))
        }
        DELETE => {
            let (table, key, rest) = split_key(rest)?;
            Some((Change::Delete { table, key }, rest))
        }
        FIRST => {
            let (number, rest) = rest.split_first_chunk()?;
            Some((Change::First(u32::from_be_bytes(*number)), rest))
        }
        CLOSED => Some((Change::Closed, rest)),
        MORE => Some((Change::More, rest)),
        _ => None,
    }
}

fn split_key(bytes: &[u8]) -> Option<(Table, Key, &[u8])> {
    let (table, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_first_chunk()?;
    Some((Table(*table), Key(*key), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_were_put() {
        let (table, key) = (Table(7), Key([9; 16]));
        let all = [
            Change::Put { table, key, value: b"value" },
            Change::Delete { table, key },
            Change::Put { table, key, value: b"" },
            Change::First(u32::MAX),
            Change::Closed,
            Change::More,
        ];
        let mut batch = Batch::default();
        all.into_iter().for_each(|change| batch.push(change));
        assert_eq!(changes(batch.bytes()).collect::<Vec<_>>(), all);
        let sizes = all.iter().map(Change::size).sum::<usize>();
        assert_eq!(sizes, batch.bytes().len());
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_no_change() {
        let mut batch = Batch::default();
        batch.put(Table(1), Key([1; 16]), b"value");
        for end in 0..batch.bytes().len() {
            assert_eq!(changes(&batch.bytes()[..end]).count(), 0, "{end}");
        }
        assert_eq!(changes(&[99, 1, 2, 3]).count(), 0);
    }
}
