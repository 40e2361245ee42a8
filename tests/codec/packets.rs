//! `tests/packets/*.toml`: each packet with its value, or with the error that it is refused with.

use bastionmq::codec::{DecodeError, ReasonCode, Version};

use crate::packet_file::parse;
pub(crate) use crate::packet_file::{Entry, bad, good};
use crate::values::{NAMES, value};
use crate::{decode, encode};

#[test]
fn a_good_packet_decodes_to_its_value() {
    for entry in good() {
        let bytes = entry.bytes();
        for version in entry.versions() {
            let expected = Ok(Some(value(&entry.name)));
            assert_eq!(decode(&bytes, version), expected, "{} {version:?}", entry.name);
        }
    }
}

#[test]
fn a_value_encodes_to_its_canonical_bytes_and_knows_their_number() {
    for entry in good() {
        let canonical = entry.canonical.as_deref().map_or_else(|| entry.bytes(), parse);
        for version in entry.versions() {
            let value = value(&entry.name);
            assert_eq!(encode(&value, version), canonical, "{} {version:?}", entry.name);
            assert_eq!(value.encoded_size(version), canonical.len(), "{}", entry.name);
        }
    }
}

#[test]
fn every_value_has_its_packet() {
    let packets = good().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    assert_eq!(packets, NAMES);
}

#[test]
fn a_bad_packet_is_refused_for_its_fault() {
    let mut checked = 0;
    for entry in bad() {
        let expected = entry.error.as_deref().expect("a bad packet has an error");
        for version in entry.versions() {
            match decode(&entry.bytes(), version) {
                Err(error) => assert_eq!(error.to_string(), expected, "{}", entry.name),
                Ok(packet) => panic!("{} {version:?}: decoded to {packet:?}", entry.name),
            }
            checked += 1;
        }
    }
    assert!(checked >= 300, "{checked}");
}

#[test]
fn r19_a_fifth_length_byte_is_refused_in_every_field() {
    const FIVE: &str = "malformed packet: a variable byte integer has at most four bytes";
    let fields = ["remaining length", "CONNECT", "PUBLISH", "subscription identifier"];
    for field in fields {
        let refused =
            |entry: &Entry| entry.name.contains(field) && entry.error.as_deref() == Some(FIVE);
        assert!(bad().iter().any(refused), "{field}");
    }
    // Every packet of 5.0 that has properties: the length is replaced by one of five bytes.
    for (first, before) in [
        (0x20, &b"\0\0"[..]),
        (0x32, b"\0\x01a\0\x01"),
        (0x40, b"\0\x01\0"),
        (0x50, b"\0\x01\0"),
        (0x62, b"\0\x01\0"),
        (0x70, b"\0\x01\0"),
        (0x82, b"\0\x01"),
        (0x90, b"\0\x01"),
        (0xA2, b"\0\x01"),
        (0xB0, b"\0\x01"),
        (0xE0, b"\0"),
        (0xF0, b"\x18"),
        (0x10, b"\0\x04MQTT\x05\x02\0\0"),
        (0x10, b"\0\x04MQTT\x05\x06\0\0\0\0\x01c"),
    ] {
        for last in [0x00, 0x01, 0x80] {
            let body = [before, &[0x80, 0x80, 0x80, 0x80, last, 0, 0, 0]].concat();
            let packet = [&[first, body.len() as u8][..], &body].concat();
            let error = decode(&packet, Version::V5).expect_err("five bytes").to_string();
            assert_eq!(error, FIVE, "{first:x}");
        }
    }
}

#[test]
fn an_error_is_answered_with_the_reason_code_of_its_kind() {
    for (text, reason) in [
        ("malformed packet", ReasonCode::MalformedPacket),
        ("protocol error", ReasonCode::ProtocolError),
        ("packet of", ReasonCode::PacketTooLarge),
        ("unsupported", ReasonCode::UnsupportedProtocolVersion),
        ("client identifier", ReasonCode::ClientIdentifierNotValid),
        ("invalid topic name", ReasonCode::TopicNameInvalid),
        ("invalid topic filter", ReasonCode::TopicFilterInvalid),
        ("a topic alias", ReasonCode::TopicAliasInvalid),
        ("a QoS", ReasonCode::MalformedPacket),
    ] {
        let reasons = bad()
            .iter()
            .filter(|entry| entry.error.as_deref().is_some_and(|error| error.starts_with(text)))
            .map(|entry| refusal(entry).reason())
            .collect::<Vec<_>>();
        assert!(!reasons.is_empty(), "{text}");
        assert!(reasons.iter().all(|&found| found == reason), "{text}");
    }
}

fn refusal(entry: &Entry) -> DecodeError {
    let version = entry.versions().next().expect("a version");
    decode(&entry.bytes(), version).expect_err("a bad packet")
}
