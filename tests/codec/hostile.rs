//! Bytes from anybody: no panic, no surprise, no more memory than was received.

use bastionmq::codec::{DecodeError, Packet, Version, next_frame};
use proptest::prelude::*;

use crate::packets::{bad, good};
use crate::strategy::versioned;
use crate::{LIMIT, VERSIONS, decode, encode};

/// What decodes is as good as what is encoded: it is the same after another round.
fn check(bytes: &[u8]) {
    for version in VERSIONS {
        let Ok(Some(packet)) = decode(bytes, version) else { continue };
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let again = encode(&packet, version);
        assert_eq!(again.len(), packet.encoded_size(version));
        assert_eq!(decode(&again, version), Ok(Some(packet)), "{bytes:x?}");
    }
}

/// A packet of the type and flags `first` around `body`.
fn with_type(first: u8, mut body: Vec<u8>) -> Vec<u8> {
    let length = body.len() as u8;
    body.splice(0..0, [first, length]);
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check(&bytes);
    }

    #[test]
    fn random_bodies_of_every_packet_type_never_panic(
        first in 0x10..=0xFFu8, body in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        check(&with_type(first, body.clone()));
        check(&with_type(first & 0xF0, body));
    }

    #[test]
    fn small_numbers_in_every_packet_type_never_panic(
        first in 0x1..=0xFu8, body in prop::collection::vec(0..0x30u8, 0..40),
    ) {
        check(&with_type(first << 4, body.clone()));
        check(&with_type(first << 4 | 2, body));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mutated_packets_never_panic(
        (version, packet) in versioned(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&packet, version);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        check(&bytes);
        check(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn a_truncated_packet_is_incomplete_and_with_a_shorter_length_it_is_another_or_none(
        (version, packet) in versioned(),
    ) {
        let bytes = encode(&packet, version);
        for end in 0..bytes.len() {
            prop_assert_eq!(next_frame(&bytes[..end], LIMIT), Ok(None));
        }
        let Ok(Some(frame)) = next_frame(&bytes, LIMIT) else { panic!("no frame") };
        for end in 0..frame.body.len().min(100) {
            let shorter = with_type(frame.first, frame.body[..end].to_vec());
            prop_assert_ne!(decode(&shorter, version), Ok(Some(packet.clone())));
        }
    }
}

#[test]
fn every_truncation_of_a_known_packet_is_incomplete() {
    for entry in good() {
        let bytes = entry.bytes();
        for end in 0..bytes.len() {
            assert_eq!(next_frame(&bytes[..end], LIMIT), Ok(None), "{}", entry.name);
        }
    }
}

#[test]
fn every_byte_of_every_known_packet_may_be_any_other() {
    for entry in good().into_iter().chain(bad()) {
        let bytes = entry.bytes();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            for byte in 0..=u8::MAX {
                changed[place] = byte;
                check(&changed);
            }
        }
    }
}

#[test]
fn r30_a_length_that_is_shorter_than_its_fields_neither_underflows_nor_reads_on() {
    for entry in good().iter().filter(|entry| entry.is_canonical()) {
        let bytes = entry.bytes();
        for version in entry.versions() {
            let whole = decode(&bytes, version);
            for length in 0..bytes[1].min(0x7F) {
                let mut shorter = bytes.clone();
                shorter[1] = length;
                check(&shorter);
                assert_ne!(decode(&shorter, version), whole, "{} cut to {length}", entry.name);
            }
        }
    }
}

#[test]
fn a_bad_beginning_is_refused_before_the_rest_has_come() {
    for first in 0..=u8::MAX {
        let whole = next_frame(&[first, 0], LIMIT).map(|_| ());
        assert_eq!(next_frame(&[first], LIMIT).map(|_| ()), whole, "{first:x}");
    }
    assert_eq!(next_frame(&[0x36], LIMIT), Err(DecodeError::QoS));
    assert!(matches!(next_frame(&[0x00], LIMIT), Err(DecodeError::Malformed(_))));
    let too_large = Err(DecodeError::TooLarge { size: 102, limit: 101 });
    assert_eq!(next_frame(&[0x30, 100], 101), too_large);
    assert_eq!(next_frame(&[0x30, 99], 101), Ok(None));
    assert_eq!(next_frame(&[0x30, 0xFF, 0xFF, 0xFF], 1), Ok(None));
}

/// A variable byte integer of four bytes.
fn length(size: usize) -> Vec<u8> {
    let more = |place: usize| if place < 3 { 0x80 } else { 0 };
    (0..4).map(|place| (size >> (7 * place)) as u8 & 0x7F | more(place)).collect()
}

#[test]
fn r13_a_million_user_properties_or_subscriptions_are_read_in_one_pass() {
    let properties = b"\x26\0\0\0\0".repeat(1_000_000);
    let body = [&b"\0\x01a"[..], &length(properties.len()), &properties].concat();
    let packet = [&[0x30][..], &length(body.len()), &body].concat();
    let frame = next_frame(&packet, usize::MAX).expect("a frame").expect("all of it");
    let Ok(Packet::Publish(publish)) = frame.decode(Version::V5) else { panic!("no PUBLISH") };
    assert_eq!(publish.properties, properties);

    let body = [&b"\0\x01\0"[..], &b"\0\x01a\0".repeat(1_000_000)].concat();
    let packet = [&[0x82][..], &length(body.len()), &body].concat();
    let frame = next_frame(&packet, usize::MAX).expect("a frame").expect("all of it");
    let Ok(Packet::Subscribe(subscribe)) = frame.decode(Version::V5) else { panic!("none") };
    assert_eq!(subscribe.filters.len(), 1_000_000);
}
