//! Any bytes as packets of 3.1.1 and 5.0: what is accepted is understood by mqttbytes as we mean it, but
//! for where it is known to be wrong.

use bastionmq::codec::{Packet, Version, next_frame};

use crate::second_opinion::{agree, known_fault};

/// Bytes of the largest packet that is taken.
const LIMIT: usize = 1 << 16;

pub(crate) fn check(bytes: &[u8]) {
    for version in [Version::V311, Version::V5] {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, LIMIT) {
            rest = &rest[frame.size..];
            let Ok(packet) = frame.decode(version) else { continue };
            let is_of_version = match &packet {
                Packet::Connect(connect) => connect.version == version,
                _ => true,
            };
            if is_of_version && known_fault(version, &packet).is_none() {
                agree(version, packet);
            }
        }
    }
}
