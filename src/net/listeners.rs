//! The listeners that are open, and how others take their place while the broker runs: as a whole, or
//! not at all.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::endpoint::Difference;
use super::entrance::Entrance;
use super::listener::{BindError, ListenError, Listener};
use super::{BindAddress, Endpoint, Shared};
use crate::tls::ListenerTls;
use crate::unix::UnixSocketError;

/// The listeners of a broker.
#[derive(Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
    entrance: Entrance,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// In the order of the configuration.
    open: Vec<Arc<Listener>>,
    /// Who judges the certificates of those who have come by a listener, by its name. One that is
    /// closed goes on being known: the sessions of its clients wait, and its certificates are believed
    /// as they last were.
    judges: HashMap<Arc<str>, Arc<ListenerTls>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Whoever connects waits.
    Bound,
    Serving,
    Stopped,
}

/// Other listeners than those that are open, everything that could fail having been done. Dropped, it
/// changes nothing.
#[derive(Debug)]
pub struct Rearrangement {
    listeners: Arc<Listeners>,
    /// In the order of the configuration.
    planned: Vec<Planned>,
    closed: Vec<Arc<Listener>>,
    /// Whose files have been changed already.
    changed_files: ChangedFiles,
}

#[derive(Debug)]
enum Planned {
    /// One that is open, and what it is to offer.
    Goes(Arc<Listener>, Box<Endpoint>),
    /// One that is bound, and opens.
    Comes(Box<Listener>),
}

/// Unix sockets that have got another mode: the earlier one again, when this is dropped.
#[derive(Debug, Default)]
struct ChangedFiles(Vec<Arc<Listener>>);

impl Listeners {
    /// Those that are `bound` at the `entrance`: they accept nobody before [`Self::serve`]. Certificates are
    /// judged by them from now on. Call it on the runtime that is to serve those who come.
    #[must_use]
    pub fn new(shared: Arc<Shared>, bound: Vec<Listener>, entrance: Entrance) -> Self {
        let open = bound.into_iter().map(Arc::new).collect::<Vec<_>>();
        let mut state = State { phase: Phase::Bound, open, judges: HashMap::new() };
        for listener in &state.open {
            let terms = listener.terms();
            if let Some(tls) = &terms.endpoint.tls {
                state.judges.insert(Arc::clone(&terms.name), Arc::clone(tls));
            }
        }
        shared.broker.judge_certificates_by(state.judges.clone());
        Self { shared, entrance, runtime: Handle::current(), state: Mutex::new(state) }
    }

    /// Where clients can connect, in the order of the configuration.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.state.lock().open.iter().map(|listener| listener.url().to_string()).collect()
    }

    /// The TLS of those that have any.
    #[must_use]
    pub fn tls(&self) -> Vec<Arc<ListenerTls>> {
        let state = self.state.lock();
        state.open.iter().filter_map(|listener| listener.terms().endpoint.tls.clone()).collect()
    }

    /// Accepts connections from now on.
    pub fn serve(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Serving;
        for listener in &state.open {
            listener.start(&self.shared, &self.entrance, &self.runtime);
        }
    }

    /// Accepts no more, and sends away whoever has not been let in yet. Returns once all sockets are
    /// closed.
    pub async fn stop(&self) {
        let open = {
            let mut state = self.state.lock();
            state.phase = Phase::Stopped;
            std::mem::take(&mut state.open)
        };
        for listener in &open {
            listener.stop(&self.shared.broker);
        }
        for listener in open {
            listener.stopped().await;
        }
    }

    /// Binds those of `endpoints` that are not open yet, and plans for the others. Which is which goes
    /// by the URL as it is written, and then by the address. What is open goes on as it is.
    ///
    /// # Errors
    /// The first that cannot be bound; all is then as it was.
    pub fn rearrange(
        self: &Arc<Self>,
        endpoints: Vec<Endpoint>,
    ) -> Result<Rearrangement, ListenError> {
        let _entrance = self.entrance.enter();
        let settings = self.shared.settings.load_full();
        let open = self.state.lock().open.clone();
        let (found, closed) = find(&endpoints, open.clone());
        let planned = endpoints.into_iter().zip(found).map(|(endpoint, found)| match found {
            Some(listener) => Ok(Planned::Goes(listener, Box::new(endpoint))),
            None => {
                let address = endpoint.address.clone();
                let listener = Listener::bind(endpoint, &settings);
                let listener = listener.map_err(|error| blame(error, &address, &open))?;
                Ok(Planned::Comes(Box::new(listener)))
            }
        });
        let planned = planned.collect::<Result<Vec<_>, ListenError>>()?;
        let mut changed_files = ChangedFiles::default();
        for each in &planned {
            if let Planned::Goes(listener, endpoint) = each {
                changed_files.change(listener, endpoint).map_err(|error| ListenError {
                    url: endpoint.url.to_string(),
                    source: error.into(),
                })?;
            }
        }
        Ok(Rearrangement { listeners: Arc::clone(self), planned, closed, changed_files })
    }
}

/// How much a listener that is open is like one that is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Address,
    Url,
    Everything,
}

impl Likeness {
    fn of(endpoint: &Endpoint, open: &Listener) -> Option<Self> {
        let earlier = &open.terms().endpoint;
        if endpoint.url == earlier.url {
            let is_same = endpoint.difference(earlier) == Difference::None;
            return Some(if is_same { Self::Everything } else { Self::Url });
        }
        (endpoint.address == *open.bound()).then_some(Self::Address)
    }
}

/// The listener among those that are `open` which each of `endpoints` is to be, and those which none
/// is to be. Whatever is most alike comes first: several may be written alike, at ports that the system
/// chooses.
fn find(
    endpoints: &[Endpoint],
    open: Vec<Arc<Listener>>,
) -> (Vec<Option<Arc<Listener>>>, Vec<Arc<Listener>>) {
    let mut open = open.into_iter().map(Some).collect::<Vec<_>>();
    let mut found = endpoints.iter().map(|_| None).collect::<Vec<_>>();
    for likeness in [Likeness::Everything, Likeness::Url, Likeness::Address] {
        for (endpoint, found) in endpoints.iter().zip(&mut found).filter(|(_, it)| it.is_none()) {
            let is_it = |open: &Listener| Likeness::of(endpoint, open) >= Some(likeness);
            let place = open.iter_mut().find(|it| it.as_deref().is_some_and(is_it));
            *found = place.and_then(Option::take);
        }
    }
    (found, open.into_iter().flatten().collect())
}

/// A port may be taken by another listener of this broker, such as one of all addresses.
fn blame(error: ListenError, address: &BindAddress, open: &[Arc<Listener>]) -> ListenError {
    let ListenError { url, source } = error;
    let port = |it: &BindAddress| match it {
        BindAddress::Tcp(address) => Some(address.port()),
        BindAddress::Unix(_) => None,
    };
    let is_taken =
        matches!(&source, BindError::Port(why) if why.kind() == io::ErrorKind::AddrInUse);
    let holder = open.iter().find(|it| is_taken && port(it.bound()) == port(address));
    let source = holder.map_or(source, |it| BindError::Ours(it.url().to_string()));
    ListenError { url, source }
}

impl Rearrangement {
    /// Puts it in force: nothing can fail any more. Says what has changed. Waits until those that are
    /// closed are, on a thread that may wait.
    #[must_use]
    pub fn take_effect(self) -> Vec<String> {
        let Self { listeners, planned, closed, mut changed_files } = self;
        let Listeners { shared, entrance, runtime, state } = &*listeners;
        let mut state = state.lock();
        if state.phase == Phase::Stopped {
            return Vec::new();
        }
        changed_files.0.clear();
        let (mut open, mut changes) = (Vec::new(), Vec::new());
        for each in planned {
            let (listener, change) = match each {
                Planned::Goes(listener, endpoint) => state.change(listener, *endpoint),
                Planned::Comes(listener) => state.open(*listener, shared, entrance, runtime),
            };
            changes.extend(change.map(|what| format!("listener {}: {what}", listener.url())));
            open.push(listener);
        }
        for listener in &closed {
            listener.close(&shared.broker);
            let what = "closed, and the connections that came by it are ended";
            changes.push(format!("listener {}: {what}", listener.url()));
        }
        state.open = open;
        if !changes.is_empty() {
            shared.broker.judge_certificates_by(state.judges.clone());
            // Whoever has been told to go looks for that when it is woken.
            shared.broker.wake_connections();
        }
        drop(state);
        for listener in closed {
            runtime.block_on(listener.stopped());
        }
        changes
    }
}

impl State {
    fn change(
        &mut self,
        listener: Arc<Listener>,
        mut endpoint: Endpoint,
    ) -> (Arc<Listener>, Option<&'static str>) {
        let difference = endpoint.difference(&listener.terms().endpoint);
        let what = match difference {
            Difference::None => return (listener, None),
            Difference::Handshakes => "changed, for connections from now on",
            Difference::Admission => "changed, and the connections that came by it are ended",
        };
        let url = listener.url_of(&endpoint);
        self.appoint(&url.to_string().into(), &mut endpoint);
        listener.offer(endpoint, url, difference);
        (listener, Some(what))
    }

    fn open(
        &mut self,
        listener: Listener,
        shared: &Arc<Shared>,
        entrance: &Entrance,
        runtime: &Handle,
    ) -> (Arc<Listener>, Option<&'static str>) {
        let terms = listener.terms();
        let mut endpoint = terms.endpoint.clone();
        self.appoint(&terms.name, &mut endpoint);
        listener.offer(endpoint, terms.url.clone(), Difference::None);
        let listener = Arc::new(listener);
        if self.phase == Phase::Serving {
            listener.start(shared, entrance, runtime);
        }
        (listener, Some("open"))
    }

    /// Makes the TLS of a listener the judge of certificates that are shown there. Where there has been
    /// one of that name, that goes on with the new files: it counts them, and so knows certificates that
    /// it has to judge again from those that it has just seen.
    fn appoint(&mut self, name: &Arc<str>, endpoint: &mut Endpoint) {
        let Some(tls) = &mut endpoint.tls else { return };
        match self.judges.get(name) {
            Some(judge) => {
                judge.take_up(tls);
                *tls = Arc::clone(judge);
            }
            None => {
                self.judges.insert(Arc::clone(name), Arc::clone(tls));
            }
        }
    }
}

impl ChangedFiles {
    /// Gives the file of a Unix socket the mode and the group that it is to have.
    fn change(
        &mut self,
        listener: &Arc<Listener>,
        endpoint: &Endpoint,
    ) -> Result<(), UnixSocketError> {
        let terms = listener.terms();
        let (before, now) = (&terms.endpoint.unix, &endpoint.unix);
        if (before.mode, before.gid) != (now.mode, now.gid) {
            self.0.push(Arc::clone(listener));
            listener.set_mode(now)?;
        }
        Ok(())
    }
}

impl Drop for ChangedFiles {
    fn drop(&mut self) {
        for listener in &self.0 {
            if let Err(error) = listener.set_mode(&listener.terms().endpoint.unix) {
                tracing::error!("a socket has the mode of settings that are not in force: {error}");
            }
        }
    }
}
