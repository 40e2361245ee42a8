//! From one SUBSCRIBE to the routing table.

use std::sync::Arc;

use super::Broker;
use super::gate::Gate;
use super::mailbox::Mailbox;
use super::retained_backlog::RetainedBacklog;
use crate::codec::{ReasonCode, RetainHandling};
use crate::router::Grant;
use crate::session::SubscribeRequest;

impl Broker {
    /// Grants what the client may have, as far as it may have it. What is granted is routed when
    /// this returns, so that SUBACK says no more than is true.
    pub(super) fn subscribe(
        &self,
        gate: &mut Gate,
        mailbox: &Arc<Mailbox>,
        backlog: &mut RetainedBacklog,
        requests: Vec<Result<SubscribeRequest, ReasonCode>>,
    ) -> Vec<Result<SubscribeRequest, ReasonCode>> {
        gate.refresh(&self.authority);
        let mut grant = |mut request: SubscribeRequest| {
            let filter = request.filter.borrowed();
            let allowed =
                gate.may_subscribe(filter, &self.counts).ok_or(ReasonCode::NotAuthorized)?;
            request.options.maximum_qos = request.options.maximum_qos.min(allowed);
            let grant = Grant { options: request.options, id: request.id };
            let is_new = self.routes.subscribe(filter, mailbox, grant);
            if wants_retained(&request, is_new) {
                backlog.add(&request);
            } else if !is_new {
                backlog.pass_on(&request);
            }
            Ok(request)
        };
        requests.into_iter().map(|request| request.and_then(&mut grant)).collect()
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
