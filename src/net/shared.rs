//! What all connections of all listeners share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::time::timeout_at;

use super::Settings;
use super::budgets::{Budgets, Place};
use super::occupancy::Occupancy;
use super::pace::Pace;
use super::stop::Stop;
use crate::broker::Broker;
use crate::identity::{Network, Peer};
use crate::telemetry::Refusal;
use crate::tls::Negotiated;

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    pub(super) broker: Arc<Broker>,
    pub(super) settings: ArcSwap<Settings>,
    pub(super) connections: Arc<Occupancy>,
    budgets: Arc<Budgets>,
    /// TLS handshakes that are under way.
    pub(super) tls_handshakes: Arc<Occupancy>,
    /// Of the lines about connections that are refused at once.
    refusals: Pace,
    /// Clients that have been let in, until their connections have ended.
    pub(super) inside: Arc<Occupancy>,
}

/// Why a connection is refused as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) why: Refusal,
    /// Who is banned, where it is banned.
    pub(super) ban: Option<Network>,
}

impl From<Refusal> for Denied {
    fn from(why: Refusal) -> Self {
        Self { why, ban: None }
    }
}

/// Where a connection comes from, and by which listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// A process of this machine has none.
    pub(super) address: Option<IpAddr>,
    pub(super) listener: &'a Arc<str>,
}

impl<'a> Origin<'a> {
    pub(super) fn of(peer: &'a Peer) -> Self {
        Self { address: peer.address.ip(), listener: &peer.listener }
    }
}

impl Shared {
    /// For up to `max_connections` connections at once, over all listeners.
    #[must_use]
    pub fn new(broker: Arc<Broker>, settings: Settings, max_connections: u32) -> Self {
        Self {
            broker,
            budgets: Arc::new(Budgets::new(&settings)),
            tls_handshakes: Arc::new(Occupancy::new(settings.most_tls_handshakes())),
            settings: ArcSwap::from_pointee(settings),
            refusals: Pace::default(),
            connections: Arc::new(Occupancy::new(max_connections)),
            inside: Arc::new(Occupancy::new(u32::MAX)),
        }
    }

    /// Goes by other settings, for connections that come from now on.
    pub fn follow(&self, settings: Settings, max_connections: u32) {
        self.budgets.follow(&settings);
        self.tls_handshakes.set_most(settings.most_tls_handshakes());
        self.connections.set_most(max_connections);
        self.settings.store(Arc::new(settings));
    }

    /// Returns once every client that had been let in has gone. Nobody must be let in any more.
    pub async fn all_left(&self) {
        self.inside.emptied().await;
    }

    /// Returns once every connection has ended. Nobody must be accepted any more.
    pub async fn all_ended(&self) {
        self.connections.emptied().await;
    }

    /// Whether a connection from `address`, which is not the proxy's, may wait for its turn. The allow-list
    /// of bans is only looked at for who would be refused.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Denied> {
        if let Some(network) = self.broker.refuse_address(address) {
            return Err(Denied { why: Refusal::Banned, ban: Some(network) });
        }
        let admitted = self.budgets.admit(address);
        admitted.or_else(|why| self.exempt(address).ok_or(why.into()))
    }

    /// A place for a connection from `address`, which has been admitted.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn place_of(&self, address: IpAddr) -> Result<Place, Refusal> {
        let place = self.budgets.claim(address);
        place.or_else(|why| self.exempt(address).map(|()| Place::default()).ok_or(why))
    }

    fn exempt(&self, address: IpAddr) -> Option<()> {
        self.broker.exempts_address(address).then_some(())
    }

    /// What a handshake comes to, unless it takes too long or is to `stop`.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Instant,
        stop: &Stop,
        from: Origin<'_>,
        handshake: impl Future<Output = T>,
    ) -> Option<T> {
        let handshake = tokio::select! {
            handshake = timeout_at(deadline.into(), handshake) => handshake,
            () = stop.requested() => return None,
        };
        if handshake.is_err() {
            self.refused(Refusal::HandshakeTimeout, from);
        }
        handshake.ok()
    }

    /// Counts a TLS handshake that has come to an end, and not to a failure.
    pub(super) fn shaken(&self, negotiated: &Negotiated, took: Duration) {
        let metrics = self.broker.metrics();
        let Negotiated { cipher, key_exchange, is_resumed } = *negotiated;
        metrics.tls_handshakes.increment((cipher, key_exchange));
        metrics.tls_resumptions.increment(u64::from(is_resumed));
        metrics.tls_handshake_seconds.record((), took);
    }

    /// Counts a connection that has ended before its client was let in.
    pub(super) fn refused(&self, why: Refusal, from: Origin<'_>) {
        self.broker.metrics().connections_refused.increment(why);
        self.broker.note_knocks(why, from.address, from.listener, 1);
    }

    /// Counts a connection that was not kept up by the other side, as by a proxy that looks whether the broker
    /// is there.
    pub(super) fn went_away(&self, why: Refusal) {
        self.broker.metrics().connections_refused.increment(why);
    }

    /// Counts a connection that is refused at once; that shows in the log, but not each.
    pub(super) fn turned_away(
        &self,
        why: Refusal,
        address: Option<SocketAddr>,
        listener: &Arc<str>,
    ) {
        self.refused(why, Origin { address: address.map(|address| address.ip()), listener });
        self.broker.note_refused_connections(why, address.map(|address| address.ip()), 1);
        if let Some(left_out) = self.refusals.line(Instant::now()) {
            let (why, address) = (why.name(), address.map(tracing::field::display));
            let listener = &**listener;
            tracing::warn!(address, listener, why, left_out, "connection refused");
        }
    }

    /// Counts connections that the system has dropped, as far as one of them from `address`, which came through,
    /// stands for others.
    pub(super) fn dropped(
        &self,
        why: Refusal,
        others: u32,
        address: SocketAddr,
        listener: &Arc<str>,
    ) {
        if why == Refusal::Banned {
            self.broker.note_dropped_by_ban(address.ip(), others);
        }
        let address = Some(address.ip());
        self.broker.metrics().connections_dropped.increment(others.into());
        self.broker.note_knocks(why, address, listener, others);
        self.broker.note_refused_connections(why, address, others);
    }
}
