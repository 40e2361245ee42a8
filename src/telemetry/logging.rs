//! The log on standard error: for people on a terminal, JSON for machines.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt, reload, util::SubscriberInitExt};

use super::{LogFormat, LogLevel, LogSettings};

/// The log of this process is already somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be set up: {0}")]
pub struct LoggingError(String);

/// Lines that wait for somebody to read standard error, before further ones are dropped.
const WAITING_LINES: usize = 16_384;

/// Keeps the log going. Dropping it writes what still waits, or gives up after a second.
#[must_use = "the log ends with it"]
#[derive(Debug)]
pub struct Log {
    _worker: WorkerGuard,
}

/// Sends the log of the whole process to standard error, from a thread of its own: whoever does not
/// read it loses lines, and does not stop the broker.
///
/// # Errors
/// When the process has a log already, or the level is one that [`LogSettings`] would refuse.
pub fn start(settings: &LogSettings) -> Result<Log, LoggingError> {
    let filter = EnvFilter::try_new(settings.level.as_str())
        .map_err(|error| LoggingError(error.to_string()))?;
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let log = fmt().with_env_filter(filter).with_writer(writer);
    let started = match chosen(settings.format, io::stderr().is_terminal()) {
        Form::Human => {
            let log = log.with_ansi(has_colours()).with_filter_reloading();
            let handle = log.reload_handle();
            log.finish().try_init().map(|()| filtered_by(move |filter| handle.reload(filter)))
        }
        Form::Json => {
            let log = log.json().flatten_event(true).with_current_span(false);
            let log = log.with_filter_reloading();
            let handle = log.reload_handle();
            log.finish().try_init().map(|()| filtered_by(move |filter| handle.reload(filter)))
        }
    };
    started.map(|()| Log { _worker: worker }).map_err(|error| LoggingError(error.to_string()))
}

/// Puts another filter in front of the log, which is the one of the process.
type Filter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

static FILTER: OnceLock<Filter> = OnceLock::new();

fn filtered_by(filter: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static) {
    // A process has one log, which is started once.
    let _ = FILTER.set(Box::new(filter));
}

/// Logs by `level` from now on, where there is a log.
///
/// # Errors
/// When the level is one that [`LogSettings`] would refuse.
pub fn follow(level: &LogLevel) -> Result<(), LoggingError> {
    let filter =
        EnvFilter::try_new(level.as_str()).map_err(|error| LoggingError(error.to_string()))?;
    let Some(put) = FILTER.get() else { return Ok(()) };
    put(filter).map_err(|error| LoggingError(error.to_string()))
}

/// As much of what a client said as belongs into a line of the log.
#[must_use]
pub fn excerpt(said: &str) -> &str {
    const BYTES: usize = 256;
    said.get(..said.floor_char_boundary(BYTES)).unwrap_or(said)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Human,
    Json,
}

fn chosen(format: LogFormat, terminal: bool) -> Form {
    match format {
        LogFormat::Auto if !terminal => Form::Json,
        LogFormat::Json => Form::Json,
        LogFormat::Auto | LogFormat::Human => Form::Human,
    }
}

/// See <https://no-color.org>.
fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
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

    #[test]
    fn people_get_text_and_machines_json_unless_told_otherwise() {
        assert_eq!(chosen(LogFormat::Auto, true), Form::Human);
        assert_eq!(chosen(LogFormat::Auto, false), Form::Json);
        assert_eq!(chosen(LogFormat::Human, false), Form::Human);
        assert_eq!(chosen(LogFormat::Json, true), Form::Json);
    }
}
