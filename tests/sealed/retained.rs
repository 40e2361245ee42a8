//! A retained message is cleared by an envelope of nothing, which is judged as any other is.

use bastionmq::envelope::{MAGIC, Options, Sealer, Suite};

use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, Will, publish_with};
use crate::harness::{ADMIN, DEVICE1, DEVICE2};
use crate::plant::{Plant, TOPIC, key, now_ms, seal, seal_at, sealer, send, topic};

const TAKEN: u8 = 0;
const NO_FORMAT: u8 = 0x99;
/// Of a subscription: messages keep the flag that they were published with.
const AS_PUBLISHED: u8 = 8;

/// Publishes what is to be retained with QoS 1, and gives the reason code of the answer.
fn retain(client: &mut RawClient, topic: &str, id: u16, payload: &[u8]) -> u8 {
    client.send(&publish_with(5, PUBLISH | 1 << 1 | 1, topic, Some(id), &[], payload));
    let (answered, reason) = client.expect(PUBACK).acknowledged();
    assert_eq!(answered, id);
    reason
}

/// Whether who subscribes now is given something of `topic`.
fn is_retained(plant: &Plant, topic: &str) -> bool {
    let mut late = plant.client(ADMIN, "late");
    assert_eq!(late.subscribe(5, topic, 0), 0);
    late.has_heard(topic)
}

/// One that hears all of `topic`, as it was published.
fn listener(plant: &Plant, topic: &str) -> RawClient {
    let mut reader = plant.client(ADMIN, "reader");
    assert_eq!(reader.subscribe(5, topic, AS_PUBLISHED), 0);
    reader
}

#[test]
fn an_envelope_of_nothing_clears_what_is_retained_and_is_routed() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    for (topic_name, filter, number, suite) in
        [(TOPIC, "plant/#", 1, Suite::Sealed), ("readable/1", "readable/#", 3, Suite::Signed)]
    {
        let mut sealer = Sealer::new(&key(number, filter), DEVICE1.0, [7; 16]).expect("a sealer");
        let options = Options { suite, ..Options::default() };
        let mut sealed =
            |payload| sealer.seal(topic(topic_name), now_ms(), payload, &options).expect("sealed");
        let (kept, nothing, again) = (sealed(b"1200"), sealed(b""), sealed(b"1300"));
        let mut reader = listener(&plant, topic_name);
        assert_eq!(retain(&mut device, topic_name, 1, &kept), TAKEN);
        assert_eq!(reader.expect(PUBLISH | 1).publish(5).payload, kept);
        assert!(is_retained(&plant, topic_name), "{suite:?}");
        assert_eq!(retain(&mut device, topic_name, 2, &nothing), TAKEN);
        assert_eq!(reader.expect(PUBLISH | 1).publish(5).payload, nothing, "{suite:?}");
        assert!(!is_retained(&plant, topic_name), "{suite:?}");
        assert_eq!(retain(&mut device, topic_name, 3, &again), TAKEN);
        assert!(is_retained(&plant, topic_name), "{suite:?}");
    }
}

#[test]
fn nothing_else_clears_what_is_retained() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut reader = listener(&plant, TOPIC);
    let mut sealer = sealer();
    let cleared = seal(&mut sealer, b"");
    assert_eq!(retain(&mut device, TOPIC, 1, &cleared), TAKEN);
    assert_eq!(retain(&mut device, TOPIC, 2, &seal(&mut sealer, b"1200")), TAKEN);
    let elsewhere = sealer.seal(topic("plant/8/speed"), now_ms(), b"", &Options::default());
    let mut forged = seal(&mut sealer, b"");
    *forged.last_mut().expect("an HMAC") ^= 1;
    for (id, (what, payload)) in (3..).zip([
        ("an empty payload", Vec::new()),
        ("a replay", cleared),
        ("one of another topic", elsewhere.expect("sealed")),
        ("one that is too old", seal_at(&mut sealer, now_ms() - 301_000, b"")),
        ("a forged one", forged),
    ]) {
        assert_eq!(retain(&mut device, TOPIC, id, &payload), NO_FORMAT, "{what}");
        assert!(is_retained(&plant, TOPIC), "{what}");
    }
    // It is an ordinary message without the flag.
    let live = seal(&mut sealer, b"");
    assert_eq!(send(&mut device, TOPIC, 8, &live), TAKEN);
    assert!(is_retained(&plant, TOPIC), "live");
    for _ in 0..2 {
        reader.expect(PUBLISH | 1);
    }
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, live);
    reader.expect_silence();
}

#[test]
fn a_will_of_nothing_clears_what_is_retained() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut sealer = sealer();
    assert_eq!(retain(&mut device, TOPIC, 1, &seal(&mut sealer, b"here")), 0x10);
    assert_eq!(retain(&mut device, "legacy/1", 2, b"here"), 0x10);
    let nothing = seal(&mut sealer, b"");
    for (topic_name, payload) in [(TOPIC, &nothing[..]), ("legacy/1", b"")] {
        assert!(is_retained(&plant, topic_name), "{topic_name}");
        let mut reader = plant.client(ADMIN, "reader");
        // Of what comes from now on.
        const NOT_RETAINED: u8 = 2 << 4;
        assert_eq!(reader.subscribe(5, topic_name, NOT_RETAINED), 0);
        let will = Some(Will { retain: true, ..Will::new(topic_name, payload) });
        let connect = Connect { will, ..Connect::new(5, "dies").login(DEVICE1) };
        RawClient::connected(plant.broker.plain_port(), &connect).break_off();
        assert_eq!(reader.expect(PUBLISH).publish(5).payload, payload, "{topic_name}");
        assert!(!is_retained(&plant, topic_name), "{topic_name}");
    }
}

#[test]
fn an_empty_payload_clears_what_the_broker_has_sealed() {
    let plant = Plant::start();
    let mut reader = listener(&plant, "legacy/1");
    let mut other = plant.client(DEVICE2, "other");
    assert_eq!(other.subscribe(5, "legacy/#", 0), 0);
    let mut device = plant.client(DEVICE1, "device");
    assert_eq!(retain(&mut device, "legacy/1", 1, b"plain"), TAKEN);
    assert!(is_retained(&plant, "legacy/1"));
    assert_eq!(retain(&mut device, "legacy/1", 2, b""), TAKEN);
    assert!(!is_retained(&plant, "legacy/1"));
    for payload in [&b"plain"[..], b""] {
        assert_eq!(reader.expect(PUBLISH | 1).publish(5).payload, payload);
        assert!(other.expect(PUBLISH).publish(5).payload.starts_with(&MAGIC), "sealed for others");
    }
}

#[test]
fn where_anything_goes_an_envelope_of_nothing_is_a_payload() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let nothing = seal(&mut sealer(), b"");
    assert_eq!(retain(&mut device, "office/1", 1, &nothing), 0x10);
    assert!(is_retained(&plant, "office/1"));
}
