//! The codec as its users see it: packets as data, generated packets, hostile bytes, a second opinion.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod differential;
mod hostile;
#[path = "../packets/file.rs"]
mod packet_file;
mod packets;
mod roundtrip;
mod second_opinion;
mod strategy;
mod values;

use bastionmq::codec::{DecodeError, Packet, Version, next_frame};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// What the packets of `tests/packets` are decoded with.
const LIMIT: usize = 1 << 20;

/// Decodes the one packet that `bytes` are; `None` where they are less than one.
fn decode(bytes: &[u8], version: Version) -> Result<Option<Packet<'_>>, DecodeError> {
    let Some(frame) = next_frame(bytes, LIMIT)? else { return Ok(None) };
    assert!(frame.size <= bytes.len() && bytes[..frame.size].ends_with(frame.body));
    frame.decode(version).map(Some)
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}
