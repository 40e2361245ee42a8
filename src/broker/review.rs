//! One session under a new policy: its subscriptions and what waits for it are judged again, slice by
//! slice.

use std::sync::Arc;

use super::Broker;
use super::gate::Gate;
use super::parked::Stored;
use super::round::Round;
use super::spilled::Entry;
use crate::clock::Now;
use crate::message::{Message, QoS, SessionKey};
use crate::router::Grant;
use crate::session::{InFlight, Outbound, SubscribeRequest, Subscriptions};
use crate::telemetry::DropReason;
use crate::topic::TopicFilter;

/// Filters that are judged in one go.
const FILTERS_AT_ONCE: usize = 128;
/// Messages that are judged in one go.
const MESSAGES_AT_ONCE: u64 = 1_024;

/// How far a session has been judged. What comes to it meanwhile is judged as it comes.
#[derive(Debug)]
pub(super) struct Review {
    filters: std::vec::IntoIter<TopicFilter>,
    /// The next message, and the first one that has come since the review began, by their arrival.
    messages: (u64, u64),
}

/// The parts of a session that are judged.
pub(super) struct Reviewed<'a> {
    pub(super) stored: &'a mut Stored,
    pub(super) subscriptions: &'a mut Subscriptions,
    pub(super) gate: &'a Gate,
}

impl Review {
    pub(super) fn begin(stored: &Stored, subscriptions: &Subscriptions) -> Self {
        let filters = subscriptions.iter().map(|(filter, _)| filter.clone()).collect::<Vec<_>>();
        Self { filters: filters.into_iter(), messages: (0, stored.mailbox.arrivals()) }
    }
}

impl Broker {
    /// Judges a slice of a session, and says whether any is left. Subscriptions come first: what their
    /// session has of a share that it may not have any more goes to other members.
    pub(super) fn review(
        &self,
        review: &mut Review,
        session: &mut Reviewed<'_>,
        round: &mut Round,
    ) -> bool {
        let filters = review.filters.by_ref().take(FILTERS_AT_ONCE);
        let looked_at = filters.map(|filter| self.review_subscription(&filter, session)).count();
        if looked_at == FILTERS_AT_ONCE {
            return true;
        }
        let (from, end) = review.messages;
        let (gate, key) = (session.gate, session.stored.key);
        let subscriptions = &*session.subscriptions;
        let is_allowed = |entry: &Entry| match entry {
            Entry::Here(outbound) => gate.could_receive(&outbound.message.topic),
            // It is judged when it is read, unless it is another member's now.
            Entry::OnDisk(spilled) => {
                let share = spilled.share.as_ref();
                share.is_none_or(|share| subscriptions.get(share).is_some())
            }
        };
        let slice = session.stored.mailbox.review(from, MESSAGES_AT_ONCE, is_allowed);
        for entry in slice.removed {
            match self.fetched(key, &entry) {
                Some(outbound) => self.drop_denied(key, &outbound, subscriptions, round),
                None => round.drop_kept(key, entry.kept()),
            }
        }
        review.messages.0 = slice.next.unwrap_or(end);
        review.messages.0 < end
    }

    fn review_subscription(&self, filter: &TopicFilter, session: &mut Reviewed<'_>) {
        let Reviewed { stored, subscriptions, gate } = session;
        let Some(granted) = subscriptions.get(filter) else { return };
        match gate.may_keep(filter.borrowed(), &self.counts) {
            None => {
                self.routes.unsubscribe(filter.borrowed(), stored.key);
                self.keep_subscription(stored, filter, None);
                subscriptions.remove(filter);
                stored.retained.remove(filter);
            }
            Some(allowed) if allowed < granted.options.maximum_qos => {
                self.lower(filter, allowed, session);
            }
            Some(_) => {}
        }
    }

    /// The subscription goes on, at a lower QoS.
    fn lower(&self, filter: &TopicFilter, allowed: QoS, session: &mut Reviewed<'_>) {
        let Reviewed { stored, subscriptions, .. } = session;
        let Some(granted) = subscriptions.lower(filter, allowed) else { return };
        self.keep_subscription(stored, filter, Some(granted));
        let grant = Grant { options: granted.options, id: granted.id };
        self.routes.subscribe(filter.borrowed(), &stored.mailbox, grant);
        let request =
            SubscribeRequest { filter: filter.clone(), options: granted.options, id: granted.id };
        stored.retained.pass_on(&request);
    }

    /// What was sent to a client that is away, and that it may not have any more, is not sent again.
    pub(super) fn review_in_flight(
        &self,
        session: SessionKey,
        in_flight: &mut InFlight,
        gate: &Gate,
        round: &mut Round,
    ) {
        let mut progress = Vec::new();
        let is_allowed = |message: &Message| gate.could_receive(&message.topic);
        let denied = in_flight.keep_allowed(is_allowed, &mut progress);
        self.counts.dropped(DropReason::Denied, denied);
        progress.iter().for_each(|progress| round.progress(session, progress));
    }

    /// Opens what an earlier process has sent to a client that comes back, where it is to be opened for it.
    pub(super) fn open_in_flight(
        &self,
        session: SessionKey,
        in_flight: &mut InFlight,
        gate: &mut Gate,
        round: &mut Round,
    ) {
        let (mut progress, now) = (Vec::new(), Now::read());
        let open = |message: &Arc<Message>| {
            let delivery = gate.may_receive(&message.topic, &self.counts);
            self.leaving(delivery, message, now)
        };
        in_flight.open_restored(open, &mut progress);
        progress.iter().for_each(|progress| round.progress(session, progress));
    }

    /// A message that its recipient may not have: the next member's, where it was its turn in a share
    /// that it does not belong to any more.
    pub(super) fn drop_denied(
        &self,
        session: SessionKey,
        outbound: &Outbound,
        subscriptions: &Subscriptions,
        round: &mut Round,
    ) {
        round.drop_kept(session, outbound.kept.as_deref());
        match &outbound.share {
            Some(share) if subscriptions.get(share).is_none() => {
                self.pass_on(share, &outbound.message, round);
            }
            _ => self.counts.dropped(DropReason::Denied, 1),
        }
    }
}
