//! The few packets of MQTT 3.1.1 that the load is made of, written in batches and read as little as
//! possible.

use anyhow::{Context, bail};

/// Bytes at the start of each payload: the number of the message.
pub(crate) const STAMP: usize = 8;

pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;

/// A packet as it lies in the read buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) first: u8,
    pub(crate) body: &'a [u8],
    pub(crate) size: usize,
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

    /// QoS, packet identifier and number of a PUBLISH.
    pub(crate) fn message(&self) -> anyhow::Result<(u8, [u8; 2], u64)> {
        let qos = self.first >> 1 & 3;
        let topic = self.body.first_chunk().copied().map(u16::from_be_bytes);
        let mut at = 2 + usize::from(topic.context("a PUBLISH without topic")?);
        let mut packet_id = [0; 2];
        if qos > 0 {
            let id = self.body.get(at..at + 2).context("a PUBLISH without packet id")?;
            packet_id.copy_from_slice(id);
            at += 2;
        }
        let stamp = self.body.get(at..at + STAMP).context("a payload without number")?;
        let mut number = [0; STAMP];
        number.copy_from_slice(stamp);
        Ok((qos, packet_id, u64::from_be_bytes(number)))
    }
}

pub(crate) fn connect(client_id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
    text(&mut body, client_id);
    packet(0x10, &body)
}

pub(crate) fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

pub(crate) fn acknowledgement(kind: u8, packet_id: [u8; 2]) -> [u8; 4] {
    let flags = if kind == PUBREL { 2 } else { 0 };
    [kind << 4 | flags, 2, packet_id[0], packet_id[1]]
}

/// A PUBLISH that is written again and again with other numbers.
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

    pub(crate) fn write(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let stamp = start + self.stamp_at;
        out[stamp..stamp + STAMP].copy_from_slice(&number.to_be_bytes());
        if let Some(at) = self.packet_id_at {
            let packet_id = (number % u64::from(u16::MAX)) as u16 + 1;
            out[start + at..start + at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
    }
}

/// Fails unless `frame` is an acknowledgement of `kind` that says yes.
pub(crate) fn check_accepted(frame: &Frame<'_>, kind: u8) -> anyhow::Result<()> {
    let code = frame.body.last().copied();
    match (frame.kind() == kind, code) {
        (true, Some(0..=2)) => Ok(()),
        _ => bail!("the broker refused: {frame:02x?}"),
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
