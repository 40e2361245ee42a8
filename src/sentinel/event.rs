//! What happens to a broker that may matter to its security.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Breadth;
use crate::identity::{ClientCertificate, ClientId, Principal};

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A connection has ended before its client said who it is.
    ConnectionRefused,
    /// A client was let in.
    Connected,
    /// A client was not.
    LoginRefused,
    /// Somebody was not let in to the page of operators.
    OperatorRefused,
    /// The policy does not allow what a client asks for.
    Denied,
    /// Bytes that are no packet.
    Malformed,
    /// A packet that the protocol does not allow then, or not so.
    Violation,
    /// The connection of a client that was inside has ended.
    Disconnected,
    /// A newer connection of the same client has taken its session over.
    TakenOver,
    /// A payload was refused, by what has to hold for the envelopes on its topic.
    EnvelopeRefused,
    /// The time in a payload is further off than clocks may be; the number is by how many seconds.
    ClockSkew,
    /// A client did more than a rule of `[[throttle]]` allows.
    Throttled,
    /// A will was published.
    Will,
    /// A subscription was granted.
    Subscribed,
    /// What a connection has published lately on topics of one class; the number is messages a minute.
    Published,
    /// The largest payload among those; the number is its bytes.
    Payload,
    /// A retained message was replaced or removed.
    Overwritten,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::ConnectionRefused,
        Self::Connected,
        Self::LoginRefused,
        Self::OperatorRefused,
        Self::Denied,
        Self::Malformed,
        Self::Violation,
        Self::Disconnected,
        Self::TakenOver,
        Self::EnvelopeRefused,
        Self::ClockSkew,
        Self::Throttled,
        Self::Will,
        Self::Subscribed,
        Self::Published,
        Self::Payload,
        Self::Overwritten,
    ];

    /// As rules write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::Connected => "connected",
            Self::LoginRefused => "login_refused",
            Self::OperatorRefused => "operator_refused",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Violation => "violation",
            Self::Disconnected => "disconnected",
            Self::TakenOver => "taken_over",
            Self::EnvelopeRefused => "envelope_refused",
            Self::ClockSkew => "clock_skew",
            Self::Throttled => "throttled",
            Self::Will => "will",
            Self::Subscribed => "subscribed",
            Self::Published => "published",
            Self::Payload => "payload",
            Self::Overwritten => "overwritten",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the principal and the client identifier of such an event are those of somebody who has proven
    /// who it is.
    pub(super) fn proves_who(self) -> bool {
        !matches!(self, Self::LoginRefused | Self::OperatorRefused)
    }

    /// Whether it happens on the machine of the broker alone. Its address is then that of everybody there.
    pub(super) fn is_of_this_machine(self) -> bool {
        self == Self::OperatorRefused
    }

    /// What an event of this kind may have as its reason.
    #[must_use]
    pub fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::ConnectionRefused => &CONNECTION_REFUSALS,
            Self::Connected => &["new", "resumed"],
            Self::LoginRefused => &[
                "credentials",
                "locked_out",
                "banned",
                "busy",
                "client_id",
                "not_authorized",
                "other",
            ],
            Self::OperatorRefused => &["credentials", "locked_out", "busy"],
            Self::Denied => &["publish", "subscribe", "will"],
            Self::Malformed | Self::Violation => &FAULTS,
            Self::Disconnected => &["by_client", "by_broker", "keep_alive", "lost", "fault"],
            Self::EnvelopeRefused => &ENVELOPE_REFUSALS,
            Self::ClockSkew => &["ahead", "behind"],
            Self::Throttled => &[
                "messages_in",
                "bytes_in",
                "messages_out",
                "bytes_out",
                "subscriptions",
                "retained",
            ],
            Self::Subscribed => &Breadth::NAMES,
            Self::TakenOver | Self::Will | Self::Published | Self::Payload | Self::Overwritten => {
                &[]
            }
        }
    }
}

/// Why connections end before their clients have said who they are.
const CONNECTION_REFUSALS: [&str; 18] = [
    "too_many_connections",
    "too_many_of_address",
    "too_many_of_prefix",
    "too_many_handshakes_of_address",
    "too_many_handshakes_of_prefix",
    "too_many_handshakes",
    "too_many_tls_handshakes",
    "rate_of_address",
    "rate_of_prefix",
    "rate",
    "proxy_address",
    "proxy_header",
    "handshake_timeout",
    "connect_timeout",
    "tls_handshake",
    "websocket_handshake",
    "unix_peer",
    "protocol",
];

/// How clients break the protocol.
const FAULTS: [&str; 8] = [
    "malformed_packet",
    "protocol_error",
    "receive_maximum_exceeded",
    "topic_alias_invalid",
    "packet_too_large",
    "keep_alive_timeout",
    "send_timeout",
    "other",
];

/// Why payloads are refused.
const ENVELOPE_REFUSALS: [&str; 18] = [
    "malformed",
    "unknown_key",
    "wrong_topic",
    "revoked_key",
    "sender_mismatch",
    "bad_tag",
    "not_encrypted",
    "expired_key",
    "expired",
    "from_future",
    "replayed",
    "stream_reused",
    "too_many_streams",
    "bad_signature",
    "verify_only_key",
    "decrypt_failed",
    "no_sealing_key",
    "not_kept",
];

/// Something that has happened, and to whom. What is not known of it is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// Why, or of which sort: one of [`Kind::reasons`], or nothing.
    pub reason: &'static str,
    /// Who it was, or at a refused login claims to be.
    pub principal: Option<Principal>,
    /// Its client identifier.
    pub client: Option<ClientId>,
    /// The certificate that it has proven itself by, where it has.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Where it connects from; a process of this machine has none.
    pub address: Option<IpAddr>,
    /// The URL of its listener.
    pub listener: Option<Arc<str>>,
    /// The topic name or filter, or the beginning of it.
    pub topic: Option<Arc<str>>,
    /// How many alike it stands for.
    pub times: u32,
    /// What was measured of it; 1 where nothing was.
    pub number: f64,
}

impl Event {
    /// One of this kind and reason, of nobody.
    #[must_use]
    pub fn new(kind: Kind, reason: &'static str) -> Self {
        Self {
            kind,
            reason,
            principal: None,
            client: None,
            certificate: None,
            address: None,
            listener: None,
            topic: None,
            times: 1,
            number: 1.0,
        }
    }
}
