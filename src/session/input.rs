//! What can happen to a session.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Image, SubscribeRequest};
use crate::codec::{DecodeError, Packet, PacketId, ReasonCode, SubscriptionIds, Version};
use crate::identity::ClientId;
use crate::message::{Kept, Message, QoS, SessionKey};
use crate::topic::TopicFilter;

/// One thing that happened, for [`super::Session::step`].
#[derive(Debug)]
pub enum Input<'a> {
    /// The client sent a packet.
    Packet(Packet<'a>),
    /// The client sent bytes that are no packet. `version` is what a broken CONNECT seems to speak.
    Malformed {
        /// What is wrong.
        error: DecodeError,
        /// For the answer to a CONNECT that could not be read.
        version: Option<Version>,
    },
    /// The answer to [`super::Action::Identify`]: welcome.
    Identified(Box<Identified>),
    /// The answer to [`super::Action::Identify`]: go away.
    Refused(Refusal),
    /// The answer to a step of enhanced authentication: the client must say more.
    Challenge {
        /// For the method to understand.
        data: Vec<u8>,
    },
    /// The answer to [`super::Action::Reauthenticate`] in the end: it is still the same client.
    Authenticated {
        /// For the method to understand.
        data: Vec<u8>,
    },
    /// The answer to [`super::Action::Publish`] of QoS 1 or 2.
    Published {
        /// Of the client's PUBLISH.
        packet_id: PacketId,
        /// What to acknowledge it with.
        reason: ReasonCode,
    },
    /// The answer to [`super::Action::Subscribe`]: each request as granted, or why not.
    Subscribed {
        /// Of the client's SUBSCRIBE.
        packet_id: PacketId,
        /// In the order of the requests.
        outcomes: Vec<Result<SubscribeRequest, ReasonCode>>,
    },
    /// A message for the client. Only as many of QoS 1 and 2 as [`super::Session::window`] allows.
    Deliver(Outbound),
    /// The broker ends the connection: taken over, shutting down, no longer allowed, ….
    End(ReasonCode),
    /// The network connection is gone.
    Lost,
    /// [`super::Session::deadline`] has come.
    Tick,
}

/// Who the client turned out to be.
#[derive(Debug)]
pub struct Identified {
    /// As sent, or as assigned.
    pub client_id: ClientId,
    /// Whether the broker chose the client identifier.
    pub assigned: bool,
    /// Of the session that begins or goes on.
    pub key: SessionKey,
    /// Whether the session outlives the process.
    pub is_durable: bool,
    /// What an earlier connection left, where the session goes on.
    pub resumed: Option<Image>,
    /// The last word of the method of authentication, where it has one.
    pub authentication_data: Option<Vec<u8>>,
    /// What holds for this client instead of what holds for everybody, where that differs: fewer
    /// subscriptions, fewer messages in flight.
    pub settings: Option<Arc<super::Settings>>,
}

/// Why a client may not connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the CONNACK.
    pub reason: ReasonCode,
    /// For people; says nothing that helps to guess.
    pub text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with its explanation.
    #[must_use]
    pub fn new(reason: ReasonCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// A message for one recipient, with what its subscriptions ask for.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The message itself.
    pub message: Arc<Message>,
    /// The lower of its QoS and the subscription's.
    pub qos: QoS,
    /// The RETAIN flag to send.
    pub retain: bool,
    /// Of the subscriptions that it is delivered for.
    pub subscription_ids: SubscriptionIds,
    /// `$share/{ShareName}/{filter}`, where it is delivered to one member of a group: another gets it
    /// if this session ends without it.
    pub share: Option<TopicFilter>,
    /// What the store has of it, where it has anything.
    pub kept: Option<Arc<Kept>>,
    /// Whether an earlier process may have sent it.
    pub was_sent: bool,
}
