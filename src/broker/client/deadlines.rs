//! When something is due for a client without it or anybody else doing anything.

use std::time::Instant;

use super::{Client, Stage};
use crate::broker::lease::Lease;
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::session::Input;

impl Client {
    /// When [`Self::on_deadline`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        // Whoever is not listened to cannot be heard.
        let silence = self.rests_until().or_else(|| self.session.deadline())?;
        let due = self.lease().and_then(Lease::due).into_iter().chain(self.limits_due()).min();
        Some(due.map_or(silence, |due| silence.min(due)))
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            Stage::Inside(inside) => inside.lease.as_deref(),
            _ => None,
        }
    }

    /// Whether the connection has ended because the proof of its client has.
    pub(super) fn ends_with_lease(&mut self, now: Now) -> bool {
        let ended = self.lease().and_then(|lease| lease.ended(now.instant));
        let Some(ended) = ended.filter(|_| self.closed.is_none()) else { return false };
        if let Stage::Inside(inside) = &self.stage {
            let who = inside.gate.who();
            let client_id = who.client_id.as_str();
            tracing::info!(principal = %who.principal, client_id, "{ended}");
        }
        self.end(now, ReasonCode::NotAuthorized);
        true
    }

    /// The deadline has come: ends the connection of a client that is silent for too long, or whose
    /// proof of who it is has expired; or has the client asked about again.
    pub fn on_deadline(&mut self, now: Now) {
        if !self.ends_with_lease(now) {
            self.ask_again(now);
            self.resume_deliveries(now);
            if self.rests_until().is_none() {
                self.step(now, Input::Tick);
            }
            self.finish_round();
        }
    }
}
