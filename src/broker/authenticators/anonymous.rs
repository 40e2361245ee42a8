//! `anonymous`: whoever offers nothing is nobody in particular.

use super::{Answer, Offer};
use crate::identity::Principal;

pub(super) fn ask(offer: &Offer<'_>) -> Answer {
    if offer.has_credentials() || offer.peer.certificate.is_some() {
        return Answer::NotMine;
    }
    Answer::proven(Principal::Anonymous)
}
