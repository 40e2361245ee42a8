//! Windows: which part of the past counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Parts that a sliding window moves by.
const SLICES: u64 = 8;

/// How a window moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The time up to now. It moves in eighths: what counts goes back between seven eighths of its
    /// length and all of it.
    #[default]
    Sliding,
    /// One begins where the last one has ended, and counts from nothing.
    Tumbling,
    /// It lasts until its length has passed without an event.
    Session,
}

/// A window, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How it moves.
    pub shape: Shape,
    /// How long it is, or at a session how long nothing may come.
    pub length: Duration,
}

/// What is kept of one part of a window.
pub(super) trait Pane: Clone + Default {
    fn merge(&mut self, other: &Self);
}

/// What is kept of all parts of a window.
#[derive(Clone, Debug)]
pub(super) struct Panes<T> {
    /// The number of the part that now is in, since the beginning of time.
    newest: u64,
    /// When something was last looked at.
    last: Duration,
    panes: Box<[T]>,
}

impl Window {
    fn slices(self) -> u64 {
        if self.shape == Shape::Sliding { SLICES } else { 1 }
    }

    /// The number of the part that `now` is in.
    fn slice_at(self, now: Duration) -> u64 {
        let length = self.length.as_millis().max(1);
        let slice = now.as_millis().saturating_mul(self.slices().into()) / length;
        u64::try_from(slice).unwrap_or(u64::MAX)
    }
}

impl<T: Pane> Panes<T> {
    pub(super) fn new(window: Window, now: Duration) -> Self {
        let panes = vec![T::default(); window.slices() as usize].into();
        Self { newest: window.slice_at(now), last: now, panes }
    }

    /// The part that `now` is in; what does not count any more is forgotten.
    pub(super) fn newest(&mut self, window: Window, now: Duration) -> &mut T {
        self.move_on(window, now);
        let at = (self.newest % self.panes.len() as u64) as usize;
        &mut self.panes[at]
    }

    /// All that counts at `now`.
    pub(super) fn total(&mut self, window: Window, now: Duration) -> T {
        self.move_on(window, now);
        self.panes.iter().fold(T::default(), |mut total, pane| {
            total.merge(pane);
            total
        })
    }

    fn move_on(&mut self, window: Window, now: Duration) {
        let slices = self.panes.len() as u64;
        let passed = match window.shape {
            Shape::Session if now.saturating_sub(self.last) > window.length => slices,
            Shape::Session => 0,
            Shape::Sliding | Shape::Tumbling => {
                let newest = window.slice_at(now);
                let passed = newest.saturating_sub(self.newest);
                self.newest = newest.max(self.newest);
                passed
            }
        };
        self.last = self.last.max(now);
        for back in 0..passed.min(slices) {
            let at = (self.newest.saturating_sub(back) % slices) as usize;
            self.panes[at] = T::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tally::Tally;
    use super::super::{Event, Kind};
    use super::*;

    const LENGTH: Duration = Duration::from_secs(80);

    fn counts(shape: Shape, times: &[u64]) -> Vec<u64> {
        let window = Window { shape, length: LENGTH };
        let at = |ms: &u64| Duration::from_millis(*ms);
        let mut panes = Panes::<Tally>::new(window, at(&times[0]));
        let count = |ms| {
            panes.newest(window, at(ms)).add(&Event::new(Kind::Denied, ""));
            panes.total(window, at(ms)).count
        };
        times.iter().map(count).collect()
    }

    fn times() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(0..30_000_u64, 1..100).prop_map(|steps| {
            steps
                .iter()
                .scan(5_000, |at, step| {
                    *at += step;
                    Some(*at)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn a_sliding_window_counts_between_seven_eighths_and_all_of_its_length(times in times()) {
            for (at, count) in counts(Shape::Sliding, &times).into_iter().enumerate() {
                let within = |ms: u64| {
                    times[..=at].iter().filter(|it| times[at] - **it < ms).count() as u64
                };
                prop_assert!(within(70_000) <= count && count <= within(80_000), "{count}");
            }
        }

        #[test]
        fn a_tumbling_window_counts_from_its_beginning(times in times()) {
            for (at, count) in counts(Shape::Tumbling, &times).into_iter().enumerate() {
                let same = |it: &&u64| **it / 80_000 == times[at] / 80_000;
                prop_assert_eq!(count, times[..=at].iter().filter(same).count() as u64);
            }
        }

        #[test]
        fn a_session_ends_with_silence(times in times()) {
            let times: Vec<_> = times.iter().map(|it| it * 5).collect();
            let mut expected = 0;
            let mut last = times[0];
            for (at, count) in counts(Shape::Session, &times).into_iter().enumerate() {
                expected = if times[at] - last > 80_000 { 1 } else { expected + 1 };
                last = times[at];
                prop_assert_eq!(count, expected);
            }
        }
    }

    #[test]
    fn time_that_goes_back_counts_as_now() {
        assert_eq!(counts(Shape::Sliding, &[100_000, 20_000, 100_000]), [1, 2, 3]);
    }
}
