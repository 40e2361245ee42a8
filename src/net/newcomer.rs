//! A connection from when it is accepted to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budgets::Place;
use super::connection::{Connection, Ended};
use super::listener::Accepted;
use super::occupancy::Occupant;
use super::shared::{Origin, Shared};
use super::terms::Terms;
use super::welcome::{Arrival, Welcomed};
use crate::broker::Client;
use crate::telemetry::{Metrics, Refusal};
use crate::tracer::ConnectTrace;

/// A connection of which nothing is known but its address.
pub(super) struct Newcomer {
    pub(super) accepted: Accepted,
    pub(super) place: Place,
    pub(super) terms: Arc<Terms>,
    pub(super) occupant: Occupant,
    /// Where it is traced.
    pub(super) trace: Option<Box<ConnectTrace>>,
}

impl Newcomer {
    /// Shakes hands, where there is TLS or WebSocket, and serves the client. What is needed for the
    /// handshakes alone is on the heap, from when they begin to their end: a crowd that waits to be
    /// served has none of it yet.
    pub(super) fn serve(self, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
        let Self { accepted, place, terms, occupant, mut trace } = self;
        if let Some(trace) = &mut trace {
            trace.set_listener(&terms.name, accepted.transport());
            trace.end_stage(Instant::now());
        }
        let open = Open::count(Arc::clone(shared.broker.metrics()));
        let settings = shared.settings.load_full();
        let seconds = settings.connect_timeout_seconds.get().into();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let send_timeout = settings.send_timeout();
        let authenticators = Arc::clone(&terms.endpoint.authenticators);
        let stop = Arc::clone(&terms.stop);
        let arrival = Box::new(Arrival { accepted, place, deadline, trace });
        async move {
            let welcome = Box::pin(terms.welcome(arrival, Arc::clone(&shared)));
            if let Some(Welcomed { transport, peer, mut place, trace }) = welcome.await {
                let client = Client::new(Arc::clone(&shared.broker), peer, authenticators);
                let client = client.traced_by(trace);
                let mut connection = Connection::new(transport, client, deadline, send_timeout);
                let ended = connection.run(&stop, &shared.inside, &mut place).await;
                let from = Origin::of(connection.peer());
                match ended {
                    Ended::AfterLogin => {}
                    Ended::TooLate => shared.refused(Refusal::Timeout, from),
                    Ended::BeforeLogin => shared.refused(Refusal::Protocol, from),
                }
            }
            drop((occupant, open));
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
