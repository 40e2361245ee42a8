//! What a session wants done: bytes for its client, and requests to the broker.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::SessionExpiry;
use crate::codec::{Packet, PacketId, ReasonCode, SubscriptionOptions, Version};
use crate::identity::Credentials;
use crate::message::{Kept, Message};
use crate::secret::Secret;
use crate::topic::TopicFilter;

/// What came of one or more steps. The driver empties it and hands it back for the next round.
#[derive(Debug, Default)]
pub struct Output {
    /// Encoded packets for the client, in order.
    pub bytes: Vec<u8>,
    /// What the broker must do, in order.
    pub actions: Actions,
    /// How many packets of each type `bytes` has gained, by the number of the type.
    pub sent: [u32; 16],
    /// How many PUBLISH packets of each QoS `bytes` has gained.
    pub published: [u32; 3],
    /// Their bytes.
    pub published_bytes: [u32; 3],
    /// Those of their payloads alone.
    pub payload_bytes: u64,
}

impl Output {
    pub(super) fn send(&mut self, packet: &Packet<'_>, version: Version) {
        let start = self.bytes.len();
        packet.encode(version, &mut self.bytes);
        if let Some(first) = self.bytes.get(start) {
            self.sent[usize::from(first >> 4)] += 1;
        }
    }

    /// As [`Self::send`], where there is anything to send.
    pub(super) fn send_any(&mut self, packet: Option<Packet<'_>>, version: Version) {
        if let Some(packet) = packet {
            self.send(&packet, version);
        }
    }
}

/// Mostly there is one, and then it needs no room on the heap.
pub type Actions = SmallVec<[Action; 1]>;

/// One request of a session to whoever drives it.
#[derive(Debug)]
pub enum Action {
    /// Find out who this is. Answered by `Identified` or `Refused`; before that by `Challenge`, where
    /// the request names a method of authentication.
    Identify(Box<ConnectRequest>),
    /// What the client says to the last challenge. Answered by `Challenge` or, before the client is
    /// let in, as `Identify` is; afterwards by `Authenticated` or `End`.
    Authenticate {
        /// For the method to understand.
        data: Option<Secret>,
    },
    /// The client proves anew who it is, by the method of its CONNECT; it stays connected meanwhile.
    /// Answered by `Challenge`, `Authenticated` or `End`.
    Reauthenticate {
        /// For the method to understand.
        data: Option<Secret>,
    },
    /// Publish a message. QoS 1 and 2 are answered by `Published`.
    Publish {
        /// What to publish.
        message: Arc<Message>,
        /// Of QoS 1 and 2.
        packet_id: Option<PacketId>,
    },
    /// Subscribe. Answered by `Subscribed`; what is an error here already stays one.
    Subscribe {
        /// Of the client's SUBSCRIBE.
        packet_id: PacketId,
        /// In the order of the packet.
        requests: Vec<Result<SubscribeRequest, ReasonCode>>,
    },
    /// Stop routing these filters to the session. Takes effect at once, is not answered.
    Unsubscribe(Vec<TopicFilter>),
    /// A message that the store keeps has got on.
    Progress(Progress),
    /// The client has released a message of QoS 2 that the session had received; asked for only where the
    /// session outlives the process.
    Released(PacketId),
    /// A message did not reach the client.
    Dropped(Dropped),
    /// Send what is in `bytes`, then end the connection.
    Close(Closed),
}

/// What a CONNECT asks for.
#[derive(Debug)]
pub struct ConnectRequest {
    /// Which protocol.
    pub version: Version,
    /// As sent; empty where the broker shall choose.
    pub client_id: String,
    /// Whether an earlier session is discarded.
    pub clean_start: bool,
    /// The proof.
    pub credentials: Credentials,
    /// How the client proves who it is, where not by `credentials` alone.
    pub authentication: Option<AuthenticationRequest>,
    /// The will, so that it can be refused at once.
    pub will: Option<Box<Will>>,
    /// How long the session is to be kept without a connection.
    pub session_expiry: SessionExpiry,
}

/// The beginning of enhanced authentication (5.0 section 4.12).
#[derive(Debug)]
pub struct AuthenticationRequest {
    /// Its name.
    pub method: Arc<str>,
    /// For the method to understand.
    pub data: Option<Secret>,
}

/// The will of a connection.
#[derive(Clone, Debug)]
pub struct Will {
    /// What to publish; its expiry starts when it is published.
    pub message: Message,
    /// How long it lives once published.
    pub message_expiry: Option<Duration>,
    /// How long to wait for the client to come back.
    pub delay: Duration,
}

/// One filter of a SUBSCRIBE, asked for or granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// What to.
    pub filter: TopicFilter,
    /// How; the granted QoS once granted.
    pub options: SubscriptionOptions,
    /// The subscription identifier.
    pub id: Option<NonZeroU32>,
}

/// How far a message has got on its way to the client.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What the store has of it.
    pub kept: Arc<Kept>,
    /// What has become of it.
    pub stage: Stage,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has a packet identifier.
    Sent(SentAs),
    /// The client has it, and is told so by PUBREL.
    Released {
        /// As what it was sent.
        sent_as: SentAs,
        /// Its place among those that were released.
        order: u64,
    },
    /// Nobody waits for it any more.
    Done {
        /// Whether it was said before that it was sent.
        was_sent: bool,
    },
}

/// As what a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAs {
    /// Its packet identifier, which belongs to no other message before this one is done with.
    pub packet_id: PacketId,
    /// Its place among those that were sent.
    pub order: u64,
}

/// Why a message did not reach its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its message expiry interval passed.
    Expired,
    /// The client's maximum packet size is smaller `[MQTT-3.1.2-24]`.
    TooLarge,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client said DISCONNECT.
    ByClient(ReasonCode),
    /// The client broke the protocol, in bytes or in meaning.
    Violation {
        /// What it was told, where it can be told.
        reason: ReasonCode,
        /// What it did.
        what: &'static str,
    },
    /// The client sent something that is no packet.
    Malformed(crate::codec::DecodeError),
    /// The broker refused the client.
    Refused(ReasonCode),
    /// The broker ended it.
    ByBroker(ReasonCode),
    /// Nothing was heard of the client for one and a half times its keep alive.
    KeepAlive,
    /// The network connection went away.
    Lost,
}
