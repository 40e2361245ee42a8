//! Whatever is encoded is decoded to the same value, in as many bytes as announced.

use bastionmq::codec::{
    Delivery, MAXIMUM_PACKET_SIZE, Packet, PacketId, Property, Publish, Version, answer_version,
    next_frame,
};
use bastionmq::topic::TopicNameRef;
use proptest::prelude::*;

use crate::strategy::{publish, versioned};
use crate::{VERSIONS, decode, encode};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_encoded_packet_decodes_to_itself((version, packet) in versioned()) {
        let bytes = encode(&packet, version);
        prop_assert_eq!(packet.encoded_size(version), bytes.len());
        prop_assert_eq!(decode(&bytes, version), Ok(Some(packet)));
    }

    #[test]
    fn packets_that_follow_each_other_are_framed_apart(packets in prop::collection::vec(versioned(), 1..5)) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|(version, packet)| packet.encode(*version, &mut bytes));
        let mut rest = &bytes[..];
        for (version, packet) in packets {
            let frame = next_frame(rest, MAXIMUM_PACKET_SIZE).expect("a packet").expect("all of it");
            prop_assert_eq!(frame.decode(version), Ok(packet));
            rest = &rest[frame.size..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_3_x_packet_holds_nothing_of_5_0(publish in publish(Version::V5)) {
        let plain = Publish {
            topic_alias: None,
            message_expiry_interval: None,
            subscription_ids: Vec::new().into(),
            properties: Vec::new().into(),
            ..publish.clone()
        };
        for version in [Version::V31, Version::V311] {
            prop_assert_eq!(
                encode(&Packet::Publish(publish.clone()), version),
                encode(&Packet::Publish(plain.clone()), version)
            );
        }
    }

    #[test]
    fn forwarded_properties_are_kept_to_the_byte(publish in publish(Version::V5)) {
        let properties = Property::iter(&publish.properties).collect::<Vec<_>>();
        prop_assert_eq!(Property::encode_all(properties), publish.properties.into_owned());
    }
}

#[test]
fn topics_and_payloads_as_long_as_mqtt_has_them_come_through() {
    let topic = "t".repeat(65_535);
    let payload = vec![0xA5; MAXIMUM_PACKET_SIZE - 5 - 2 - topic.len() - 2];
    let publish = Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(PacketId::MIN),
        retain: false,
        topic: TopicNameRef::parse(&topic).ok(),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: Vec::new().into(),
        properties: Vec::new().into(),
        payload: &payload,
    };
    let packet = Packet::Publish(publish);
    let bytes = encode(&packet, Version::V311);
    assert_eq!(bytes.len(), MAXIMUM_PACKET_SIZE);
    let frame = next_frame(&bytes, MAXIMUM_PACKET_SIZE).expect("a frame").expect("all of it");
    assert_eq!(frame.decode(Version::V311).as_ref(), Ok(&packet));
    // The property length of 5.0 is one byte more than a Remaining Length can say.
    assert_eq!(packet.encoded_size(Version::V5), MAXIMUM_PACKET_SIZE + 2);
    assert!(encode(&packet, Version::V5).is_empty());
}

#[test]
fn a_connect_says_its_version_even_where_the_rest_is_malformed() {
    for version in VERSIONS {
        let name = if version == Version::V31 { "\0\x06MQIsdp" } else { "\0\x04MQTT" };
        let packet =
            [&[0x10, name.len() as u8 + 1][..], name.as_bytes(), &[version as u8]].concat();
        let frame = next_frame(&packet, 100).expect("a frame").expect("all of it");
        assert_eq!(frame.connect_version(), Some(version));
        assert!(frame.decode(version).is_err());
    }
    let other = next_frame(b"\xC0\0", 100).expect("a frame").expect("all of it");
    assert_eq!(other.connect_version(), None);
}

#[test]
fn a_connect_with_reserved_flags_is_answered_in_its_version() {
    for first in 0x10..=0x1F {
        assert_eq!(
            answer_version(&[&[first][..], b"\x07\0\x04MQTT\x05"].concat()),
            Some(Version::V5)
        );
    }
    assert_eq!(answer_version(b"\x20\x07\0\x04MQTT\x05"), None);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let bytes = b"\x10\x24\0\x04MQTT\x05\xC2\0\0\x0b\x15\0\x01m\x16\0\x04\x53\x45\x43\x52\0\x01c\0\x01u\0\x06SECRET";
    let frame = next_frame(bytes, 100).expect("a frame").expect("all of it");
    let packet = frame.decode(Version::V5).expect("a CONNECT");
    let auth = b"\xF0\x0d\x18\x0b\x15\0\x01m\x16\0\x04\x53\x45\x43\x52";
    let auth = decode(auth, Version::V5).expect("an AUTH");
    let shown = format!("{frame:?} {packet:?} {auth:?}");
    assert!(shown.contains("has_password: true"), "{shown}");
    assert!(!shown.contains("SECR") && !shown.contains("83, 69, 67, 82"), "{shown}");
}
