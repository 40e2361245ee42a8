//! How fast a listener accepts: a crowd at the door waits in the backlog, where it costs nothing, rather
//! than before those who are inside.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The resolution of timers: fewer connections than come due in it need no rest between them.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Spreads connections over time (GCRA).
#[derive(Debug)]
pub(super) struct AcceptRate {
    /// From one connection to the next.
    interval: Duration,
    /// When all that have been accepted would have been, had they come evenly.
    due: Instant,
}

impl AcceptRate {
    /// At most so many a second, and as many at once as come due within a millisecond.
    pub(super) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.get(), due: now }
    }

    /// Counts a connection; for how long none is to be accepted after it.
    pub(super) fn rest_after(&mut self, now: Instant) -> Option<Duration> {
        self.due = self.due.max(now) + self.interval;
        let ahead = self.due.duration_since(now);
        (ahead > AT_ONCE).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts whenever it may for `time`, from a backlog that never empties: how many in all.
    fn accepted_in(time: Duration, per_second: u32) -> u32 {
        let begin = Instant::now();
        let mut rate = AcceptRate::new(NonZeroU32::new(per_second).unwrap(), begin);
        let (mut now, mut count) = (begin, 0);
        while now < begin + time {
            count += 1;
            now += rate.rest_after(now).unwrap_or_default();
        }
        count
    }

    #[test]
    fn a_crowd_is_accepted_at_the_rate_and_no_faster() {
        for per_second in [1, 7, 999, 1_000, 4_000, 1_000_000] {
            let count = accepted_in(Duration::from_secs(10), per_second);
            let expected = 10 * per_second;
            let at_once = per_second / 1_000 + 1;
            assert!((expected..=expected + at_once).contains(&count), "{per_second}: {count}");
        }
    }

    #[test]
    fn who_comes_alone_waits_for_nobody_however_long_it_was_quiet() {
        let begin = Instant::now();
        let mut rate = AcceptRate::new(NonZeroU32::new(2_000).unwrap(), begin);
        for seconds in 1..100 {
            let now = begin + Duration::from_secs(seconds);
            assert_eq!(rate.rest_after(now), None);
            assert_eq!(rate.rest_after(now), None);
            assert!(rate.rest_after(now).is_some());
        }
    }
}
