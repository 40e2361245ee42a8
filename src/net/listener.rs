//! Where connections come in: bound before anything is served, and never stalled by one of them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Connection, Ended};
use super::stop::Stop;
use super::transport::Transport;
use super::websocket::{self, UpgradeError, WebSocket};
use super::{ListenUrl, Settings, WebSocketSettings};
use crate::auth::Authenticators;
use crate::broker::{Broker, Client};
use crate::identity::{Peer, TransportSecurity};
use crate::telemetry::{Metrics, Refusal};
use crate::tls::{Distrust, ListenerTls};

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
    pub address: SocketAddr,
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
    settings: Settings,
    connections: Arc<Semaphore>,
    /// A permit for each client that has been let in, until its connection has ended.
    inside: Semaphore,
    max_connections: u32,
    stop: Stop,
}

/// A bound listener that does not accept yet.
pub struct Listener {
    socket: TcpListener,
    url: ListenUrl,
    tls: Option<Arc<ListenerTls>>,
    websocket: Option<WebSocketSettings>,
    authenticators: Arc<Authenticators>,
}

impl Shared {
    /// For up to `max_connections` connections at once, over all listeners.
    #[must_use]
    pub fn new(broker: Arc<Broker>, settings: Settings, max_connections: u32) -> Self {
        Self {
            broker,
            settings,
            connections: Arc::new(Semaphore::new(max_connections as usize)),
            inside: Semaphore::new(max_connections as usize),
            max_connections,
            stop: Stop::default(),
        }
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
    async fn in_time<T>(&self, deadline: Instant, handshake: impl Future<Output = T>) -> Option<T> {
        let handshake = tokio::select! {
            handshake = timeout_at(deadline.into(), handshake) => handshake,
            () = self.stop.requested() => return None,
        };
        if handshake.is_err() {
            self.refused(Refusal::Timeout);
        }
        handshake.ok()
    }

    fn refused(&self, why: Refusal) {
        self.broker.metrics().connections_refused.increment(why);
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
    pub fn bind(endpoint: Endpoint, settings: &Settings) -> io::Result<Self> {
        let Endpoint { url, address, tls, websocket, authenticators } = endpoint;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        // Accepted connections inherit these, which saves system calls for each of them.
        socket.set_tcp_nodelay(settings.tcp_nodelay)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(settings.backlog.get()).unwrap_or(i32::MAX))?;
        let socket = TcpListener::from_std(socket.into())?;
        let url = url.bound_to(socket.local_addr()?);
        Ok(Self { socket, url, tls, websocket, authenticators: Arc::new(authenticators) })
    }

    /// The URL with the port that was bound.
    #[must_use]
    pub fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// Accepts connections until it is told to stop.
    pub async fn serve(self, shared: Arc<Shared>) {
        let this = Arc::new(self);
        let name = Arc::<str>::from(this.url.to_string());
        loop {
            let accepted = tokio::select! {
                accepted = this.socket.accept() => accepted,
                () = shared.stop.requested() => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    shared.broker.metrics().connections_accepted.increment(1);
                    let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
                        shared.refused(Refusal::TooMany);
                        continue;
                    };
                    let newcomer = Newcomer {
                        stream,
                        address,
                        listener: Arc::clone(&this),
                        listener_name: Arc::clone(&name),
                        permit,
                    };
                    tokio::spawn(newcomer.serve(Arc::clone(&shared)));
                }
                // The peer has gone again: nobody's fault.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::error!(listener = %name, "cannot accept connections: {error}");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// A connection of which nothing is known but its address.
struct Newcomer {
    stream: TcpStream,
    address: SocketAddr,
    listener: Arc<Listener>,
    listener_name: Arc<str>,
    permit: OwnedSemaphorePermit,
}

impl Newcomer {
    /// Shakes hands, where there is TLS or WebSocket, and serves the client. What is needed for the
    /// handshakes alone is on the heap, and gone with them.
    fn serve(self, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
        let Self { stream, address, listener, listener_name, permit } = self;
        let open = Open::count(Arc::clone(shared.broker.metrics()));
        let seconds = shared.settings.connect_timeout_seconds.get().into();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let authenticators = Arc::clone(&listener.authenticators);
        let welcome = Box::pin(listener.welcome(
            stream,
            address,
            listener_name,
            deadline,
            Arc::clone(&shared),
        ));
        async move {
            if let Some((transport, peer)) = welcome.await {
                let client = Client::new(Arc::clone(&shared.broker), peer, authenticators);
                let mut connection = Connection::new(transport, client, deadline, &shared.settings);
                match connection.run(&shared.stop, &shared.inside).await {
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

impl Listener {
    /// Shakes hands, where there is TLS or WebSocket, and finds out who that makes the other side.
    async fn welcome(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        listener: Arc<str>,
        deadline: Instant,
        shared: Arc<Shared>,
    ) -> Option<(Transport, Peer)> {
        let peer =
            Peer { address, listener, security: TransportSecurity::Plain, certificate: None };
        let Some(tls) = &self.tls else {
            let transport = match &self.websocket {
                None => Transport::Plain(stream),
                Some(settings) => {
                    let socket = self.upgrade(stream, settings, &peer, deadline, &shared).await?;
                    Transport::WebSocket(Box::new(socket))
                }
            };
            return Some((transport, peer));
        };
        let (config, generation) = tls.handshake();
        let stream = secure(config.into(), stream, &peer, deadline, &shared).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = identify(tls, shown, generation, peer, &shared)?;
        let transport = match &self.websocket {
            None => Transport::Tls(Box::new(stream)),
            Some(settings) => {
                let socket = self.upgrade(stream, settings, &peer, deadline, &shared).await?;
                Transport::SecureWebSocket(Box::new(socket))
            }
        };
        Some((transport, peer))
    }

    async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        settings: &WebSocketSettings,
        peer: &Peer,
        deadline: Instant,
        shared: &Shared,
    ) -> Option<WebSocket<S>> {
        let Peer { address, listener, .. } = peer;
        let request = websocket::accept(stream, *address, settings);
        match shared.in_time(deadline, request).await? {
            Ok(socket) => Some(socket),
            Err(error) => {
                shared.refused(Refusal::WebSocket);
                match error {
                    UpgradeError::Broken(error) => {
                        tracing::debug!(%address, %listener, "no WebSocket: {error}");
                    }
                    UpgradeError::Refused(_) => {
                        tracing::info!(%address, %listener, "no WebSocket: {error}");
                    }
                }
                None
            }
        }
    }
}

/// Who the other side is by the certificates that it has shown.
fn identify(
    tls: &ListenerTls,
    shown: &[CertificateDer<'_>],
    generation: u64,
    mut peer: Peer,
    shared: &Shared,
) -> Option<Peer> {
    peer.security = TransportSecurity::Tls;
    if !shown.is_empty() {
        match tls.identify(shown, generation) {
            Ok(certificate) => peer.certificate = Some(Arc::new(certificate)),
            Err(error) => {
                shared.refused(Refusal::Tls);
                let Peer { address, listener, .. } = peer;
                tracing::warn!(%address, %listener, "refused: {error}");
                return None;
            }
        }
        peer.security = TransportSecurity::MutualTls;
    }
    Some(peer)
}

async fn secure(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: &Peer,
    deadline: Instant,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    match shared.in_time(deadline, acceptor.accept(stream)).await? {
        Ok(stream) => Some(stream),
        Err(error) => {
            shared.refused(Refusal::Tls);
            let Peer { address, listener, .. } = peer;
            match distrust(&error) {
                Some(why) => tracing::warn!(%address, %listener, "refused: {why}"),
                None => tracing::info!(%address, %listener, "TLS handshake failed: {error}"),
            }
            None
        }
    }
}

/// What a failed handshake says of the client's certificate, if it was that.
fn distrust(error: &io::Error) -> Option<Distrust> {
    Distrust::of_handshake(error.get_ref()?.downcast_ref()?)
}
