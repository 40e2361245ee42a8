//! `certificate+password`: a client certificate, and the password of the user that it names.

use super::password::check_password;
use super::{Answer, Offer, Refused};
use crate::broker::Broker;
use crate::broker::login::Patience;

/// The names are compared first: a stolen password without its certificate costs no hash.
pub(super) async fn ask(
    broker: &Broker,
    offer: &Offer<'_>,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    let Some(shown) = &offer.peer.certificate else { return Answer::NotMine };
    if offer.exchange.is_some() {
        return Answer::NotMine;
    }
    match (offer.user_name, offer.password) {
        (Some(user), Some(password)) if *user == shown.name => {
            check_password(broker, offer, user, password, patience).await
        }
        (Some(_), Some(_)) => Answer::Refused(Refused::bad_credentials(
            "the user name is not the one in the certificate",
        )),
        _ => Answer::Refused(Refused::credentials_missing(
            "a certificate without the user name and password that go with it",
        )),
    }
}
