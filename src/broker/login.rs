//! From a CONNECT to a principal, a permit and a session.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Broker;
use super::authenticators::{Offer, Proven, Refused, Verdict};
use super::authority::Standing;
use super::exchange::Proof;
use super::gate::{Gate, Who};
use super::lease::Lease;
use super::revalidation::spread;
use super::seat::Seat;
use super::sessions::Claimed;
use crate::audit::Event;
use crate::auth::{Authenticator, Authenticators};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::{Attributes, ClientId, Peer, Principal};
use crate::identity_service::IdentityService;
use crate::sentinel::{self, Kind};
use crate::session::{ConnectRequest, Refusal};
use crate::telemetry::LoginMethod;
use crate::telemetry::logging::excerpt;
use crate::tracer::{ConnectTrace, Stage};

/// Bytes of the longest client identifier; the standard asks for 23 `[MQTT-3.1.3-5]`.
const MAX_CLIENT_ID: usize = 1_024;

/// How long a login may take.
#[derive(Debug)]
pub struct Patience<D> {
    /// When the broker gives up.
    pub deadline: Instant,
    /// Ends when the client has gone away.
    pub departure: D,
}

/// A client that has said all that it has to say.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) request: Box<ConnectRequest>,
    pub(super) proof: Proof,
}

/// A client that is let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) gate: Gate,
    pub(super) claimed: Claimed,
    pub(super) is_client_id_assigned: bool,
    pub(super) lease: Option<Box<Lease>>,
    /// The last word of the method of authentication.
    pub(super) authentication_data: Option<Vec<u8>>,
}

/// Where a client comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door<'a> {
    pub(super) peer: &'a Peer,
    /// Those of the listener.
    pub(super) authenticators: &'a Authenticators,
}

impl Broker {
    /// Finds out who connects, and gets its session. Must be run to its end, which comes soon once
    /// `patience` has ended.
    pub(super) async fn log_in(
        &self,
        Caller { request, proof }: Caller,
        door: Door<'_>,
        seat: &Arc<Seat>,
        patience: Patience<impl Future<Output = ()>>,
        trace: Option<&mut ConnectTrace>,
    ) -> Result<Admitted, Refusal> {
        let Door { peer, authenticators } = door;
        let deadline = patience.deadline;
        let offer = Offer::new(peer, &request, proof);
        let (user, offered) = (offer.user(), offer.method());
        let verdict = match self.refusal_of_all() {
            Some(refusal) => Verdict { by: None, outcome: Err(refusal.into()) },
            None => match self.turnstile.enter(peer) {
                Ok(_passing) => {
                    self.find_out_unless_locked_out(offer, authenticators, patience).await
                }
                Err(_) => Verdict { by: None, outcome: Err(Refused::too_many_at_once()) },
            },
        };
        let by = verdict.by;
        if let Some(trace) = trace {
            trace_verdict(trace, by.map_or(offered, LoginMethod::from), &verdict);
        }
        let outcome = match verdict.outcome {
            Ok(proven) => {
                let admitted = self.admit(&request, proven, door, seat, deadline).await;
                admitted.map_err(Refused::from)
            }
            Err(refused) => Err(refused),
        };
        let reason = outcome.as_ref().err().map_or(ReasonCode::Success, Refused::reason);
        self.counts.login(by.map_or(offered, LoginMethod::from), reason);
        match &outcome {
            Ok(admitted) => {
                let who = admitted.gate.who();
                tracing::info!(
                    principal = %who.principal,
                    client_id = who.client_id.as_str(),
                    address = %peer.address,
                    listener = %peer.listener,
                    version = ?request.version,
                    resumed = admitted.claimed.resumed.is_some(),
                    "connected"
                );
                let resumed = admitted.claimed.resumed.is_some();
                self.counts.audit(|| Event::Connected { who: who.as_subject(), resumed });
                let reason = if resumed { "resumed" } else { "new" };
                self.counts.observe(|| who.as_event(Kind::Connected, reason));
            }
            // Who is locked out or banned has shown in the log, and that too many come does.
            Err(refused) if has_been_told(refused) => {
                tracing::debug!(
                    user = user.as_deref().map(excerpt),
                    address = %peer.address,
                    "login refused: {}",
                    refused.why
                );
            }
            Err(refused) => tracing::warn!(
                user = user.as_deref().map(excerpt),
                client_id = excerpt(&request.client_id),
                address = %peer.address,
                listener = %peer.listener,
                authenticator = by.map(Authenticator::name),
                reason = ?refused.reason(),
                "login refused: {}",
                refused.why
            ),
        }
        if let Err(refused) = &outcome {
            self.counts.observe(|| sentinel::Event {
                principal: user.as_deref().map(|user| Principal::User(excerpt(user).into())),
                client: Some(&request.client_id)
                    .filter(|it| !it.is_empty())
                    .map(|it| ClientId::new(excerpt(it))),
                ..refusal_of(peer, refused.reason())
            });
        }
        // It comes again and again: that is counted, and must not fill a disk.
        if let Err(refused) = &outcome
            && refused.reason() == ReasonCode::ServerBusy
        {
            self.note_refused_login(peer.address.ip());
        } else if let Err(refused) = &outcome
            && refused.reason() == ReasonCode::ConnectionRateExceeded
        {
            if !self.lockouts.are_written_by(deadline).await {
                return Err(not_written());
            }
        } else if let Err(refused) = &outcome
            && !has_been_told(refused)
        {
            let ticket = self.counts.audit(|| Event::LoginRefused {
                user: user.as_deref().map(str::to_owned),
                client_id: request.client_id.to_string(),
                address: peer.address.to_string(),
                listener: peer.listener.to_string(),
                authenticator: by.map(Authenticator::name),
                reason: format!("{:?}", refused.reason()),
                why: refused.why.to_string(),
            });
            if !self.counts.is_written_by(deadline, ticket).await {
                return Err(not_written());
            }
        }
        outcome.map_err(Refused::told)
    }

    async fn admit(
        &self,
        request: &ConnectRequest,
        proven: Proven,
        Door { peer, .. }: Door<'_>,
        seat: &Arc<Seat>,
        deadline: Instant,
    ) -> Result<Admitted, Refusal> {
        let Proven { principal, attributes, standing, ends, rules, authentication_data } = proven;
        let is_by_http = matches!(principal, Principal::Http(_));
        let standing = Standing { certificate: peer.certificate.clone(), ..standing };
        let is_client_id_assigned = request.client_id.is_empty();
        let client_id = client_id(&request.client_id)?;
        let who = Who {
            principal,
            client_id,
            attributes: with_those_of_certificate(attributes, peer),
            address: peer.address.clone(),
            listener: Arc::clone(&peer.listener),
            security: peer.security,
            standing,
            connected_at: Now::read().unix.as_secs(),
            rules,
        };
        let mut gate = Gate::new(&self.authority, Arc::new(who));
        if gate.revoked().is_some() {
            let text = "what the client has proven itself by is not valid any more";
            return Err(Refusal::new(ReasonCode::NotAuthorized, text));
        }
        if let Some(will) = &request.will
            && !gate.may_leave_will(&will.message, &self.counts)
        {
            return Err(Refusal::new(ReasonCode::NotAuthorized, "the will is not allowed"));
        }
        if let Some(will) = &request.will {
            let admitted = self.admit_will(&mut gate, &will.message, Now::read());
            admitted
                .map_err(|reason| Refusal::new(reason, "the payload of the will is refused"))?;
        }
        if let Some(refusal) = self.refusal_of_banned(gate.who()) {
            return Err(refusal);
        }
        if self.counts.has_strict_audit() {
            let ticket = self.counts.audit(|| Event::Admitted { who: gate.who().as_subject() });
            if !self.counts.is_written_by(deadline, ticket).await {
                return Err(not_written());
            }
        }
        seat.belongs_to(gate.who());
        let claimed = self.claim(&mut gate, seat, request).await?;
        // Nor by a ban before it could be found.
        self.end_if_banned(seat, gate.who());
        if !self.quarantines.is_empty() {
            self.look_whether_quarantined(seat);
        }
        // Whoever claims after a shutdown has ended all connections has not been ended by it.
        if self.is_shutting_down() {
            seat.end(self.shutdown_reason());
        }
        let now = Now::read();
        let mut lease = lease_of(peer, now, ends);
        let service = self.identity_service.as_ref().filter(|_| is_by_http);
        if let Some(by) = service.and_then(IdentityService::revalidation) {
            lease = lease.renewed_by(now.instant, &by, spread(by.after));
        }
        let lease = lease.if_any();
        Ok(Admitted { gate, claimed, is_client_id_assigned, lease, authentication_data })
    }
}

/// It is known who the client is, or that nobody knows.
fn trace_verdict(trace: &mut ConnectTrace, method: LoginMethod, verdict: &Verdict) {
    trace.set_stage("bastionmq.login.method", method.name());
    match &verdict.outcome {
        Ok(_) => trace.begin(Stage::Session, Instant::now()),
        Err(refused) => {
            trace.fail_stage(format!("{:?}", refused.reason()));
            trace.end_stage(Instant::now());
        }
    }
}

/// What a client is told while a strict audit log cannot be written: neither that it is let in nor that it
/// is not.
fn not_written() -> Refusal {
    Refusal::new(ReasonCode::ServerUnavailable, "logins cannot be written down now")
}

/// Whether the client is locked out or banned, or one of too many.
fn has_been_told(refused: &Refused) -> bool {
    let reason = refused.reason();
    matches!(
        reason,
        ReasonCode::ConnectionRateExceeded | ReasonCode::Banned | ReasonCode::ServerBusy
    )
}

/// A refused login, as the sentinel sees it.
pub(super) fn refusal_of(peer: &Peer, reason: ReasonCode) -> sentinel::Event {
    let reason = match reason {
        ReasonCode::BadUserNameOrPassword => "credentials",
        ReasonCode::ConnectionRateExceeded => "locked_out",
        ReasonCode::Banned => "banned",
        ReasonCode::ServerBusy => "busy",
        ReasonCode::ClientIdentifierNotValid => "client_id",
        ReasonCode::NotAuthorized => "not_authorized",
        _ => "other",
    };
    sentinel::Event {
        address: peer.address.ip(),
        listener: Some(Arc::clone(&peer.listener)),
        ..sentinel::Event::new(Kind::LoginRefused, reason)
    }
}

/// That of a proof that `ends` then, since the Unix epoch. Nobody is let in for longer than the
/// certificate holds that it has shown.
pub(super) fn lease_of(peer: &Peer, now: Now, ends: Option<Duration>) -> Lease {
    let evidence = peer.certificate.as_ref().and_then(|shown| shown.evidence.as_ref());
    let certificate = Lease::until(now, evidence.map(|evidence| evidence.ends));
    Lease::until(now, ends).or_sooner(certificate)
}

/// A certificate says what it says of whoever has its key, a user with a password included.
pub(super) fn with_those_of_certificate(attributes: Attributes, peer: &Peer) -> Attributes {
    match &peer.certificate {
        Some(shown) => attributes.and(&shown.attributes),
        None => attributes,
    }
}

fn client_id(asked: &str) -> Result<ClientId, Refusal> {
    let invalid = |why: &'static str| Refusal::new(ReasonCode::ClientIdentifierNotValid, why);
    match asked {
        "" => assign_client_id()
            .ok_or_else(|| Refusal::new(ReasonCode::UnspecifiedError, "no randomness to be had")),
        asked if asked.len() > MAX_CLIENT_ID => {
            Err(invalid("a client identifier has at most 1,024 bytes"))
        }
        asked if asked.chars().any(char::is_control) => {
            Err(invalid("a client identifier holds no control characters"))
        }
        asked => Ok(ClientId::new(asked)),
    }
}

/// Unguessable, so that nobody can wait for it: a session belongs to whoever names it.
fn assign_client_id() -> Option<ClientId> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let mut id = String::from("auto-");
    for byte in random {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(ClientId::new(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assigned_client_ids_differ() {
        assert_ne!(assign_client_id(), assign_client_id());
    }

    #[test]
    fn client_ids_have_a_bound_and_no_control_characters() {
        assert!(client_id(&"x".repeat(MAX_CLIENT_ID)).is_ok());
        for bad in ["x".repeat(MAX_CLIENT_ID + 1), "a\nb".to_owned(), "\u{7f}".to_owned()] {
            let reason = client_id(&bad).expect_err("refused").reason;
            assert_eq!(reason, ReasonCode::ClientIdentifierNotValid, "{bad:?}");
        }
    }
}
