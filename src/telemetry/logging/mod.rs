//! The log: standard error, a file, syslog, the journal, each for itself.
//!
//! Whoever logs puts a line into the bounded queue of each target and goes on. A thread of its own takes it
//! from there; what finds no place in the queue, and what the target does not take, is lost and counted.

mod datagram;
mod file;
mod guarded;
mod journald;
mod level;
mod rotated;
mod syslog;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry::LookupSpan, reload};

pub use self::file::reopen;
pub use self::level::{LevelInForce, change, expire, follow, in_force, restore};

use self::datagram::{UdpPeer, UnixPeer};
use self::file::LogFile;
use self::guarded::{Complaints, Guarded, Sink, not_taken};
use super::exposition::{Exposition, Kind};
use super::{Label, LogFormat, LogSettings, LogTarget, SyslogAddress};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log of this process is already somebody else's, or has ended.
    #[error("the log cannot be set up: {0}")]
    System(String),
    /// The file of the log cannot be opened.
    #[error("cannot log to {}: {source}; see `file` in [log]", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Lines that wait for a target, before further ones are dropped.
const WAITING_LINES: usize = 16_384;

/// The queue of each target that there is, by its label. A process has one log.
static DROPPED: [OnceLock<ErrorCounter>; LogTarget::COUNT] =
    [const { OnceLock::new() }; LogTarget::COUNT];

/// Keeps the log going. Dropping it writes what still waits, or gives up after a second for each target.
#[must_use = "the log ends with it"]
#[derive(Debug)]
pub struct Log {
    _workers: Vec<WorkerGuard>,
}

/// Sends the log of the whole process to its targets, each from a thread of its own: one that takes nothing
/// loses lines, and stops neither the broker nor the others.
///
/// # Errors
/// When the process has a log already, or the file cannot be opened.
pub fn start(settings: &LogSettings) -> Result<Log, LoggingError> {
    // Libraries that log by another way are asked about once: they may say all, and the filter decides.
    let (filter, handle) = reload::Layer::new(EnvFilter::new("trace"));
    let mut targets = Targets::default();
    if !settings.targets.contain(LogTarget::Stderr) {
        let (queue, worker) = queue("log-stderr", io::stderr());
        (targets.complaints, targets.workers) = (Complaints(Some(queue)), vec![worker]);
    }
    for target in settings.targets.iter() {
        targets.add(target, settings)?;
    }
    let Targets { layers, workers, .. } = targets;
    let subscriber = tracing_subscriber::registry().with(filter).with(layers);
    subscriber.try_init().map_err(|error| LoggingError::System(error.to_string()))?;
    level::begin(handle, settings.level.clone())?;
    Ok(Log { _workers: workers })
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
        let dropped = DROPPED.get(target.index()).and_then(OnceLock::get);
        let dropped = dropped.map_or(0, |dropped| dropped.dropped_lines() as u64);
        to.sample(name, &target.pairs(), not_taken(target).saturating_add(dropped));
    }
}

/// What all events pass before they come to a target.
type Filtered = tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>;

/// Those that were set up so far.
#[derive(Default)]
struct Targets {
    layers: Vec<Box<dyn Layer<Filtered> + Send + Sync>>,
    workers: Vec<WorkerGuard>,
    complaints: Complaints,
}

impl Targets {
    fn add(&mut self, target: LogTarget, settings: &LogSettings) -> Result<(), LoggingError> {
        let layer = match target {
            LogTarget::Stderr => {
                let is_terminal = io::stderr().is_terminal();
                let queue = self.queue(target, Stderr(io::stderr()));
                lines(chosen(settings.format, is_terminal), is_terminal && has_colours(), queue)
            }
            LogTarget::File => {
                let path = settings.file.clone().unwrap_or_default();
                let file = LogFile::open(&path, settings, self.complaints.clone())
                    .map_err(|source| LoggingError::File { path, source })?;
                lines(chosen(settings.format, false), false, self.queue(target, file))
            }
            LogTarget::Syslog => {
                let queue = match &settings.syslog {
                    SyslogAddress::Unix(path) => self.queue(target, UnixPeer::new(path)),
                    SyslogAddress::Udp { host, port } => {
                        self.queue(target, UdpPeer::new(host, *port))
                    }
                };
                let composer = syslog::Composer::new(settings);
                Composed { compose: move |event: &Event<'_>| composer.compose(event), queue }
                    .boxed()
            }
            LogTarget::Journald => {
                let queue = self.queue(target, UnixPeer::new(&settings.journald_socket));
                Composed { compose: journald::compose, queue }.boxed()
            }
        };
        self.layers.push(layer);
        Ok(())
    }

    fn queue(&mut self, target: LogTarget, sink: impl Sink) -> NonBlocking {
        let guarded = Guarded::new(target, sink, self.complaints.clone());
        let (queue, worker) = queue(&format!("log-{target}"), guarded);
        if let Some(dropped) = DROPPED.get(target.index()) {
            let _ = dropped.set(queue.error_counter());
        }
        self.workers.push(worker);
        queue
    }
}

fn queue(thread: &str, to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    builder.thread_name(thread).finish(to)
}

/// Standard error as a target.
struct Stderr(io::Stderr);

impl Sink for Stderr {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)
    }
}

fn lines<S>(form: Form, ansi: bool, queue: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(queue);
    match form {
        Form::Human => layer.with_ansi(ansi).fmt_fields(text::ForPeople).boxed(),
        Form::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// A target with a form of its own.
struct Composed<F> {
    compose: F,
    queue: NonBlocking,
}

impl<S, F> Layer<S> for Composed<F>
where
    S: Subscriber,
    F: Fn(&Event<'_>) -> Vec<u8> + Send + Sync + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // It does not fail: what finds no place is counted there.
        let _ = self.queue.clone().write_all(&(self.compose)(event));
    }
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
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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
