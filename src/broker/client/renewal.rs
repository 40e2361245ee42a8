//! A connection whose client is asked about again while it is inside, and what it makes of the answer.

use std::sync::Arc;

use super::{Client, Stage};
use crate::broker::authority::Standing;
use crate::broker::gate::{Gate, Who};
use crate::broker::lease::Reply;
use crate::broker::login::{lease_of, with_those_of_certificate};
use crate::broker::revalidation::{Request, spread};
use crate::clock::Now;
use crate::identity_service::{Answer, IdentityService, Revalidation};

impl Client {
    /// Has the client asked about where that is due, and still wanted.
    pub(super) fn ask_again(&mut self, now: Now) {
        let by = self.revalidation();
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Some(lease) = &mut inside.lease else { return };
        if by.is_none() {
            lease.ask_no_more();
            return;
        }
        let reply = lease.ask(now.instant);
        let (Some(reply), Some(version)) = (reply, self.session.version()) else { return };
        let (who, seat) = (Arc::clone(inside.gate.who()), Arc::clone(&self.seat));
        self.broker.revalidations.add(Request { who, version, seat, reply });
    }

    /// Takes up what was answered about the client, if anything was.
    pub(super) fn take_answer(&mut self, now: Now) {
        let by = self.revalidation();
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Some(lease) = &mut inside.lease else { return };
        let Some(reply) = lease.answer() else { return };
        match by {
            Some(by) => self.on_answer(now, &by, reply),
            None => lease.ask_no_more(),
        }
    }

    fn revalidation(&self) -> Option<Revalidation> {
        self.broker.identity_service.as_ref().and_then(IdentityService::revalidation)
    }

    fn on_answer(&mut self, now: Now, by: &Revalidation, reply: Reply) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        let who = inside.gate.who();
        match reply {
            Ok(Answer::Allow(admission)) => {
                let lease = lease_of(&self.peer, now, admission.ends);
                let lease = lease.renewed_by(now.instant, by, spread(by.after));
                inside.lease = lease.if_any();
                let attributes = admission.attributes.clone();
                let attributes = with_those_of_certificate(attributes, &self.peer);
                if attributes != who.attributes || admission.rules != who.rules {
                    tracing::info!(
                        principal = %who.principal,
                        client_id = who.client_id.as_str(),
                        "the HTTP service says otherwise of it now"
                    );
                    let rules = admission.rules.clone();
                    let who = Who { attributes, rules, ..Who::clone(who) };
                    self.become_who(who);
                }
                self.ends_with_lease(now);
            }
            // Who is not known any more has been struck off.
            Ok(Answer::Deny | Answer::Ignore) => {
                let standing = Standing { is_taken_back: true, ..who.standing.clone() };
                let nobody = Who { standing, ..Who::clone(who) };
                inside.gate = Gate::new(&self.broker.authority, Arc::new(nobody));
                self.end_revoked(now);
            }
            Err(failure) => {
                tracing::debug!(
                    principal = %who.principal,
                    client_id = who.client_id.as_str(),
                    "it stays without having been asked about: {failure}"
                );
                if let Some(lease) = &mut inside.lease {
                    lease.retry_at(now.instant + spread(by.retry));
                }
            }
        }
    }

    /// What was decided for the client as it was is not true any more.
    fn become_who(&mut self, who: Who) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        inside.gate = Gate::new(&self.broker.authority, Arc::new(who));
        inside.reviewed = inside.gate.generation();
        inside.memo = None;
        // Nobody waits for it: who comes back is asked about again.
        self.keep_session(false);
        self.begin_review();
    }
}
