//! Each attack is refused by its own name, counted, and answered.

use bastionmq::envelope::{Key, KeyId, Options, Sealer, Suite};

use crate::harness::raw::{
    Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, acknowledge, publish,
    publish_with,
};
use crate::harness::{DEVICE1, DEVICE2, Stream};
use crate::plant::{
    POLICY, Plant, TOPIC, key, now_ms, seal, seal_at, sealer, sealer_of, send, topic,
};

const TAKEN: u8 = 0;
const NOBODY: u8 = 0x10;
const NOT_AUTHORIZED: u8 = 0x87;
const NO_FORMAT: u8 = 0x99;

#[test]
fn each_attack_has_a_name_a_counter_and_a_reason_code() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut reader = plant.reader("plant/#");
    let mut sealer = sealer();
    let good = seal(&mut sealer, b"1200");
    assert_eq!(send(&mut device, TOPIC, 1, &good), TAKEN);
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, good);

    let now = now_ms();
    let seal_as = |key: &Key, topic_name: &str| {
        let mut sealer = Sealer::new(key, DEVICE1.0, [9; 16]).expect("a sealer");
        sealer.seal(topic(topic_name), now, b"x", &Options::default()).expect("sealed")
    };
    let plant_key = key(1, "plant/#");
    let with_type = |number: u8| {
        // A TLV of a critical type that nobody knows, behind TIME.
        let at = good.windows(3).position(|tlv| tlv == [0x06, 0, 8]).expect("TIME") + 11;
        let mut bytes = good.clone();
        bytes.splice(at..at, [number, 0, 1, 0]);
        bytes
    };
    let clone = seal(&mut sealer_of(DEVICE1.0, 7), b"another device with the same stream");
    let options = Options { suite: Suite::Signed, ..Options::default() };
    let attacks: Vec<(&str, Vec<u8>, &str, u8)> = vec![
        ("plain text", b"plain".to_vec(), "malformed", NO_FORMAT),
        ("a critical TLV that nobody knows", with_type(0x0A), "malformed", NO_FORMAT),
        ("a doubled TLV", with_type(0x06), "malformed", NO_FORMAT),
        ("TLVs out of order", with_type(0x01), "malformed", NO_FORMAT),
        ("moved to this topic", seal_as(&plant_key, "plant/8/speed"), "bad_tag", NO_FORMAT),
        (
            "of another sender",
            seal(&mut sealer_of(DEVICE2.0, 1), b"x"),
            "sender_mismatch",
            NOT_AUTHORIZED,
        ),
        (
            "under a key that nobody has",
            seal_as(&Key { id: KeyId([9; 8]), ..plant_key.clone() }, TOPIC),
            "unknown_key",
            NOT_AUTHORIZED,
        ),
        (
            "under a key of other topics",
            seal_as(&Key { id: KeyId([2; 8]), ..plant_key.clone() }, TOPIC),
            "wrong_topic",
            NOT_AUTHORIZED,
        ),
        ("too old", seal_at(&mut sealer, now - 301_000, b"x"), "expired", NO_FORMAT),
        ("from the future", seal_at(&mut sealer, now + 90_000, b"x"), "from_future", NO_FORMAT),
        (
            "readable",
            sealer.seal(topic(TOPIC), now, b"x", &options).expect("sealed"),
            "not_encrypted",
            NO_FORMAT,
        ),
        ("of a clone", clone, "stream_reused", NO_FORMAT),
        ("at once again", good.clone(), "replayed", NO_FORMAT),
    ];
    for (packet_id, (what, payload, name, reason)) in (2..).zip(attacks) {
        let before = plant.refused(name);
        assert_eq!(send(&mut device, TOPIC, packet_id, &payload), reason, "{what}");
        assert_eq!(plant.refused(name), before + 1, "{what}");
    }
    reader.expect_silence();
    plant.broker.process().wait_for_text(Stream::Err, "payload refused");
}

#[test]
fn no_bit_may_be_turned_and_no_byte_cut_off() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut reader = plant.reader("plant/#");
    let good = seal(&mut sealer(), b"payload");
    let mut tried = 0;
    for position in 0..good.len() {
        for bit in [0, 3, 7] {
            let mut changed = good.clone();
            changed[position] ^= 1 << bit;
            assert!(send(&mut device, TOPIC, 1, &changed) >= 0x80, "{position}, bit {bit}");
            tried += 1;
        }
        assert_eq!(send(&mut device, TOPIC, 1, &good[..position]), NO_FORMAT, "{position}");
        tried += 1;
    }
    let names = ["malformed", "unknown_key", "sender_mismatch", "bad_tag"];
    assert_eq!(names.iter().map(|name| plant.refused(name)).sum::<u64>(), tried);
    reader.expect_silence();
    // Nothing of it has moved a window.
    assert_eq!(send(&mut device, TOPIC, 2, &good), TAKEN);
}

#[test]
fn every_quality_of_service_and_version_is_told_as_it_can_be() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    device.send(&publish_with(5, PUBLISH | 2 << 1, TOPIC, Some(1), &[], b"plain"));
    assert_eq!(device.expect(PUBREC).acknowledged(), (1, NO_FORMAT));
    let good = seal(&mut sealer(), b"exactly once");
    device.send(&publish_with(5, PUBLISH | 2 << 1, TOPIC, Some(1), &[], &good));
    assert_eq!(device.expect(PUBREC).acknowledged(), (1, NOBODY));
    device.send(&acknowledge(PUBREL, 1));
    device.expect(PUBCOMP);
    device.send(&publish(5, TOPIC, b"plain"));
    device.expect_silence();
    let connect = Connect::new(4, "old").login(DEVICE1);
    let mut old = RawClient::connected(plant.broker.plain_port(), &connect);
    old.send(&publish_with(4, PUBLISH | 1 << 1, TOPIC, Some(1), &[], b"plain"));
    assert_eq!(old.expect(PUBACK).acknowledged(), (1, 0), "3.1.1 cannot be told");
    assert_eq!(plant.refused("malformed"), 3);
    assert_eq!(plant.count("bastionmq_envelopes_verified_total"), 1);
}

#[test]
fn what_need_not_be_encrypted_must_be_authentic_all_the_same() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut sealer = Sealer::new(&key(3, "readable/#"), DEVICE1.0, [1; 16]).expect("a sealer");
    let options = Options { suite: Suite::Signed, ..Options::default() };
    let sealed = sealer.seal(topic("readable/1"), now_ms(), b"for all to read", &options);
    let mut sealed = sealed.expect("sealed");
    assert_eq!(send(&mut device, "readable/1", 1, &sealed), NOBODY);
    let at = sealed.windows(3).position(|bytes| bytes == b"all").expect("the payload");
    sealed[at] = b'A';
    assert_eq!(send(&mut device, "readable/1", 2, &sealed), NO_FORMAT);
    assert_eq!(plant.refused("bad_tag"), 1);
}

#[test]
fn who_is_allowed_envelopes_alone_may_publish_nothing_when_the_mode_is_gone() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut sealer = sealer();
    assert_eq!(send(&mut device, TOPIC, 1, &seal(&mut sealer, b"x")), NOBODY);
    let plain = POLICY.replacen("mode = \"verify\"", "mode = \"plain\"", 1);
    std::fs::write(plant.file("policy.toml"), plain).expect("written");
    plant.broker.process().wait_for_text(Stream::Err, "\"reloaded\"");
    assert_eq!(send(&mut device, TOPIC, 2, b"plain"), NOT_AUTHORIZED);
    assert_eq!(send(&mut device, TOPIC, 3, &seal(&mut sealer, b"x")), NOT_AUTHORIZED);
}
