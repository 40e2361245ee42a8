//! One line in the log where there could be thousands: what strangers can bring about is told at a
//! bounded rate.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// When the next line of one kind is due, and how many have been left out since the last one.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<(Option<Instant>, u64)>);

impl Pace {
    /// Whether there is a line to be written `now`: if so, how many were left out before it.
    pub(super) fn line(&self, now: Instant) -> Option<u64> {
        let (due, left_out) = &mut *self.0.lock();
        if due.is_some_and(|due| now < due) {
            *left_out += 1;
            return None;
        }
        *due = Some(now + INTERVAL);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_a_second_and_it_says_how_many_were_left_out() {
        let (pace, begin) = (Pace::default(), Instant::now());
        assert_eq!(pace.line(begin), Some(0));
        for _ in 0..7 {
            assert_eq!(pace.line(begin + INTERVAL / 2), None);
        }
        assert_eq!(pace.line(begin + INTERVAL), Some(7));
        assert_eq!(pace.line(begin + INTERVAL), None);
        assert_eq!(pace.line(begin + INTERVAL * 5), Some(1));
        assert_eq!(pace.line(begin + INTERVAL * 6), Some(0));
    }
}
