//! Which level is in force: the one of the configuration, or for a time another one.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::LoggingError;
use crate::telemetry::LogLevel;

/// The filter in front of all targets.
pub(super) type Filter = reload::Handle<EnvFilter, Registry>;

static LEVELS: OnceLock<Levels> = OnceLock::new();

struct Levels {
    filter: Filter,
    state: Mutex<State>,
}

struct State {
    configured: LogLevel,
    changed: Option<Changed>,
}

struct Changed {
    level: LogLevel,
    /// When it goes back by itself.
    until: Option<Instant>,
}

/// What is logged now, and what the configuration says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelInForce {
    /// What is logged.
    pub level: LogLevel,
    /// What the configuration says.
    pub configured: LogLevel,
    /// How long it is another one, unless until the configuration is read anew.
    pub left: Option<Duration>,
}

/// Lets the level be changed from now on. A process has one log, which is started once.
pub(super) fn begin(filter: Filter, configured: LogLevel) -> Result<(), LoggingError> {
    let state = Mutex::new(State { configured, changed: None });
    let levels = LEVELS.get_or_init(|| Levels { filter, state });
    levels.put(&levels.state.lock())
}

/// Logs by `level` from now on, where there is a log: it is the one of the configuration, and ends what
/// [`change`] has done.
///
/// # Errors
/// When the log has ended.
pub(super) fn follow(level: &LogLevel) -> Result<(), LoggingError> {
    let Some(levels) = LEVELS.get() else { return Ok(()) };
    let mut state = levels.state.lock();
    *state = State { configured: level.clone(), changed: None };
    levels.put(&state)
}

/// Logs by `level` for as long as `lasts`, or until [`restore`] or a reload. Whoever gives a time calls
/// [`expire`] when it has passed.
///
/// # Errors
/// When there is no log.
pub fn change(level: LogLevel, lasts: Option<Duration>) -> Result<LevelInForce, LoggingError> {
    let levels = LEVELS.get().ok_or_else(none)?;
    let mut state = levels.state.lock();
    let until = lasts.and_then(|lasts| Instant::now().checked_add(lasts));
    state.changed = Some(Changed { level, until });
    levels.put(&state)?;
    Ok(state.in_force())
}

/// Logs by the level of the configuration again.
///
/// # Errors
/// When there is no log.
pub fn restore() -> Result<LevelInForce, LoggingError> {
    let levels = LEVELS.get().ok_or_else(none)?;
    let mut state = levels.state.lock();
    state.changed = None;
    levels.put(&state)?;
    Ok(state.in_force())
}

/// As [`restore`], where the time of a change has passed.
pub fn expire() {
    let Some(levels) = LEVELS.get() else { return };
    let mut state = levels.state.lock();
    let until = state.changed.as_ref().and_then(|changed| changed.until);
    if until.is_none_or(|until| Instant::now() < until) {
        return;
    }
    // Before and after: one of the two levels may have it, and the other not.
    tracing::info!("the time of this log level is over");
    state.changed = None;
    match levels.put(&state) {
        Ok(()) => tracing::info!(level = %state.configured, "the log level is as configured again"),
        Err(error) => tracing::error!("the log level cannot be set back: {error}"),
    }
}

/// What is logged now.
///
/// # Errors
/// When there is no log.
pub fn in_force() -> Result<LevelInForce, LoggingError> {
    let levels = LEVELS.get().ok_or_else(none)?;
    Ok(levels.state.lock().in_force())
}

fn none() -> LoggingError {
    LoggingError::System("this process has no log".to_owned())
}

impl Levels {
    fn put(&self, state: &State) -> Result<(), LoggingError> {
        let filter = EnvFilter::try_new(state.level().as_str());
        let filter = filter.map_err(|error| LoggingError::System(error.to_string()))?;
        self.filter.reload(filter).map_err(|error| LoggingError::System(error.to_string()))
    }
}

impl State {
    fn level(&self) -> &LogLevel {
        self.changed.as_ref().map_or(&self.configured, |changed| &changed.level)
    }

    fn in_force(&self) -> LevelInForce {
        let until = self.changed.as_ref().and_then(|changed| changed.until);
        LevelInForce {
            level: self.level().clone(),
            configured: self.configured.clone(),
            left: until.map(|until| until.saturating_duration_since(Instant::now())),
        }
    }
}
