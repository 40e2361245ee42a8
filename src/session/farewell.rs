//! The last word to a client: a CONNACK that turns it away, or a DISCONNECT. How much is explained,
//! and with which reason code: a connection may end for any, but neither packet has them all.

use std::borrow::Cow;

use super::{Closed, Settings};
use crate::codec::{ConnAck, Disconnect, Packet, ReasonCode, Version};

/// What there is to say.
#[derive(Clone, Debug)]
pub(super) struct LastWord<'a> {
    reason: ReasonCode,
    /// For people.
    text: Option<Cow<'a, str>>,
    /// Where to go instead.
    server_reference: Option<Cow<'a, str>>,
}

impl<'a> LastWord<'a> {
    /// The server to go to is named beside the reason codes that send a client there (5.0 section
    /// 4.11).
    pub(super) fn new(reason: ReasonCode, text: Cow<'a, str>, settings: &'a Settings) -> Self {
        let sends_away = settings.redirection() == Some(reason);
        let server_reference = sends_away.then_some(Cow::Borrowed(&*settings.server_reference));
        Self { reason, text: Some(text).filter(|text| !text.is_empty()), server_reference }
    }

    /// In full, and ever shorter, down to the reason code alone.
    fn ever_shorter(self) -> impl Iterator<Item = Self> {
        let referring = Self { text: None, ..self.clone() };
        let bare = Self { server_reference: None, ..referring.clone() };
        [self, referring, bare].into_iter()
    }
}

/// The CONNACK that turns a client away: with as many properties, if at all, as the client takes
/// packets of that size `[MQTT-3.1.2-24]`.
pub(super) fn refusal(
    word: LastWord<'_>,
    version: Version,
    maximum_packet_size: usize,
) -> Option<Packet<'_>> {
    word.ever_shorter()
        .map(|word| {
            let mut connack = ConnAck::new(in_connack(word.reason));
            connack.properties.server_reference = word.server_reference;
            connack.properties.reason_string = word.text;
            Packet::ConnAck(Box::new(connack))
        })
        .find(|packet| packet.encoded_size(version) <= maximum_packet_size)
}

/// The CONNACK to a CONNECT that could not be read, or that the session does not grant. 3.x has words
/// only for a version or a client identifier that is not taken; for all else the connection closes
/// without one (3.1.1 section 4.8).
pub(super) fn refusal_of_connect(
    closed: Closed,
    settings: &Settings,
    version: Version,
    maximum_packet_size: usize,
) -> Option<Packet<'_>> {
    const SAID_IN_3_X: [ReasonCode; 2] =
        [ReasonCode::UnsupportedProtocolVersion, ReasonCode::ClientIdentifierNotValid];
    let (reason, text) = explanation(closed)?;
    let is_said = version == Version::V5 || SAID_IN_3_X.contains(&reason);
    let word = LastWord::new(reason, text, settings);
    refusal(word, version, maximum_packet_size).filter(|_| is_said)
}

/// The DISCONNECT that tells a 5.0 client why its connection ends, where it does not know.
pub(super) fn disconnect(
    closed: Closed,
    settings: &Settings,
    maximum_packet_size: usize,
) -> Option<Packet<'_>> {
    let (reason, text) = explanation(closed)?;
    LastWord::new(reason, text, settings)
        .ever_shorter()
        .map(|word| {
            let mut disconnect = Disconnect::new(in_disconnect(word.reason));
            disconnect.server_reference = word.server_reference;
            disconnect.reason_string = word.text;
            Packet::Disconnect(disconnect)
        })
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
        ReasonCode::UseAnotherServer => "use another server for now",
        ReasonCode::ServerMoved => "the server has moved",
        ReasonCode::AdministrativeAction => "an administrator ends the connection",
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
