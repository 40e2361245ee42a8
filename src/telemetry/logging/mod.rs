//! The log: standard error, a file, syslog, the journal, each for itself.
//!
//! Whoever logs puts a line into the bounded queue of each target and goes on. A thread of its own takes it
//! from there; what finds no place in the queue, and what the target does not take, is lost and counted.

mod datagram;
mod file;
mod guarded;
mod journald;
mod layers;
mod level;
mod queue;
mod rotated;
mod stream;
mod syslog;
mod targets;
mod text;

use std::io;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

pub use self::file::reopen;
pub use self::level::{LevelInForce, change, expire, in_force, restore};
pub use self::targets::{Prepared, prepare};

use self::targets::Targets;
use super::exposition::{Exposition, Kind};
use super::{Label, LogSettings, LogTarget};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log of this process is already somebody else's, or has ended.
    #[error("the log cannot be set up: {0}")]
    System(String),
    /// A target cannot be opened.
    #[error("cannot log to {place}: {source}; see `{setting}` in [log]")]
    Target {
        /// A file, a socket or an address.
        place: String,
        /// What names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Keeps the log going. Dropping it writes what still waits, or gives up after a second for each target.
#[must_use = "the log ends with it"]
#[derive(Debug)]
pub struct Log(());

/// Sends the log of the whole process to its targets, each from a thread of its own: one that takes nothing
/// loses lines, and stops neither the broker nor the others.
///
/// # Errors
/// When the process has a log already, or the file cannot be opened.
pub fn start(settings: &LogSettings) -> Result<Log, LoggingError> {
    // Libraries that log by another way are asked about once: they may say all, and the filter decides.
    let (filter, levels) = reload::Layer::new(EnvFilter::new("trace"));
    let (layers, targets) = Targets::open(settings)?;
    let subscriber = tracing_subscriber::registry().with(filter).with(layers);
    subscriber.try_init().map_err(|error| LoggingError::System(error.to_string()))?;
    targets.begin();
    let log = Log(());
    level::begin(levels, settings.level.clone())?;
    Ok(log)
}

impl Drop for Log {
    fn drop(&mut self) {
        targets::end();
    }
}

/// As much of what a client said as belongs into a line of the log.
#[must_use]
pub fn excerpt(said: &str) -> &str {
    const BYTES: usize = 256;
    said.get(..said.floor_char_boundary(BYTES)).unwrap_or(said)
}

/// Adds how many lines each target has lost.
pub(super) fn expose(to: &mut Exposition) {
    let name = "bastionmq_log_lines_lost_total";
    to.family(name, Kind::Counter, "Lines of the log that a target has not taken, or not in time");
    for target in (0..LogTarget::COUNT).filter_map(LogTarget::at) {
        to.sample(name, &target.pairs(), queue::lost(target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt(&"é".repeat(300)), "é".repeat(128));
        assert_eq!(excerpt(&format!("x{}", "é".repeat(300))).len(), 255);
    }
}
