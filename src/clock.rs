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
}
