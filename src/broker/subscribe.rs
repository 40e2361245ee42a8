//! From one SUBSCRIBE to the routing table.

use std::time::Instant;

use super::Broker;
use super::gate::Gate;
use super::parked::Stored;
use super::records::SubscriptionRecord;
use super::round::Round;
use crate::codec::{ReasonCode, RetainHandling};
use crate::router::Grant;
use crate::sentinel::{Breadth, Kind};
use crate::session::{Granted, SubscribeRequest};
use crate::store::Batch;
use crate::topic::TopicFilter;

impl Broker {
    /// Grants what the client may have, as far as it may have it. What is granted is routed when
    /// this returns, so that SUBACK says no more than is true; where it is kept, that is waited for.
    pub(super) fn subscribe(
        &self,
        gate: &mut Gate,
        stored: &mut Stored,
        requests: Vec<Result<SubscribeRequest, ReasonCode>>,
        round: &mut Round,
    ) -> Vec<Result<SubscribeRequest, ReasonCode>> {
        gate.refresh(&self.authority);
        let Stored { mailbox, retained: backlog, .. } = stored;
        let keeper = self.keeper.as_ref().filter(|_| mailbox.is_durable());
        let can_be_kept = keeper.is_none_or(|keeper| keeper.admit().is_ok());
        let mut batch = Batch::default();
        let mut grant = |mut request: SubscribeRequest| {
            let filter = request.filter.borrowed();
            let allowed =
                gate.may_subscribe(filter, &self.counts).ok_or(ReasonCode::NotAuthorized)?;
            if !can_be_kept {
                return Err(ReasonCode::QuotaExceeded);
            }
            request.options.maximum_qos = request.options.maximum_qos.min(allowed);
            let (options, id) = (request.options, request.id);
            let grant = Grant { options, id };
            let is_new = self.routes.subscribe(filter, mailbox, grant);
            let breadth = Breadth::of(filter).name();
            gate.watch(&self.counts, Kind::Subscribed, breadth, filter.as_str());
            let wants_retained = wants_retained(&request, is_new);
            let mut owes_retained = !wants_retained && backlog.owes_by_record(&request.filter);
            if wants_retained {
                owes_retained = keeper.is_some() && self.retained.has_any(filter, Instant::now());
                backlog.add(&request, owes_retained);
            } else if !is_new {
                backlog.pass_on(&request);
            }
            if let Some(keeper) = keeper {
                let (session, filter) = (stored.key, request.filter.clone());
                let granted = Granted { options, id };
                let record = SubscriptionRecord { session, filter, granted, owes_retained };
                keeper.put_subscription(&mut batch, &record);
            }
            Ok(request)
        };
        let outcomes = requests.into_iter().map(|request| request.and_then(&mut grant)).collect();
        if let Some(keeper) = keeper.filter(|_| !batch.is_empty()) {
            keeper.keep(batch);
            round.await_others();
        }
        outcomes
    }

    /// Ends subscriptions. The client is told so once that is kept.
    pub(super) fn unsubscribe(
        &self,
        stored: &mut Stored,
        filters: &[TopicFilter],
        round: &mut Round,
    ) {
        for filter in filters {
            stored.retained.remove(filter);
            self.routes.unsubscribe(filter.borrowed(), stored.key);
        }
        let keeper = self.keeper.as_ref().filter(|_| stored.mailbox.is_durable());
        let Some(keeper) = keeper else { return };
        for filter in filters {
            keeper.forget_subscription(round.awaited_batch(), stored.key, filter.borrowed());
        }
    }
}

/// Retained messages are not sent to a shared subscription (5.0 section 4.8.2).
fn wants_retained(request: &SubscribeRequest, is_new: bool) -> bool {
    request.filter.borrowed().share().is_none()
        && match request.options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        }
}
