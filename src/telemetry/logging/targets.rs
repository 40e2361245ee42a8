//! The targets that there are, and others in their place while the broker runs.

use std::io::{self, Write};
use std::path::PathBuf;

use parking_lot::Mutex;
use tracing_subscriber::layer::{Layer, Layered};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::datagram::{UdpPeer, UnixPeer};
use super::file::LogFile;
use super::guarded::{Complaints, Sink};
use super::queue::{Queue, Worker};
use super::rotated::Keeper;
use super::stream::TcpPeer;
use super::{LoggingError, layers, level};
use crate::telemetry::{LogSettings, LogTarget, SyslogAddress};

/// What all events pass before they come to a target.
type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Layers = Vec<Box<dyn Layer<Filtered> + Send + Sync>>;

/// Those of the log of this process, while it has one.
static TARGETS: Mutex<Option<Targets>> = Mutex::new(None);

/// All that take lines, and what makes lines for them.
pub(super) struct Targets {
    layers: reload::Handle<Layers, Filtered>,
    /// But standard error.
    open: Vec<Target>,
    complaints: Complaints,
    stderr: Queue,
    /// Last: the others complain there until they have ended.
    _stderr: Worker,
}

/// One of them.
struct Target {
    place: Place,
    queue: Queue,
    /// Of files that were set aside, where there are any.
    keeper: Option<Keeper>,
    /// Last: it ends once nobody has the queue.
    _worker: Worker,
}

/// Where lines go. Two targets are the same where their places are.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Stderr,
    File(PathBuf),
    Syslog(SyslogAddress),
    Journald(PathBuf),
}

/// Whether a target has to be there when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// A daemon may be started after the broker; a file cannot.
    Later,
    /// Somebody has just named it.
    Now,
}

/// Targets that are open and take no lines yet. Dropped, they are closed, and all stays as it is.
#[must_use = "nothing has changed yet"]
pub struct Prepared {
    settings: LogSettings,
    opened: Vec<Target>,
}

/// Opens what `settings` name and the log of this process does not go to yet. The level alone needs nothing.
///
/// # Errors
/// When something cannot be opened, or nobody is there. Then nothing has changed.
pub fn prepare(settings: &LogSettings) -> Result<Prepared, LoggingError> {
    let targets = TARGETS.lock();
    let mut opened = Vec::new();
    if let Some(targets) = &*targets {
        let is_open = |place: &Place| targets.open.iter().any(|it| it.place == *place);
        for target in settings.targets.iter().filter(|it| *it != LogTarget::Stderr) {
            if !is_open(&Place::of(target, settings)) {
                opened.push(Target::open(target, settings, &targets.complaints, Presence::Now)?);
            }
        }
    }
    Ok(Prepared { settings: settings.clone(), opened })
}

/// The log ends: what waits is written, or given up after a second for each target.
pub(super) fn end() {
    let Some(targets) = TARGETS.lock().take() else { return };
    // Nobody reads them any more where the subscriber has gone.
    let _ = targets.layers.modify(Vec::clear);
}

impl Prepared {
    /// Has all lines from now on go where the settings say, by the level that they say. Those that have
    /// found their way to a target before are written there.
    ///
    /// # Errors
    /// When the log has ended.
    pub fn take_effect(self) -> Result<(), LoggingError> {
        let Self { settings, opened } = self;
        let retired = match &mut *TARGETS.lock() {
            Some(targets) => targets.replace(&settings, opened)?,
            None => Vec::new(),
        };
        // Without the lock: this waits for what is still written.
        drop(retired);
        level::follow(&settings.level)
    }
}

impl Targets {
    /// Opens all that `settings` name, and gives what makes lines for them.
    pub(super) fn open(
        settings: &LogSettings,
    ) -> Result<(reload::Layer<Layers, Filtered>, Self), LoggingError> {
        let failed = |source| Place::Stderr.failed(source);
        let sink = Stderr(io::stderr());
        let started = Queue::start(LogTarget::Stderr, sink, Complaints::default());
        let (stderr, worker) = started.map_err(failed)?;
        let complaints = Complaints::on(stderr.clone());
        let named = settings.targets.iter().filter(|it| *it != LogTarget::Stderr);
        let open = named.map(|target| Target::open(target, settings, &complaints, Presence::Later));
        let open = open.collect::<Result<Vec<_>, _>>()?;
        complaints.follow(settings.targets.contain(LogTarget::Stderr));
        let (layer, handle) = reload::Layer::new(layers_for(settings, &open, &stderr));
        Ok((layer, Self { layers: handle, open, complaints, stderr, _stderr: worker }))
    }

    /// They are those of this process from now on.
    pub(super) fn begin(self) {
        *TARGETS.lock() = Some(self);
    }

    /// Gives those that take no lines any more.
    fn replace(
        &mut self,
        settings: &LogSettings,
        mut opened: Vec<Target>,
    ) -> Result<Vec<Target>, LoggingError> {
        let named: Vec<_> = settings.targets.iter().map(|it| Place::of(it, settings)).collect();
        let (mut open, retired): (Vec<_>, Vec<_>) =
            self.open.drain(..).partition(|it| named.contains(&it.place));
        open.append(&mut opened);
        self.open = open;
        for keeper in self.open.iter().filter_map(|it| it.keeper.as_ref()) {
            keeper.follow(settings);
        }
        self.complaints.follow(settings.targets.contain(LogTarget::Stderr));
        let mut layers = layers_for(settings, &self.open, &self.stderr);
        let replaced = self.layers.modify(|in_force| std::mem::swap(in_force, &mut layers));
        replaced.map_err(|error| LoggingError::System(error.to_string()))?;
        Ok(retired)
    }
}

fn layers_for(settings: &LogSettings, open: &[Target], stderr: &Queue) -> Layers {
    let queue_of = |target| match Place::of(target, settings) {
        Place::Stderr => Some(stderr.clone()),
        place => open.iter().find(|it| it.place == place).map(|it| it.queue.clone()),
    };
    let layer = |target| Some(layers::layer(target, settings, queue_of(target)?));
    settings.targets.iter().filter_map(layer).collect()
}

impl Target {
    fn open(
        target: LogTarget,
        settings: &LogSettings,
        complaints: &Complaints,
        presence: Presence,
    ) -> Result<Self, LoggingError> {
        let place = Place::of(target, settings);
        let opened = match &place {
            Place::Stderr => started(target, Stderr(io::stderr()), complaints, presence),
            Place::File(path) => {
                LogFile::open(path, settings, complaints.clone()).and_then(|file| {
                    let keeper = file.keeper();
                    let (queue, worker, _) = started(target, file, complaints, presence)?;
                    Ok((queue, worker, Some(keeper)))
                })
            }
            Place::Syslog(SyslogAddress::Unix(path)) | Place::Journald(path) => {
                started(target, UnixPeer::new(path), complaints, presence)
            }
            Place::Syslog(SyslogAddress::Udp { host, port }) => {
                started(target, UdpPeer::new(host, *port), complaints, presence)
            }
            Place::Syslog(SyslogAddress::Tcp { host, port }) => {
                started(target, TcpPeer::new(host, *port), complaints, presence)
            }
        };
        let (queue, worker, keeper) = opened.map_err(|source| place.failed(source))?;
        Ok(Self { place, queue, keeper, _worker: worker })
    }
}

type Started = (Queue, Worker, Option<Keeper>);

fn started(
    target: LogTarget,
    mut sink: impl Sink,
    complaints: &Complaints,
    presence: Presence,
) -> io::Result<Started> {
    if presence == Presence::Now {
        sink.open()?;
    }
    let (queue, worker) = Queue::start(target, sink, complaints.clone())?;
    Ok((queue, worker, None))
}

impl Place {
    fn of(target: LogTarget, settings: &LogSettings) -> Self {
        match target {
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File => Self::File(settings.file.clone().unwrap_or_default()),
            LogTarget::Syslog => Self::Syslog(settings.syslog.clone()),
            LogTarget::Journald => Self::Journald(settings.journald_socket.clone()),
        }
    }

    fn failed(&self, source: io::Error) -> LoggingError {
        let (place, setting) = match self {
            Self::Stderr => ("standard error".to_owned(), "targets"),
            Self::File(path) => (path.display().to_string(), "file"),
            Self::Syslog(address) => (address.to_string(), "syslog"),
            Self::Journald(path) => (path.display().to_string(), "journald_socket"),
        };
        LoggingError::Target { place, setting, source }
    }
}

/// Standard error as a target.
struct Stderr(io::Stderr);

impl Sink for Stderr {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)
    }
}
