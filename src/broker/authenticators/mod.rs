//! Who a client is: the authenticators of its listener, asked one after the other.
//!
//! Each answers for what is offered to it and leaves the rest to the next one. What a client has
//! sent must be right: no authenticator lets in a client that has sent a proof which it does not
//! look at, and so no proof is ever ignored.

mod anonymous;
mod certificate;
mod certificate_and_password;
mod http;
mod jwt;
mod password;
mod scram;
mod unix;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::Broker;
use super::authority::Standing;
use super::exchange::{Outcome, Proof};
use super::lockouts::{Attempt, TooManyFailures};
use super::login::Patience;
use crate::acl::ClientRules;
use crate::auth::{Authenticator, Authenticators, PasswordProof};
use crate::codec::{ReasonCode, Version};
use crate::identity::{Attributes, Peer, PeerAddress, Principal};
use crate::secret::Secret;
use crate::session::{ConnectRequest, Refusal};
use crate::telemetry::LoginMethod;

/// What a client offers as proof of who it is.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    peer: &'a Peer,
    user_name: Option<&'a Arc<str>>,
    password: Option<&'a Secret>,
    /// That of enhanced authentication, which has ended. Nothing goes beside it.
    exchange: Option<Outcome>,
    /// What the client calls itself; empty where it leaves that to us.
    client_id: &'a str,
    version: Version,
    /// Whether somebody was asked who would have known the user, and does not.
    is_unknown: bool,
}

/// What an authenticator says to an offer.
#[derive(Debug)]
enum Answer {
    /// This is who it is.
    Proven(Proven),
    /// It offers what this authenticator takes, and that is wrong.
    Refused(Refused),
    /// It offers nothing that this authenticator takes.
    NotMine,
}

/// Who a client is.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) principal: Principal,
    pub(super) attributes: Attributes,
    /// What that rests on.
    pub(super) standing: Standing,
    /// When it has to prove anew who it is, since the Unix epoch.
    pub(super) ends: Option<Duration>,
    /// Rules that came with the proof.
    pub(super) rules: Option<ClientRules>,
    /// The last word of the method of enhanced authentication.
    pub(super) authentication_data: Option<Vec<u8>>,
}

/// Why a client is not let in.
#[derive(Debug)]
pub(super) struct Refused {
    /// What it is told; nothing that helps to guess.
    pub(super) refusal: Refusal,
    /// What the log says.
    pub(super) why: Cow<'static, str>,
    /// Whether it is not told that it is banned, since it has not proven anything.
    is_unproven: bool,
}

/// An answer, and whose it is; nobody's, where no authenticator took the offer.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) by: Option<Authenticator>,
    pub(super) outcome: Result<Proven, Refused>,
}

impl Broker {
    /// Asks the authenticators of a listener who makes this offer.
    pub(super) async fn find_out(
        &self,
        mut offer: Offer<'_>,
        authenticators: &Authenticators,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Verdict {
        let Patience { deadline, departure } = patience;
        let mut departure = pin!(departure);
        for authenticator in authenticators.iter() {
            let patience = Patience { deadline, departure: departure.as_mut() };
            let answer = match authenticator {
                Authenticator::Certificate => certificate::ask(&offer),
                Authenticator::CertificateAndPassword => {
                    certificate_and_password::ask(self, &offer, patience).await
                }
                Authenticator::Unix => unix::ask(&offer),
                Authenticator::Scram => scram::ask(&mut offer),
                Authenticator::Jwt => jwt::ask(self, &offer),
                // Large, and those who are not asked about by HTTP need no room for it.
                Authenticator::Http => Box::pin(http::ask(self, &mut offer, patience)).await,
                Authenticator::Password => password::ask(self, &offer, patience).await,
                Authenticator::Anonymous => anonymous::ask(&offer),
            };
            let outcome = match answer {
                Answer::Proven(proven) => Ok(proven),
                Answer::Refused(refused) => Err(refused),
                Answer::NotMine => continue,
            };
            return Verdict { by: Some(authenticator), outcome };
        }
        Verdict { by: None, outcome: Err(offer.refused_by_all()) }
    }
}

impl<'a> Offer<'a> {
    /// What `request` of `peer` offers, with the outcome of an exchange if there was one.
    pub(super) fn new(peer: &'a Peer, request: &'a ConnectRequest, proof: Proof) -> Self {
        let exchange = match proof {
            Proof::Credentials => None,
            Proof::Exchange(outcome) => Some(outcome),
        };
        let credentials = &request.credentials;
        Self {
            peer,
            user_name: credentials.user_name.as_ref(),
            password: credentials.password.as_ref(),
            exchange,
            client_id: &request.client_id,
            version: request.version,
            is_unknown: false,
        }
    }

    /// Who the client claims to be, where it does.
    pub(super) fn user(&self) -> Option<Arc<str>> {
        match &self.exchange {
            Some(exchange) => exchange.user.clone(),
            None => self.user_name.cloned(),
        }
    }

    /// Whose password somebody may be guessing, where one was sent or proven.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.has_credentials().then(|| Attempt::new(self.user(), self.peer))
    }

    /// The client identifier that it comes with, where there is a proof that costs something to look at.
    pub(super) fn claim_to_be_judged(&self) -> Option<&str> {
        (self.password.is_some() && self.exchange.is_none()).then_some(self.client_id)
    }

    /// What the login counts as, whoever answers for it or nobody.
    pub(super) fn method(&self) -> LoginMethod {
        if self.exchange.is_some() {
            LoginMethod::Scram
        } else if self.has_credentials() {
            LoginMethod::Password
        } else if self.is_by_unix_socket() {
            LoginMethod::Unix
        } else if self.peer.certificate.is_some() {
            LoginMethod::Certificate
        } else {
            LoginMethod::Anonymous
        }
    }

    /// Whether the CONNECT has a user name or a password, or the client was to prove itself by a
    /// method of enhanced authentication.
    fn has_credentials(&self) -> bool {
        self.user_name.is_some() || self.password.is_some() || self.exchange.is_some()
    }

    fn is_by_unix_socket(&self) -> bool {
        matches!(self.peer.address, PeerAddress::Unix(_))
    }

    fn refused_by_all(self) -> Refused {
        let why = match (self.user_name, self.password, &self.peer.certificate) {
            (Some(_), Some(_), _) if self.is_unknown => {
                "the HTTP service does not know the user, and leaves it to others"
            }
            (Some(_), Some(_), _) => {
                "no authenticator of this listener takes a user and a password"
            }
            (Some(_), None, _) => "a user name without a password",
            (None, Some(_), _) => "a password without a user name",
            (None, None, Some(_)) => "no authenticator of this listener takes a certificate alone",
            (None, None, None) if self.is_by_unix_socket() => {
                "no authenticator of this listener takes a process by its user alone"
            }
            (None, None, None) => "no credentials",
        };
        let has_credentials = self.has_credentials();
        if let Some(Outcome { result: Err(refusal), .. }) = self.exchange {
            Refused::from(refusal)
        } else if has_credentials {
            Refused::bad_credentials(why)
        } else {
            Refused::credentials_missing(why)
        }
    }
}

/// The client is told all there is to say.
impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { why: refusal.text.clone(), refusal, is_unproven: false }
    }
}

impl From<TooManyFailures> for Refused {
    fn from(locked_out: TooManyFailures) -> Self {
        Self::from(Refusal::from(locked_out))
    }
}

impl Refused {
    /// What counts, and shows.
    pub(super) fn reason(&self) -> ReasonCode {
        self.refusal.reason
    }

    /// For the CONNACK.
    pub(super) fn told(self) -> Refusal {
        match self.is_unproven {
            true => Self::bad_credentials("").refusal,
            false => self.refusal,
        }
    }

    /// Of somebody who is banned by what it calls itself, whose proof nobody has looked at.
    pub(super) fn banned_before_proof() -> Self {
        let banned = Self::from(Refusal::new(ReasonCode::Banned, "banned"));
        Self { is_unproven: true, ..banned }
    }

    /// The client is told that its user name or password is wrong, and not which.
    fn bad_credentials(why: impl Into<Cow<'static, str>>) -> Self {
        let text = "bad user name or password";
        Self::told_otherwise(ReasonCode::BadUserNameOrPassword, text, why)
    }

    /// The client is told to send what it has not.
    fn credentials_missing(why: impl Into<Cow<'static, str>>) -> Self {
        let text = "credentials are required";
        Self::told_otherwise(ReasonCode::NotAuthorized, text, why)
    }

    /// The client is told that nobody can tell who it is now.
    fn unavailable(why: impl Into<Cow<'static, str>>) -> Self {
        let text = "logins cannot be checked now";
        Self::told_otherwise(ReasonCode::ServerUnavailable, text, why)
    }

    /// The client is told less than the log.
    fn told_otherwise(
        reason: ReasonCode,
        text: &'static str,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { refusal: Refusal::new(reason, text), why: why.into(), is_unproven: false }
    }

    /// Too many logins are under way: the client is told to come back later.
    pub(super) fn too_many_at_once() -> Self {
        Self::busy("too many logins are under way")
    }

    /// The client is told to come back later.
    fn busy(why: &'static str) -> Self {
        Self::from(Refusal::new(ReasonCode::ServerBusy, why))
    }
}

impl Answer {
    /// This is who it is, and there is no more to say.
    fn proven(principal: Principal) -> Self {
        Self::Proven(Proven::new(principal))
    }

    /// This is `user`, which has proven its password.
    fn proven_by(proof: PasswordProof, user: Arc<str>) -> Self {
        let standing = Standing { password: Some(proof), ..Standing::default() };
        Self::Proven(Proven { standing, ..Proven::new(Principal::User(user)) })
    }
}

impl Proven {
    /// By a proof that says no more than this, and lasts.
    fn new(principal: Principal) -> Self {
        Self {
            principal,
            attributes: Attributes::default(),
            standing: Standing::default(),
            ends: None,
            rules: None,
            authentication_data: None,
        }
    }
}

impl From<Authenticator> for LoginMethod {
    fn from(authenticator: Authenticator) -> Self {
        match authenticator {
            Authenticator::Certificate => Self::Certificate,
            Authenticator::CertificateAndPassword => Self::CertificateAndPassword,
            Authenticator::Unix => Self::Unix,
            Authenticator::Scram => Self::Scram,
            Authenticator::Jwt => Self::Token,
            Authenticator::Http => Self::Http,
            Authenticator::Password => Self::Password,
            Authenticator::Anonymous => Self::Anonymous,
        }
    }
}
