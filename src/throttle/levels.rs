//! The levels of the buckets of many, in a room that does not grow.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Buckets that may be kept in the same place, which is two lines of memory.
const WAYS: usize = 8;

/// Number and level of each.
type Set = [[u64; 2]; WAYS];

/// A level for each number, of a bounded number of them: 16 bytes each, of which the system only gives what is
/// used. Where there is no room the emptiest bucket of the same place is forgotten, as if nothing had come of
/// it. So the error is on one side only: somebody may do more than they should while very many others do much,
/// and never less for what others did.
#[derive(Debug)]
pub struct Levels {
    sets: Vec<Set>,
    /// Nobody who does not know its seed can choose numbers that share a place.
    hasher: FixedState,
}

impl Levels {
    /// Nothing has come yet. There is room for `most`, rounded up to a multiple of 8. `seed` is secret.
    #[must_use]
    pub fn new(most: usize, seed: u64) -> Self {
        let sets = vec![Set::default(); most.div_ceil(WAYS).max(1)];
        Self { sets, hasher: FixedState::with_seed(seed) }
    }

    /// Has room for `most` from now on, and keeps what finds a place there.
    pub fn resize(&mut self, most: usize) {
        let sets = vec![Set::default(); most.div_ceil(WAYS).max(1)];
        if sets.len() == self.sets.len() {
            return;
        }
        for [number, level] in std::mem::replace(&mut self.sets, sets).into_iter().flatten() {
            self.keep(number, level);
        }
    }

    /// That of `number`: 0, an empty bucket, where nothing is known of it.
    #[must_use]
    pub fn of(&self, number: u64) -> u64 {
        let known = |set: &Set| {
            let own = set.iter().find(|[other, _]| *other == number);
            own.map(|[_, level]| *level)
        };
        self.sets.get(self.place(number)).and_then(known).unwrap_or(0)
    }

    /// Keeps that of `number`, in the place of the emptiest where there is no room.
    pub(super) fn set(&mut self, number: u64, level: u64) {
        if let Some(slot) = self.slot(number) {
            *slot = [number, level];
        }
    }

    /// Keeps that of `number` where there is room, or an emptier one. Gives the level of the bucket that is
    /// forgotten for it, or is it itself; 0 where none is.
    pub fn keep(&mut self, number: u64, level: u64) -> u64 {
        let Some(slot) = self.slot(number) else { return level };
        let forgotten = if slot[0] == number { 0 } else { slot[1].min(level) };
        if slot[0] == number || slot[1] < level {
            *slot = [number, level];
        }
        forgotten
    }

    /// Where `number` is, or else the emptiest of its place.
    fn slot(&mut self, number: u64) -> Option<&mut [u64; 2]> {
        let place = self.place(number);
        // Its own place comes before all others.
        let rank = |slot: &&mut [u64; 2]| (slot[0] != number, slot[1]);
        self.sets.get_mut(place)?.iter_mut().min_by_key(rank)
    }

    fn place(&self, number: u64) -> usize {
        self.hasher.hash_one(number) as usize % self.sets.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 16;

    #[test]
    fn what_was_kept_is_known_and_what_was_not_is_empty() {
        let mut levels = Levels::new(ROOM, 1);
        levels.set(1, 10);
        levels.set(2, 20);
        levels.set(1, 11);
        assert_eq!([1, 2, 3].map(|it| levels.of(it)), [11, 20, 0]);
    }

    #[test]
    fn a_million_sources_find_room_and_the_fullest_buckets_stay() {
        let mut levels = Levels::new(ROOM, 7);
        let full = 0..100;
        full.clone().for_each(|it| levels.set(it, 1_000_000));
        (1_000..1_001_000).for_each(|it| levels.set(it, 1 + it % 1_000));
        assert!(full.clone().all(|it| levels.of(it) == 1_000_000));
        let known = (0..1_001_000).filter(|it| levels.of(*it) > 0).count();
        assert!(known <= ROOM && known > ROOM * 9 / 10, "{known}");
    }

    #[test]
    fn as_many_as_there_is_room_for_by_half_are_hardly_ever_forgotten() {
        let mut levels = Levels::new(ROOM, 3);
        let sources = 0..ROOM as u64 / 2;
        sources.clone().for_each(|it| levels.set(it, 5));
        let forgotten = sources.clone().filter(|it| levels.of(*it) == 0).count();
        assert!(forgotten * 100 < ROOM, "{forgotten}");
    }

    #[test]
    fn what_is_kept_takes_the_place_of_what_is_emptier_alone_and_says_what_is_forgotten() {
        let mut levels = Levels::new(WAYS, 1);
        let found = (0..WAYS as u64).map(|it| levels.keep(it, 10 + it)).max();
        assert_eq!(found, Some(0));
        assert_eq!(levels.keep(100, 5), 5, "it is the emptiest");
        assert_eq!(levels.keep(101, 20), 10, "that of 0 was");
        assert_eq!(levels.keep(1, 12), 0, "it has a place");
        assert_eq!([0, 1, 100, 101].map(|it| levels.of(it)), [0, 12, 0, 20]);
    }

    #[test]
    fn what_is_known_is_known_in_another_room() {
        let mut levels = Levels::new(64, 1);
        (1..=8).for_each(|it| levels.set(it, it));
        for room in [4_096, 4_095, 64] {
            levels.resize(room);
            assert!((1..=8).all(|it| levels.of(it) == it), "{room}");
        }
        levels.resize(1);
        levels.set(9, 9);
        assert_eq!((1..=9).filter(|it| levels.of(*it) > 0).count(), WAYS);
        assert_eq!((levels.of(1), levels.of(9)), (0, 9));
    }
}
