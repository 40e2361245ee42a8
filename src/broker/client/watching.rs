//! What the sentinel is told of a connection.

use std::sync::Arc;

use super::{Client, Stage};
use crate::clock::Now;
use crate::identity::Peer;
use crate::sentinel::{Event, Kind};
use crate::session::Closed;
use crate::telemetry::{ProtocolFault, Refusal};

impl Client {
    /// Who is at the other end of the connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The connection has ended, by a `fault` of its client where there is one.
    pub(super) fn watch_end(&self, closed: Closed, fault: Option<ProtocolFault>) {
        let counts = &self.broker.counts;
        let broken = match closed {
            Closed::Malformed(_) => Some(Kind::Malformed),
            Closed::Violation { .. } | Closed::KeepAlive => Some(Kind::Violation),
            _ => None,
        };
        match (broken, fault) {
            // Of somebody who is nobody yet, there is nothing but that this was no CONNECT.
            (Some(Kind::Violation), Some(_)) if !self.is_inside() => {
                let why = Refusal::Protocol.name();
                counts.observe(|| self.as_event(Kind::ConnectionRefused, why));
            }
            (Some(kind), Some(fault)) => counts.observe(|| self.as_event(kind, fault.name())),
            _ => {}
        }
        if let Stage::Inside(inside) = &self.stage {
            let why = match closed {
                Closed::ByClient(_) => "by_client",
                Closed::ByBroker(_) | Closed::Refused(_) => "by_broker",
                Closed::KeepAlive => "keep_alive",
                Closed::Lost => "lost",
                Closed::Malformed(_) | Closed::Violation { .. } => "fault",
            };
            counts.observe(|| inside.gate.who().as_event(Kind::Disconnected, why));
        }
    }

    /// The client has not read what it was sent for as long as that is waited for.
    pub fn on_unread(&self) {
        let (counts, fault) = (&self.broker.counts, ProtocolFault::SendTimeout);
        counts.metrics.protocol_faults.increment(fault);
        counts.observe(|| self.as_event(Kind::Violation, fault.name()));
    }

    /// What the client has published, once a minute is over.
    pub(super) fn tell_of_conduct(&mut self, now: Now) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Some(conduct) = inside.memo.as_mut().and_then(|memo| memo.conduct()) else { return };
        let (who, counts) = (inside.gate.who(), &self.broker.counts);
        let of = |kind| who.as_event(kind, "");
        conduct.tell_in_time(now.instant, of, |event| counts.observe(|| event));
    }

    /// What the client has published and nobody was told of: it goes.
    pub(super) fn tell_of_last_conduct(&mut self) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Some(conduct) = inside.memo.as_mut().and_then(|memo| memo.conduct()) else { return };
        let (who, counts) = (inside.gate.who(), &self.broker.counts);
        conduct.tell(|kind| who.as_event(kind, ""), |event| counts.observe(|| event));
    }

    /// Something that the client does, who may not have said yet who it is.
    fn as_event(&self, kind: Kind, reason: &'static str) -> Event {
        match &self.stage {
            Stage::Inside(inside) => inside.gate.who().as_event(kind, reason),
            _ => Event {
                address: self.peer.address.ip(),
                listener: Some(Arc::clone(&self.peer.listener)),
                ..Event::new(kind, reason)
            },
        }
    }
}
