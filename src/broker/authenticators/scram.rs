//! `scram`: SCRAM-SHA-256, whose exchange has ended by the time that this is asked.

use super::{Answer, Offer, Proven};
use crate::broker::authority::Standing;
use crate::broker::exchange::Outcome;
use crate::identity::Principal;

pub(super) fn ask(offer: &mut Offer<'_>) -> Answer {
    match offer.exchange.take() {
        None => Answer::NotMine,
        Some(Outcome { result: Err(refusal), .. }) => Answer::Refused(refusal.into()),
        Some(Outcome { result: Ok(proven), .. }) => Answer::Proven(Proven {
            standing: Standing { password: Some(proven.proof), ..Standing::default() },
            authentication_data: Some(proven.server_final),
            ..Proven::new(Principal::User(proven.user))
        }),
    }
}
