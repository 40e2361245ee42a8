//! `unix`: the kernel says which user the process at the other end of a Unix socket runs as.

use std::sync::Arc;

use super::{Answer, Offer, Proven};
use crate::identity::{PeerAddress, Principal};

/// Whoever sends a user name or a password besides is left to who can check that.
pub(super) fn ask(offer: &Offer<'_>) -> Answer {
    match &offer.peer.address {
        PeerAddress::Unix(peer) if !offer.has_credentials() => Answer::Proven(Proven {
            attributes: peer.attributes.clone(),
            ..Proven::new(Principal::Unix(Arc::clone(&peer.user)))
        }),
        _ => Answer::NotMine,
    }
}
