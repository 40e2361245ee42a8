//! From an accepted connection to a transport that carries MQTT, and what is known of its other end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::WebSocketSettings;
use super::budgets::Place;
use super::listener::{Accepted, turn_away};
use super::proxied::{self, Introduction, IntroductionError};
use super::shared::{Origin, Shared};
use super::terms::Terms;
use super::transport::Transport;
use super::websocket::{self, UpgradeError, WebSocket};
use crate::identity::{Peer, PeerAddress, TransportSecurity};
use crate::telemetry::Refusal;
use crate::tls::{Distrust, ListenerTls, Negotiated};
use crate::tracer::{ConnectTrace, Stage};

/// A connection as it comes in.
pub(super) struct Arrival {
    pub(super) accepted: Accepted,
    pub(super) place: Place,
    /// When its client must have been let in.
    pub(super) deadline: Instant,
    /// Where it is traced.
    pub(super) trace: Option<Box<ConnectTrace>>,
}

/// A connection that carries MQTT.
pub(super) struct Welcomed {
    pub(super) transport: Transport,
    pub(super) peer: Peer,
    pub(super) place: Place,
    pub(super) trace: Option<Box<ConnectTrace>>,
}

/// A stream that the runtime has taken over.
fn served<T>(stream: io::Result<T>) -> Option<T> {
    stream.inspect_err(|error| tracing::error!("a connection cannot be served: {error}")).ok()
}

impl Terms {
    /// Hears whom a proxy forwards, shakes hands, where there is TLS or WebSocket, and finds out who
    /// that makes the other side.
    pub(super) async fn welcome(
        self: Arc<Self>,
        arrival: Box<Arrival>,
        shared: Arc<Shared>,
    ) -> Option<Welcomed> {
        let Arrival { accepted, mut place, deadline, mut trace } = *arrival;
        let listener = Arc::clone(&self.name);
        let (mut stream, mut address) = match accepted {
            Accepted::Tcp(stream, address) => (served(TcpStream::from_std(stream))?, address),
            Accepted::Unix(stream) => {
                let stream = served(UnixStream::from_std(stream))?;
                let address = self.admit(&stream, deadline, &shared).await?;
                let security = TransportSecurity::Unix;
                let peer = Peer { address, listener, security, certificate: None };
                return Some(Welcomed { transport: Transport::Unix(stream), peer, place, trace });
            }
        };
        let mut certificate = None;
        if let Some(proxy) = &self.endpoint.proxy {
            begin(trace.as_deref_mut(), Stage::Proxy);
            let said = proxied::introduction(&mut stream, address, proxy);
            let from = Origin { address: Some(address.ip()), listener: &listener };
            let said = shared.in_time(deadline, &self.stop, from, said).await?;
            let introduction = believe(said, address, &listener, &shared)?;
            (address, certificate) = (introduction.address, introduction.certificate);
            let admitted = shared.admit(address.ip());
            place = match admitted.map_err(|it| it.why).and_then(|()| shared.place_of(address.ip()))
            {
                Ok(place) => place,
                Err(why) => {
                    shared.turned_away(why, Some(address), &listener);
                    turn_away(&stream);
                    return None;
                }
            };
        }
        let security = TransportSecurity::Plain;
        let peer = Peer { address: address.into(), listener, security, certificate };
        let traced = trace.as_deref_mut();
        let (transport, peer) =
            self.shake_hands(stream, address, peer, deadline, &shared, traced).await?;
        Some(Welcomed { transport, peer, place, trace })
    }

    /// Who is at the other end of a Unix socket, if that may connect.
    async fn admit(
        &self,
        stream: &UnixStream,
        deadline: Instant,
        shared: &Shared,
    ) -> Option<PeerAddress> {
        let from = Origin { address: None, listener: &self.name };
        match shared.in_time(deadline, &self.stop, from, self.doorman.admit(stream)).await? {
            Ok(peer) => Some(PeerAddress::Unix(Arc::new(peer))),
            Err(error) => {
                shared.refused(Refusal::UnixPeer, from);
                tracing::warn!(listener = &*self.name, "refused: {error}");
                None
            }
        }
    }

    /// TLS, where there is any, and WebSocket above that.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        peer: Peer,
        deadline: Instant,
        shared: &Shared,
        mut trace: Option<&mut ConnectTrace>,
    ) -> Option<(Transport, Peer)> {
        let websocket = self.endpoint.websocket.as_ref();
        let Some(tls) = &self.endpoint.tls else {
            let transport = match websocket {
                None => Transport::Plain(stream),
                Some(settings) => {
                    begin(trace, Stage::WebSocket);
                    let socket = self.upgrade(stream, address, settings, deadline, shared).await?;
                    Transport::WebSocket(Box::new(socket))
                }
            };
            return Some((transport, peer));
        };
        let Some(under_way) = shared.tls_handshakes.enter() else {
            shared.turned_away(Refusal::TlsHandshakes, Some(address), &self.name);
            turn_away(&stream);
            return None;
        };
        begin(trace.as_deref_mut(), Stage::Tls);
        let (config, generation) = tls.handshake();
        let accept = TlsAcceptor::from(config).accept(stream);
        let began = Instant::now();
        let shaken = shared.in_time(deadline, &self.stop, Origin::of(&peer), accept).await?;
        let stream = secure(shaken, &peer, shared)?;
        drop(under_way);
        let negotiated = Negotiated::of(stream.get_ref().1);
        shared.shaken(&negotiated, began.elapsed());
        if let Some(trace) = trace.as_deref_mut() {
            describe(trace, &negotiated);
        }
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = identify(tls, shown, generation, peer, shared)?;
        let transport = match websocket {
            None => Transport::Tls(Box::new(stream)),
            Some(settings) => {
                begin(trace, Stage::WebSocket);
                let socket = self.upgrade(stream, address, settings, deadline, shared).await?;
                Transport::SecureWebSocket(Box::new(socket))
            }
        };
        Some((transport, peer))
    }

    async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        address: SocketAddr,
        settings: &WebSocketSettings,
        deadline: Instant,
        shared: &Shared,
    ) -> Option<WebSocket<S>> {
        let listener = &*self.name;
        let request = websocket::accept(stream, address, settings);
        let from = Origin { address: Some(address.ip()), listener: &self.name };
        match shared.in_time(deadline, &self.stop, from, request).await? {
            Ok(socket) => Some(socket),
            Err(error) => {
                shared.refused(Refusal::WebSocket, from);
                match error {
                    UpgradeError::Broken(error) => {
                        tracing::debug!(%address, listener, "no WebSocket: {error}");
                    }
                    UpgradeError::Refused(_) => {
                        tracing::info!(%address, listener, "no WebSocket: {error}");
                    }
                }
                None
            }
        }
    }
}

/// A stage begins now, where the connection is traced.
fn begin(trace: Option<&mut ConnectTrace>, stage: Stage) {
    if let Some(trace) = trace {
        trace.begin(stage, Instant::now());
    }
}

/// What a handshake has come to, as OpenTelemetry calls it.
fn describe(trace: &mut ConnectTrace, negotiated: &Negotiated) {
    let Negotiated { cipher, key_exchange, is_resumed } = *negotiated;
    trace.set_stage("tls.protocol.name", "tls");
    trace.set_stage("tls.protocol.version", cipher.names().0);
    trace.set_stage("tls.cipher", cipher.names().1);
    trace.set_stage("tls.curve", key_exchange.names().0);
    trace.set_stage("tls.resumed", is_resumed);
}

/// What a proxy has said, if it is to be believed.
fn believe(
    said: Result<Introduction, IntroductionError>,
    proxy: SocketAddr,
    listener: &Arc<str>,
    shared: &Shared,
) -> Option<Introduction> {
    let error = match said {
        Ok(introduction) => return Some(introduction),
        Err(error) => error,
    };
    let from = Origin { address: Some(proxy.ip()), listener };
    match error {
        IntroductionError::Broken(_) => {
            shared.went_away(Refusal::ProxyHeader);
            tracing::debug!(%proxy, %listener, "refused: {error}");
        }
        _ => {
            shared.refused(Refusal::ProxyHeader, from);
            tracing::warn!(%proxy, %listener, "refused: {error}");
        }
    }
    None
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
                shared.refused(Refusal::Tls, Origin::of(&peer));
                let Peer { address, listener, .. } = peer;
                tracing::warn!(%address, %listener, "refused: {error}");
                return None;
            }
        }
        peer.security = TransportSecurity::MutualTls;
    }
    Some(peer)
}

/// What has come of a handshake, which is said where it has failed.
fn secure(
    shaken: io::Result<TlsStream<TcpStream>>,
    peer: &Peer,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    match shaken {
        Ok(stream) => Some(stream),
        Err(error) => {
            shared.refused(Refusal::Tls, Origin::of(peer));
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
