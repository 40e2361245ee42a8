//! Any bytes as packets of each version: no panic; a packet is found alike however its bytes arrive;
//! what is decoded says the same, in no more bytes, when it is encoded and decoded again.

use bastionmq::codec::{Frame, Packet, Version, answer_version, next_frame};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Bytes of the largest packet that is taken.
const LIMIT: usize = 1 << 20;

pub(crate) fn check(bytes: &[u8]) {
    let _ = answer_version(bytes);
    for version in VERSIONS {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, LIMIT) {
            check_frame(frame, version);
            rest = &rest[frame.size..];
        }
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[check_pieces(rest)..];
    }
}

/// Encoding writes what was read as shortly as it can be said.
fn check_frame(frame: Frame<'_>, version: Version) {
    let Ok(packet) = frame.decode(version) else { return };
    let version = match &packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    };
    let mut encoded = Vec::new();
    packet.encode(version, &mut encoded);
    assert_eq!(encoded.len(), packet.encoded_size(version));
    assert!(encoded.len() <= frame.size, "{packet:?}");
    let again = next_frame(&encoded, usize::MAX).unwrap().unwrap();
    assert_eq!(again.decode(version), Ok(packet));
}

/// Looks at `bytes` whenever one more has come: nothing is known until all of a packet is, but for
/// a fault, which stays one. How many bytes that packet has, or all where there is none.
fn check_pieces(bytes: &[u8]) -> usize {
    let whole = next_frame(bytes, LIMIT);
    let size = whole.map_or(0, |frame| frame.map_or(bytes.len(), |frame| frame.size));
    let first = (0..=bytes.len())
        .map(|end| next_frame(&bytes[..end], LIMIT))
        .find(|found| *found != Ok(None))
        .unwrap_or(Ok(None));
    assert_eq!(first, whole);
    if let Ok(Some(_)) = whole {
        assert_eq!(next_frame(&bytes[..size - 1], LIMIT), Ok(None));
        return size;
    }
    bytes.len()
}
