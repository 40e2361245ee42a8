//! Which of many are traced: as many of them as a ratio says, by numbers that nobody else has a part in.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Of how many one is traced: from 0, none, to 1, all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Ratio(f64);

/// A number is no ratio.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is no ratio: a number from 0 (none) to 1 (all) is needed")]
pub struct NotARatio(f64);

impl TryFrom<f64> for Ratio {
    type Error = NotARatio;

    fn try_from(number: f64) -> Result<Self, NotARatio> {
        (0.0..=1.0).contains(&number).then_some(Self(number)).ok_or(NotARatio(number))
    }
}

impl Ratio {
    pub(super) const fn of(number: f64) -> Self {
        Self(number)
    }

    /// Of 2^63 numbers, how many mean yes.
    pub(super) fn threshold(self) -> u64 {
        const ALL: f64 = (1_u64 << 63) as f64;
        (self.0 * ALL) as u64
    }
}

/// Decides for one connection, or for one listener, by splitmix64 (Steele, Lea and Flood, 2014). Who knows its
/// decisions learns nothing that matters.
#[derive(Clone, Debug)]
pub(super) struct Sampler(u64);

impl Sampler {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Whether the next one is traced, where so many of 2^63 are.
    pub(super) fn takes(&mut self, threshold: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) >> 1 < threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ratio: f64, of: usize) -> usize {
        let (mut sampler, threshold) = (Sampler::new(7), Ratio::of(ratio).threshold());
        (0..of).filter(|_| sampler.takes(threshold)).count()
    }

    #[test]
    fn all_are_taken_or_none_or_as_many_as_the_ratio_says() {
        assert_eq!(taken(1.0, 10_000), 10_000);
        assert_eq!(taken(0.0, 10_000), 0);
        for (ratio, least, most) in [(0.5, 49_000, 51_000), (0.01, 900, 1_100), (0.001, 70, 130)] {
            let count = taken(ratio, 100_000);
            assert!((least..=most).contains(&count), "{ratio}: {count}");
        }
    }

    #[test]
    fn the_first_of_each_connection_is_as_likely_as_any_other() {
        let threshold = Ratio::of(0.1).threshold();
        let first = (0..10_000).filter(|seed| Sampler::new(*seed).takes(threshold)).count();
        assert!((900..=1_100).contains(&first), "{first}");
    }

    #[test]
    fn what_is_no_ratio_is_refused() {
        for number in [-0.1, 1.1, f64::NAN, f64::INFINITY, -1.0, 100.0] {
            assert!(Ratio::try_from(number).is_err(), "{number}");
        }
        for number in [0.0, 1e-9, 0.5, 1.0] {
            assert_eq!(Ratio::try_from(number), Ok(Ratio(number)));
        }
    }
}
