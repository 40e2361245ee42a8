//! Every session judged again, after what decides has changed: a few at a time, between which
//! messages have their turn.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::yield_now;

use super::Broker;
use super::authority::Revoked;
use super::gate::{Gate, Who};
use super::parked::Parked;
use super::registry::Holding;
use super::review::{Review, Reviewed};
use super::round::Round;
use crate::audit::Event;
use crate::identity::ClientId;
use crate::message::SessionKey;

/// Sessions that are looked at in one go. Each connection among them is woken, and then judges
/// itself: as many of them as this come between two messages.
const SESSIONS_AT_ONCE: usize = 32;

/// A session without a connection that is being judged.
#[derive(Debug)]
struct Absent {
    gate: Gate,
    session: SessionKey,
    review: Option<Review>,
}

impl Broker {
    /// Judges every session again whenever the policy, or what an identity rests on, has changed.
    /// Subscriptions that are no longer allowed end, and what waits and may not be delivered any more
    /// is dropped. A session whose client is not any more who it has proven to be ends, with 0x87 if
    /// it is connected. Never returns.
    pub async fn judge_sessions(self: Arc<Self>) {
        loop {
            self.authority.changed().await;
            let started = Instant::now();
            let sessions = self.registry.client_ids();
            let count = sessions.len();
            self.judge_all(sessions).await;
            let took = started.elapsed();
            tracing::debug!(sessions = count, ?took, "every session has been called to judgement");
        }
    }

    /// Returns once every connection among `sessions` has been called to judge itself, and every
    /// session without one is judged.
    pub(super) async fn judge_all(&self, sessions: Vec<ClientId>) {
        for (number, client_id) in (1..).zip(sessions) {
            let mut absent = self.call(&client_id);
            while absent.as_mut().is_some_and(|absent| self.judge_slice(&client_id, absent)) {
                yield_now().await;
            }
            if number % SESSIONS_AT_ONCE == 0 {
                yield_now().await;
            }
        }
    }

    /// Wakes the connection of a session, which judges itself; gives what is to be judged where there
    /// is none.
    fn call(&self, client_id: &ClientId) -> Option<Absent> {
        match self.registry.holding(client_id.as_str())? {
            Holding::Connected(seat) => {
                seat.bell().ring();
                None
            }
            Holding::Parked(who, session) => {
                let gate = Gate::new(&self.authority, who);
                Some(Absent { gate, session, review: None })
            }
        }
    }

    /// Whether any is left. Nothing is where the client has come back meanwhile: then it is judged.
    fn judge_slice(&self, client_id: &ClientId, absent: &mut Absent) -> bool {
        let Absent { gate, session, review } = absent;
        if let Some(revoked) = gate.revoked() {
            if let Some(parked) = self.registry.remove_parked(client_id, *session) {
                self.report_revoked(gate.who(), revoked);
                self.end(*parked, Instant::now());
            }
            return false;
        }
        let mut round = Round::default();
        let is_more = self.registry.with_parked(client_id, *session, |parked| {
            let Parked { session: stored, image, .. } = parked;
            let review = review.get_or_insert_with(|| {
                stored.mailbox.bound(self.bounds(gate.limits()));
                Review::begin(stored, &image.subscriptions)
            });
            let subscriptions = &mut image.subscriptions;
            let key = stored.key;
            let is_more =
                self.review(review, &mut Reviewed { stored, subscriptions, gate }, &mut round);
            if !is_more {
                self.review_in_flight(key, &mut image.in_flight, gate, &mut round);
            }
            is_more
        });
        self.finish_round(&mut round);
        is_more.unwrap_or(false)
    }

    /// Says that the session of `who` ends.
    pub(super) fn report_revoked(&self, who: &Who, revoked: Revoked) {
        let Revoked(why) = revoked;
        self.counts.metrics.sessions_revoked.increment(why);
        tracing::info!(
            principal = %who.principal,
            client_id = who.client_id.as_str(),
            why = why.name(),
            "the session ends: {revoked}"
        );
        self.counts.audit(|| Event::Revoked { who: who.as_subject(), why: revoked.to_string() });
    }
}
