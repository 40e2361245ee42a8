//! The levels of the buckets of many, in a room that does not grow.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Buckets that may be kept in the same place, which is two lines of memory.
const WAYS: usize = 8;

/// Sets that are moved to another room in one go.
const SETS_AT_ONCE: usize = 1_024;

/// Number and level of each.
type Set = [[u64; 2]; WAYS];

/// A level for each number, of a bounded number of them: 16 bytes each, of which the system only gives what is
/// used. Where there is no room the emptiest bucket of the same place is forgotten, as if nothing had come of
/// it. So the error is on one side only: somebody may do more than they should while very many others do much,
/// and never less for what others did.
#[derive(Debug)]
pub struct Levels {
    sets: Vec<Set>,
    /// What has not been moved since there was another room: the first of what were so many sets.
    leaving: Vec<Set>,
    had: usize,
    /// Nobody who does not know its seed can choose numbers that share a place.
    hasher: FixedState,
}

impl Levels {
    /// Nothing has come yet. There is room for `most`, rounded up to a multiple of 8. `seed` is secret.
    #[must_use]
    pub fn new(most: usize, seed: u64) -> Self {
        let sets = vec![Set::default(); most.div_ceil(WAYS).max(1)];
        Self { sets, leaving: Vec::new(), had: 0, hasher: FixedState::with_seed(seed) }
    }

    /// Has room for `most` from now on: what is there is to be moved by [`Self::move_some`], and known meanwhile.
    /// Nothing happens as long as there is something to be moved by an earlier change, or where that is no
    /// change.
    pub fn resize(&mut self, most: usize) {
        let sets = most.div_ceil(WAYS).max(1);
        if sets != self.sets.len() && self.leaving.is_empty() {
            self.leaving = std::mem::replace(&mut self.sets, vec![Set::default(); sets]);
            self.had = self.leaving.len();
        }
    }

    /// Moves a part of what was there before [`Self::resize`] to where it finds a place. `forget` is told the levels
    /// of buckets that are forgotten. Gives the room that was left, once there is nothing more to be moved.
    pub fn move_some(&mut self, mut forget: impl FnMut(u64)) -> Option<LeftRoom> {
        let rest = self.leaving.len().saturating_sub(SETS_AT_ONCE);
        for at in rest..self.leaving.len() {
            let set = self.leaving.get(at).copied().unwrap_or_default();
            for [number, level] in set.into_iter().filter(|[_, level]| *level > 0) {
                forget(self.keep(number, level));
            }
        }
        self.leaving.truncate(rest);
        (rest == 0).then(|| LeftRoom(std::mem::take(&mut self.leaving)))
    }

    /// That of `number`: 0, an empty bucket, where nothing is known of it.
    #[must_use]
    pub fn of(&self, number: u64) -> u64 {
        let in_set = |set: &Set| {
            let own = set.iter().find(|[other, _]| *other == number);
            own.map(|[_, level]| *level)
        };
        let known = self.sets.get(self.place(number, self.sets.len())).and_then(in_set);
        let leaving = || self.leaving.get(self.place(number, self.had)).and_then(in_set);
        match self.leaving.is_empty() {
            true => known.unwrap_or(0),
            false => known.max(leaving()).unwrap_or(0),
        }
    }

    /// Keeps that of `number`, in the place of the emptiest where there is no room.
    pub(super) fn set(&mut self, number: u64, level: u64) {
        if let Some(slot) = self.slot(number) {
            *slot = [number, level];
        }
    }

    /// Keeps that of `number` where it is fuller than it was, and where there is room, or an emptier one. Gives the
    /// level of the bucket that is forgotten for it, or is it itself; 0 where none is.
    pub fn keep(&mut self, number: u64, level: u64) -> u64 {
        let Some(slot) = self.slot(number) else { return level };
        let forgotten = if slot[0] == number { 0 } else { slot[1].min(level) };
        if slot[1] < level {
            *slot = [number, level];
        }
        forgotten
    }

    /// Where `number` is, or else the emptiest of its place.
    fn slot(&mut self, number: u64) -> Option<&mut [u64; 2]> {
        let place = self.place(number, self.sets.len());
        // Its own place comes before all others.
        let rank = |slot: &&mut [u64; 2]| (slot[0] != number, slot[1]);
        self.sets.get_mut(place)?.iter_mut().min_by_key(rank)
    }

    fn place(&self, number: u64, sets: usize) -> usize {
        self.hasher.hash_one(number) as usize % sets.max(1)
    }
}

/// Room that nothing is in any more, which goes back to the system when it is dropped.
#[derive(Debug)]
pub struct LeftRoom(#[expect(dead_code, reason = "it is only to be dropped")] Vec<Set>);

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

    /// Moves all; how many of what was forgotten was not empty.
    fn move_all(levels: &mut Levels, room: usize) -> usize {
        let mut forgotten = 0;
        levels.resize(room);
        while levels.move_some(|level| forgotten += usize::from(level > 0)).is_none() {}
        forgotten
    }

    #[test]
    fn what_has_no_place_in_a_smaller_room_is_told() {
        let mut levels = Levels::new(ROOM, 3);
        let sources = 1..=ROOM as u64 / 4;
        sources.clone().for_each(|it| levels.set(it, it));
        let known = |levels: &Levels| sources.clone().filter(|it| levels.of(*it) > 0).count();
        let before = known(&levels);
        let forgotten = move_all(&mut levels, ROOM / 16);
        assert_eq!(known(&levels) + forgotten, before);
        assert!(forgotten > ROOM / 8);
        assert_eq!(move_all(&mut levels, ROOM), 0);
    }

    #[test]
    fn while_it_moves_everything_is_known_and_what_changes_stays_changed() {
        let mut levels = Levels::new(ROOM, 3);
        let sources = 1..=ROOM as u64 / 4;
        sources.clone().for_each(|it| levels.set(it, 5));
        let kept: Vec<_> = sources.filter(|it| levels.of(*it) == 5).collect();
        levels.resize(4 * ROOM);
        let (changed, same) = kept.split_at(kept.len() / 2);
        let mut pieces = 0;
        loop {
            assert!(same.iter().all(|it| levels.of(*it) == 5), "{pieces}");
            for number in changed.iter().skip(pieces).step_by(7) {
                assert_eq!(levels.keep(*number, 6), 0);
            }
            assert!(changed.iter().skip(pieces).step_by(7).all(|it| levels.of(*it) == 6));
            pieces += 1;
            let mut forgotten = 0;
            let left = levels.move_some(|level| forgotten = forgotten.max(level));
            assert_eq!(forgotten, 0);
            if left.is_some() {
                break;
            }
        }
        assert_eq!(pieces, ROOM / WAYS / SETS_AT_ONCE);
        assert!(changed.iter().step_by(7).all(|it| levels.of(*it) == 6));
        assert!(same.iter().all(|it| levels.of(*it) == 5));
    }

    #[test]
    fn what_is_known_is_known_in_another_room() {
        let mut levels = Levels::new(64, 1);
        (1..=8).for_each(|it| levels.set(it, it));
        for room in [4_096, 4_095, 64] {
            assert_eq!(move_all(&mut levels, room), 0);
            assert!((1..=8).all(|it| levels.of(it) == it), "{room}");
        }
        move_all(&mut levels, 1);
        levels.set(9, 9);
        assert_eq!((1..=9).filter(|it| levels.of(*it) > 0).count(), WAYS);
        assert_eq!((levels.of(1), levels.of(9)), (0, 9));
    }
}
