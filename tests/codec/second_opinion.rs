//! What mqttbytes 0.6 makes of a packet, and where it cannot be asked. Of tests and fuzzing alike.

use bastionmq::codec::{ConnAckProperties, Packet, Property, ReasonCode, Version, next_frame};
use bytes::BytesMut;
use mqttbytes::{Error, v4, v5};

/// Bytes of the largest packet that it is asked about.
const LIMIT: usize = 1 << 20;

/// Decodes `bytes` and encodes what it found: what mqttbytes understood, in our words.
pub(crate) fn second_opinion(bytes: &[u8], version: Version) -> Result<Vec<u8>, Error> {
    let mut stream = BytesMut::from(bytes);
    let mut out = BytesMut::new();
    match version {
        Version::V5 => write_v5(v5::read(&mut stream, LIMIT)?, &mut out)?,
        _ => write_v4(v4::read(&mut stream, LIMIT)?, &mut out)?,
    };
    Ok(out.to_vec())
}

fn write_v4(packet: v4::Packet, out: &mut BytesMut) -> Result<usize, Error> {
    match packet {
        v4::Packet::Connect(packet) => packet.write(out),
        v4::Packet::ConnAck(packet) => packet.write(out),
        v4::Packet::Publish(packet) => packet.write(out),
        v4::Packet::PubAck(packet) => packet.write(out),
        v4::Packet::PubRec(packet) => packet.write(out),
        v4::Packet::PubRel(packet) => packet.write(out),
        v4::Packet::PubComp(packet) => packet.write(out),
        v4::Packet::Subscribe(packet) => packet.write(out),
        v4::Packet::SubAck(packet) => packet.write(out),
        v4::Packet::Unsubscribe(packet) => packet.write(out),
        v4::Packet::UnsubAck(packet) => packet.write(out),
        v4::Packet::PingReq => v4::PingReq.write(out),
        v4::Packet::PingResp => v4::PingResp.write(out),
        v4::Packet::Disconnect => v4::Disconnect.write(out),
    }
}

fn write_v5(packet: v5::Packet, out: &mut BytesMut) -> Result<usize, Error> {
    match packet {
        v5::Packet::Connect(packet) => packet.write(out),
        v5::Packet::ConnAck(packet) => packet.write(out),
        v5::Packet::Publish(packet) => packet.write(out),
        v5::Packet::PubAck(packet) => packet.write(out),
        v5::Packet::PubRec(packet) => packet.write(out),
        v5::Packet::PubRel(packet) => packet.write(out),
        v5::Packet::PubComp(packet) => packet.write(out),
        v5::Packet::Subscribe(packet) => packet.write(out),
        v5::Packet::SubAck(packet) => packet.write(out),
        v5::Packet::Unsubscribe(packet) => packet.write(out),
        v5::Packet::UnsubAck(packet) => packet.write(out),
        v5::Packet::PingReq => v5::PingReq.write(out),
        v5::Packet::PingResp => v5::PingResp.write(out),
        v5::Packet::Disconnect(packet) => packet.write(out),
    }
}

/// Why mqttbytes cannot be asked about `packet`: it refuses what is good, or writes what is bad.
pub(crate) fn known_fault(version: Version, packet: &Packet<'_>) -> Option<&'static str> {
    let new = version == Version::V5;
    match packet {
        Packet::Connect(connect) => {
            if connect.password.is_some_and(|password| std::str::from_utf8(password).is_err()) {
                return Some("takes passwords for strings");
            }
            if connect.user_name == Some("") || connect.password == Some(b"") {
                return Some("takes empty credentials for none");
            }
            None
        }
        Packet::ConnAck(ack) if new && ack.properties == ConnAckProperties::default() => {
            Some("leaves out the property length of a CONNACK without properties")
        }
        Packet::Disconnect(_) if new && packet.encoded_size(version) < 4 => {
            Some("knows no short DISCONNECT")
        }
        Packet::Disconnect(disconnect)
            if disconnect.reason == ReasonCode::BadAuthenticationMethod =>
        {
            Some("knows no DISCONNECT for a bad authentication method")
        }
        Packet::Publish(publish) if publish.subscription_ids.len() > 1 => {
            Some("counts a byte too many for each subscription identifier")
        }
        Packet::Auth(_) => Some("knows no AUTH"),
        _ => None,
    }
}

/// `packet` with its forwarded properties in the order of their identifiers: mqttbytes has its own.
fn in_order(mut packet: Packet<'_>) -> Packet<'_> {
    let properties = match &mut packet {
        Packet::Publish(publish) => &mut publish.properties,
        Packet::Connect(connect) => match &mut connect.will {
            Some(will) => &mut will.properties,
            None => return packet,
        },
        _ => return packet,
    };
    let mut sorted = Property::iter(properties).collect::<Vec<_>>();
    sorted.sort_by_key(|property| Property::encode_all([*property])[0]);
    *properties = Property::encode_all(sorted).into();
    packet
}

/// Fails unless mqttbytes reads what we write as we mean it.
pub(crate) fn agree(version: Version, packet: Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    let theirs = second_opinion(&bytes, version);
    let theirs = theirs.unwrap_or_else(|error| panic!("{error:?}: {packet:?}"));
    let frame = next_frame(&theirs, LIMIT).expect("no fault").expect("a packet");
    let theirs = frame.decode(version).expect("no fault");
    assert_eq!(in_order(theirs), in_order(packet));
}
