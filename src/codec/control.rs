//! PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT and AUTH: a reason code and a few properties.

use std::borrow::Cow;
use std::fmt;

use super::primitive::{Reader, Writer};
use super::property::Properties;
use super::property_id as id;
use super::{DecodeError, PacketId, ReasonCode, UserProperties, Version};

/// PUBACK, PUBREC, PUBREL or PUBCOMP (5.0 sections 3.4 to 3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Of the PUBLISH it belongs to.
    pub packet_id: PacketId,
    /// 5.0 only; 3.x means success.
    pub reason: ReasonCode,
    /// For people; 5.0 only.
    pub reason_string: Option<Cow<'a, str>>,
    /// 5.0 only.
    pub user_properties: UserProperties<'a>,
}

/// The end of a connection (5.0 section 3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// 3.x means success.
    pub reason: ReasonCode,
    /// Seconds; from clients alone `[MQTT-3.14.2-2]`.
    pub session_expiry_interval: Option<u32>,
    /// For people.
    pub reason_string: Option<Cow<'a, str>>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
    /// Where to go instead; from servers alone.
    pub server_reference: Option<Cow<'a, str>>,
}

/// One step of enhanced authentication (5.0 section 3.15).
#[derive(Clone, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue authentication or re-authenticate.
    pub reason: ReasonCode,
    /// The name of the method; absent only in the two-byte packet that means success.
    pub authentication_method: Option<Cow<'a, str>>,
    /// As the method defines.
    pub authentication_data: Option<Cow<'a, [u8]>>,
    /// For people.
    pub reason_string: Option<Cow<'a, str>>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement that says `reason` and no more.
    #[must_use]
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, reason_string: None, user_properties: UserProperties::default() }
    }

    /// PUBACK and PUBREC.
    pub(super) fn of_publish(
        version: Version,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        Self::decode(version, packet, ReasonCode::answers_publish)
    }

    /// PUBREL and PUBCOMP.
    pub(super) fn of_release(
        version: Version,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        Self::decode(version, packet, ReasonCode::answers_release)
    }

    fn decode(
        version: Version,
        packet: &mut Reader<'a>,
        allowed: fn(ReasonCode) -> bool,
    ) -> Result<Self, DecodeError> {
        let mut ack = Self::new(packet.packet_id()?, ReasonCode::Success);
        if version == Version::V5 && !packet.is_empty() {
            ack.reason = ReasonCode::decode(packet, allowed)?;
            if !packet.is_empty() {
                (ack.reason_string, ack.user_properties) = decode_explanation(packet)?;
            }
        }
        Ok(ack)
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        out.u16(self.packet_id.get());
        if version != Version::V5 {
            return;
        }
        let explained = self.reason_string.is_some() || !self.user_properties.is_empty();
        if explained || self.reason != ReasonCode::Success {
            out.u8(self.reason.byte());
        }
        if explained {
            write_explanation(self.reason_string.as_deref(), &self.user_properties, out);
        }
    }
}

/// A reason string and user properties: all that acknowledgements have.
pub(super) fn decode_explanation<'a>(
    packet: &mut Reader<'a>,
) -> Result<(Option<Cow<'a, str>>, UserProperties<'a>), DecodeError> {
    let mut reason_string = None;
    let mut properties = Properties::of(packet)?;
    while let Some(id) = properties.next_id()? {
        match id {
            id::REASON_STRING => reason_string = Some(properties.value.string()?.into()),
            _ => properties.keep_user(id)?,
        }
    }
    Ok((reason_string, properties.user_properties()))
}

/// What [`decode_explanation`] reads.
pub(super) fn write_explanation(
    reason_string: Option<&str>,
    user_properties: &UserProperties<'_>,
    out: &mut Writer<'_>,
) {
    out.properties(|section| {
        section.property_string(id::REASON_STRING, reason_string);
        section.user_properties(user_properties);
    });
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT that says `reason` and no more.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self {
            reason,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: UserProperties::default(),
            server_reference: None,
        }
    }

    pub(super) fn decode(version: Version, packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut disconnect = Self::new(ReasonCode::Success);
        if version == Version::V5 && !packet.is_empty() {
            disconnect.reason = ReasonCode::decode(packet, ReasonCode::ends_connection)?;
            if !packet.is_empty() {
                disconnect.decode_properties(packet)?;
            }
        }
        Ok(disconnect)
    }

    fn decode_properties(&mut self, packet: &mut Reader<'a>) -> Result<(), DecodeError> {
        let mut properties = Properties::of(packet)?;
        while let Some(id) = properties.next_id()? {
            let value = &mut properties.value;
            match id {
                id::SESSION_EXPIRY_INTERVAL => self.session_expiry_interval = Some(value.u32()?),
                id::REASON_STRING => self.reason_string = Some(value.string()?.into()),
                id::SERVER_REFERENCE => self.server_reference = Some(value.string()?.into()),
                _ => properties.keep_user(id)?,
            }
        }
        self.user_properties = properties.user_properties();
        Ok(())
    }

    pub(super) fn write(&self, version: Version, out: &mut Writer<'_>) {
        if version != Version::V5 {
            return;
        }
        let bare = Writer::count(|counter| self.write_properties(counter)) == 0;
        if !bare || self.reason != ReasonCode::Success {
            out.u8(self.reason.byte());
        }
        if !bare {
            out.properties(|section| self.write_properties(section));
        }
    }

    fn write_properties(&self, out: &mut Writer<'_>) {
        out.property_u32(id::SESSION_EXPIRY_INTERVAL, self.session_expiry_interval);
        out.property_string(id::REASON_STRING, self.reason_string.as_deref());
        out.user_properties(&self.user_properties);
        out.property_string(id::SERVER_REFERENCE, self.server_reference.as_deref());
    }
}

impl<'a> Auth<'a> {
    /// One step of `authentication_method`, with `data` where the step has some.
    #[must_use]
    pub fn new(
        reason: ReasonCode,
        authentication_method: impl Into<Cow<'a, str>>,
        data: Option<Cow<'a, [u8]>>,
    ) -> Self {
        Self {
            authentication_method: Some(authentication_method.into()),
            authentication_data: data,
            ..Self::bare(reason)
        }
    }

    fn bare(reason: ReasonCode) -> Self {
        Self {
            reason,
            authentication_method: None,
            authentication_data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(super) fn decode(packet: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if packet.is_empty() {
            return Ok(Self::bare(ReasonCode::Success));
        }
        let mut auth = Self::bare(ReasonCode::decode(packet, ReasonCode::authenticates)?);
        auth.decode_properties(packet)?;
        if auth.authentication_method.is_none() {
            return Err(DecodeError::Protocol("an AUTH names its authentication method"));
        }
        Ok(auth)
    }

    fn decode_properties(&mut self, packet: &mut Reader<'a>) -> Result<(), DecodeError> {
        let mut properties = Properties::of(packet)?;
        while let Some(id) = properties.next_id()? {
            let value = &mut properties.value;
            match id {
                id::AUTHENTICATION_METHOD => {
                    self.authentication_method = Some(value.string()?.into());
                }
                id::AUTHENTICATION_DATA => self.authentication_data = Some(value.binary()?.into()),
                id::REASON_STRING => self.reason_string = Some(value.string()?.into()),
                _ => properties.keep_user(id)?,
            }
        }
        self.user_properties = properties.user_properties();
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let bare = Writer::count(|counter| self.write_properties(counter)) == 0;
        if bare && self.reason == ReasonCode::Success {
            return;
        }
        out.u8(self.reason.byte());
        out.properties(|section| self.write_properties(section));
    }

    fn write_properties(&self, out: &mut Writer<'_>) {
        out.property_string(id::AUTHENTICATION_METHOD, self.authentication_method.as_deref());
        out.property_binary(id::AUTHENTICATION_DATA, self.authentication_data.as_deref());
        out.property_string(id::REASON_STRING, self.reason_string.as_deref());
        out.user_properties(&self.user_properties);
    }
}

/// The data may be a proof of the password.
impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("authentication_method", &self.authentication_method)
            .field("reason_string", &self.reason_string)
            .finish_non_exhaustive()
    }
}
