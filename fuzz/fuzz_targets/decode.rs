//! Any bytes as packets of any version: no panic, and what is decoded says the same when it is
//! encoded and decoded again.
#![no_main]

use bastionmq::codec::{Packet, Version, next_frame};
use libfuzzer_sys::fuzz_target;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fuzz_target!(|bytes: &[u8]| {
    for version in VERSIONS {
        let mut rest = bytes;
        while let Ok(Some(frame)) = next_frame(rest, 1 << 20) {
            rest = &rest[frame.size..];
            let Ok(packet) = frame.decode(version) else { continue };
            let version = match &packet {
                Packet::Connect(connect) => connect.version,
                _ => version,
            };
            let mut encoded = Vec::new();
            packet.encode(version, &mut encoded);
            assert_eq!(encoded.len(), packet.encoded_size(version));
            let again = next_frame(&encoded, usize::MAX).unwrap().unwrap();
            assert_eq!(again.decode(version), Ok(packet));
        }
    }
});
