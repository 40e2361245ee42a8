//! `password`: a user and its password in the password file.

use std::sync::Arc;

use super::{Answer, Offer, Refused};
use crate::broker::Broker;
use crate::broker::hashing::Busy;
use crate::broker::login::Patience;
use crate::secret::Secret;

pub(super) async fn ask(
    broker: &Broker,
    offer: &Offer<'_>,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    match (offer.user_name, offer.password) {
        (Some(user), Some(password)) => check_password(broker, user, password, patience).await,
        _ => Answer::NotMine,
    }
}

/// Whether `password` is that of `user`. One that is not known costs the same time.
pub(super) async fn check_password(
    broker: &Broker,
    user: &Arc<str>,
    password: &Secret,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    match broker.passwords.check(user, password, patience).await {
        Ok(Some(proof)) => Answer::proven_by(proof, Arc::clone(user)),
        Ok(None) => Answer::Refused(Refused::bad_credentials("bad user name or password")),
        Err(Busy) => Answer::Refused(Refused::busy("too many logins at once")),
    }
}
