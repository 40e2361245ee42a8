//! Why bytes are not a packet, and what to answer.

use super::ReasonCode;
use crate::topic::TopicError;

/// What is wrong with the bytes of a packet. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no packet of this version.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A well-formed packet that the protocol does not allow.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The packet is larger than what is accepted.
    #[error("packet of {size} bytes is larger than the {limit} that are accepted")]
    TooLarge {
        /// The whole packet, fixed header included.
        size: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// CONNECT names a protocol or level other than MQTT 3.1, 3.1.1 and 5.0.
    #[error("unsupported protocol version")]
    UnsupportedVersion,
    /// The client identifier is not acceptable.
    #[error("client identifier not valid: {0}")]
    ClientIdentifier(&'static str),
    /// The topic name of a PUBLISH or will.
    #[error("invalid topic name: {0}")]
    TopicName(TopicError),
    /// The topic filter of a SUBSCRIBE or UNSUBSCRIBE.
    #[error("invalid topic filter: {0}")]
    TopicFilter(TopicError),
    /// A topic alias of 0 `[MQTT-3.3.2-8]`.
    #[error("a topic alias is not 0")]
    TopicAlias,
    /// A QoS of 3 and the like in a PUBLISH `[MQTT-3.3.1-4]`.
    #[error("a QoS is 0, 1 or 2")]
    QoS,
}

impl DecodeError {
    /// The reason code of the CONNACK or DISCONNECT that answers it.
    #[must_use]
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::Malformed(_) | Self::QoS => ReasonCode::MalformedPacket,
            Self::Protocol(_) => ReasonCode::ProtocolError,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::UnsupportedVersion => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientIdentifier(_) => ReasonCode::ClientIdentifierNotValid,
            Self::TopicName(_) => ReasonCode::TopicNameInvalid,
            Self::TopicFilter(_) => ReasonCode::TopicFilterInvalid,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
        }
    }
}
