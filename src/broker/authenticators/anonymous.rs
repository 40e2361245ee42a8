//! `anonymous`: whoever offers nothing is nobody in particular.

use super::{Answer, Offer};
use crate::identity::Principal;

pub(super) fn ask(offer: &Offer<'_>) -> Answer {
    let is_known = offer.peer.certificate.is_some() || offer.is_by_unix_socket();
    if offer.has_credentials() || is_known {
        return Answer::NotMine;
    }
    Answer::proven(Principal::Anonymous)
}
