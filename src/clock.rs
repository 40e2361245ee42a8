//! What time it is: the one place that reads a clock, so that everything below can be simulated.

mod moment;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use moment::{End, Moment, NotAnEnd};

/// One reading of both clocks, taken once per round of work and passed down as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: deadlines, keep alive, expiry.
    pub instant: Instant,
    /// The wall clock, since the Unix epoch: what is shown or leaves the process.
    pub unix: Duration,
}

impl Now {
    /// Reads the clocks of this machine.
    #[must_use]
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// This moment, `later` on: how simulations and tests let time pass.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self { instant: self.instant + later, unix: self.unix + later }
    }

    /// The time of day at `instant`, in milliseconds since the Unix epoch: how a deadline outlives the
    /// process.
    #[must_use]
    pub fn unix_ms_of(self, instant: Instant) -> u64 {
        let unix = match instant.checked_duration_since(self.instant) {
            Some(later) => self.unix.saturating_add(later),
            None => self.unix.saturating_sub(self.instant.saturating_duration_since(instant)),
        };
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// When it is this many milliseconds since the Unix epoch: this moment, where that has passed; nothing
    /// where no clock of this machine comes so far.
    #[must_use]
    pub fn instant_of(self, unix_ms: u64) -> Option<Instant> {
        let later = Duration::from_millis(unix_ms).saturating_sub(self.unix);
        self.instant.checked_add(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_goes_on_as_a_time_of_day() {
        let now = Now::read();
        let deadline = now.instant + Duration::from_secs(100);
        let unix_ms = now.unix_ms_of(deadline);
        let later = Now { instant: now.instant, unix: now.unix + Duration::from_secs(40) };
        let left = later.instant_of(unix_ms).unwrap() - later.instant;
        assert!(
            left <= Duration::from_secs(60) && left > Duration::from_millis(59_998),
            "{left:?}"
        );
        let past = Now { instant: now.instant, unix: now.unix + Duration::from_secs(400) };
        assert_eq!(past.instant_of(unix_ms), Some(past.instant));
        let before = now.instant - Duration::from_millis(5);
        assert!(now.unix_ms_of(before) < now.unix_ms_of(now.instant));
    }
}
