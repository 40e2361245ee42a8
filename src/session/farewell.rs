//! The last word to a client: a CONNACK that turns it away, or a DISCONNECT. How much is explained,
//! and with which reason code: a connection may end for any, but neither packet has them all.

use std::borrow::Cow;

use super::Closed;
use crate::codec::{ConnAck, Disconnect, Packet, ReasonCode, Version};

/// The CONNACK that turns a client away: explained or not, or none, as the client takes packets of
/// that size `[MQTT-3.1.2-24]`.
pub(super) fn refusal(
    reason: ReasonCode,
    text: Cow<'_, str>,
    version: Version,
    maximum_packet_size: usize,
) -> Option<Packet<'_>> {
    let bare = ConnAck::new(in_connack(reason));
    let mut explained = bare.clone();
    explained.properties.reason_string = Some(text).filter(|text| !text.is_empty());
    [explained, bare]
        .map(|connack| Packet::ConnAck(Box::new(connack)))
        .into_iter()
        .find(|packet| packet.encoded_size(version) <= maximum_packet_size)
}

/// The CONNACK to a CONNECT that could not be read, or that the session does not grant. 3.x has words
/// only for a version or a client identifier that is not taken; for all else the connection closes
/// without one (3.1.1 section 4.8).
pub(super) fn refusal_of_connect(
    closed: Closed,
    version: Version,
    maximum_packet_size: usize,
) -> Option<Packet<'static>> {
    const SAID_IN_3_X: [ReasonCode; 2] =
        [ReasonCode::UnsupportedProtocolVersion, ReasonCode::ClientIdentifierNotValid];
    let (reason, text) = explanation(closed)?;
    let is_said = version == Version::V5 || SAID_IN_3_X.contains(&reason);
    refusal(reason, text, version, maximum_packet_size).filter(|_| is_said)
}

/// The DISCONNECT that tells a 5.0 client why its connection ends, where it does not know.
pub(super) fn disconnect(closed: Closed, maximum_packet_size: usize) -> Option<Packet<'static>> {
    let (reason, text) = explanation(closed)?;
    let bare = Disconnect::new(in_disconnect(reason));
    let reason_string = Some(text).filter(|text| !text.is_empty());
    let explained = Disconnect { reason_string, ..bare.clone() };
    [explained, bare]
        .map(Packet::Disconnect)
        .into_iter()
        .find(|packet| packet.encoded_size(Version::V5) <= maximum_packet_size)
}

/// What to tell the client, where it has to be told.
fn explanation(closed: Closed) -> Option<(ReasonCode, Cow<'static, str>)> {
    Some(match closed {
        Closed::ByClient(_) | Closed::Lost => return None,
        Closed::Violation { reason, what } => (reason, Cow::Borrowed(what)),
        Closed::Malformed(error) => (error.reason(), Cow::Owned(error.to_string())),
        Closed::Refused(reason) => (reason, Cow::Borrowed("")),
        Closed::ByBroker(reason) => (reason, Cow::Borrowed(sent_away(reason))),
        Closed::KeepAlive => (
            ReasonCode::KeepAliveTimeout,
            Cow::Borrowed("no packet within one and a half times the keep alive"),
        ),
    })
}

/// What a client is told with the reason code. Never nothing: paho-mqtt and rumqttc overlook the
/// reason code of a DISCONNECT that has no property.
fn sent_away(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::SessionTakenOver => "another connection uses this client identifier now",
        ReasonCode::ServerShuttingDown => "the server is shutting down",
        _ => "the server ends the connection",
    }
}

/// `reason`, or the nearest that CONNACK has (5.0 section 3.2.2.2).
fn in_connack(reason: ReasonCode) -> ReasonCode {
    use ReasonCode::*;
    match reason {
        ServerShuttingDown | SessionTakenOver | MaximumConnectTime => ServerUnavailable,
        AdministrativeAction => NotAuthorized,
        MessageRateTooHigh => ConnectionRateExceeded,
        KeepAliveTimeout
        | TopicFilterInvalid
        | PacketIdentifierInUse
        | PacketIdentifierNotFound
        | ReceiveMaximumExceeded
        | TopicAliasInvalid
        | SharedSubscriptionsNotSupported
        | SubscriptionIdentifiersNotSupported
        | WildcardSubscriptionsNotSupported => UnspecifiedError,
        reason => reason,
    }
}

/// `reason`, or the nearest that DISCONNECT has (5.0 section 3.14.2.1). What is wrong with a second
/// CONNECT is above all that it is the second.
fn in_disconnect(reason: ReasonCode) -> ReasonCode {
    use ReasonCode::*;
    match reason {
        Banned => AdministrativeAction,
        BadUserNameOrPassword => NotAuthorized,
        ServerUnavailable => ServerBusy,
        UnsupportedProtocolVersion
        | ClientIdentifierNotValid
        | PacketIdentifierInUse
        | PacketIdentifierNotFound => ProtocolError,
        reason => reason,
    }
}
