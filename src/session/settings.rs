//! `[mqtt]`: what the protocol leaves to the server.

use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::codec::ReasonCode;
use crate::message::QoS;

/// The limits that every session keeps and CONNACK announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Bytes of the largest packet accepted from a client, fixed header included; at most
    /// 268,435,460.
    pub max_packet_size: NonZeroU32,
    /// QoS 1 and 2 messages that a client may have in flight towards the broker.
    pub receive_maximum: NonZeroU16,
    /// QoS 1 and 2 messages that the broker has in flight towards a client, however many more that
    /// client would take.
    pub max_inflight: NonZeroU16,
    /// Topic aliases that a client may define.
    pub topic_alias_maximum: u16,
    /// Topic aliases that the broker defines towards a client that allows them.
    pub outbound_topic_alias_maximum: u16,
    /// Levels of a topic name or filter.
    pub max_topic_levels: NonZeroU16,
    /// Subscriptions of one session.
    pub max_subscriptions: NonZeroU32,
    /// Seconds. A client that asks for a longer keep alive, or for none, is told this one
    /// (5.0) or held to it (3.x).
    pub max_keep_alive_seconds: NonZeroU16,
    /// Seconds that a session may outlive its connection. A 3.x session that is not clean lives as
    /// long; 4,294,967,295 is for ever.
    pub max_session_expiry_seconds: u32,
    /// The highest QoS that clients publish with, and that subscriptions are granted.
    pub maximum_qos: QoS,
    /// Whether messages are retained.
    pub retain_available: bool,
    /// Whether topic filters may hold wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers (5.0).
    pub subscription_identifiers_available: bool,
    /// Whether subscriptions may be shared.
    pub shared_subscription_available: bool,
    /// What a 5.0 client that asks for response information is told: by convention the root of the
    /// topics that responses go to. Empty tells nothing.
    pub response_information: String,
    /// The server that 5.0 clients are sent to: `host:port`, or several of them with spaces between
    /// (5.0 section 4.11). Empty sends nobody anywhere.
    pub server_reference: String,
    /// Whether they are to stay there: this server has moved.
    pub server_moved: bool,
    /// When they are sent there.
    pub redirect: Redirect,
}

/// When clients are sent to another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// When this one shuts down: those who are connected, and those who come meanwhile.
    #[default]
    AtShutdown,
    /// As soon as they come: this one serves nobody.
    Always,
}

impl Settings {
    /// The reason code that sends a client to another server, where there is one to go to.
    #[must_use]
    pub fn redirection(&self) -> Option<ReasonCode> {
        let reason = match self.server_moved {
            true => ReasonCode::ServerMoved,
            false => ReasonCode::UseAnotherServer,
        };
        (!self.server_reference.is_empty()).then_some(reason)
    }
}

impl Default for Settings {
    fn default() -> Self {
        const fn positive(value: u16) -> NonZeroU16 {
            match NonZeroU16::new(value) {
                Some(value) => value,
                None => NonZeroU16::MIN,
            }
        }
        Self {
            max_packet_size: NonZeroU32::MIN.saturating_add((1 << 20) - 1),
            receive_maximum: positive(256),
            max_inflight: positive(256),
            topic_alias_maximum: 64,
            outbound_topic_alias_maximum: 64,
            max_topic_levels: positive(128),
            max_subscriptions: NonZeroU32::MIN.saturating_add(9_999),
            max_keep_alive_seconds: positive(3_600),
            max_session_expiry_seconds: 7 * 24 * 3_600,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            response_information: String::new(),
            server_reference: String::new(),
            server_moved: false,
            redirect: Redirect::default(),
        }
    }
}
