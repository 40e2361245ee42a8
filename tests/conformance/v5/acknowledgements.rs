//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7).

use super::scene::{MALFORMED, PROTOCOL_ERROR, user_property};
use super::stage::{
    NOT_AUTHORIZED, QOS_1, QOS_2, Stage, UNKNOWN_ID, Version5, answer, maximum_packet_size,
    publish, size,
};
use crate::harness::DEVICE1;
use crate::harness::raw::{Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, RawClient, packet};

/// Where the device of the harness may publish, and where it may not.
const ALLOWED: &str = "devices/device1/x";
const FORBIDDEN: &str = "devices/device2/x";

/// Bytes that its CONNACK takes and no reason string does.
const LITTLE: u32 = 24;

const NO_SUBSCRIBERS: u8 = 0x10;

/// A device that takes packets of [`LITTLE`] bytes.
fn with_little_room(stage: &Stage) -> RawClient {
    let properties = maximum_packet_size(LITTLE);
    let connect = Connect { properties, keep_alive: 60, ..Connect::new(5, "device") };
    stage.connected(&connect.login(DEVICE1))
}

/// A publish that is refused and one that matches nothing, with `properties`; the answers of type
/// `first` must fit. The broker explains itself in CONNACK and DISCONNECT alone: these are what a
/// change of that would have to pass.
fn answers_to_publishes_fit(flags: u8, first: u8, properties: &[u8]) {
    let stage = Stage::secure();
    let mut client = with_little_room(&stage);
    for (topic, reasons) in [(FORBIDDEN, &[NOT_AUTHORIZED][..]), (ALLOWED, &[0, NO_SUBSCRIBERS])] {
        client.send(&publish(flags, topic, Some(1), properties, "m"));
        let frame = client.expect(first);
        assert!(size(&frame) <= LITTLE as usize, "{frame:?}");
        assert!(reasons.contains(&frame.acknowledged().1), "{frame:?}");
    }
}

/// `sent` belongs to nothing; the answer of type `first` must say so and fit.
fn answer_to_the_unknown_fits(sent: &[u8], first: u8) {
    let stage = Stage::secure();
    let mut client = with_little_room(&stage);
    client.send(sent);
    let frame = client.expect(first);
    assert!(size(&frame) <= LITTLE as usize, "{frame:?}");
    assert_eq!(frame.acknowledged(), (77, UNKNOWN_ID));
}

/// More than there is room for.
fn long_user_property() -> Vec<u8> {
    user_property("name", "a value that is longer than the packets may be")
}

/// PUBREL or PUBREC for a packet identifier that is not in use, with a user property.
fn unknown_with_user_property(first: u8) -> Vec<u8> {
    let section = long_user_property();
    let length = u8::try_from(section.len()).expect("one byte of length");
    packet(first, &[&[0, 77, 0, length], &section[..]].concat())
}

/// A client, and the packet identifier of the message that it owes an answer to.
fn owing(stage: &Stage, flags: u8) -> (RawClient, u16) {
    let mut client = stage.client("client");
    client.subscribed("t", 2);
    stage.client("publisher").publishes(flags, "t", &[], "m");
    let id = client.hears("m").id.expect("a packet identifier");
    (client, id)
}

#[test]
fn v5_3_4_2_1_puback_has_one_of_its_reason_codes() {
    let stage = Stage::secure();
    let mut device = stage.user("device", DEVICE1);
    for (topic, reasons) in [(FORBIDDEN, &[NOT_AUTHORIZED][..]), (ALLOWED, &[0, NO_SUBSCRIBERS])] {
        device.send(&publish(QOS_1, topic, Some(1), &[], "m"));
        let (id, reason) = device.acknowledged(PUBACK);
        assert!(id == 1 && reasons.contains(&reason), "{topic}: {reason:#04x}");
    }
    let stage = Stage::open();
    for reason in [0x01, 0x11, 0x8F, UNKNOWN_ID, 0xFF] {
        let (client, id) = owing(&stage, QOS_1);
        client.provokes(&answer(PUBACK, id, reason), &[MALFORMED, PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_3_4_2_2_no_reason_string_makes_puback_too_large() {
    answers_to_publishes_fit(QOS_1, PUBACK, &[]);
}

#[test]
fn v5_3_4_2_3_no_user_property_makes_puback_too_large() {
    answers_to_publishes_fit(QOS_1, PUBACK, &long_user_property());
}

#[test]
fn v5_3_5_2_1_pubrec_has_one_of_its_reason_codes() {
    let stage = Stage::secure();
    let mut device = stage.user("device", DEVICE1);
    for (topic, reasons) in [(FORBIDDEN, &[NOT_AUTHORIZED][..]), (ALLOWED, &[0, NO_SUBSCRIBERS])] {
        device.send(&publish(QOS_2, topic, Some(1), &[], "m"));
        let (id, reason) = device.acknowledged(PUBREC);
        assert!(id == 1 && reasons.contains(&reason), "{topic}: {reason:#04x}");
    }
    let stage = Stage::open();
    for reason in [0x01, 0x11, 0x8F, UNKNOWN_ID, 0xFF] {
        let (client, id) = owing(&stage, QOS_2);
        client.provokes(&answer(PUBREC, id, reason), &[MALFORMED, PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_3_5_2_2_no_reason_string_makes_pubrec_too_large() {
    answers_to_publishes_fit(QOS_2, PUBREC, &[]);
}

#[test]
fn v5_3_5_2_3_no_user_property_makes_pubrec_too_large() {
    answers_to_publishes_fit(QOS_2, PUBREC, &long_user_property());
}

#[test]
fn v5_3_6_1_1_a_pubrel_with_other_flags_is_malformed() {
    let stage = Stage::open();
    for flags in (0..16).filter(|&flags| flags != 0b0010) {
        let mut client = stage.client("clumsy");
        client.send(&publish(QOS_2, "t", Some(1), &[], "m"));
        client.expect(PUBREC);
        client.provokes(&packet(PUBREL & 0xF0 | flags, &[0, 1]), &[MALFORMED]);
    }
}

#[test]
fn v5_3_6_2_1_pubrel_has_one_of_its_reason_codes() {
    let stage = Stage::open();
    let (mut client, id) = owing(&stage, QOS_2);
    client.acknowledges(PUBREC, id);
    assert_eq!(client.acknowledged(PUBREL), (id, 0));
    client.acknowledges(PUBREC, id + 1);
    assert_eq!(client.acknowledged(PUBREL), (id + 1, UNKNOWN_ID));
    for reason in [0x01, 0x10, 0x80, 0xFF] {
        let mut client = stage.client("clumsy");
        client.send(&publish(QOS_2, "t", Some(1), &[], "m"));
        client.expect(PUBREC);
        client.provokes(&answer(PUBREL, 1, reason), &[MALFORMED, PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_3_6_2_2_no_reason_string_makes_pubrel_too_large() {
    answer_to_the_unknown_fits(&answer(PUBREC, 77, 0), PUBREL);
}

#[test]
fn v5_3_6_2_3_no_user_property_makes_pubrel_too_large() {
    answer_to_the_unknown_fits(&unknown_with_user_property(PUBREC), PUBREL);
}

#[test]
fn v5_3_7_2_1_pubcomp_has_one_of_its_reason_codes() {
    let stage = Stage::open();
    let mut client = stage.client("client");
    client.publishes(QOS_2, "elsewhere", &[], "m");
    client.acknowledges(PUBREL, 77);
    assert_eq!(client.acknowledged(PUBCOMP), (77, UNKNOWN_ID));
    for reason in [0x01, 0x10, 0x80, 0xFF] {
        let (mut client, id) = owing(&stage, QOS_2);
        client.acknowledges(PUBREC, id);
        client.release();
        client.provokes(&answer(PUBCOMP, id, reason), &[MALFORMED, PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_3_7_2_2_no_reason_string_makes_pubcomp_too_large() {
    answer_to_the_unknown_fits(&answer(PUBREL, 77, 0), PUBCOMP);
}

#[test]
fn v5_3_7_2_3_no_user_property_makes_pubcomp_too_large() {
    answer_to_the_unknown_fits(&unknown_with_user_property(PUBREL), PUBCOMP);
}
