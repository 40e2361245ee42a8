//! A device asks for the keys that were wrapped for it, and nobody else hears of them.

use bastionmq::envelope::KeyId;
use bastionmq::keys::{Extent, Recipient, WrappedKey, deposit};
use rcgen::{CertificateParams, KeyPair};

use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{DEVICE1, DEVICE2};
use crate::plant::{Plant, key};

const ASK: &str = "$bastion/keys/get";

fn wrapped(device: &str) -> WrappedKey {
    let pair = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&pair).expect("a certificate");
    let recipient = Recipient::of_certificate(certificate.der()).expect("a public key");
    WrappedKey::wrap(&key(1, "plant/#"), Extent::Whole, device, &recipient).expect("wrapped")
}

#[test]
fn a_device_is_given_the_keys_that_were_wrapped_for_it_and_no_others() {
    let plant = Plant::start();
    let own = wrapped(DEVICE1.0);
    deposit(&plant.file("wrapped"), &own).expect("deposited");
    let mut device = plant.client(DEVICE1, "device");
    let mut reader = plant.reader("#");
    // On a topic of its own choice, with what it knows its request by.
    let with: Vec<u8> = [&[8, 0, 8][..], b"office/1", &[9, 0, 2], b"42"].concat();
    device.send(&publish_with(5, PUBLISH | 1 << 1, ASK, Some(1), &with, b""));
    assert_eq!(device.expect_and_keep(PUBACK).acknowledged(), (1, 0));
    let answer = device.kept_or_next().publish(5);
    assert_eq!((&*answer.topic, &answer.properties[..]), ("office/1", &[9, 0, 2, b'4', b'2'][..]));
    let keys: Vec<WrappedKey> = serde_json::from_slice(&answer.payload).expect("JSON");
    assert_eq!(keys, [own]);
    assert_eq!(keys[0].key_id(), KeyId([1; 8]));
    device.send(&publish_with(5, PUBLISH | 1 << 1, ASK, Some(2), &[], b""));
    assert_eq!(device.expect_and_keep(PUBACK).acknowledged(), (2, 0x97), "once a second");
    reader.expect_silence();

    // An old client is answered on the topic that is meant for that; it has no keys.
    let connect = Connect::new(4, "old").login(DEVICE2);
    let mut other = RawClient::connected(plant.broker.plain_port(), &connect);
    other.send(&publish_with(4, PUBLISH, ASK, None, &[], b""));
    let answer = other.expect(PUBLISH).publish(4);
    assert_eq!((&*answer.topic, &*answer.payload), ("$bastion/keys/answer", &b"[]"[..]));
}

#[test]
fn r23_nothing_else_of_the_brokers_own_topics_is_open() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    for (id, topic) in (1..).zip([
        "$bastion",
        "$bastion/keys",
        "$bastion/keys/get/",
        "$bastion/keys/GET",
        "$bastion/keys/answer",
        "$bastion/other",
    ]) {
        device.send(&publish_with(5, PUBLISH | 1 << 1, topic, Some(id), &[], b"x"));
        assert_eq!(device.expect(PUBACK).acknowledged(), (id, 0x87), "{topic}");
    }
    for filter in ["$bastion/#", "$bastion/keys/answer", "$bastion/keys/get"] {
        assert_eq!(device.subscribe(5, filter, 0), 0x87, "{filter}");
    }
}
