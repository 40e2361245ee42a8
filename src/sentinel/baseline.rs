//! What is usual: a mean and a variance that follow slowly.

/// How much of a difference is taken up at once, when enough has been seen.
const WEIGHT: f64 = 0.02;
/// Below this part of the mean, differences are nothing out of the ordinary however steady it was.
const LEAST_DEVIATION: f64 = 0.1;

/// An exponentially weighted mean and variance (Finch 2009), in the first steps those of all that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    seen: u32,
    mean: f64,
    variance: f64,
}

impl Baseline {
    /// By how many standard deviations `number` is more than is usual, once `warm_up` of them were seen;
    /// before that, 0. What is further off than `most` deviations is taken up as if it were only that, so
    /// that nobody makes the unusual usual at once.
    pub(super) fn deviation(&mut self, number: f64, warm_up: u32, most: f64) -> f64 {
        let deviation = (number - self.mean) / self.spread();
        let is_warm = self.seen >= warm_up;
        let taken = match is_warm && deviation > most {
            true => self.mean + most * self.spread(),
            false => number,
        };
        self.take_up(taken);
        if is_warm { deviation } else { 0.0 }
    }

    fn spread(&self) -> f64 {
        self.variance.sqrt().max(self.mean.abs() * LEAST_DEVIATION).max(1.0)
    }

    fn take_up(&mut self, number: f64) {
        let weight = (1.0 / (f64::from(self.seen) + 1.0)).max(WEIGHT);
        let difference = number - self.mean;
        self.mean += weight * difference;
        self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_not_out_of_the_ordinary_and_the_unusual_is() {
        let mut baseline = Baseline::default();
        for step in 0..500_u32 {
            let number = 100.0 + f64::from(step % 21) - 10.0;
            assert!(baseline.deviation(number, 30, 6.0) < 4.0);
        }
        assert!(baseline.deviation(1_000.0, 30, 6.0) > 50.0);
    }

    #[test]
    fn one_outlier_does_not_make_the_next_one_usual() {
        let mut baseline = Baseline::default();
        (0..200).for_each(|_| {
            baseline.deviation(50.0, 30, 6.0);
        });
        for _ in 0..5 {
            assert!(baseline.deviation(5_000.0, 30, 6.0) > 6.0);
        }
    }

    #[test]
    fn a_change_that_stays_becomes_usual() {
        let mut baseline = Baseline::default();
        (0..200).for_each(|_| {
            baseline.deviation(50.0, 30, 6.0);
        });
        (0..500).for_each(|_| {
            baseline.deviation(150.0, 30, 6.0);
        });
        assert!(baseline.deviation(150.0, 30, 6.0) < 1.0);
    }

    #[test]
    fn nothing_is_said_before_enough_was_seen() {
        let mut baseline = Baseline::default();
        for _ in 0..30 {
            assert_eq!(baseline.deviation(1.0, 30, 6.0), 0.0);
        }
        assert!(baseline.deviation(1_000.0, 30, 6.0) > 6.0);
    }
}
