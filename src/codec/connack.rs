//! CONNACK (section 3.2 of both standards).

use std::borrow::Cow;
use std::num::{NonZeroU16, NonZeroU32};

use super::primitive::{Reader, Writer};
use super::property::Properties;
use super::property_id as id;
use super::{DecodeError, ReasonCode, UserProperties, Version};
use crate::message::QoS;

/// The answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server had a session of this client.
    pub session_present: bool,
    /// The outcome; 3.x sends [`ReasonCode::connect_return_code`].
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: ConnAckProperties<'a>,
}

/// The properties of CONNACK (5.0 section 3.2.2.3). Absent means the standard's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the standard")]
pub struct ConnAckProperties<'a> {
    pub session_expiry_interval: Option<u32>,
    pub receive_maximum: Option<NonZeroU16>,
    /// 0 or 1; absent is 2.
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    pub maximum_packet_size: Option<NonZeroU32>,
    pub assigned_client_identifier: Option<Cow<'a, str>>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<Cow<'a, str>>,
    pub user_properties: UserProperties<'a>,
    pub wildcard_subscription_available: Option<bool>,
    pub subscription_identifiers_available: Option<bool>,
    pub shared_subscription_available: Option<bool>,
    pub server_keep_alive: Option<u16>,
    pub response_information: Option<Cow<'a, str>>,
    pub server_reference: Option<Cow<'a, str>>,
    pub authentication_method: Option<Cow<'a, str>>,
    pub authentication_data: Option<Cow<'a, [u8]>>,
}

impl<'a> ConnAck<'a> {
    /// A refusal, or an acceptance without a session, that says `reason` and no more.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: ConnAckProperties::default() }
    }

    pub(super) fn decode(version: Version, packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let session_present = session_present(version, packet)?;
        let reason = match version {
            Version::V5 => ReasonCode::decode(packet, ReasonCode::answers_connect)?,
            _ => ReasonCode::from_connect_return_code(packet.u8()?)
                .ok_or(DecodeError::Protocol("a return code that CONNACK does not have"))?,
        };
        if session_present && reason.is_error() {
            return Err(DecodeError::Protocol("a refusal has no session"));
        }
        let properties = match version {
            Version::V5 => ConnAckProperties::decode(packet)?,
            _ => ConnAckProperties::default(),
        };
        Ok(Self { session_present, reason, properties })
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        let has_session = self.session_present && version != Version::V31;
        // [MQTT-3.2.2-6]
        out.u8((has_session && !self.reason.is_error()).into());
        match version {
            Version::V5 => {
                out.u8(self.reason.byte());
                out.properties(|section| self.properties.write(section));
            }
            _ => out.u8(self.reason.connect_return_code()),
        }
    }
}

/// The Connect Acknowledge Flags; in 3.1 the byte is not used.
fn session_present(version: Version, packet: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match packet.u8()? {
        _ if version == Version::V31 => Ok(false),
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Malformed("reserved flags of a CONNACK")),
    }
}

impl<'a> ConnAckProperties<'a> {
    fn decode(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        let mut properties = Properties::of(packet)?;
        while let Some(id) = properties.next_id()? {
            if !this.decode_limit(id, &mut properties.value)?
                && !this.decode_text(id, &mut properties.value)?
            {
                properties.keep_user(id)?;
            }
        }
        this.user_properties = properties.user_properties();
        Ok(this)
    }

    /// What the server bounds and can do. `false` where `id` is none of that.
    fn decode_limit(&mut self, id: u8, value: &mut Reader<'a>) -> Result<bool, DecodeError> {
        match id {
            id::SESSION_EXPIRY_INTERVAL => self.session_expiry_interval = Some(value.u32()?),
            id::RECEIVE_MAXIMUM => self.receive_maximum = Some(value.receive_maximum()?),
            id::MAXIMUM_QOS => self.maximum_qos = Some(maximum_qos(value)?),
            id::RETAIN_AVAILABLE => self.retain_available = Some(value.flag()?),
            id::MAXIMUM_PACKET_SIZE => {
                self.maximum_packet_size = Some(value.maximum_packet_size()?);
            }
            id::TOPIC_ALIAS_MAXIMUM => self.topic_alias_maximum = Some(value.u16()?),
            id::WILDCARD_SUBSCRIPTION_AVAILABLE => {
                self.wildcard_subscription_available = Some(value.flag()?);
            }
            id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE => {
                self.subscription_identifiers_available = Some(value.flag()?);
            }
            id::SHARED_SUBSCRIPTION_AVAILABLE => {
                self.shared_subscription_available = Some(value.flag()?);
            }
            id::SERVER_KEEP_ALIVE => self.server_keep_alive = Some(value.u16()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the server says and names. `false` where `id` is none of that.
    fn decode_text(&mut self, id: u8, value: &mut Reader<'a>) -> Result<bool, DecodeError> {
        let text = match id {
            id::ASSIGNED_CLIENT_IDENTIFIER => &mut self.assigned_client_identifier,
            id::REASON_STRING => &mut self.reason_string,
            id::RESPONSE_INFORMATION => &mut self.response_information,
            id::SERVER_REFERENCE => &mut self.server_reference,
            id::AUTHENTICATION_METHOD => &mut self.authentication_method,
            id::AUTHENTICATION_DATA => {
                self.authentication_data = Some(value.binary()?.into());
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *text = Some(value.string()?.into());
        Ok(true)
    }

    fn write(&self, out: &mut Writer<'_>) {
        self.write_limits(out);
        self.write_texts(out);
        out.user_properties(&self.user_properties);
    }

    fn write_limits(&self, out: &mut Writer<'_>) {
        // [MQTT-3.2.2-9]: QoS 2 is said by saying nothing.
        let maximum_qos = self.maximum_qos.filter(|&qos| qos < QoS::ExactlyOnce);
        out.property_u32(id::SESSION_EXPIRY_INTERVAL, self.session_expiry_interval);
        out.property_u16(id::RECEIVE_MAXIMUM, self.receive_maximum.map(NonZeroU16::get));
        out.property_u8(id::MAXIMUM_QOS, maximum_qos.map(|qos| qos as u8));
        out.property_flag(id::RETAIN_AVAILABLE, self.retain_available);
        out.property_u32(id::MAXIMUM_PACKET_SIZE, self.maximum_packet_size.map(NonZeroU32::get));
        out.property_u16(id::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
        out.property_flag(
            id::WILDCARD_SUBSCRIPTION_AVAILABLE,
            self.wildcard_subscription_available,
        );
        out.property_flag(
            id::SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
            self.subscription_identifiers_available,
        );
        out.property_flag(id::SHARED_SUBSCRIPTION_AVAILABLE, self.shared_subscription_available);
        out.property_u16(id::SERVER_KEEP_ALIVE, self.server_keep_alive);
    }

    fn write_texts(&self, out: &mut Writer<'_>) {
        for (id, text) in [
            (id::ASSIGNED_CLIENT_IDENTIFIER, &self.assigned_client_identifier),
            (id::REASON_STRING, &self.reason_string),
            (id::RESPONSE_INFORMATION, &self.response_information),
            (id::SERVER_REFERENCE, &self.server_reference),
            (id::AUTHENTICATION_METHOD, &self.authentication_method),
        ] {
            out.property_string(id, text.as_deref());
        }
        out.property_binary(id::AUTHENTICATION_DATA, self.authentication_data.as_deref());
    }
}

/// 0 or 1 (5.0 section 3.2.2.3.4).
fn maximum_qos(value: &mut Reader<'_>) -> Result<QoS, DecodeError> {
    match value.u8()? {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        _ => Err(DecodeError::Protocol("a maximum QoS is 0 or 1")),
    }
}
