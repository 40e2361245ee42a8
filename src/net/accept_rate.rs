//! How fast a listener lets connections in: a crowd waits at the door, where it costs nothing, rather than
//! before those who are inside.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The resolution of timers: fewer connections than come due in it need no rest between them.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A rest lasts longer than was asked for, by the tick of a timer and by a scheduler that is busy: what is
/// lost by that is made up for, up to as much as this.
const MADE_UP_FOR: Duration = Duration::from_millis(5);

/// Spreads connections over time: a token bucket, told by when it will be full (GCRA).
#[derive(Debug)]
pub(super) struct AcceptRate {
    /// From one connection to the next.
    interval: Duration,
    /// When all that have been accepted would have been, had they come evenly.
    due: Instant,
}

impl AcceptRate {
    /// So many a second where as many come, and after a rest no more at once than come due in 6 ms.
    pub(super) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let mut this = Self { interval: Duration::ZERO, due: now };
        this.follow(per_second);
        this
    }

    /// So many a second from now on.
    pub(super) fn follow(&mut self, per_second: NonZeroU32) {
        self.interval = Duration::from_secs(1) / per_second.get();
    }

    /// Counts a connection; for how long none is to be accepted after it.
    pub(super) fn rest_after(&mut self, now: Instant) -> Option<Duration> {
        let earliest = now.checked_sub(MADE_UP_FOR).unwrap_or(now);
        self.due = self.due.max(earliest) + self.interval;
        let ahead = self.due.saturating_duration_since(now);
        (ahead > AT_ONCE).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// When each connection is accepted in ten seconds, from a backlog that never empties, where each
    /// rest lasts as much longer as `late` says.
    fn accepted(per_second: u32, late: impl Fn(Duration) -> Duration) -> Vec<Duration> {
        let begin = Instant::now();
        let mut rate = AcceptRate::new(NonZeroU32::new(per_second).unwrap(), begin);
        let (mut after, mut accepted) = (Duration::ZERO, Vec::new());
        while after < Duration::from_secs(10) {
            accepted.push(after);
            if let Some(rest) = rate.rest_after(begin + after) {
                after += rest + late(after + rest);
            }
        }
        accepted
    }

    /// The most in any of the windows of that length which begin with one.
    fn most_in(window: Duration, accepted: &[Duration]) -> usize {
        let in_window = |from: &Duration| {
            accepted.partition_point(|at| *at < *from + window)
                - accepted.partition_point(|at| at < from)
        };
        accepted.iter().map(in_window).max().unwrap_or(0)
    }

    const RATES: [u32; 6] = [1, 7, 999, 1_000, 4_000, 20_000];

    #[test]
    fn a_crowd_is_accepted_at_the_rate_and_no_faster() {
        for per_second in RATES {
            let count = accepted(per_second, |_| Duration::ZERO).len();
            let (expected, rate) = (10 * per_second as usize, per_second as usize);
            let at_once = rate / 1_000 + 1;
            assert!((expected..=expected + at_once).contains(&count), "{per_second}: {count}");
        }
    }

    #[test]
    fn what_timers_lose_is_made_up_for() {
        // To the end of the next tick, and one more.
        let tick = |at: Duration| {
            let into_tick = Duration::from_nanos(u64::from(at.subsec_nanos()) % 1_000_000);
            MILLISECOND * 2 - into_tick
        };
        let busy = |_| MILLISECOND * 4;
        for per_second in RATES {
            for accepted in [accepted(per_second, tick), accepted(per_second, busy)] {
                let (count, expected) = (accepted.len(), 10 * per_second as usize);
                assert!(count + count / 100 + 1 >= expected, "{per_second}: {count}");
                let second = most_in(Duration::from_secs(1), &accepted);
                let bound = per_second as usize + per_second as usize * 6 / 1_000 + 2;
                assert!(second <= bound, "{per_second}: {second} in a second");
            }
        }
    }

    #[test]
    fn after_a_long_rest_no_more_come_at_once_than_are_made_up_for() {
        let begin = Instant::now();
        let mut rate = AcceptRate::new(NonZeroU32::new(2_000).unwrap(), begin);
        for seconds in 1..100 {
            let now = begin + Duration::from_secs(seconds);
            let at_once = (0..).take_while(|_| rate.rest_after(now).is_none()).count();
            assert_eq!(at_once, 12, "those of 6 ms");
        }
    }
}
