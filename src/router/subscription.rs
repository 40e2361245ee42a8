//! One subscription: who receives, what it was granted, and the copy that it gets.

use std::num::NonZeroU32;

use crate::codec::{SubscriptionIds, SubscriptionOptions};
use crate::message::{QoS, SessionKey};

/// Whoever can receive: in the broker a cheap handle of a session, in tests its key.
pub trait Recipient: Clone {
    /// The session that receives. Always the same for the same handle.
    fn key(&self) -> SessionKey;
}

impl Recipient for SessionKey {
    fn key(&self) -> SessionKey {
        *self
    }
}

/// What a subscription was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// QoS and flags.
    pub options: SubscriptionOptions,
    /// The subscription identifier, where the client gave one.
    pub id: Option<NonZeroU32>,
}

/// A session's part in a filter or in a share group.
#[derive(Clone, Debug)]
pub struct Subscriber<R> {
    /// Who receives.
    pub recipient: R,
    /// What was granted.
    pub grant: Grant,
}

impl<R: Recipient> Subscriber<R> {
    /// Whether a message of `publisher` is for it: not its own where it said No Local.
    pub(super) fn takes_from(&self, publisher: Option<SessionKey>) -> bool {
        !self.grant.options.no_local || publisher != Some(self.recipient.key())
    }

    /// The delivery to this subscriber alone.
    #[must_use]
    pub fn route(&self) -> Route<R> {
        Route {
            recipient: self.recipient.clone(),
            qos: self.grant.options.maximum_qos,
            retain_as_published: self.grant.options.retain_as_published,
            subscription_ids: self.grant.id.iter().map(|id| id.get()).collect(),
        }
    }
}

/// One copy to one session.
#[derive(Clone, Debug)]
pub struct Route<R> {
    /// Who receives.
    pub recipient: R,
    /// The highest QoS granted by a matching subscription `[MQTT-3.3.4-2]`; the copy has this or
    /// that of the message, whichever is lower `[MQTT-3.8.4-8]`.
    pub qos: QoS,
    /// Whether a matching subscription asked to keep the RETAIN flag.
    pub retain_as_published: bool,
    /// Those of all matching subscriptions `[MQTT-3.3.4-3]`, `[MQTT-3.3.4-4]`.
    pub subscription_ids: SubscriptionIds,
}

impl<R> Route<R> {
    /// Adds what another subscription of the same session asks for.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        self.subscription_ids.extend_from_slice(&other.subscription_ids);
    }
}
