//! A rate: so much at once, and so much in a time after that.

use std::num::NonZeroU32;

const NANOSECONDS: u128 = 1_000_000_000;

/// A rate, told by the generic cell rate algorithm (GCRA, ITU-T I.371): a bucket is a single number,
/// its *level*, the time at which it will be empty. All times are nanoseconds of one clock, whose
/// beginning does not matter; a level of 0 is that of an empty bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many flow out in `period`.
    count: u64,
    /// In nanoseconds.
    period: u128,
    /// How far a level may be ahead of the time, in nanoseconds.
    depth: u64,
}

impl Rate {
    /// `count` in so many `seconds`, and `burst` at once.
    #[must_use]
    pub fn new(count: NonZeroU32, seconds: NonZeroU32, burst: NonZeroU32) -> Self {
        let period = u128::from(seconds.get()) * NANOSECONDS;
        let mut this = Self { count: count.get().into(), period, depth: 0 };
        this.depth = this.time_of(burst.get().into());
        this
    }

    /// Puts `count` into a bucket, where it fits: the level after that. What is more than a whole
    /// bucket fits into an empty one, and is then waited for by what comes next: otherwise it would
    /// never fit.
    #[must_use]
    pub fn admit(self, level: u64, now: u64, count: u64) -> Option<u64> {
        let after = self.add(level, now, count);
        let fits = level <= now || after - now <= self.depth;
        fits.then_some(after)
    }

    /// The level of a bucket once `count` has been put into it, whether it fits or not.
    #[must_use]
    pub fn add(self, level: u64, now: u64, count: u64) -> u64 {
        level.max(now).saturating_add(self.time_of(count))
    }

    /// For how long, in nanoseconds, a bucket of this level is fuller than it may be.
    #[must_use]
    pub fn excess(self, level: u64, now: u64) -> u64 {
        level.saturating_sub(now.saturating_add(self.depth))
    }

    /// How long it takes until so many have flowed out.
    fn time_of(self, count: u64) -> u64 {
        let nanoseconds = u128::from(count).saturating_mul(self.period) / u128::from(self.count);
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u32, seconds: u32, burst: u32) -> Rate {
        let [count, seconds, burst] =
            [count, seconds, burst].map(|it| NonZeroU32::new(it).unwrap());
        Rate::new(count, seconds, burst)
    }

    /// How many single ones are admitted at these times.
    fn admitted(rate: Rate, times: impl IntoIterator<Item = u64>) -> usize {
        let mut level = 0;
        let mut admit = |now: &u64| match rate.admit(level, *now, 1) {
            Some(after) => {
                level = after;
                true
            }
            None => false,
        };
        times.into_iter().filter(|now| admit(now)).count()
    }

    #[test]
    fn a_burst_comes_at_once_and_the_rate_after_it() {
        let rate = rate(10, 1, 5);
        let start = 7 * SECOND;
        assert_eq!(admitted(rate, [start; 100]), 5);
        let steady = (0..1_000).map(|step| start + step * SECOND / 100);
        // Ten seconds at a hundred a second.
        let count = admitted(rate, steady);
        assert!((100..=105).contains(&count), "{count}");
        let slow = (0..100).map(|step| start + step * SECOND / 10);
        assert_eq!(admitted(rate, slow), 100);
    }

    #[test]
    fn what_is_more_than_a_bucket_fits_an_empty_one_and_is_made_up_for() {
        let rate = rate(100, 1, 10);
        let after = rate.admit(0, SECOND, 1_000).unwrap();
        assert_eq!(after, 11 * SECOND);
        assert_eq!(rate.admit(after, 2 * SECOND, 1), None);
        assert_eq!(rate.excess(after, 2 * SECOND), 9 * SECOND - SECOND / 10);
        assert!(rate.admit(after, 11 * SECOND, 1).is_some());
    }

    #[test]
    fn who_is_made_to_wait_waits_until_the_bucket_has_room_again() {
        let rate = rate(60, 60, 2);
        let mut level = 0;
        for (count, excess) in [(1, 0), (1, 0), (1, SECOND), (1, 2 * SECOND)] {
            level = rate.add(level, SECOND, count);
            assert_eq!(rate.excess(level, SECOND), excess);
        }
        assert_eq!(rate.excess(level, 3 * SECOND), 0);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let slowest = rate(1, u32::MAX, u32::MAX);
        let level = slowest.add(u64::MAX - 1, 0, u64::MAX);
        assert_eq!(level, u64::MAX);
        assert_eq!(slowest.excess(level, u64::MAX), 0);
        assert!(slowest.admit(0, u64::MAX, u64::MAX).is_some());
    }
}
