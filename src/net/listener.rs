//! Where connections come in: bound before anything is served, and never stalled by one of them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};

use super::accept_rate::AcceptRate;
use super::budgets::{Budgets, Place};
use super::connection::{Connection, Ended};
use super::pace::Pace;
use super::stop::Stop;
use super::welcome::{Arrival, Welcomed};
use super::{BindAddress, ListenUrl, ProxySettings, Settings, WebSocketSettings};
use crate::auth::Authenticators;
use crate::broker::{Broker, Client};
use crate::telemetry::{Metrics, Refusal};
use crate::tls::ListenerTls;
use crate::unix::{self, Doorman, SocketFile, UnixSettings, UnixSocketError};

/// How long a listener rests when the system has no more file descriptors or memory for it.
const REST: Duration = Duration::from_millis(100);
/// How long a connection is silent before the system asks whether the other side is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What a listener offers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// As configured.
    pub url: ListenUrl,
    /// Where to bind.
    pub address: BindAddress,
    /// What a Unix socket has to heed, and nothing else.
    pub unix: UnixSettings,
    /// The proxies that its connections come by, unless they come directly.
    pub proxy: Option<ProxySettings>,
    /// TLS, unless it is plain.
    pub tls: Option<Arc<ListenerTls>>,
    /// WebSocket, unless MQTT is spoken without it.
    pub websocket: Option<WebSocketSettings>,
    /// Who finds out who its clients are.
    pub authenticators: Authenticators,
}

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    broker: Arc<Broker>,
    settings: ArcSwap<Settings>,
    connections: Arc<Semaphore>,
    pub(super) budgets: Arc<Budgets>,
    /// Of the lines about connections that are refused at once.
    refusals: Pace,
    /// A permit for each client that has been let in, until its connection has ended.
    inside: Semaphore,
    max_connections: u32,
    stop: Stop,
}

/// A bound listener that does not accept yet.
pub struct Listener {
    socket: ListenerSocket,
    url: ListenUrl,
    pub(super) proxy: Option<ProxySettings>,
    pub(super) tls: Option<Arc<ListenerTls>>,
    pub(super) websocket: Option<WebSocketSettings>,
    pub(super) doorman: Doorman,
    authenticators: Arc<Authenticators>,
}

/// What is listened at. The file goes first: as long as its socket is open, its number in the file
/// system is not given to another.
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(#[expect(dead_code, reason = "removed when it is dropped")] SocketFile, UnixListener),
}

/// A connection as it was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, not allowed, or of another machine's address.
    #[error(transparent)]
    Port(#[from] io::Error),
    /// The socket cannot be where it should.
    #[error(transparent)]
    Socket(#[from] UnixSocketError),
}

impl Shared {
    /// For up to `max_connections` connections at once, over all listeners.
    #[must_use]
    pub fn new(broker: Arc<Broker>, settings: Settings, max_connections: u32) -> Self {
        Self {
            broker,
            budgets: Arc::new(Budgets::new(&settings)),
            settings: ArcSwap::from_pointee(settings),
            refusals: Pace::default(),
            connections: Arc::new(Semaphore::new(max_connections as usize)),
            inside: Semaphore::new(max_connections as usize),
            max_connections,
            stop: Stop::default(),
        }
    }

    /// Goes by other settings, for connections that come from now on.
    pub fn follow(&self, settings: Settings) {
        self.budgets.follow(&settings);
        self.settings.store(Arc::new(settings));
    }

    /// Stops accepting, and sends away whoever has not been let in yet.
    pub fn stop(&self) {
        self.stop.request();
    }

    /// Returns once every client that had been let in has gone. Nobody must be let in any more.
    pub async fn all_left(&self) {
        // The semaphore is never closed.
        let _ = self.inside.acquire_many(self.max_connections).await;
    }

    /// Returns once every connection has ended.
    pub async fn all_ended(&self) {
        // The semaphore is never closed.
        let _ = self.connections.acquire_many(self.max_connections).await;
    }

    /// What a handshake comes to, unless it takes too long or the broker stops.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Instant,
        handshake: impl Future<Output = T>,
    ) -> Option<T> {
        let handshake = tokio::select! {
            handshake = timeout_at(deadline.into(), handshake) => handshake,
            () = self.stop.requested() => return None,
        };
        if handshake.is_err() {
            self.refused(Refusal::Timeout);
        }
        handshake.ok()
    }

    pub(super) fn refused(&self, why: Refusal) {
        self.broker.metrics().connections_refused.increment(why);
    }

    /// Counts a connection that is refused at once; that shows in the log, but not each.
    pub(super) fn turned_away(&self, why: Refusal, address: Option<SocketAddr>, listener: &str) {
        self.refused(why);
        if let Some(left_out) = self.refusals.line(Instant::now()) {
            let (why, address) = (why.name(), address.map(tracing::field::display));
            tracing::warn!(address, listener, why, left_out, "connection refused");
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the address; connections wait in the backlog until [`Self::serve`].
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not allowed.
    pub fn bind(endpoint: Endpoint, settings: &Settings) -> Result<Self, BindError> {
        let Endpoint { url, address, unix, proxy, tls, websocket, authenticators } = endpoint;
        let backlog = i32::try_from(settings.backlog.get()).unwrap_or(i32::MAX);
        let (socket, url) = match address {
            BindAddress::Tcp(address) => {
                let socket = bind_port(address, settings.tcp_nodelay, backlog)?;
                let url = url.bound_to(socket.local_addr()?);
                (ListenerSocket::Tcp(socket), url)
            }
            BindAddress::Unix(path) => {
                let (socket, file) = unix::bind(&path, &unix, backlog)?;
                (ListenerSocket::Unix(file, UnixListener::from_std(socket)?), url)
            }
        };
        let authenticators = Arc::new(authenticators);
        let doorman = Doorman::new(unix);
        Ok(Self { socket, url, proxy, tls, websocket, doorman, authenticators })
    }

    /// The URL with the port that was bound.
    #[must_use]
    pub fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// Its TLS, unless it is plain.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<ListenerTls>> {
        self.tls.as_ref()
    }

    /// Accepts connections until it is told to stop.
    pub async fn serve(self, shared: Arc<Shared>) {
        let this = Arc::new(self);
        let name = Arc::<str>::from(this.url.to_string());
        let per_second = || shared.settings.load().max_connections_per_second;
        let mut rate = AcceptRate::new(per_second(), Instant::now());
        let pace = Pace::default();
        loop {
            let accepted = tokio::select! {
                accepted = this.socket.accept() => accepted,
                () = shared.stop.requested() => return,
            };
            match accepted {
                Ok(accepted) => {
                    shared.broker.metrics().connections_accepted.increment(1);
                    let rest = match this.make_room(&accepted, &shared) {
                        Ok((permit, place)) => {
                            let newcomer = Newcomer {
                                accepted,
                                place,
                                listener: Arc::clone(&this),
                                listener_name: Arc::clone(&name),
                                permit,
                            };
                            tokio::spawn(newcomer.serve(Arc::clone(&shared)));
                            rate.follow(per_second());
                            rate.rest_after(Instant::now())
                        }
                        // Who is refused costs next to nothing, and takes no turn from others.
                        Err(why) => {
                            shared.turned_away(why, accepted.address(), &name);
                            accepted.turn_away();
                            None
                        }
                    };
                    match rest {
                        Some(rest) => {
                            if timeout(rest, shared.stop.requested()).await.is_ok() {
                                return;
                            }
                        }
                        // Those who are inside have a turn before the next one comes in.
                        None => tokio::task::yield_now().await,
                    }
                }
                // The peer has gone again: nobody's fault.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // The connection waits in the backlog, and is there again after a rest.
                Err(error) => {
                    shared.broker.metrics().accept_errors.increment(1);
                    if let Some(left_out) = pace.line(Instant::now()) {
                        let listener = &*name;
                        tracing::error!(listener, left_out, "cannot accept connections: {error}");
                    }
                    if timeout(REST, shared.stop.requested()).await.is_ok() {
                        return;
                    }
                }
            }
        }
    }

    /// What is decided before a byte is read, and costs no more than the connection itself. Whose
    /// address it is that a proxy forwards is not known yet.
    fn make_room(
        &self,
        accepted: &Accepted,
        shared: &Shared,
    ) -> Result<(OwnedSemaphorePermit, Place), Refusal> {
        let address = accepted.address().map(|address| address.ip());
        let place = match (address, &self.proxy) {
            (Some(address), Some(proxy)) if !proxy.from.contain(address) => {
                return Err(Refusal::ProxyAddress);
            }
            (Some(address), None) => shared.budgets.claim(address)?,
            _ => Place::default(),
        };
        let permit = Arc::clone(&shared.connections).try_acquire_owned();
        Ok((permit.map_err(|_| Refusal::TooMany)?, place))
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
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Unix(_, socket) => Ok(Accepted::Unix(socket.accept().await?.0)),
        }
    }
}

impl Accepted {
    /// Where it comes from over the network.
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    fn turn_away(self) {
        if let Self::Tcp(stream, _) = self {
            turn_away(stream);
        }
    }
}

/// Ends a connection by a reset, which leaves nothing behind: whoever ends one in order has to
/// remember it for a minute (TIME_WAIT).
pub(super) fn turn_away(stream: TcpStream) {
    // Otherwise it ends in order.
    let _ = stream.set_zero_linger();
}

/// A connection of which nothing is known but its address.
struct Newcomer {
    accepted: Accepted,
    place: Place,
    listener: Arc<Listener>,
    listener_name: Arc<str>,
    permit: OwnedSemaphorePermit,
}

impl Newcomer {
    /// Shakes hands, where there is TLS or WebSocket, and serves the client. What is needed for the
    /// handshakes alone is on the heap, and gone with them.
    fn serve(self, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
        let Self { accepted, place, listener, listener_name, permit } = self;
        let open = Open::count(Arc::clone(shared.broker.metrics()));
        let settings = shared.settings.load_full();
        let seconds = settings.connect_timeout_seconds.get().into();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let send_timeout = settings.send_timeout();
        let authenticators = Arc::clone(&listener.authenticators);
        let arrival = Arrival { accepted, place, listener: listener_name, deadline };
        let welcome = Box::pin(listener.welcome(arrival, Arc::clone(&shared)));
        async move {
            if let Some(Welcomed { transport, peer, mut place }) = welcome.await {
                let client = Client::new(Arc::clone(&shared.broker), peer, authenticators);
                let mut connection = Connection::new(transport, client, deadline, send_timeout);
                match connection.run(&shared.stop, &shared.inside, &mut place).await {
                    Ended::AfterLogin => {}
                    Ended::TooLate => shared.refused(Refusal::Timeout),
                    Ended::BeforeLogin => shared.refused(Refusal::Protocol),
                }
            }
            drop((permit, open));
        }
    }
}

/// Counts a connection as open for as long as it lives, however it ends.
struct Open(Arc<Metrics>);

impl Open {
    fn count(metrics: Arc<Metrics>) -> Self {
        metrics.connections_open.increment(1.0);
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections_open.decrement(1.0);
        if std::thread::panicking() {
            self.0.internal_errors.increment(1);
        }
    }
}
