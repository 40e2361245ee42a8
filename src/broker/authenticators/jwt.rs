//! `jwt`: a JSON Web Token in the place of the password.

use super::{Answer, Offer, Proven, Refused};
use crate::auth::{TokenFault, looks_like_token};
use crate::broker::Broker;
use crate::broker::authority::Standing;
use crate::clock::Now;
use crate::identity::Principal;

/// A password that does not look like a token is left to others. A user name may go beside a token,
/// and then has to be its principal, unless the configuration has it otherwise.
pub(super) fn ask(broker: &Broker, offer: &Offer<'_>) -> Answer {
    let Some(token) = offer.password.filter(|password| looks_like_token(password.expose())) else {
        return Answer::NotMine;
    };
    let Some(verifier) = broker.authority.tokens() else { return Answer::NotMine };
    let token = match verifier.verify(token.expose(), Now::read().unix) {
        Ok(token) => token,
        Err(fault) => return refused(fault),
    };
    let names_another = offer.user_name.is_some_and(|user| *user != token.subject);
    if verifier.checks_user_name() && names_another {
        return refused(TokenFault::UserName);
    }
    Answer::Proven(Proven {
        attributes: token.attributes,
        standing: Standing { token_key: Some(Box::new(token.key)), ..Standing::default() },
        ends: Some(token.ends),
        ..Proven::new(Principal::Token(token.subject))
    })
}

fn refused(fault: TokenFault) -> Answer {
    Answer::Refused(Refused::bad_credentials(fault.to_string()))
}
