//! `certificate`: a client certificate that the listener's authorities vouch for is enough.

use std::sync::Arc;

use super::{Answer, Offer};
use crate::identity::Principal;

/// Whoever sends a user name or a password besides is left to who can check that.
pub(super) fn ask(offer: &Offer<'_>) -> Answer {
    match &offer.peer.certificate {
        Some(shown) if !offer.has_credentials() => {
            Answer::proven(Principal::Certificate(Arc::clone(&shown.name)))
        }
        _ => Answer::NotMine,
    }
}
