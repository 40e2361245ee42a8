//! Framing: where one packet ends, what kind it is (section 2.1 of both standards).

use std::fmt;

use super::connect;
use super::primitive::{OVERLONG, Reader, VARINT_MAX, Writer, varint, varint_width};
use super::{
    Ack, Auth, ConnAck, Connect, DecodeError, Disconnect, Packet, Publish, SubAck, Subscribe,
    Unsubscribe, Version,
};

/// The largest packet that MQTT can frame, fixed header included.
pub const MAXIMUM_PACKET_SIZE: usize = VARINT_MAX + 5;

/// Packet types, as the upper half of the first byte (5.0 table 2-1).
mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONNACK: u8 = 2;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const PUBREC: u8 = 5;
    pub(super) const PUBREL: u8 = 6;
    pub(super) const PUBCOMP: u8 = 7;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const SUBACK: u8 = 9;
    pub(super) const UNSUBSCRIBE: u8 = 10;
    pub(super) const UNSUBACK: u8 = 11;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const PINGRESP: u8 = 13;
    pub(super) const DISCONNECT: u8 = 14;
    pub(super) const AUTH: u8 = 15;
}

const RESERVED_TYPE: DecodeError = DecodeError::Malformed("a reserved packet type");
const RESERVED_FLAGS: DecodeError = DecodeError::Malformed("reserved flags of the fixed header");

/// One whole packet, still encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// What follows the Remaining Length.
    pub body: &'a [u8],
    /// Bytes of the whole packet, fixed header included.
    pub size: usize,
}

/// The body may hold a password.
impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, size, .. } = self;
        f.debug_struct("Frame").field("first", first).field("size", size).finish_non_exhaustive()
    }
}

/// Finds the first packet in `bytes`; `None` until all of it has arrived. Reports a first byte that
/// begins no packet, and a packet larger than `limit` bytes, as soon as they are known.
///
/// # Errors
/// [`DecodeError::TooLarge`]; [`DecodeError::Malformed`] for a Remaining Length of five bytes,
/// packet type 0 or flags that no version has; [`DecodeError::QoS`] for a PUBLISH with QoS 3.
pub fn next_frame(bytes: &[u8], limit: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    check_first(first, Version::V31)?;
    let Some((length, width)) = varint(rest)? else { return Ok(None) };
    let length = length as usize;
    let size = 1 + width + length;
    if size > limit {
        return Err(DecodeError::TooLarge { size, limit });
    }
    Ok(rest.get(width..width + length).map(|body| Frame { first, body, size }))
}

/// Whether a packet of `version` may begin with `first` `[MQTT-2.1.3-1]`. 3.1 allows all that any
/// version does: DUP on the packets that it sends with QoS 1.
fn check_first(first: u8, version: Version) -> Result<(), DecodeError> {
    let flags = first & 0x0F;
    let allowed = match first >> 4 {
        0 => return Err(RESERVED_TYPE),
        kind::PUBLISH => return check_publish_flags(flags),
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => {
            flags == 0b0010 || flags == 0b1010 && version == Version::V31
        }
        _ => flags == 0,
    };
    if allowed { Ok(()) } else { Err(RESERVED_FLAGS) }
}

fn check_publish_flags(flags: u8) -> Result<(), DecodeError> {
    match flags & 0b0110 {
        0b0110 => Err(DecodeError::QoS),
        0b0000 if flags & 0b1000 != 0 => {
            Err(DecodeError::Malformed("DUP is 0 in a PUBLISH of QoS 0"))
        }
        _ => Ok(()),
    }
}

impl<'a> Frame<'a> {
    /// Decodes the packet. A CONNECT says its own version; `version` is that of all others.
    ///
    /// # Errors
    /// Whatever the standards forbid, with the reason code to answer.
    pub fn decode(&self, version: Version) -> Result<Packet<'a>, DecodeError> {
        check_first(self.first, version)?;
        let mut body = Reader::new(self.body);
        let packet = self.decode_body(version, &mut body)?;
        body.finish()?;
        match &packet {
            Packet::Connect(connect) => self.check_length(connect.version)?,
            _ => self.check_length(version)?,
        }
        Ok(packet)
    }

    /// The version that a CONNECT names, even where the rest of it is malformed: a refusal is
    /// answered in it. `None` for other packets and versions.
    #[must_use]
    pub fn connect_version(&self) -> Option<Version> {
        if self.first >> 4 != kind::CONNECT {
            return None;
        }
        connect::protocol(&mut Reader::new(self.body)).ok()
    }

    fn decode_body(
        &self,
        version: Version,
        body: &mut Reader<'a>,
    ) -> Result<Packet<'a>, DecodeError> {
        Ok(match self.first >> 4 {
            kind::CONNECT => Packet::Connect(Box::new(Connect::decode(body)?)),
            kind::CONNACK => Packet::ConnAck(Box::new(ConnAck::decode(version, body)?)),
            kind::PUBLISH => Packet::Publish(Publish::decode(self.first, version, body)?),
            kind::PUBACK => Packet::PubAck(Ack::of_publish(version, body)?),
            kind::PUBREC => Packet::PubRec(Ack::of_publish(version, body)?),
            kind::PUBREL => Packet::PubRel(Ack::of_release(version, body)?),
            kind::PUBCOMP => Packet::PubComp(Ack::of_release(version, body)?),
            kind::SUBSCRIBE => Packet::Subscribe(Subscribe::decode(version, body)?),
            kind::SUBACK => Packet::SubAck(SubAck::of_subscribe(version, body)?),
            kind::UNSUBSCRIBE => Packet::Unsubscribe(Unsubscribe::decode(version, body)?),
            kind::UNSUBACK => Packet::UnsubAck(SubAck::of_unsubscribe(version, body)?),
            kind::PINGREQ => Packet::PingReq,
            kind::PINGRESP => Packet::PingResp,
            kind::DISCONNECT => Packet::Disconnect(Disconnect::decode(version, body)?),
            kind::AUTH if version == Version::V5 => Packet::Auth(Auth::decode(body)?),
            _ => return Err(RESERVED_TYPE),
        })
    }

    /// The Remaining Length takes as few bytes as it can `[MQTT-1.5.5-1]`; 3.x does not ask for it.
    fn check_length(&self, version: Version) -> Result<(), DecodeError> {
        if version == Version::V5 && self.size > size_with_header(self.body.len()) {
            return Err(OVERLONG);
        }
        Ok(())
    }
}

/// Appends a packet that begins with `first` and has what `write` writes as its body; nothing where
/// no Remaining Length can say its size.
pub(super) fn append(out: &mut Vec<u8>, first: u8, write: impl Fn(&mut Writer<'_>)) {
    let length = Writer::count(&write);
    if length > VARINT_MAX {
        return;
    }
    out.reserve(size_with_header(length));
    let mut writer = Writer::new(out);
    writer.u8(first);
    writer.varint(length);
    write(&mut writer);
}

/// The size of a packet whose body has `length` bytes.
pub(super) fn size_with_header(length: usize) -> usize {
    1 + varint_width(length) + length
}

impl Packet<'_> {
    /// Appends the packet to `out` as `version` writes it; a CONNECT is written in its own. What
    /// the version cannot say (properties and most reason codes in 3.x) is left out; strings and
    /// binary data longer than 65,535 bytes are cut there. Appends nothing where the packet would
    /// be larger than [`MAXIMUM_PACKET_SIZE`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        append(out, self.first(), |writer| self.write_body(version, writer));
    }

    /// The bytes that [`Self::encode`] would append: what the Maximum Packet Size of the recipient
    /// bounds `[MQTT-3.1.2-24]`.
    #[must_use]
    pub fn encoded_size(&self, version: Version) -> usize {
        size_with_header(Writer::count(|counter| self.write_body(version, counter)))
    }

    fn first(&self) -> u8 {
        let (kind, flags) = match self {
            Self::Publish(publish) => return publish.outgoing().first(),
            Self::Connect(_) => (kind::CONNECT, 0),
            Self::ConnAck(_) => (kind::CONNACK, 0),
            Self::PubAck(_) => (kind::PUBACK, 0),
            Self::PubRec(_) => (kind::PUBREC, 0),
            Self::PubRel(_) => (kind::PUBREL, 0b0010),
            Self::PubComp(_) => (kind::PUBCOMP, 0),
            Self::Subscribe(_) => (kind::SUBSCRIBE, 0b0010),
            Self::SubAck(_) => (kind::SUBACK, 0),
            Self::Unsubscribe(_) => (kind::UNSUBSCRIBE, 0b0010),
            Self::UnsubAck(_) => (kind::UNSUBACK, 0),
            Self::PingReq => (kind::PINGREQ, 0),
            Self::PingResp => (kind::PINGRESP, 0),
            Self::Disconnect(_) => (kind::DISCONNECT, 0),
            Self::Auth(_) => (kind::AUTH, 0),
        };
        kind << 4 | flags
    }

    fn write_body(&self, version: Version, out: &mut Writer<'_>) {
        match self {
            Self::Connect(connect) => connect.write(out),
            Self::ConnAck(ack) => ack.write(version, out),
            Self::Publish(publish) => publish.outgoing().write(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.write(version, out);
            }
            Self::Subscribe(subscribe) => subscribe.write(version, out),
            Self::SubAck(ack) => ack.write_subscribed(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.write(version, out),
            Self::UnsubAck(ack) => ack.write_unsubscribed(version, out),
            Self::PingReq | Self::PingResp => {}
            Self::Disconnect(disconnect) => disconnect.write(version, out),
            Self::Auth(auth) => auth.write(out),
        }
    }
}
