//! The levels of the buckets of many, in a room that does not grow.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::Source;

/// Sources that may be kept in the same place, which is two lines of memory.
const WAYS: usize = 8;
/// Places, for 65,536 sources in 1 MiB, of which the system only gives what is used.
const SETS: usize = 1 << 13;

/// Number and level of each.
type Set = [[u64; 2]; WAYS];

/// A level for each source, of a bounded number of sources. Where there is no room the emptiest bucket of
/// the same place is forgotten, as if nothing had come of that source. So the error is on one side only:
/// a source may do more than it should while very many others do much, and never less for what others do.
#[derive(Debug)]
pub(super) struct Levels {
    sets: Vec<Set>,
    /// Nobody who does not know its seed can choose sources that share a place.
    hasher: FixedState,
}

impl Levels {
    /// Nothing has come yet. `seed` is secret.
    pub(super) fn new(seed: u64) -> Self {
        Self { sets: vec![Set::default(); SETS], hasher: FixedState::with_seed(seed) }
    }

    /// That of `source`: 0, an empty bucket, where nothing is known of it.
    pub(super) fn of(&self, source: Source) -> u64 {
        let known = |set: &Set| {
            let own = set.iter().find(|[number, _]| *number == source.number());
            own.map(|[_, level]| *level)
        };
        self.sets.get(self.place(source)).and_then(known).unwrap_or(0)
    }

    /// Keeps that of `source`, in the place of the emptiest where there is no room.
    pub(super) fn set(&mut self, source: Source, level: u64) {
        let (number, place) = (source.number(), self.place(source));
        let Some(set) = self.sets.get_mut(place) else { return };
        // Its own place comes before all others.
        let rank = |slot: &&mut [u64; 2]| (slot[0] != number, slot[1]);
        if let Some(slot) = set.iter_mut().min_by_key(rank) {
            *slot = [number, level];
        }
    }

    fn place(&self, source: Source) -> usize {
        self.hasher.hash_one(source.number()) as usize % SETS
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const MOST_SOURCES: usize = SETS * WAYS;

    fn source(number: u32) -> Source {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn what_was_kept_is_known_and_what_was_not_is_empty() {
        let mut levels = Levels::new(1);
        levels.set(source(1), 10);
        levels.set(source(2), 20);
        levels.set(source(1), 11);
        assert_eq!([1, 2, 3].map(|it| levels.of(source(it))), [11, 20, 0]);
    }

    #[test]
    fn a_million_sources_find_room_and_the_fullest_buckets_stay() {
        let mut levels = Levels::new(7);
        let full = 0..100;
        full.clone().for_each(|it| levels.set(source(it), 1_000_000));
        (1_000..1_001_000).for_each(|it| levels.set(source(it), 1 + u64::from(it % 1_000)));
        assert!(full.clone().all(|it| levels.of(source(it)) == 1_000_000));
        let known = (0..1_001_000).filter(|it| levels.of(source(*it)) > 0).count();
        assert!(known <= MOST_SOURCES && known > MOST_SOURCES * 9 / 10, "{known}");
    }

    #[test]
    fn as_many_as_there_is_room_for_by_half_are_hardly_ever_forgotten() {
        let mut levels = Levels::new(3);
        let sources = 0..MOST_SOURCES as u32 / 2;
        sources.clone().for_each(|it| levels.set(source(it), 5));
        let forgotten = sources.clone().filter(|it| levels.of(source(*it)) == 0).count();
        assert!(forgotten * 50 < sources.len(), "{forgotten}");
    }
}
