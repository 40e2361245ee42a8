//! What need not be written: changes that later ones of the same group undo.
//!
//! A message that is put and deleted before the disk was asked once leaves nothing behind. What is left out
//! of one batch because of a later one makes the two depend on each other: without the later one, the
//! earlier is not what was appended. So all that is left of them counts together or not at all, which
//! [`Pending::goes_on`] says.

use std::collections::HashMap;
use std::mem;

use super::batch::{Batch, Change, Key, Table, changes};
use super::index::Index;

/// Bytes of batches that are looked at together. What counts together is in one segment.
const SPAN_BYTES: usize = 4 << 20;
/// Keys of a group for which memory is kept from one group to the next.
const KEPT_KEYS: usize = 1 << 14;

/// A batch that is to be written.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) batch: Batch,
    /// It counts only if what is written behind it does.
    pub(super) goes_on: bool,
}

impl From<Batch> for Pending {
    fn from(batch: Batch) -> Self {
        Self { batch, goes_on: false }
    }
}

/// Finds what need not be written.
#[derive(Debug, Default)]
pub(super) struct Elision {
    /// The last change of each key in the group.
    latest: HashMap<(Table, Key), Latest, foldhash::fast::RandomState>,
    /// Which changes of the span are not written.
    is_idle: Vec<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    span: usize,
    /// Which one of its span it is.
    change: usize,
    is_put: bool,
    /// Whether the key was known to have nothing before the span.
    had_nothing: bool,
}

impl Elision {
    /// What is left of a group of batches, in order, and how many changes are not. The `index` knows all
    /// that was appended before them, or it is not asked.
    pub(super) fn condense(
        &mut self,
        batches: Vec<Batch>,
        index: Option<&Index>,
    ) -> (Vec<Pending>, u64) {
        let (mut left, mut elided) = (Vec::with_capacity(batches.len()), 0);
        let (mut span, mut bytes, mut number) = (Vec::new(), 0, 0);
        for batch in batches {
            bytes += batch.bytes().len();
            span.push(batch);
            if bytes >= SPAN_BYTES {
                elided += self.condense_span(number, mem::take(&mut span), index, &mut left);
                (bytes, number) = (0, number + 1);
            }
        }
        elided += self.condense_span(number, span, index, &mut left);
        self.latest.clear();
        self.latest.shrink_to(KEPT_KEYS);
        (left, elided)
    }

    fn condense_span(
        &mut self,
        number: usize,
        batches: Vec<Batch>,
        index: Option<&Index>,
        left: &mut Vec<Pending>,
    ) -> u64 {
        self.is_idle.clear();
        let (mut elided, mut ends) = (0, Vec::with_capacity(batches.len()));
        for batch in &batches {
            for change in changes(batch.bytes()) {
                elided += self.note(number, &change, index);
            }
            ends.push(self.is_idle.len());
        }
        if elided == 0 {
            let batches = batches.into_iter().filter(|batch| !batch.is_empty());
            left.extend(batches.map(Pending::from));
            return 0;
        }
        let (from, mut begin) = (left.len(), 0);
        for (batch, end) in batches.into_iter().zip(ends) {
            let is_idle = self.is_idle.get(begin..end).unwrap_or_default();
            let batch = without(batch, is_idle);
            begin = end;
            if !batch.is_empty() {
                left.push(Pending { batch, goes_on: true });
            }
        }
        if let Some(last) = left.get_mut(from..).and_then(<[Pending]>::last_mut) {
            last.goes_on = false;
        }
        elided
    }

    /// Takes in the next change of the span, and says how many are found not to be needed.
    fn note(&mut self, span: usize, change: &Change<'_>, index: Option<&Index>) -> u64 {
        let this = self.is_idle.len();
        self.is_idle.push(false);
        let (key, is_put) = match change {
            Change::Put { table, key, .. } => ((*table, *key), true),
            Change::Delete { table, key } => ((*table, *key), false),
            Change::First(_) | Change::Closed | Change::More => return 0,
        };
        let before = self.latest.get(&key).copied();
        let (earlier, had_nothing) = match before {
            Some(it) if it.span == span => (Some(it.change), it.had_nothing),
            Some(it) => (None, !it.is_put),
            None => (None, index.is_some_and(|index| !index.contains(key))),
        };
        self.latest.insert(key, Latest { span, change: this, is_put, had_nothing });
        let undone = earlier.map_or(0, |earlier| self.leave_out(earlier));
        // Where there was nothing, nothing need be deleted.
        undone + if !is_put && had_nothing { self.leave_out(this) } else { 0 }
    }

    fn leave_out(&mut self, change: usize) -> u64 {
        let Some(is_idle) = self.is_idle.get_mut(change) else { return 0 };
        u64::from(!mem::replace(is_idle, true))
    }
}

/// What is left of a batch without its changes that are idle.
fn without(batch: Batch, is_idle: &[bool]) -> Batch {
    if !is_idle.contains(&true) {
        return batch;
    }
    let mut left = Batch::with_capacity(batch.bytes().len());
    let needed = changes(batch.bytes()).zip(is_idle).filter(|(_, is_idle)| !**is_idle);
    needed.for_each(|(change, _)| left.push(change));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table(1);

    fn key(number: u8) -> Key {
        Key([number; 16])
    }

    /// A batch of puts (`+`) and deletes (`-`) of keys.
    fn batch(changes: &[(char, u8)]) -> Batch {
        let mut batch = Batch::default();
        for &(what, number) in changes {
            match what {
                '+' => batch.put(TABLE, key(number), &[number]),
                _ => batch.delete(TABLE, key(number)),
            }
        }
        batch
    }

    fn condensed(group: &[&[(char, u8)]], index: Option<&Index>) -> Vec<(Batch, bool)> {
        let group = group.iter().map(|it| batch(it)).collect();
        let (left, _) = Elision::default().condense(group, index);
        left.into_iter().map(|it| (it.batch, it.goes_on)).collect()
    }

    #[test]
    fn what_is_put_and_deleted_in_one_group_leaves_nothing() {
        let index = Index::default();
        assert_eq!(condensed(&[&[('+', 1)], &[('-', 1)]], Some(&index)), []);
        assert_eq!(condensed(&[&[('+', 1), ('-', 1), ('+', 1), ('-', 1)]], Some(&index)), []);
        assert_eq!(condensed(&[&[('-', 1)]], Some(&index)), []);
    }

    #[test]
    fn what_may_have_been_there_before_is_deleted() {
        let mut index = Index::default();
        let put = Change::Put { table: TABLE, key: key(1), value: b"" };
        index.apply(1, 1, &put);
        let deleted = [(batch(&[('-', 1)]), false)];
        assert_eq!(condensed(&[&[('+', 1)], &[('-', 1)]], Some(&index)), deleted);
        assert_eq!(condensed(&[&[('+', 1)], &[('-', 1)]], None), deleted);
    }

    #[test]
    fn the_last_value_is_written_alone() {
        let left = condensed(&[&[('+', 1)], &[('-', 1)], &[('+', 1)]], None);
        assert_eq!(left, [(batch(&[('+', 1)]), false)]);
    }

    #[test]
    fn batches_that_undo_each_other_count_together() {
        let group: [&[_]; 3] = [&[('+', 1), ('+', 2)], &[('+', 3)], &[('-', 1), ('+', 4)]];
        let left = condensed(&group, Some(&Index::default()));
        let wanted = [(2, true), (3, true), (4, false)];
        assert_eq!(left, wanted.map(|(number, goes_on)| (batch(&[('+', number)]), goes_on)));
    }

    #[test]
    fn batches_that_do_not_are_written_as_they_came() {
        let group: [&[_]; 2] = [&[('+', 1), ('+', 2)], &[('+', 3)]];
        let left = condensed(&group, Some(&Index::default()));
        assert_eq!(left, group.map(|it| (batch(it), false)));
    }

    #[test]
    fn one_span_knows_what_the_one_before_has_left() {
        let mut large = batch(&[('+', 1), ('+', 2), ('-', 2)]);
        large.put(TABLE, key(9), &vec![0; SPAN_BYTES]);
        let group = vec![large, batch(&[('-', 1)]), batch(&[('-', 2)]), batch(&[('-', 3)])];
        let (left, elided) = Elision::default().condense(group, Some(&Index::default()));
        assert_eq!(left.len(), 2);
        assert_eq!(left[1].batch, batch(&[('-', 1)]));
        assert_eq!(elided, 4);
    }
}
