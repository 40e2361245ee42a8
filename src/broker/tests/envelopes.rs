//! Sealed payloads: what is taken, what is told from a replay, and what leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::driver::{Driver, Visit, id, parts, policy};
use crate::auth::PasswordFile;
use crate::broker::{Broker, EnvelopeSettings, Windows};
use crate::clock::Now;
use crate::codec::{
    Connect, ConnectProperties, Delivery, Packet, Publish, ReasonCode, SubscriptionIds, Version,
    Will,
};
use crate::envelope::{
    Key, KeyId, KeyMaterial, KeyRing, KeyState, MAGIC, Opener, Options, Sealer, Suite, TopicKey,
};
use crate::keys::MasterKeySource;
use crate::message::QoS;
use crate::topic::{TopicFilter, TopicNameRef};

/// Devices in three modes, and somebody who may have opened what the broker has sealed.
const POLICY: &str = r##"
    [[role]]
    name = "device"
    rules = [{ allow = ["publish", "subscribe"], topics = ["#"] }]
    [[role]]
    name = "reader"
    rules = [{ allow = ["open"], topics = ["legacy/#"] }]
    [[assign]]
    everyone = true
    roles = ["device"]
    [[assign]]
    certificates = ["reader"]
    roles = ["reader"]
    [[envelope]]
    topics = ["plant/#"]
    mode = "verify"
    [[envelope]]
    topics = ["legacy/#"]
    mode = "seal"
"##;

const TOPIC: &str = "plant/7/speed";

fn key(number: u8, topics: &str) -> Key {
    Key {
        id: KeyId([number; 8]),
        topics: vec![TopicFilter::parse(topics).expect("a filter")],
        state: KeyState::Active,
        created_ms: u64::from(number),
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([number; 32])),
    }
}

fn plant_key() -> Key {
    key(1, "plant/#")
}

fn ring(keys: impl IntoIterator<Item = Key>) -> KeyRing {
    let mut ring = KeyRing::default();
    keys.into_iter().for_each(|key| assert_eq!(ring.insert(key), None));
    ring
}

fn broker_with(windows: Windows) -> Arc<Broker> {
    let parts = parts(PasswordFile::default());
    let keys = [plant_key(), key(2, "legacy/#")];
    let parts = crate::broker::Parts { policy: policy(POLICY), ring: ring(keys), windows, ..parts };
    Arc::new(Broker::new(parts).expect("threads"))
}

fn broker() -> Arc<Broker> {
    broker_with(Windows::in_memory(&EnvelopeSettings::default()).expect("randomness"))
}

/// A broker whose windows are in `directory`.
fn broker_in(directory: &Path) -> Arc<Broker> {
    let master = MasterKeySource::File(directory.join("master.key"));
    let (master, _) = master.read_or_make().expect("a key");
    let (settings, skew) = (EnvelopeSettings::default(), Duration::from_secs(60));
    let state = directory.join("windows");
    broker_with(Windows::open(&settings, &state, &master, skew, Now::read()).expect("windows"))
}

fn millis(now: Now) -> u64 {
    now.unix.as_millis() as u64
}

fn topic(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(text).expect("a topic")
}

/// A device that seals, in its own name.
struct Device {
    driver: Driver,
    sealer: Sealer,
}

/// A client whose certificate has that name, and what its CONNECT was answered.
fn connect(
    broker: &Arc<Broker>,
    name: &'static str,
    version: Version,
    will: Option<(&str, &[u8])>,
) -> (Driver, Result<bool, ReasonCode>) {
    let mut driver = Driver::stranger_with(broker, version, Some(name));
    let properties = match version {
        Version::V5 => ConnectProperties {
            session_expiry_interval: Some(3_600),
            ..ConnectProperties::default()
        },
        _ => ConnectProperties::default(),
    };
    let will = will.map(|(name, payload)| Will {
        topic: topic(name),
        payload,
        qos: QoS::AtMostOnce,
        retain: false,
        delay_interval: None,
        message_expiry_interval: None,
        properties: b"".into(),
    });
    driver.say(&Packet::Connect(Box::new(Connect {
        version,
        clean_start: false,
        keep_alive: 60,
        client_id: name,
        will,
        user_name: None,
        password: None,
        properties,
    })));
    driver.log_in().now_or_never().expect("nobody to wait for");
    let greeted = driver.greeted();
    (driver, greeted)
}

fn enter(broker: &Arc<Broker>, name: &'static str) -> Driver {
    let (driver, greeted) = connect(broker, name, Version::V5, None);
    greeted.expect("it is let in");
    driver
}

fn sealer(sender: &str, stream: u8) -> Sealer {
    Sealer::new(&plant_key(), sender, [stream; 16]).expect("a sealer")
}

impl Device {
    fn enter(broker: &Arc<Broker>, name: &'static str) -> Self {
        Self { driver: enter(broker, name), sealer: sealer(name, 7) }
    }

    fn seal(&mut self, topic_name: &str, payload: &[u8]) -> Vec<u8> {
        let now_ms = millis(self.driver.now);
        let sealed = self.sealer.seal(topic(topic_name), now_ms, payload, &Options::default());
        sealed.expect("sealed")
    }
}

fn publish<'a>(topic_name: &'a str, delivery: Delivery, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Some(topic(topic_name)),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload,
    })
}

/// Publishes with QoS 1, and gives the answer.
fn send(driver: &mut Driver, topic_name: &str, packet_id: u16, payload: &[u8]) -> ReasonCode {
    driver.say(&publish(topic_name, Delivery::AtLeastOnce(id(packet_id)), payload));
    match driver.heard().as_slice() {
        [Packet::PubAck(ack)] => ack.reason,
        other => panic!("{other:?}"),
    }
}

/// The payloads that it is sent.
fn payloads(driver: &mut Driver) -> Vec<&'static [u8]> {
    let payload = |packet| match packet {
        Packet::Publish(publish) => Some(publish.payload),
        _ => None,
    };
    driver.heard().into_iter().filter_map(payload).collect()
}

fn refused(broker: &Broker, reason: &str) -> u64 {
    let text = broker.metrics().render();
    let series = format!("bastionmq_envelopes_refused_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a series");
    line.parse().expect("a number")
}

const TAKEN: ReasonCode = ReasonCode::Success;
const NO_FORMAT: ReasonCode = ReasonCode::PayloadFormatInvalid;
const NOT_ALLOWED: ReasonCode = ReasonCode::NotAuthorized;

#[test]
fn an_envelope_that_holds_is_routed_as_it_is_and_anything_else_is_refused_by_name() {
    let broker = broker();
    let mut device = Device::enter(&broker, "press-7");
    let mut reader = enter(&broker, "reader");
    reader.subscribe("plant/#", QoS::AtMostOnce);
    let now = device.driver.now;
    let good = device.seal(TOPIC, b"1200");
    assert_eq!(send(&mut device.driver, TOPIC, 1, &good), TAKEN);
    assert_eq!(payloads(&mut reader), [&*good]);

    let moved = device.seal("plant/8/speed", b"x");
    let mut changed = device.seal(TOPIC, b"x");
    *changed.last_mut().expect("bytes") ^= 1;
    let mut seal_at = |now, suite| {
        let options = Options { suite, ..Options::default() };
        device.sealer.seal(topic(TOPIC), millis(now), b"x", &options).expect("sealed")
    };
    let old = {
        let earlier = Now { unix: now.unix - Duration::from_secs(301), ..now };
        seal_at(earlier, Suite::Sealed)
    };
    let ahead = seal_at(now.after(Duration::from_secs(61)), Suite::Sealed);
    let readable = seal_at(now, Suite::Signed);
    let others = sealer("press-8", 1).seal(topic(TOPIC), millis(now), b"x", &Options::default());
    let unknown = Sealer::new(&Key { id: KeyId([9; 8]), ..plant_key() }, "press-7", [1; 16]);
    let unknown =
        unknown.expect("a sealer").seal(topic(TOPIC), millis(now), b"x", &Options::default());
    let clone = sealer("press-7", 7).seal(topic(TOPIC), millis(now), b"y", &Options::default());
    for (payload, name, reason) in [
        (b"plain".to_vec(), "malformed", NO_FORMAT),
        (moved, "bad_tag", NO_FORMAT),
        (changed, "bad_tag", NO_FORMAT),
        (old, "expired", NO_FORMAT),
        (ahead, "from_future", NO_FORMAT),
        (readable, "not_encrypted", NO_FORMAT),
        (others.expect("sealed"), "sender_mismatch", NOT_ALLOWED),
        (unknown.expect("sealed"), "unknown_key", NOT_ALLOWED),
        (clone.expect("sealed"), "stream_reused", NO_FORMAT),
        (good, "replayed", NO_FORMAT),
    ] {
        let before = refused(&broker, name);
        assert_eq!(send(&mut device.driver, TOPIC, 2, &payload), reason, "{name}");
        assert_eq!(refused(&broker, name), before + 1, "{name}");
        assert!(payloads(&mut reader).is_empty(), "{name}");
    }
    assert_eq!(send(&mut device.driver, "office", 3, b"plain"), ReasonCode::NoMatchingSubscribers);
}

#[test]
fn keys_that_are_retiring_verify_and_those_that_are_revoked_or_elsewhere_do_not() {
    let broker = broker();
    let mut device = Device::enter(&broker, "press-7");
    let states = [
        (KeyState::Retiring, ReasonCode::NoMatchingSubscribers),
        (KeyState::Revoked, NOT_ALLOWED),
        (KeyState::Active, ReasonCode::NoMatchingSubscribers),
    ];
    for (packet_id, (state, reason)) in (1..).zip(states) {
        broker.replace_ring(ring([Key { state, ..plant_key() }]));
        let sealed = device.seal(TOPIC, b"x");
        assert_eq!(send(&mut device.driver, TOPIC, packet_id, &sealed), reason, "{state:?}");
    }
    broker.replace_ring(ring([key(1, "elsewhere/#")]));
    let sealed = device.seal(TOPIC, b"x");
    assert_eq!(send(&mut device.driver, TOPIC, 9, &sealed), NOT_ALLOWED);
    assert_eq!((refused(&broker, "revoked_key"), refused(&broker, "wrong_topic")), (1, 1));
}

#[test]
fn the_same_packet_again_is_acknowledged_and_not_routed_and_another_packet_is_a_replay() {
    let broker = broker();
    let mut device = Device::enter(&broker, "press-7");
    let mut reader = enter(&broker, "reader");
    reader.subscribe("plant/#", QoS::AtMostOnce);
    let sealed = device.seal(TOPIC, b"once");
    assert_eq!(send(&mut device.driver, TOPIC, 5, &sealed), TAKEN);
    assert_eq!(payloads(&mut reader).len(), 1);
    assert_eq!(send(&mut device.driver, TOPIC, 5, &sealed), TAKEN, "within the connection");
    device.driver.client.on_lost(device.driver.now);
    let (mut driver, greeted) = connect(&broker, "press-7", Version::V5, None);
    assert_eq!(greeted, Ok(true), "the session goes on");
    assert_eq!(send(&mut driver, TOPIC, 5, &sealed), TAKEN, "after a reconnect");
    assert_eq!(send(&mut driver, TOPIC, 6, &sealed), NO_FORMAT, "with another packet id");
    let mut other = enter(&broker, "press-8");
    assert_eq!(send(&mut other, TOPIC, 5, &sealed), NOT_ALLOWED, "by somebody else");
    assert!(payloads(&mut reader).is_empty());
}

#[test]
fn a_session_that_begins_anew_has_sent_nothing_before() {
    let broker = broker();
    let mut device = Device::enter(&broker, "press-7");
    let sealed = device.seal(TOPIC, b"once");
    assert_eq!(send(&mut device.driver, TOPIC, 5, &sealed), ReasonCode::NoMatchingSubscribers);
    let mut driver = Driver::stranger_with(&broker, Version::V5, Some("press-7"));
    device.driver.client.on_lost(device.driver.now);
    let visit = Visit { clean_start: true, ..Visit::of("press-7") };
    driver.say(&Packet::Connect(Box::new(visit.connect(Version::V5))));
    driver.log_in().now_or_never().expect("nobody to wait for");
    assert_eq!(driver.greeted(), Ok(false));
    assert_eq!(send(&mut driver, TOPIC, 5, &sealed), NO_FORMAT);
}

#[test]
fn old_clients_are_told_nothing_and_stay_connected() {
    let broker = broker();
    let (mut driver, greeted) = connect(&broker, "press-7", Version::V311, None);
    greeted.expect("it is let in");
    assert_eq!(send(&mut driver, TOPIC, 1, b"plain"), TAKEN);
    driver.say(&publish(TOPIC, Delivery::AtMostOnce, b"plain"));
    assert!(!driver.client.is_closed());
    assert_eq!(refused(&broker, "malformed"), 2);
}

#[test]
fn what_comes_in_one_round_leaves_in_its_order() {
    let broker = broker();
    let mut device = Device::enter(&broker, "press-7");
    let mut reader = enter(&broker, "reader");
    reader.subscribe("#", QoS::AtMostOnce);
    let first = device.seal(TOPIC, b"1");
    let third = device.seal(TOPIC, b"3");
    let mut packets = vec![
        publish(TOPIC, Delivery::AtLeastOnce(id(1)), &first),
        publish("office", Delivery::AtMostOnce, b"2"),
        publish(TOPIC, Delivery::AtLeastOnce(id(3)), &third),
        publish(TOPIC, Delivery::AtLeastOnce(id(3)), &third),
    ];
    packets.extend((0..200).map(|_| publish("office", Delivery::AtMostOnce, b"more")));
    device.driver.say_at_once(&packets);
    let heard = payloads(&mut reader);
    assert_eq!(heard[..3], [&*first, b"2", &*third]);
    assert_eq!(heard.len(), 203);
    let acknowledged = device.driver.heard();
    assert_eq!(acknowledged.len(), 3);
}

#[test]
fn windows_survive_an_end_and_a_crash_and_what_was_not_acknowledged_is_routed_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sealer = sealer("press-7", 7);
    let mut sent: Vec<(u16, Vec<u8>)> = Vec::new();
    let start = Now::read().after(Duration::from_secs(1));
    // The broker is only dropped where the run does not end with a close: a crash.
    for (run, is_closed) in [(1, false), (2, true), (3, false), (4, true)] {
        let broker = broker_in(directory.path());
        let mut reader = enter(&broker, "reader");
        reader.subscribe("plant/#", QoS::AtMostOnce);
        let mut driver = enter(&broker, "press-7");
        driver.now = start;
        for (packet_id, sealed) in &sent {
            assert_eq!(send(&mut driver, TOPIC, 100 + packet_id, sealed), NO_FORMAT, "{run}");
        }
        if let Some((packet_id, sealed)) = sent.last() {
            assert_eq!(send(&mut driver, TOPIC, *packet_id, sealed), TAKEN, "{run}");
            assert_eq!(payloads(&mut reader), [&**sealed], "it is not lost");
            assert_eq!(send(&mut driver, TOPIC, *packet_id, sealed), TAKEN);
            assert!(payloads(&mut reader).is_empty(), "once is enough");
        }
        let options = Options::default();
        let sealed = sealer.seal(topic(TOPIC), millis(start), b"x", &options).expect("sealed");
        assert_eq!(send(&mut driver, TOPIC, run, &sealed), TAKEN);
        sent.push((run, sealed));
        if is_closed {
            broker.envelopes.close();
        }
        assert_eq!(Arc::strong_count(&broker), 3, "it ends with the clients");
    }
}

#[test]
fn windows_that_are_written_anew_have_forgotten_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = Now::read().after(Duration::from_secs(1));
    let mut sealer = sealer("press-7", 7);
    let sealed: Vec<_> = (0..100)
        .map(|_| {
            let sealed = sealer.seal(topic(TOPIC), millis(start), b"x", &Options::default());
            sealed.expect("sealed")
        })
        .collect();
    for run in 0..2 {
        let broker = broker_in(directory.path());
        let mut driver = enter(&broker, "press-7");
        driver.now = start;
        for (place, sealed) in sealed.iter().enumerate() {
            // Every other one comes in the first run, and all of them in the second.
            let is_new = place % 2 == run;
            if is_new || run == 1 {
                let expected = if is_new { ReasonCode::NoMatchingSubscribers } else { NO_FORMAT };
                let packet_id = 1 + run as u16;
                assert_eq!(send(&mut driver, TOPIC, packet_id, sealed), expected, "{run}: {place}");
            }
        }
        broker.envelopes.write_anew().expect("written");
    }
}

#[test]
fn what_is_or_may_be_lost_closes_what_was_sealed_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let broker = broker_in(directory.path());
    let mut device = Device::enter(&broker, "press-7");
    device.driver.now = Now::read();
    let earlier =
        Now { unix: device.driver.now.unix - Duration::from_secs(1), ..device.driver.now };
    let before = device.sealer.seal(topic(TOPIC), millis(earlier), b"x", &Options::default());
    let before = before.expect("sealed");
    assert_eq!(send(&mut device.driver, TOPIC, 1, &before), NO_FORMAT, "the windows are new");
    assert_eq!(refused(&broker, "expired"), 1);
    device.driver.now = device.driver.now.after(Duration::from_secs(1));
    let after = device.seal(TOPIC, b"x");
    assert_eq!(send(&mut device.driver, TOPIC, 2, &after), ReasonCode::NoMatchingSubscribers);
    drop(device);
    drop(broker);

    let state = directory.path().join("windows");
    for entry in std::fs::read_dir(&state).expect("read") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("windows.")) {
            let mut bytes = std::fs::read(&path).expect("read");
            *bytes.last_mut().expect("bytes") ^= 1;
            std::fs::write(&path, bytes).expect("written");
        }
    }
    let broker = broker_in(directory.path());
    let mut device = Device::enter(&broker, "press-7");
    device.driver.now = Now::read().after(Duration::from_secs(30));
    let sealed = device.seal(TOPIC, b"x");
    assert_eq!(send(&mut device.driver, TOPIC, 1, &sealed), NO_FORMAT, "a clock may be ahead");
    device.driver.now = Now::read().after(Duration::from_secs(62));
    let sealed = device.seal(TOPIC, b"x");
    assert_eq!(send(&mut device.driver, TOPIC, 2, &sealed), ReasonCode::NoMatchingSubscribers);
}

#[test]
fn what_devices_cannot_seal_is_sealed_here_and_opened_for_those_who_may() {
    let broker = broker();
    let mut device = enter(&broker, "old-press");
    let mut reader = enter(&broker, "reader");
    let mut other = enter(&broker, "other");
    reader.subscribe("legacy/#", QoS::AtMostOnce);
    other.subscribe("legacy/#", QoS::AtMostOnce);
    assert_eq!(send(&mut device, "legacy/1", 1, b"plain"), TAKEN);
    assert_eq!(payloads(&mut reader), [b"plain"]);
    let sealed = payloads(&mut other).remove(0);
    assert!(sealed.starts_with(&MAGIC) && !sealed.windows(5).any(|bytes| bytes == b"plain"));
    let check = crate::envelope::Check::new(topic("legacy/1"), millis(other.now));
    let mut payload = Vec::new();
    let ring = ring([key(2, "legacy/#")]);
    let opened = Opener::default().open(&ring, &check, sealed, &mut payload).expect("opened");
    assert_eq!((opened.envelope.sender(), &*payload), ("old-press", &b"plain"[..]));

    broker.replace_ring(KeyRing::default());
    assert_eq!(send(&mut device, "legacy/1", 2, b"plain"), NOT_ALLOWED);
    assert_eq!(refused(&broker, "no_sealing_key"), 1);
}

#[test]
fn what_waits_is_sealed_and_is_opened_as_it_leaves() {
    let broker = broker();
    let mut device = enter(&broker, "old-press");
    let retained = Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(id(1)),
        retain: true,
        topic: Some(topic("legacy/1")),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload: b"plain",
    };
    device.say(&Packet::Publish(retained));
    assert_eq!(device.heard().len(), 1);
    for (name, is_plain) in [("reader", true), ("other", false)] {
        let mut client = enter(&broker, name);
        client.say_subscribe("legacy/#", QoS::AtLeastOnce);
        let retained = payloads(&mut client).remove(0);
        assert_eq!(retained == b"plain", is_plain, "{name}: retained");
        client.client.on_lost(client.now);
        assert_eq!(send(&mut device, "legacy/1", 2, b"later"), TAKEN);
        let (mut client, greeted) = connect(&broker, name, Version::V5, None);
        assert_eq!(greeted, Ok(true));
        // What was not acknowledged comes again before.
        let queued = payloads(&mut client).pop().expect("a message");
        assert_eq!(queued == b"later", is_plain, "{name}: queued");
        client.disconnect(ReasonCode::Success);
    }
}

#[test]
fn a_will_is_judged_when_it_comes_and_sent_once_however_late() {
    let broker = broker();
    let mut reader = enter(&broker, "reader");
    reader.subscribe("#", QoS::AtMostOnce);
    let will = {
        let now_ms = millis(reader.now);
        sealer("press-7", 1).seal(topic(TOPIC), now_ms, b"gone", &Options::default())
    };
    let will = will.expect("sealed");
    let (_, greeted) = connect(&broker, "press-7", Version::V5, Some((TOPIC, b"plain")));
    assert_eq!(greeted, Err(NO_FORMAT));
    let (_, greeted) = connect(&broker, "press-8", Version::V5, Some((TOPIC, &will)));
    assert_eq!(greeted, Err(NOT_ALLOWED), "sealed by somebody else");
    for attempt in 0..2 {
        // It says good-bye: the will is not sent, and may come along again.
        let (mut device, greeted) = connect(&broker, "press-7", Version::V5, Some((TOPIC, &will)));
        assert!(greeted.is_ok(), "{attempt}: {greeted:?}");
        device.disconnect(ReasonCode::Success);
    }
    let (mut device, greeted) = connect(&broker, "press-7", Version::V5, Some((TOPIC, &will)));
    assert_eq!(greeted, Ok(true));
    device.client.on_lost(device.now.after(Duration::from_secs(3_600)));
    assert_eq!(payloads(&mut reader), [&*will]);
    let (_, greeted) = connect(&broker, "press-7", Version::V5, Some((TOPIC, &will)));
    assert_eq!(greeted, Err(NO_FORMAT), "it was sent");
    assert_eq!(refused(&broker, "replayed"), 1);

    let (mut device, greeted) =
        connect(&broker, "old-press", Version::V5, Some(("legacy/1", b"gone")));
    assert!(greeted.is_ok());
    device.client.on_lost(device.now);
    assert_eq!(payloads(&mut reader), [b"gone"], "sealed, and opened for the reader");
}
