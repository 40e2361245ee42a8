//! A socket that accepts connections, and hands each to a task of its own.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use super::budgets::Place;
use super::endpoint::Difference;
use super::entrance::Entrance;
use super::floodgate::Floodgate;
use super::newcomer::Newcomer;
use super::occupancy::Occupant;
use super::pace::Pace;
use super::shared::{Denied, Shared};
use super::stop::Stop;
use super::terms::Terms;
use super::waiting_room::WaitingRoom;
use super::{BindAddress, Endpoint, ListenUrl, Settings};
use crate::audit::Event;
use crate::broker::Broker;
use crate::telemetry::Refusal;
use crate::tracer::{ConnectSampler, ConnectTrace, Tracer};
use crate::unix::{self, SocketFile, UnixSettings, UnixSocketError};

/// How long a listener rests when the system has no more file descriptors or memory for it.
const REST: Duration = Duration::from_millis(100);
/// How long connections are refused in one turn, before other listeners have theirs.
const REFUSING_AT_ONCE: Duration = Duration::from_micros(100);
/// How long a connection is silent before the system asks whether the other side is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    /// What was bound.
    bound: BindAddress,
    terms: ArcSwap<Terms>,
    /// Whether it accepts nobody any more.
    ended: Stop,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What is listened at. The file goes first: as long as its socket is open, its number in the file
/// system is not given to another.
#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(SocketFile, UnixListener),
}

/// A connection as it was accepted, not known to any runtime yet; it does not block.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// A listener cannot be opened, or not be as it should.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {url}: {source}")]
pub struct ListenError {
    /// As configured.
    pub url: String,
    /// What is in the way.
    pub source: BindError,
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, not allowed, or of another machine's address.
    #[error("{}", explain(.0))]
    Port(#[from] io::Error),
    /// The port is that of another listener, which is open.
    #[error(
        "{0} has the port: where this one takes its place, remove that in one step and add this in \
         the next, or restart the broker"
    )]
    Ours(String),
    /// The socket cannot be where it should.
    #[error(transparent)]
    Socket(#[from] UnixSocketError),
}

/// What the system says of a port, and what to do about it.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken: stop the program that has it, or choose another".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not allowed: ports below 1024 need CAP_NET_BIND_SERVICE, others do not".to_owned()
        }
        _ => error.to_string(),
    }
}

impl Listener {
    /// Binds the address; connections wait in the backlog until they are accepted. Call it within the
    /// [`Entrance`] by which they are to come.
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not allowed.
    pub fn bind(endpoint: Endpoint, settings: &Settings) -> Result<Self, ListenError> {
        let bound = bind(&endpoint, settings);
        let (socket, bound) =
            bound.map_err(|source| ListenError { url: endpoint.url.to_string(), source })?;
        let url = url_at(&endpoint.url, &bound);
        let terms = ArcSwap::from_pointee(Terms::new(endpoint, url, Arc::default()));
        Ok(Self { socket, bound, terms, ended: Stop::default(), accepting: Mutex::default() })
    }

    /// The URL with the port that was bound.
    #[must_use]
    pub fn url(&self) -> ListenUrl {
        self.terms.load().url.clone()
    }

    /// What connections are accepted on now.
    pub(super) fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// What was bound.
    pub(super) fn bound(&self) -> &BindAddress {
        &self.bound
    }

    /// Offers `endpoint` from now on, as `url`; those who have come by other terms have to go where
    /// `difference` says so, once their bells are rung.
    pub(super) fn offer(&self, endpoint: Endpoint, url: ListenUrl, difference: Difference) {
        let stop = match difference {
            Difference::Admission => Arc::default(),
            Difference::None | Difference::Handshakes => Arc::clone(&self.terms.load().stop),
        };
        let earlier = self.terms.swap(Arc::new(Terms::new(endpoint, url, stop)));
        if difference == Difference::Admission {
            earlier.stop.close();
        }
    }

    /// As which URL it would be known if it offered `endpoint`.
    pub(super) fn url_of(&self, endpoint: &Endpoint) -> ListenUrl {
        url_at(&endpoint.url, &self.bound)
    }

    /// Lets those use the file of a Unix socket whom `settings` let.
    pub(super) fn set_mode(&self, settings: &UnixSettings) -> Result<(), UnixSocketError> {
        match &self.socket {
            ListenerSocket::Tcp(_) => Ok(()),
            ListenerSocket::Unix(file, _) => file.set_mode(settings),
        }
    }

    /// Accepts connections at the `entrance` until it is told to stop, and has `runtime` serve them.
    pub(super) fn start(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        entrance: &Entrance,
        runtime: &Handle,
    ) {
        shared.broker.audit(|| Event::ListenerOpened { listener: self.url().to_string() });
        let accepting = entrance.spawn(Arc::clone(self).serve(Arc::clone(shared), runtime.clone()));
        *self.accepting.lock() = Some(accepting);
    }

    /// Accepts nobody any more, and sends those away who have not been let in.
    pub(super) fn stop(&self, broker: &Broker) {
        self.report_closed(broker);
        self.ended.request();
        self.terms.load().stop.request();
    }

    /// As [`Self::stop`]; everybody else has to go as well, once the bells are rung.
    pub(super) fn close(&self, broker: &Broker) {
        self.report_closed(broker);
        self.ended.request();
        self.terms.load().stop.close();
    }

    fn report_closed(&self, broker: &Broker) {
        broker.audit(|| Event::ListenerClosed { listener: self.url().to_string() });
    }

    /// Returns once nobody is accepted any more. Does not wait for anybody else.
    pub(super) async fn stopped(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            // Where it has panicked, it accepts nobody either.
            let _ = accepting.await;
        }
    }

    async fn serve(self: Arc<Self>, shared: Arc<Shared>, runtime: Handle) {
        let (seats, per_second) = {
            let settings = shared.settings.load();
            (settings.backlog, settings.max_connections_per_second)
        };
        let mut traces = shared.broker.tracer().and_then(Tracer::connections);
        let mut waiting = WaitingRoom::new(seats, per_second, Instant::now());
        let pace = Pace::default();
        let mut gate = Floodgate::new(seats, Instant::now());
        // After an error.
        let mut resting_until = None;
        loop {
            let now = Instant::now();
            if let ListenerSocket::Tcp(socket) = &self.socket {
                gate.turn(now, socket, self.terms.load().endpoint.proxy.as_ref(), &shared);
            }
            if let Some(next) = waiting.next(now) {
                // Who is refused takes no turn from others.
                if self.let_in(next, &shared, &runtime) {
                    waiting.follow(shared.settings.load().max_connections_per_second);
                    waiting.count(Instant::now());
                }
                // Other listeners have a turn before the next one comes in.
                yield_now().await;
                continue;
            }
            resting_until = resting_until.filter(|until| *until > now);
            let accepts = resting_until.is_none() && waiting.has_room();
            let rest = resting_until.map(|until| until - now);
            let rest = [waiting.rest(now), gate.rest(now), rest].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = self.ended.requested() => return,
                accepted = self.accept(&mut gate), if accepts => match accepted {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        if let Some(newcomer) = self.admit(accepted, &mut gate, &shared) {
                            let trace = traces.as_mut().and_then(ConnectSampler::sample);
                            waiting.enter(Admitted { trace, ..newcomer });
                        }
                        // Who serves need not wait for a time slice of this thread to be over.
                        thread::yield_now();
                        yield_now().await;
                    }
                    // The peer has gone again: nobody's fault.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    // The connection waits in the queue of the system, and is there again after a rest.
                    Err(error) => {
                        self.cannot_accept(&error, pace.line(now), &shared);
                        resting_until = Some(now + REST);
                    }
                },
                () = sleep(rest.unwrap_or_default()), if rest.is_some() => {}
            }
        }
    }

    /// Who comes next. The `gate` is told where nobody waits: nothing, where that has it rest for another time.
    async fn accept(&self, gate: &mut Floodgate) -> io::Result<Option<Accepted>> {
        let mut accepted = pin!(self.socket.accept());
        poll_fn(|cx| match accepted.as_mut().poll(cx) {
            Poll::Pending if gate.caught_up() => Poll::Ready(Ok(None)),
            polled => polled.map_ok(Some),
        })
        .await
    }

    fn cannot_accept(&self, error: &io::Error, line: Option<u64>, shared: &Shared) {
        shared.broker.metrics().accept_errors.increment(1);
        if let Some(left_out) = line {
            let listener = &*self.terms.load().name;
            tracing::error!(listener, left_out, "cannot accept connections: {error}");
        }
    }

    /// Whoever may wait for their turn: the connection that was accepted, or one that came behind it.
    fn admit(&self, accepted: Accepted, gate: &mut Floodgate, shared: &Shared) -> Option<Admitted> {
        match self.occupy(accepted.address(), gate, shared) {
            Some(occupant) => {
                if let Accepted::Tcp(stream, _) = &accepted {
                    gate.release(stream);
                }
                Some(Admitted { accepted, occupant, trace: None })
            }
            None => {
                accepted.turn_away();
                self.turn_away_next(gate, shared)
            }
        }
    }

    /// Refuses who comes behind one that was refused, as long as nobody is admitted, who is the first that
    /// this gives. A socket that only lives to be closed is not made known to a runtime: of a flood each costs
    /// three system calls, and no turn of its own.
    fn turn_away_next(&self, gate: &mut Floodgate, shared: &Shared) -> Option<Admitted> {
        let ListenerSocket::Tcp(listener) = &self.socket else { return None };
        let listener = SockRef::from(listener);
        let begin = Instant::now();
        while begin.elapsed() < REFUSING_AT_ONCE {
            let (socket, address) = match listener.accept() {
                Ok(accepted) => accepted,
                // Whatever is wrong shows again when the runtime accepts.
                Err(error) => {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        gate.caught_up();
                    }
                    return None;
                }
            };
            let address = address.as_socket()?;
            match self.occupy(Some(address), gate, shared) {
                Some(occupant) => {
                    gate.release(&socket);
                    socket.set_nonblocking(true).ok()?;
                    let accepted = Accepted::Tcp(socket.into(), address);
                    return Some(Admitted { accepted, occupant, trace: None });
                }
                None => turn_away(&socket),
            }
        }
        None
    }

    /// Decides about a connection from `address` before a byte of it is read, which costs no more than the
    /// connection itself. Whose address it is that a proxy forwards is not known yet.
    fn occupy(
        &self,
        address: Option<SocketAddr>,
        gate: &mut Floodgate,
        shared: &Shared,
    ) -> Option<Occupant> {
        shared.broker.metrics().connections_accepted.increment(1);
        let terms = self.terms.load();
        if let Some(address) = address {
            gate.came(address, &terms.name, shared);
        }
        let admitted = match (address.map(|address| address.ip()), &terms.endpoint.proxy) {
            (Some(address), Some(proxy)) if !proxy.from.contain(address) => {
                Err(Refusal::ProxyAddress.into())
            }
            (Some(address), None) => shared.admit(address),
            _ => Ok(()),
        };
        let enter = |()| shared.connections.enter().ok_or(Refusal::TooMany.into());
        let refused = |denied: Denied| {
            if let Some(address) = address {
                gate.refused(denied, address.ip(), terms.endpoint.proxy.as_ref(), shared);
            }
            shared.turned_away(denied.why, address, &terms.name);
        };
        admitted.and_then(enter).map_err(refused).ok()
    }

    /// Serves a connection whose turn it is, or refuses it; whether it is served. What it takes of the
    /// handshakes of its address it has from now on: waiting is none of them.
    fn let_in(&self, admitted: Admitted, shared: &Arc<Shared>, runtime: &Handle) -> bool {
        let Admitted { accepted, occupant, trace } = admitted;
        let terms = self.terms();
        let place = match (accepted.address(), &terms.endpoint.proxy) {
            (Some(address), None) => shared.place_of(address.ip()),
            _ => Ok(Place::default()),
        };
        match place {
            Ok(place) => {
                let newcomer = Newcomer { accepted, place, terms, occupant, trace };
                runtime.spawn(newcomer.serve(Arc::clone(shared)));
                true
            }
            Err(why) => {
                shared.turned_away(why, accepted.address(), &terms.name);
                accepted.turn_away();
                false
            }
        }
    }
}

/// Who may wait for their turn.
struct Admitted {
    accepted: Accepted,
    occupant: Occupant,
    /// Where it is traced.
    trace: Option<Box<ConnectTrace>>,
}

fn bind(
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<(ListenerSocket, BindAddress), BindError> {
    let backlog = i32::try_from(settings.backlog.get()).unwrap_or(i32::MAX);
    Ok(match &endpoint.address {
        BindAddress::Tcp(address) => {
            let socket = bind_port(*address, settings.tcp_nodelay, backlog)?;
            let bound = BindAddress::Tcp(socket.local_addr()?);
            (ListenerSocket::Tcp(socket), bound)
        }
        BindAddress::Unix(path) => {
            let (socket, file) = unix::bind(path, &endpoint.unix, backlog)?;
            let socket = ListenerSocket::Unix(file, UnixListener::from_std(socket)?);
            (socket, endpoint.address.clone())
        }
    })
}

fn url_at(url: &ListenUrl, bound: &BindAddress) -> ListenUrl {
    match bound {
        BindAddress::Tcp(address) => url.bound_to(*address),
        BindAddress::Unix(_) => url.clone(),
    }
}

fn bind_port(address: SocketAddr, tcp_nodelay: bool, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these, which saves system calls for each of them.
    socket.set_tcp_nodelay(tcp_nodelay)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

impl ListenerSocket {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok(Accepted::Tcp(stream.into_std()?, address))
            }
            Self::Unix(_, socket) => Ok(Accepted::Unix(socket.accept().await?.0.into_std()?)),
        }
    }
}

impl Accepted {
    /// What carries it, as OpenTelemetry calls that.
    pub(super) fn transport(&self) -> &'static str {
        match self {
            Self::Tcp(..) => "tcp",
            Self::Unix(_) => "unix",
        }
    }

    /// Where it comes from over the network.
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    fn turn_away(self) {
        if let Self::Tcp(stream, _) = self {
            turn_away(&stream);
        }
    }
}

/// Has a connection end by a reset, which leaves nothing behind: whoever ends one in order has to remember
/// it for a minute (TIME_WAIT).
pub(super) fn turn_away(stream: &impl AsFd) {
    // Otherwise it ends in order.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
