//! The few packets of MQTT 3.1.1 that the load is made of, written in batches and read as little as
//! possible.

use anyhow::{Context, bail};

/// Bytes at the start of each payload: the stamp of the message.
pub(crate) const STAMP: usize = 8;

pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBACK: u8 = 9;
pub(crate) const PINGRESP: u8 = 13;

pub(crate) const PINGREQ_PACKET: [u8; 2] = [0xC0, 0];
pub(crate) const DISCONNECT_PACKET: [u8; 2] = [0xE0, 0];

/// What tells every message of a run from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of the publisher, below 4,096.
    pub(crate) publisher: usize,
    /// Which of the publisher's topics, below 2^20.
    pub(crate) topic: usize,
    /// How many messages the publisher has sent to this topic before.
    pub(crate) number: u32,
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP] {
        let high = (self.publisher as u64) << 52 | (self.topic as u64) << 32;
        (high | u64::from(self.number)).to_be_bytes()
    }

    fn from_bytes(bytes: [u8; STAMP]) -> Self {
        let bits = u64::from_be_bytes(bytes);
        Self {
            publisher: (bits >> 52) as usize,
            topic: (bits >> 32 & 0xF_FFFF) as usize,
            number: bits as u32,
        }
    }
}

/// A packet as it lies in the read buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    first: u8,
    pub(crate) body: &'a [u8],
    pub(crate) size: usize,
}

/// What a subscriber must know of a PUBLISH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) packet_id: [u8; 2],
    pub(crate) stamp: Stamp,
}

impl<'a> Frame<'a> {
    /// The packet at the start of `bytes`, once it is whole.
    pub(crate) fn next(bytes: &'a [u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let mut length = 0;
        for place in 0..4 {
            let byte = *bytes.get(1 + place)?;
            length |= usize::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                let start = 2 + place;
                let body = bytes.get(start..start + length)?;
                return Some(Self { first, body, size: start + length });
            }
        }
        None
    }

    pub(crate) fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet identifier of an acknowledgement.
    pub(crate) fn packet_id(&self) -> anyhow::Result<[u8; 2]> {
        self.body.first_chunk().copied().context("an acknowledgement without packet id")
    }

    /// What a PUBLISH says.
    pub(crate) fn message(&self) -> anyhow::Result<Message> {
        let qos = self.first >> 1 & 3;
        let topic = self.body.first_chunk().copied().map(u16::from_be_bytes);
        let mut at = 2 + usize::from(topic.context("a PUBLISH without topic")?);
        let mut packet_id = [0; 2];
        if qos > 0 {
            let id = self.body.get(at..at + 2).context("a PUBLISH without packet id")?;
            packet_id.copy_from_slice(id);
            at += 2;
        }
        let stamp = self.body.get(at..).and_then(|rest| rest.first_chunk().copied());
        let stamp = Stamp::from_bytes(stamp.context("a payload without stamp")?);
        Ok(Message { qos, dup: self.first & 8 != 0, packet_id, stamp })
    }

    /// Fails unless this acknowledges as `kind` does, and says yes.
    pub(crate) fn check_accepted(&self, kind: u8) -> anyhow::Result<()> {
        let refused = match kind {
            CONNACK => self.body.get(1) != Some(&0),
            SUBACK => self.body.iter().skip(2).any(|code| *code > 2),
            _ => false,
        };
        if self.kind() != kind || refused {
            bail!("the broker refused: {self:02x?}");
        }
        Ok(())
    }
}

/// What the standard calls the answers that are waited for.
pub(crate) fn name_of(kind: u8) -> &'static str {
    match kind {
        CONNACK => "CONNACK",
        SUBACK => "SUBACK",
        PINGRESP => "PINGRESP",
        _ => "answer",
    }
}

/// Seconds of keep alive: longer than any run, but not without end, which some brokers refuse.
const KEEP_ALIVE: u16 = 3_600;

/// A CONNECT of MQTT 3.1.1.
pub(crate) fn connect(client_id: &str, clean_session: bool) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04".to_vec();
    body.push(u8::from(clean_session) << 1);
    body.extend(KEEP_ALIVE.to_be_bytes());
    text(&mut body, client_id);
    packet(0x10, &body)
}

pub(crate) fn subscribe<'a>(filters: impl IntoIterator<Item = &'a str>, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    for filter in filters {
        text(&mut body, filter);
        body.push(qos);
    }
    packet(0x82, &body)
}

pub(crate) fn acknowledgement(kind: u8, packet_id: [u8; 2]) -> [u8; 4] {
    let flags = if kind == PUBREL { 2 } else { 0 };
    [kind << 4 | flags, 2, packet_id[0], packet_id[1]]
}

/// A PUBLISH that is written again and again with other stamps.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
    stamp_at: usize,
}

impl Template {
    pub(crate) fn new(topic: &str, qos: u8, payload: usize) -> Self {
        let mut body = Vec::new();
        text(&mut body, topic);
        let packet_id = (qos > 0).then_some(body.len());
        body.resize(body.len() + packet_id.map_or(0, |_| 2), 0);
        let stamp = body.len();
        body.resize(stamp + payload, b'.');
        let bytes = packet(PUBLISH << 4 | qos << 1, &body);
        let header = bytes.len() - body.len();
        let packet_id_at = packet_id.map(|at| at + header);
        Self { bytes, packet_id_at, stamp_at: stamp + header }
    }

    pub(crate) fn retained(mut self) -> Self {
        self.bytes[0] |= 1;
        self
    }

    /// Appends the PUBLISH with `stamp`, and with the packet identifier that follows from `count`.
    pub(crate) fn write(&self, stamp: Stamp, count: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let stamp_at = start + self.stamp_at;
        out[stamp_at..stamp_at + STAMP].copy_from_slice(&stamp.to_bytes());
        if let Some(at) = self.packet_id_at {
            let packet_id = (count % u64::from(u16::MAX)) as u16 + 1;
            out[start + at..start + at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left & 0x7F) as u8;
        left >>= 7;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_laid_out_as_the_standard_says() {
        let bytes = connect("me", true);
        assert_eq!(bytes, b"\x10\x0E\0\x04MQTT\x04\x02\x0E\x10\0\x02me");
        assert_eq!(connect("me", false)[9], 0);
    }

    #[test]
    fn a_stamp_survives_its_way_through_a_publish() {
        for qos in 0..=2 {
            let stamp = Stamp { publisher: 4_095, topic: 199_999, number: u32::MAX };
            let mut bytes = Vec::new();
            Template::new("a/b", qos, 300).write(stamp, 65_534, &mut bytes);
            let frame = Frame::next(&bytes).unwrap();
            let message = frame.message().unwrap();
            assert_eq!((frame.kind(), frame.size), (PUBLISH, bytes.len()));
            assert_eq!((message.qos, message.dup, message.stamp), (qos, false, stamp));
            assert_eq!(message.packet_id, if qos > 0 { [0xFF, 0xFF] } else { [0, 0] });
            assert!(Frame::next(&bytes[..bytes.len() - 1]).is_none());
        }
    }
}
