//! What operators do about the level of the log.

use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::answers::LogLevelRow;
use super::protocol::Answer;
use crate::telemetry::LogLevel;
use crate::telemetry::logging::{self, LevelInForce, LoggingError};

/// How much later than promised the level goes back, so that its time has surely passed.
const MARGIN: Duration = Duration::from_millis(10);
/// The longest time that a level is another one: 30 days.
const MOST_SECONDS: u32 = 30 * 86_400;

/// Changes the level, for a time if need be.
#[derive(Debug, Default)]
pub(super) struct LogDesk {
    /// What goes back when the time has passed: the last one alone.
    timer: Mutex<Option<AbortHandle>>,
}

impl LogDesk {
    pub(super) fn level(&self) -> Answer {
        answer(logging::in_force())
    }

    pub(super) fn set(&self, level: &str, seconds: Option<NonZeroU32>) -> Answer {
        let level: LogLevel = match level.parse() {
            Ok(level) => level,
            Err(error) => return Answer::Error(error.to_string()),
        };
        if seconds.is_some_and(|seconds| seconds.get() > MOST_SECONDS) {
            return Answer::Error("a level is set for at most 30 days".to_owned());
        }
        let lasts = seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
        let changed = logging::change(level, lasts);
        let timer = lasts.filter(|_| changed.is_ok()).map(|lasts| {
            let back = async move {
                sleep(lasts + MARGIN).await;
                logging::expire();
            };
            tokio::spawn(back).abort_handle()
        });
        self.replace(timer);
        answer(changed)
    }

    pub(super) fn restore(&self) -> Answer {
        self.replace(None);
        answer(logging::restore())
    }

    fn replace(&self, timer: Option<AbortHandle>) {
        if let Some(earlier) = std::mem::replace(&mut *self.timer.lock(), timer) {
            earlier.abort();
        }
    }
}

fn answer(level: Result<LevelInForce, LoggingError>) -> Answer {
    match level {
        Ok(LevelInForce { level, configured, left }) => Answer::LogLevel(LogLevelRow {
            level: level.to_string(),
            configured: configured.to_string(),
            seconds: left.map(|left| left.as_secs_f64().round() as u64),
        }),
        Err(error) => Answer::Error(error.to_string()),
    }
}
