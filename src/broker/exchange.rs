//! Enhanced authentication: a method, its exchange of challenges and proofs, and what comes of it.

use std::sync::Arc;

use super::Broker;
use crate::auth::{
    Authenticator, Authenticators, SCRAM_SHA_256, ScramExchange, ScramFailure, ScramFault,
    ScramProven, ScramSeeds,
};
use crate::codec::ReasonCode;
use crate::secret::Secret;
use crate::session::{ConnectRequest, Refusal};

/// How a client at the door proves who it is.
#[derive(Debug)]
pub(super) enum Proof {
    /// By what its CONNECT holds.
    Credentials,
    /// By an exchange, which has ended.
    Exchange(Outcome),
}

/// How an exchange has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Who the client claims to be, where it has come to that.
    pub(super) user: Option<Arc<str>>,
    pub(super) result: Result<ScramProven, Refusal>,
}

impl Broker {
    /// Begins the exchange that a CONNECT asks for: what to remember, and what to ask the client.
    /// One that names a method proves itself by that alone: a password beside it would have crossed
    /// the wire in vain.
    pub(super) fn begin_exchange(
        &self,
        authenticators: &Authenticators,
        request: &ConnectRequest,
        method: &str,
        data: Option<&Secret>,
    ) -> Result<(ScramExchange, Vec<u8>), Refusal> {
        if let Some(refusal) = self.refusal_of_all() {
            return Err(refusal);
        }
        let reason = ReasonCode::BadAuthenticationMethod;
        if !authenticators.contains(Authenticator::Scram) {
            return Err(Refusal::new(reason, "this listener has no method of authentication"));
        }
        if method != SCRAM_SHA_256 {
            return Err(Refusal::new(reason, "the method of authentication is SCRAM-SHA-256"));
        }
        let credentials = &request.credentials;
        if credentials.user_name.is_some() || credentials.password.is_some() {
            let text = "no user name or password goes beside a method of authentication";
            return Err(Refusal::new(ReasonCode::BadUserNameOrPassword, text));
        }
        self.begin_scram(data)
    }

    /// Begins SCRAM-SHA-256 with the first message of the client.
    pub(super) fn begin_scram(
        &self,
        data: Option<&Secret>,
    ) -> Result<(ScramExchange, Vec<u8>), Refusal> {
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce)
            .map_err(|_| Refusal::new(ReasonCode::UnspecifiedError, "no randomness to be had"))?;
        let seeds = ScramSeeds { nonce, decoy_key: self.passwords.decoy_key() };
        let message = data.map_or(&[][..], Secret::expose);
        ScramExchange::begin(&self.passwords.file(), message, seeds).map_err(malformed)
    }
}

impl Outcome {
    /// That of an exchange that could not begin.
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self { user: None, result: Err(refusal) }
    }

    /// Ends `exchange` with the last message of the client. There is no second attempt.
    pub(super) fn of(exchange: ScramExchange, data: Option<&Secret>) -> Self {
        let user = Some(Arc::clone(exchange.user()));
        let message = data.map_or(&[][..], Secret::expose);
        let result = exchange.finish(message).map_err(|failure| match failure {
            ScramFailure::Malformed(fault) => malformed(fault),
            ScramFailure::BadCredentials => {
                Refusal::new(ReasonCode::BadUserNameOrPassword, "bad user name or password")
            }
        });
        Self { user, result }
    }
}

fn malformed(fault: ScramFault) -> Refusal {
    Refusal::new(ReasonCode::NotAuthorized, format!("SCRAM-SHA-256: {fault}"))
}
