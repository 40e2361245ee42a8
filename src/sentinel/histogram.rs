//! How large most of them are: a histogram with logarithmic buckets.

use super::panes::Pane;

const BUCKETS: usize = 96;
/// Buckets for each doubling.
const PER_OCTAVE: f64 = 4.0;

/// Numbers from 1 to 2^24, four buckets for each doubling: a quantile is off by 9% at most. What is less
/// counts as 1, and what is more as 2^24.
#[derive(Clone, Debug)]
pub(super) struct Histogram([u32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    /// Adds `number`, so many times.
    pub(super) fn add(&mut self, number: f64, times: u32) {
        let bucket = (number.max(1.0).log2() * PER_OCTAVE).floor() as usize;
        let bucket = &mut self.0[bucket.min(BUCKETS - 1)];
        *bucket = bucket.saturating_add(times);
    }

    /// The number that a part `quantile` of them does not exceed; 0 of nothing.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        let total: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let wanted = (total as f64 * quantile).ceil().max(1.0);
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += u64::from(*count);
            if seen > 0 && seen as f64 >= wanted {
                return ((bucket as f64 + 0.5) / PER_OCTAVE).exp2();
            }
        }
        0.0
    }
}

impl Pane for Histogram {
    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_off_by_a_bucket_at_most(
            mut numbers in prop::collection::vec(1.0..1e6_f64, 1..200),
            quantile in 0.01..1.0_f64,
        ) {
            let mut histogram = Histogram::default();
            numbers.iter().for_each(|number| histogram.add(*number, 1));
            numbers.sort_by(f64::total_cmp);
            let at = (numbers.len() as f64 * quantile).ceil() as usize - 1;
            let ratio = histogram.quantile(quantile) / numbers[at];
            prop_assert!((0.91..1.1).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn nothing_has_no_quantile_and_what_is_too_large_is_the_largest() {
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
        let mut histogram = Histogram::default();
        [f64::MAX, f64::INFINITY, 1e30].into_iter().for_each(|it| histogram.add(it, 1));
        assert!(histogram.quantile(1.0) < 2_f64.powi(24));
    }
}
