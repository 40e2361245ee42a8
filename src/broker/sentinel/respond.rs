//! What is done to those who have broken a rule: graded, for a time, and never to whom the allow-list has.

use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::audit::{self, Responded};
use crate::broker::Broker;
use crate::broker::register::SanctionOrder;
use crate::codec::ReasonCode;
use crate::identity::{Network, Principal};
use crate::sanctions::{Author, PutError, Subject};
use crate::sentinel::{Event, Finding, Response, Target};
use crate::telemetry::{ResponseOutcome, SentinelResponse};
use crate::throttle::Rate;

impl Broker {
    /// Does what the rule says beyond telling of it; what has come of each.
    pub(super) fn respond(&self, finding: &Finding) -> Vec<Responded> {
        let responses = finding.rule.responses.iter();
        responses.filter_map(|response| self.respond_by(*response, finding)).collect()
    }

    /// Nothing where the response is to tell of it.
    fn respond_by(&self, response: Response, finding: &Finding) -> Option<Responded> {
        let kind = match response {
            Response::Log | Response::Alert | Response::Webhook => return None,
            Response::Disconnect(_) => SentinelResponse::Disconnect,
            Response::Quarantine(..) => SentinelResponse::Quarantine,
            Response::Ban(..) => SentinelResponse::Ban,
            Response::Tighten(..) => SentinelResponse::Tighten,
        };
        let target = response.target()?;
        let subject = subject_of(target, &finding.event);
        let (outcome, connections) = match &subject {
            None => (ResponseOutcome::Nobody, 0),
            Some(subject) if self.bans.protects(subject) => (ResponseOutcome::Allowed, 0),
            Some(_) if finding.rule.dry_run => (ResponseOutcome::DryRun, 0),
            Some(subject) if !self.may_respond(kind, target, subject, finding) => {
                (ResponseOutcome::Unwritten, 0)
            }
            Some(subject) => self.act(response, subject, finding),
        };
        self.counts.metrics.sentinel_responses.increment((kind, outcome));
        Some(Responded {
            response: kind.name(),
            target: target.name(),
            subject: subject.map(|it| it.to_string()),
            seconds: response.lasts().map(|it| it.as_secs()),
            outcome: outcome.name(),
            connections,
        })
    }

    /// Whether it may be done, which a strict audit log has on disk by then.
    fn may_respond(
        &self,
        response: SentinelResponse,
        target: Target,
        subject: &Subject,
        finding: &Finding,
    ) -> bool {
        self.may_soon_do(|| audit::Event::Responding {
            rule: finding.rule.name.to_string(),
            response: response.name(),
            kind: target.name(),
            subject: subject.to_string(),
        })
    }

    /// What has come of it, and how many connections it concerned at once.
    fn act(
        &self,
        response: Response,
        subject: &Subject,
        finding: &Finding,
    ) -> (ResponseOutcome, usize) {
        let rule = &finding.rule;
        let order = || SanctionOrder {
            subject: subject.clone(),
            by: Author::Rule(rule.name.clone()),
            why: rule.about.to_string(),
            lasts: response.lasts(),
        };
        let sanctioned = match response {
            Response::Log | Response::Alert | Response::Webhook => {
                return (ResponseOutcome::Nobody, 0);
            }
            Response::Disconnect(_) => return (ResponseOutcome::Done, self.disconnect(subject)),
            Response::Quarantine(..) => self.quarantine(order()),
            Response::Ban(..) => self.ban(order()),
            Response::Tighten(_, rate, _) => {
                self.tighten(order(), Rate::new(rate, NonZeroU32::MIN, rate))
            }
        };
        match sanctioned {
            Ok(sanctioned) => (ResponseOutcome::Done, sanctioned.connections),
            Err(PutError::Allowed(_)) => (ResponseOutcome::Allowed, 0),
            Err(PutError::Full(_)) => (ResponseOutcome::Full, 0),
        }
    }

    /// Ends the connections of those whom `subject` means; how many. They are told that an administrator
    /// does (0x98), and may come again.
    fn disconnect(&self, subject: &Subject) -> usize {
        let mut seats = self.seats_of(subject);
        seats.retain(|seat| seat.who().is_some_and(|who| !self.bans.exempts(who, subject)));
        seats.iter().for_each(|seat| seat.end(ReasonCode::AdministrativeAction));
        seats.len()
    }
}

/// Whom a response means by what `event` has; nobody by a name that anybody may take, which is what those have
/// who are let in without a proof.
fn subject_of(target: Target, event: &Event) -> Option<Subject> {
    let is_proven = || matches!(&event.principal, Some(it) if *it != Principal::Anonymous);
    let network = |of: fn(IpAddr) -> Network| event.address.map(of).map(Subject::Network);
    match target {
        Target::Address => network(|address| Network::around(address, u8::MAX)),
        Target::Prefix => network(Network::of_customer),
        _ if !is_proven() => None,
        Target::Principal => event.principal.clone().map(Subject::Principal),
        Target::Client => event.client.clone().map(Subject::ClientId),
        Target::Certificate => event.certificate.as_deref().and_then(Subject::of_certificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ClientId;
    use crate::sentinel::Kind;

    fn subject(target: Target, principal: Option<Principal>, address: &str) -> Option<String> {
        let event = Event {
            principal,
            client: Some(ClientId::new("pump")),
            address: address.parse().ok(),
            ..Event::new(Kind::Denied, "publish")
        };
        subject_of(target, &event).map(|it| it.to_string())
    }

    #[test]
    fn a_response_means_what_the_event_has() {
        for (target, address, meant) in [
            (Target::Principal, "192.0.2.7", "user:ann"),
            (Target::Client, "192.0.2.7", "client:pump"),
            (Target::Address, "192.0.2.7", "192.0.2.7"),
            (Target::Prefix, "192.0.2.7", "192.0.2.0/24"),
            (Target::Address, "2001:db8:1:2345::7", "2001:db8:1:2345::7"),
            (Target::Prefix, "2001:db8:1:2345::7", "2001:db8:1:2300::/56"),
        ] {
            let ann = Some(Principal::User("ann".into()));
            assert_eq!(subject(target, ann, address).as_deref(), Some(meant));
        }
        assert_eq!(subject(Target::Address, None, "none, of a process"), None);
        assert_eq!(subject(Target::Certificate, Some(Principal::User("ann".into())), "::1"), None);
    }

    #[test]
    fn a_name_that_anybody_may_take_means_nobody() {
        for principal in [None, Some(Principal::Anonymous)] {
            for target in [Target::Principal, Target::Client, Target::Certificate] {
                assert_eq!(subject(target, principal.clone(), "192.0.2.7"), None);
            }
        }
        let address = subject(Target::Address, Some(Principal::Anonymous), "192.0.2.7");
        assert_eq!(address.as_deref(), Some("192.0.2.7"));
    }
}
