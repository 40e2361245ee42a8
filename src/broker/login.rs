//! From a CONNECT to a principal, a permit and a session.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::Broker;
use super::exchange::{Outcome, Proof};
use super::gate::{Gate, Who};
use super::hashing::Busy;
use super::seat::Seat;
use super::sessions::Claimed;
use crate::codec::ReasonCode;
use crate::identity::{Attributes, ClientId, Credentials, Peer, Principal};
use crate::secret::Secret;
use crate::session::{ConnectRequest, Refusal};
use crate::telemetry::LoginMethod;
use crate::telemetry::logging::excerpt;

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
    /// The last word of the method of authentication.
    pub(super) authentication_data: Option<Vec<u8>>,
}

impl Broker {
    /// Finds out who connects, and gets its session. Must be run to its end, which comes soon once
    /// `patience` has ended.
    pub(super) async fn log_in(
        &self,
        Caller { request, proof }: Caller,
        peer: &Peer,
        seat: &Arc<Seat>,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Admitted, Refusal> {
        let method = method(&request, peer);
        let user = match &proof {
            Proof::Credentials => request.credentials.user_name.clone(),
            Proof::Exchange(outcome) => outcome.user.clone(),
        };
        let outcome = self.admit(&request, proof, peer, seat, patience).await;
        let reason = outcome.as_ref().err().map_or(ReasonCode::Success, |refusal| refusal.reason);
        self.counts.login(method, reason);
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
            }
            Err(refusal) => tracing::warn!(
                user = user.as_deref().map(excerpt),
                client_id = excerpt(&request.client_id),
                address = %peer.address,
                listener = %peer.listener,
                reason = ?refusal.reason,
                "login refused: {}",
                refusal.text
            ),
        }
        outcome
    }

    async fn admit(
        &self,
        request: &ConnectRequest,
        proof: Proof,
        peer: &Peer,
        seat: &Arc<Seat>,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Admitted, Refusal> {
        if let Some(refusal) = self.refusal_of_all() {
            return Err(refusal);
        }
        let (principal, authentication_data) = match proof {
            Proof::Credentials => {
                (self.authenticate(&request.credentials, peer, patience).await?, None)
            }
            Proof::Exchange(Outcome { result, .. }) => {
                let proven = result?;
                (Principal::User(proven.user), Some(proven.server_final))
            }
        };
        let is_client_id_assigned = request.client_id.is_empty();
        let client_id = client_id(&request.client_id)?;
        let who = Who {
            principal,
            client_id,
            attributes: Attributes::default(),
            address: peer.address,
            listener: Arc::clone(&peer.listener),
            security: peer.security,
        };
        let mut gate = Gate::new(&self.policies, Arc::new(who));
        if let Some(will) = &request.will
            && !gate.may_leave_will(&will.message, &self.counts)
        {
            return Err(Refusal::new(ReasonCode::NotAuthorized, "the will is not allowed"));
        }
        let claimed = self.claim(&mut gate, seat, request.clean_start).await?;
        // Whoever claims after a shutdown has ended all connections has not been ended by it.
        if self.is_shutting_down() {
            seat.end(self.shutdown_reason());
        }
        Ok(Admitted { gate, claimed, is_client_id_assigned, authentication_data })
    }

    /// Credentials that are sent must be right, even where a certificate has already said who it is:
    /// no proof is ever ignored.
    async fn authenticate(
        &self,
        credentials: &Credentials,
        peer: &Peer,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Principal, Refusal> {
        let Credentials { user_name, password } = credentials;
        match (user_name, password) {
            (Some(user), Some(password)) => self.check_password(user, password, patience).await,
            (Some(_), None) => Err(bad_credentials()),
            (None, Some(_)) => Err(bad_credentials()),
            (None, None) => match &peer.certificate {
                Some(name) => Ok(Principal::Certificate(Arc::clone(name))),
                None if self.allow_anonymous => Ok(Principal::Anonymous),
                None => Err(Refusal::new(ReasonCode::NotAuthorized, "credentials are required")),
            },
        }
    }

    async fn check_password(
        &self,
        user: &Arc<str>,
        password: &Secret,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Result<Principal, Refusal> {
        match self.passwords.check(user, password, patience).await {
            Ok(true) => Ok(Principal::User(Arc::clone(user))),
            Ok(false) => Err(bad_credentials()),
            Err(Busy) => Err(Refusal::new(ReasonCode::ServerBusy, "too many logins at once")),
        }
    }
}

fn method(request: &ConnectRequest, peer: &Peer) -> LoginMethod {
    if request.authentication.is_some() {
        return LoginMethod::Scram;
    }
    match (&request.credentials, &peer.certificate) {
        (Credentials { user_name: None, password: None }, Some(_)) => LoginMethod::Certificate,
        (Credentials { user_name: None, password: None }, None) => LoginMethod::Anonymous,
        _ => LoginMethod::Password,
    }
}

pub(super) fn bad_credentials() -> Refusal {
    Refusal::new(ReasonCode::BadUserNameOrPassword, "bad user name or password")
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
