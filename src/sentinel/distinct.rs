//! How many different ones: exact while they are few, estimated in a fixed room when they are many.

/// What is kept one by one.
const FEW: usize = 32;
/// Cells of the estimate.
const CELLS: usize = 256;

/// What was seen when, as long as there are no more than 32 different ones. Hashes stand for what they are of.
#[derive(Clone, Debug, Default)]
pub(super) struct Few(Vec<(u64, u32)>);

/// What was seen when.
///
/// Up to 32 are counted exactly. Beyond that it is linear counting (Whang et al. 1990) with the time of the
/// latest in each of 256 cells: the standard error is about 5% at 100, and 11% at 1,000; more than 1,400 are
/// counted as 1,400.
#[derive(Clone, Debug)]
pub(super) enum Distinct {
    Few(Few),
    Many(Box<[u32; CELLS]>),
}

impl Few {
    /// As [`Distinct::insert`]. Says nothing where there is no room for it.
    pub(super) fn insert(&mut self, hash: u64, tick: u32, oldest: u32) -> Option<bool> {
        let Self(seen) = self;
        seen.retain(|(_, at)| *at >= oldest);
        if let Some((_, at)) = seen.iter_mut().find(|(known, _)| *known == hash) {
            *at = tick.max(*at);
            return Some(false);
        }
        if seen.is_empty() {
            // Most keys have seen one, and never another.
            seen.reserve_exact(1);
        }
        let has_room = seen.len() < FEW;
        if has_room {
            seen.push((hash, tick));
        }
        has_room.then_some(true)
    }
}

impl Distinct {
    pub(super) fn new() -> Self {
        Self::Few(Few::default())
    }

    /// Notes that `hash` was seen at `tick`, which is 1 or more. What was last seen before `oldest` is
    /// forgotten. Says whether it was not known.
    pub(super) fn insert(&mut self, hash: u64, tick: u32, oldest: u32) -> bool {
        match self {
            Self::Few(few) => {
                if let Some(is_new) = few.insert(hash, tick, oldest) {
                    return is_new;
                }
                let mut cells = Box::new([0; CELLS]);
                for (hash, at) in few.0.iter().chain([&(hash, tick)]) {
                    let cell = &mut cells[cell_of(*hash)];
                    *cell = (*cell).max(*at);
                }
                *self = Self::Many(cells);
                true
            }
            Self::Many(cells) => {
                let cell = &mut cells[cell_of(hash)];
                let is_new = *cell < oldest;
                *cell = tick.max(*cell);
                is_new
            }
        }
    }

    /// How many were seen at `oldest` or later.
    pub(super) fn count(&self, oldest: u32) -> f64 {
        match self {
            Self::Few(Few(seen)) => seen.iter().filter(|(_, at)| *at >= oldest).count() as f64,
            Self::Many(cells) => {
                let empty = cells.iter().filter(|at| **at < oldest).count().max(1) as f64;
                // Rounded, so that a threshold is met by who meets it.
                (CELLS as f64 * (CELLS as f64 / empty).ln()).round()
            }
        }
    }
}

fn cell_of(hash: u64) -> usize {
    (hash % CELLS as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::BuildHasher;

    use foldhash::quality::FixedState;
    use proptest::prelude::*;

    use super::*;

    fn hash(value: u32) -> u64 {
        FixedState::with_seed(7).hash_one(value)
    }

    proptest! {
        #[test]
        fn few_are_counted_as_they_are(
            seen in prop::collection::vec((0..12_u32, 0..3_u32), 1..200),
        ) {
            let (mut distinct, mut model) = (Distinct::new(), HashMap::new());
            let mut tick = 1;
            for (value, step) in seen {
                tick += step;
                let oldest = tick.saturating_sub(9);
                let was_known = model.insert(value, tick).is_some_and(|at| at >= oldest);
                prop_assert_eq!(distinct.insert(hash(value), tick, oldest), !was_known);
                let expected = model.values().filter(|at| **at >= oldest).count() as f64;
                prop_assert_eq!(distinct.count(oldest), expected);
            }
        }
    }

    #[test]
    fn many_are_estimated_within_the_stated_error() {
        for (many, most_off) in [(50, 0.12), (100, 0.15), (400, 0.2), (1_000, 0.33)] {
            let mut distinct = Distinct::new();
            (0..many).for_each(|value| {
                distinct.insert(hash(value), 1, 1);
            });
            let off = (distinct.count(1) / f64::from(many) - 1.0).abs();
            assert!(off < most_off, "{many} are {}", distinct.count(1));
        }
    }

    #[test]
    fn what_was_long_ago_is_not_counted_among_many_either() {
        let mut distinct = Distinct::new();
        (0..200).for_each(|value| {
            distinct.insert(hash(value), 1, 1);
        });
        (0..20).for_each(|value| {
            distinct.insert(hash(value), 2, 1);
        });
        let count = distinct.count(2);
        assert!((18.0..=22.0).contains(&count), "{count}");
    }
}
