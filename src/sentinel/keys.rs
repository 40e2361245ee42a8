//! What is kept by key, of a bounded number of keys.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Of each key its `T`; keys are hashes. Two generations: when the young one is full, the old one is
/// forgotten, and the young one is old. So a key that comes again before half of `most` others have come is
/// never forgotten, and what comes once in a while is, when many others do.
#[derive(Clone, Debug)]
pub(super) struct Keys<T> {
    young: HashMap<u64, T, FixedState>,
    old: HashMap<u64, T, FixedState>,
    half: usize,
    /// Since somebody has asked.
    forgotten: u64,
}

impl<T> Keys<T> {
    /// At most `most` keys, which is 2 or more.
    pub(super) fn new(most: usize) -> Self {
        let (young, old) = (HashMap::default(), HashMap::default());
        Self { young, old, half: (most / 2).max(1), forgotten: 0 }
    }

    /// At most `most` keys from now on. Where that is less than before, all are forgotten.
    pub(super) fn set_most(&mut self, most: usize) {
        let half = (most / 2).max(1);
        if half < self.half {
            self.young.clear();
            self.old.clear();
        }
        self.half = half;
    }

    /// How many were forgotten to make room, since this was last asked.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// That of `key`, which is made where it is not known.
    pub(super) fn of(&mut self, key: u64, make: impl FnOnce() -> T) -> &mut T {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            let kept = self.old.remove(&key);
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
            self.old.extend(kept.map(|kept| (key, kept)));
        }
        let Self { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(make))
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_that_comes_again_soon_is_known_and_never_are_there_more_than_allowed(
            comings in prop::collection::vec(0..40_u64, 1..300),
        ) {
            let mut keys = Keys::new(20);
            for (at, key) in comings.iter().enumerate() {
                let before = comings[..at].iter().rposition(|it| it == key);
                let mut since = comings[before.map_or(at, |it| it + 1)..at].to_vec();
                since.sort_unstable();
                since.dedup();
                let is_recent = before.is_some() && since.len() < 10;
                let mut is_made = false;
                keys.of(*key, || is_made = true);
                prop_assert!(!(is_recent && is_made), "{key} was forgotten");
                prop_assert!(keys.len() <= 20);
            }
        }
    }

    #[test]
    fn what_is_forgotten_to_make_room_is_counted() {
        let mut keys = Keys::new(20);
        let see = |keys: &mut Keys<u64>, key| *keys.of(key, || key);
        assert!((0..20).all(|key| see(&mut keys, key) == key));
        assert_eq!((keys.len(), keys.take_forgotten()), (20, 0));
        // The oldest ten but for the one that comes again.
        assert!((20..30).chain([10]).all(|key| see(&mut keys, key) == key));
        assert_eq!(keys.take_forgotten(), 10 + 9);
        assert_eq!(keys.take_forgotten(), 0);
    }

    #[test]
    fn more_room_forgets_nothing_and_less_forgets_all() {
        let mut keys = Keys::new(20);
        assert!((0..10).all(|key| *keys.of(key, || key) == key));
        keys.set_most(40);
        assert!((10..20).all(|key| *keys.of(key, || key) == key));
        assert_eq!((keys.len(), *keys.of(0, || 7)), (20, 0));
        keys.set_most(20);
        assert_eq!((keys.len(), *keys.of(0, || 7)), (0, 7));
    }

    #[test]
    fn what_comes_often_outlives_a_million_that_come_once() {
        let mut keys = Keys::new(1_000);
        for other in 1..1_000_000_u64 {
            keys.of(other, || 0_u64);
            if other % 400 == 0 {
                *keys.of(0, || 0) += 1;
            }
        }
        assert_eq!(*keys.of(0, || 0), 2_499);
    }
}
