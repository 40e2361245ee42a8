//! `password`: a user and its password in the password file.

use std::sync::Arc;

use super::{Answer, Offer, Refused};
use crate::broker::Broker;
use crate::broker::hashing::Busy;
use crate::broker::lockouts::TooManyFailures;
use crate::broker::login::Patience;
use crate::broker::passwords::Checked;
use crate::secret::Secret;

pub(super) async fn ask(
    broker: &Broker,
    offer: &Offer<'_>,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    match (offer.user_name, offer.password) {
        (Some(user), Some(password)) => {
            check_password(broker, offer, user, password, patience).await
        }
        _ => Answer::NotMine,
    }
}

/// Whether `password` is that of `user`. One that is not known costs the same time.
pub(super) async fn check_password(
    broker: &Broker,
    offer: &Offer<'_>,
    user: &Arc<str>,
    password: &Secret,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    match broker.passwords.check(user, password, offer.peer, patience).await {
        Ok(Checked::Right(proof)) => Answer::proven_by(proof, Arc::clone(user)),
        Ok(Checked::Wrong) => {
            Answer::Refused(Refused::bad_credentials("bad user name or password"))
        }
        Ok(Checked::LockedOut) => Answer::Refused(TooManyFailures.into()),
        Err(Busy) => Answer::Refused(Refused::busy("too many logins at once")),
    }
}
