//! SUBACK and UNSUBACK (sections 3.9 and 3.11 of both standards).

use std::borrow::Cow;

use super::control::{decode_explanation, write_explanation};
use super::primitive::{Reader, Writer};
use super::{DecodeError, PacketId, ReasonCode, UserProperties, Version};

/// SUBACK or UNSUBACK: a reason code per filter, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Of the SUBSCRIBE or UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One per filter. An error is 0x80 in a 3.x SUBACK (where 3.1, which has no such
    /// code, finds QoS 0); a 3.x UNSUBACK has none on the wire.
    pub reasons: Cow<'a, [ReasonCode]>,
    /// For people; 5.0 only.
    pub reason_string: Option<Cow<'a, str>>,
    /// 5.0 only.
    pub user_properties: UserProperties<'a>,
}

impl<'a> SubAck<'a> {
    /// An acknowledgement that says `reasons` and no more.
    #[must_use]
    pub fn new(packet_id: PacketId, reasons: impl Into<Cow<'a, [ReasonCode]>>) -> Self {
        Self {
            packet_id,
            reasons: reasons.into(),
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(super) fn of_subscribe(
        version: Version,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        match version {
            Version::V5 => Self::decode(packet, ReasonCode::answers_subscribe),
            _ => {
                let packet_id = packet.packet_id()?;
                Ok(Self::new(packet_id, reasons(packet, ReasonCode::answers_subscribe_3)?))
            }
        }
    }

    pub(super) fn of_unsubscribe(
        version: Version,
        packet: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        match version {
            Version::V5 => Self::decode(packet, ReasonCode::answers_unsubscribe),
            _ => Ok(Self::new(packet.packet_id()?, &[][..])),
        }
    }

    fn decode(
        packet: &mut Reader<'a>,
        allowed: fn(ReasonCode) -> bool,
    ) -> Result<Self, DecodeError> {
        let packet_id = packet.packet_id()?;
        let (reason_string, user_properties) = decode_explanation(packet)?;
        let reasons = reasons(packet, allowed)?.into();
        Ok(Self { packet_id, reasons, reason_string, user_properties })
    }

    pub(super) fn write_subscribed(&self, version: Version, out: &mut Writer<'_>) {
        if version == Version::V5 {
            return self.write(out);
        }
        out.u16(self.packet_id.get());
        for reason in self.reasons.iter() {
            let failed = reason.is_error();
            out.u8(if failed { ReasonCode::UnspecifiedError.byte() } else { reason.byte() });
        }
    }

    pub(super) fn write_unsubscribed(&self, version: Version, out: &mut Writer<'_>) {
        match version {
            Version::V5 => self.write(out),
            _ => out.u16(self.packet_id.get()),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u16(self.packet_id.get());
        write_explanation(self.reason_string.as_deref(), &self.user_properties, out);
        self.reasons.iter().for_each(|reason| out.u8(reason.byte()));
    }
}

/// A code for each filter, of which there is one at least. These are few bytes, each of which has
/// been received: the one copy that decoding makes.
fn reasons(
    packet: &mut Reader<'_>,
    allowed: fn(ReasonCode) -> bool,
) -> Result<Vec<ReasonCode>, DecodeError> {
    if packet.is_empty() {
        return Err(DecodeError::Protocol(
            "an acknowledgement of filters has a reason code or more",
        ));
    }
    let mut reasons = Vec::with_capacity(packet.left());
    while !packet.is_empty() {
        reasons.push(ReasonCode::decode(packet, allowed)?);
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Packet;

    #[test]
    fn every_failure_is_0x80_in_a_3_x_suback_and_nothing_in_a_3_x_unsuback() {
        let reasons = [ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized];
        let ack = SubAck::new(PacketId::MIN, &reasons[..]);
        for version in [Version::V31, Version::V311] {
            let mut bytes = Vec::new();
            Packet::SubAck(ack.clone()).encode(version, &mut bytes);
            Packet::UnsubAck(ack.clone()).encode(version, &mut bytes);
            assert_eq!(bytes, [0x90, 4, 0, 1, 2, 0x80, 0xB0, 2, 0, 1]);
        }
    }
}
