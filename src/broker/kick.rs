//! An operator ends a connection, and its session where that is asked for.

use std::sync::Arc;
use std::time::Instant;

use super::Broker;
use super::parked::{Handover, Parked};
use super::registry::Holding;
use super::seat::Seat;
use crate::codec::ReasonCode;
use crate::identity::ClientId;

/// What is to become of the session of a client that is kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for the client as after any other end of its connection.
    Kept,
    /// It ends.
    Forgotten,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kicked {
    /// There is no such session.
    Unknown,
    /// The client is not connected, and its session is as it was.
    Away,
    /// The client was not connected, and its session has ended.
    AwayAndForgotten,
    /// The connection has ended; the session waits for the client.
    Disconnected,
    /// The connection has ended, and the session with it.
    DisconnectedAndForgotten,
}

impl Broker {
    /// Ends the connection of `client_id`, which is told that by an administrative action (0x98). Must
    /// be run to its end: what it has taken is otherwise lost.
    ///
    /// It takes the session as a newer connection of the same client would, and so knows what has
    /// become of it. A client that comes back meanwhile gets what is left of its session.
    pub async fn kick(&self, client_id: &ClientId, fate: Fate) -> Kicked {
        // Another round is needed only where the session has changed hands just then.
        loop {
            match self.registry.holding(client_id.as_str()) {
                None => return Kicked::Unknown,
                Some(Holding::Parked(..)) if fate == Fate::Kept => return Kicked::Away,
                Some(Holding::Parked(_, key)) => {
                    if let Some(parked) = self.registry.remove_parked(client_id, key) {
                        self.end(*parked, Instant::now());
                        return Kicked::AwayAndForgotten;
                    }
                }
                Some(Holding::Connected(_)) => {
                    let seat = Arc::<Seat>::default();
                    let reason = ReasonCode::AdministrativeAction;
                    if let Some(handover) = self.registry.take_back(client_id, &seat, reason) {
                        // A sender that is dropped is a connection that ended without a session.
                        let left = handover.await.unwrap_or_default();
                        return self.settle_kicked(client_id, &seat, left, fate);
                    }
                }
            }
        }
    }

    fn settle_kicked(
        &self,
        client_id: &ClientId,
        seat: &Arc<Seat>,
        left: Handover,
        fate: Fate,
    ) -> Kicked {
        let now = Instant::now();
        let kept = match left {
            Some(parked) if fate == Fate::Forgotten => {
                self.end(*parked, now);
                None
            }
            left => left,
        };
        let kicked = match kept {
            Some(_) => Kicked::Disconnected,
            None => Kicked::DisconnectedAndForgotten,
        };
        let on_parked = |parked: &Parked| self.set_timers(parked, client_id);
        match self.registry.release(client_id, seat, kept, on_parked) {
            Ok(()) => {}
            // The client has come back, and waits.
            Err(Some(parked)) => self.hand_over(seat, Some(parked), now),
            Err(None) => drop(seat.leave()),
        }
        kicked
    }
}
