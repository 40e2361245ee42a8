//! Reason codes (MQTT 5.0 section 2.4, table 2-6), and which packet may carry which.

use super::DecodeError;
use super::primitive::Reader;

/// The outcome of an operation, as MQTT 5 says it. 3.x packets carry a part of them, translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of the standard's table")]
pub enum ReasonCode {
    /// Also: normal disconnection, granted QoS 0.
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWill = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Every reason code there is.
    pub const ALL: [Self; 43] = [
        Self::Success,
        Self::GrantedQoS1,
        Self::GrantedQoS2,
        Self::DisconnectWithWill,
        Self::NoMatchingSubscribers,
        Self::NoSubscriptionExisted,
        Self::ContinueAuthentication,
        Self::ReAuthenticate,
        Self::UnspecifiedError,
        Self::MalformedPacket,
        Self::ProtocolError,
        Self::ImplementationSpecificError,
        Self::UnsupportedProtocolVersion,
        Self::ClientIdentifierNotValid,
        Self::BadUserNameOrPassword,
        Self::NotAuthorized,
        Self::ServerUnavailable,
        Self::ServerBusy,
        Self::Banned,
        Self::ServerShuttingDown,
        Self::BadAuthenticationMethod,
        Self::KeepAliveTimeout,
        Self::SessionTakenOver,
        Self::TopicFilterInvalid,
        Self::TopicNameInvalid,
        Self::PacketIdentifierInUse,
        Self::PacketIdentifierNotFound,
        Self::ReceiveMaximumExceeded,
        Self::TopicAliasInvalid,
        Self::PacketTooLarge,
        Self::MessageRateTooHigh,
        Self::QuotaExceeded,
        Self::AdministrativeAction,
        Self::PayloadFormatInvalid,
        Self::RetainNotSupported,
        Self::QoSNotSupported,
        Self::UseAnotherServer,
        Self::ServerMoved,
        Self::SharedSubscriptionsNotSupported,
        Self::ConnectionRateExceeded,
        Self::MaximumConnectTime,
        Self::SubscriptionIdentifiersNotSupported,
        Self::WildcardSubscriptionsNotSupported,
    ];

    /// The reason code of `byte`, where the standard names one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.binary_search_by_key(&byte, |code| code.byte()).ok().map(|at| Self::ALL[at])
    }

    /// The byte on the wire.
    #[must_use]
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it is 0x80 or above.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.byte() >= 0x80
    }

    /// The return code of a 3.1 or 3.1.1 CONNACK that comes closest (3.1.1 section 3.2.2.3).
    #[must_use]
    pub fn connect_return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => 4,
            Self::NotAuthorized | Self::Banned => 5,
            _ => 3,
        }
    }

    /// The reason code that a 3.1 or 3.1.1 CONNACK means with its return code.
    pub(super) fn from_connect_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// Reads a reason code that the packet at hand is `allowed` to have.
    pub(super) fn decode(
        packet: &mut Reader<'_>,
        allowed: fn(Self) -> bool,
    ) -> Result<Self, DecodeError> {
        Self::from_byte(packet.u8()?)
            .filter(|&code| allowed(code))
            .ok_or(DecodeError::Protocol("a reason code that this packet does not have"))
    }
}

/// Which packets have which codes: the tables of 5.0 chapter 3.
impl ReasonCode {
    /// CONNACK (section 3.2.2.2).
    pub(super) fn answers_connect(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | UnspecifiedError
                | MalformedPacket
                | ProtocolError
                | ImplementationSpecificError
                | UnsupportedProtocolVersion
                | ClientIdentifierNotValid
                | BadUserNameOrPassword
                | NotAuthorized
                | ServerUnavailable
                | ServerBusy
                | Banned
                | BadAuthenticationMethod
                | TopicNameInvalid
                | PacketTooLarge
                | QuotaExceeded
                | PayloadFormatInvalid
                | RetainNotSupported
                | QoSNotSupported
                | UseAnotherServer
                | ServerMoved
                | ConnectionRateExceeded
        )
    }

    /// PUBACK and PUBREC (sections 3.4.2.1 and 3.5.2.1).
    pub(super) fn answers_publish(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | NoMatchingSubscribers
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicNameInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | PayloadFormatInvalid
        )
    }

    /// PUBREL and PUBCOMP (sections 3.6.2.1 and 3.7.2.1).
    pub(super) fn answers_release(self) -> bool {
        matches!(self, Self::Success | Self::PacketIdentifierNotFound)
    }

    /// SUBACK (section 3.9.3).
    pub(super) fn answers_subscribe(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | GrantedQoS1
                | GrantedQoS2
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicFilterInvalid
                | PacketIdentifierInUse
                | QuotaExceeded
                | SharedSubscriptionsNotSupported
                | SubscriptionIdentifiersNotSupported
                | WildcardSubscriptionsNotSupported
        )
    }

    /// SUBACK of 3.1.1 (its section 3.9.3). 3.1 has no failure; what reads its two bits alone finds
    /// QoS 0 in the one of 3.1.1.
    pub(super) fn answers_subscribe_3(self) -> bool {
        matches!(
            self,
            Self::Success | Self::GrantedQoS1 | Self::GrantedQoS2 | Self::UnspecifiedError
        )
    }

    /// UNSUBACK (section 3.11.3).
    pub(super) fn answers_unsubscribe(self) -> bool {
        use ReasonCode::*;
        matches!(
            self,
            Success
                | NoSubscriptionExisted
                | UnspecifiedError
                | ImplementationSpecificError
                | NotAuthorized
                | TopicFilterInvalid
                | PacketIdentifierInUse
        )
    }

    /// DISCONNECT (section 3.14.2.1; bad authentication method is in table 2-6 alone).
    pub(super) fn ends_connection(self) -> bool {
        use ReasonCode::*;
        !matches!(
            self,
            GrantedQoS1
                | GrantedQoS2
                | NoMatchingSubscribers
                | NoSubscriptionExisted
                | ContinueAuthentication
                | ReAuthenticate
                | UnsupportedProtocolVersion
                | ClientIdentifierNotValid
                | BadUserNameOrPassword
                | ServerUnavailable
                | Banned
                | PacketIdentifierInUse
                | PacketIdentifierNotFound
        )
    }

    /// AUTH (section 3.15.2.1).
    pub(super) fn authenticates(self) -> bool {
        matches!(self, Self::Success | Self::ContinueAuthentication | Self::ReAuthenticate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_byte_and_no_other_byte_is_one() {
        let found = (0..=u8::MAX).filter_map(ReasonCode::from_byte).collect::<Vec<_>>();
        assert_eq!(found, ReasonCode::ALL);
    }

    /// The middle column of table 2-6, packet by packet.
    #[test]
    fn every_packet_has_the_codes_that_the_standard_gives_it() {
        type Allowed = fn(ReasonCode) -> bool;
        let packets: [(&str, Allowed, &[u8]); 7] = [
            (
                "CONNACK",
                ReasonCode::answers_connect,
                &[
                    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C,
                    0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
                ],
            ),
            (
                "PUBACK, PUBREC",
                ReasonCode::answers_publish,
                &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
            ),
            ("PUBREL, PUBCOMP", ReasonCode::answers_release, &[0x00, 0x92]),
            (
                "SUBACK",
                ReasonCode::answers_subscribe,
                &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
            ),
            (
                "UNSUBACK",
                ReasonCode::answers_unsubscribe,
                &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
            ),
            (
                "DISCONNECT",
                ReasonCode::ends_connection,
                &[
                    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F,
                    0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E,
                    0x9F, 0xA0, 0xA1, 0xA2,
                ],
            ),
            ("AUTH", ReasonCode::authenticates, &[0x00, 0x18, 0x19]),
        ];
        for (packet, allowed, codes) in packets {
            let found = ReasonCode::ALL.into_iter().filter(|&code| allowed(code));
            assert_eq!(found.map(ReasonCode::byte).collect::<Vec<_>>(), codes, "{packet}");
        }
    }

    #[test]
    fn a_return_code_of_3_x_means_the_reason_code_that_is_written_as_it() {
        for code in 0..=u8::MAX {
            let reason = ReasonCode::from_connect_return_code(code);
            assert_eq!(reason.map(ReasonCode::connect_return_code), (code < 6).then_some(code));
        }
    }
}
