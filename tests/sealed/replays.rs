//! What came once comes no more, whatever ends in between; and what was not acknowledged is not lost.

use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{ADMIN, DEVICE1, Stream};
use crate::plant::{Plant, TOPIC, now_ms, seal, seal_at, sealer, send};

const TAKEN: u8 = 0;
const NOBODY: u8 = 0x10;
const NO_FORMAT: u8 = 0x99;

#[test]
fn a_replay_is_refused_at_once_after_a_reconnect_after_an_end_and_after_a_crash() {
    let mut plant = Plant::start();
    let mut sealer = sealer();
    let first = seal(&mut sealer, b"first");
    let mut device = plant.client(DEVICE1, "device");
    assert_eq!(send(&mut device, TOPIC, 1, &first), NOBODY);
    assert_eq!(send(&mut device, TOPIC, 2, &first), NO_FORMAT, "at once");
    drop(device);
    let mut device = plant.client(DEVICE1, "device");
    assert_eq!(send(&mut device, TOPIC, 2, &first), NO_FORMAT, "after a reconnect");
    drop(device);
    for crash in [false, true, true, false] {
        plant = plant.again(crash);
        let mut device = plant.client(DEVICE1, "device");
        assert_eq!(send(&mut device, TOPIC, 3, &first), NO_FORMAT, "crash: {crash}");
        assert_eq!(plant.refused("replayed"), 1);
        assert_eq!(send(&mut device, TOPIC, 4, &seal(&mut sealer, b"next")), NOBODY);
    }
}

#[test]
fn what_the_window_has_left_behind_is_refused_too() {
    let plant = Plant::start();
    let mut device = plant.client(DEVICE1, "device");
    let mut sealer = sealer();
    let never_sent = seal(&mut sealer, b"never sent");
    let first = seal(&mut sealer, b"first");
    assert_eq!(send(&mut device, TOPIC, 1, &first), NOBODY);
    for _ in 0..1_030 {
        let sealed = seal(&mut sealer, b"more");
        device.send(&publish_with(5, PUBLISH, TOPIC, None, &[], &sealed));
    }
    assert_eq!(send(&mut device, TOPIC, 2, &first), NO_FORMAT);
    assert_eq!(send(&mut device, TOPIC, 3, &never_sent), NO_FORMAT, "nobody knows any more");
    let old = seal_at(&mut sealer, now_ms() - 301_000, b"x");
    assert_eq!(send(&mut device, TOPIC, 4, &old), NO_FORMAT);
    assert_eq!(plant.refused("replayed") + plant.refused("expired"), 3);
}

/// A connection of the first device with its session, and whether there was one.
fn session(plant: &Plant) -> (RawClient, bool) {
    let mut client = RawClient::plain(plant.broker.plain_port());
    let connect = Connect::new(5, "device").login(DEVICE1).keep_session(false, 3_600);
    client.send(&connect.encode());
    let answer = client.read();
    assert_eq!(answer.reason(), 0, "{answer:?}");
    let is_resumed = answer.body[0] == 1;
    (client, is_resumed)
}

#[test]
fn a_packet_that_was_not_acknowledged_is_acknowledged_when_it_comes_again() {
    const DUP: u8 = 8;
    let plant = Plant::start();
    let mut reader = plant.reader("plant/#");
    let sealed = seal(&mut sealer(), b"once");
    let packet = |dup| publish_with(5, PUBLISH | 1 << 1 | dup, TOPIC, Some(7), &[], &sealed);
    let (mut device, _) = session(&plant);
    device.send(&packet(0));
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, sealed);
    // Its acknowledgement is lost with the connection.
    device.break_off();
    let (mut device, is_resumed) = session(&plant);
    assert!(is_resumed);
    for dup in [DUP, 0] {
        device.send(&packet(dup));
        assert_eq!(device.expect(PUBACK).acknowledged(), (7, TAKEN));
    }
    reader.expect_silence();
    assert_eq!(plant.count("bastionmq_envelopes_again_total"), 2);
    assert_eq!(send(&mut device, TOPIC, 8, &sealed), NO_FORMAT);
}

#[test]
fn what_a_crash_has_lost_is_routed_when_it_comes_again_and_only_once() {
    let plant = Plant::start();
    let sealed = seal(&mut sealer(), b"once");
    let (mut device, _) = session(&plant);
    assert_eq!(send(&mut device, TOPIC, 7, &sealed), NOBODY);
    let plant = plant.again(true);
    let mut reader = plant.client(ADMIN, "reader");
    assert_eq!(reader.subscribe(5, "plant/#", 0), 0);
    let (mut device, _) = session(&plant);
    assert_eq!(send(&mut device, TOPIC, 7, &sealed), TAKEN);
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, sealed);
    assert_eq!(send(&mut device, TOPIC, 7, &sealed), TAKEN);
    reader.expect_silence();
}

#[test]
fn windows_that_are_damaged_are_said_to_be_and_nothing_from_before_is_taken() {
    let plant = Plant::start();
    let mut sealer = sealer();
    let mut device = plant.client(DEVICE1, "device");
    let first = seal(&mut sealer, b"first");
    assert_eq!(send(&mut device, TOPIC, 1, &first), NOBODY);
    drop(device);
    let state = plant.file("state");
    let damage = move || {
        for entry in std::fs::read_dir(&state).expect("read") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("windows")) {
                let mut bytes = std::fs::read(&path).expect("read");
                if let Some(byte) = bytes.get_mut(100) {
                    *byte ^= 1;
                }
                std::fs::write(&path, bytes).expect("written");
            }
        }
    };
    damage();
    let plant = plant.again(true);
    plant.broker.process().wait_for_text(Stream::Err, "replay windows are or may be lost");
    let mut device = plant.client(DEVICE1, "device");
    assert_eq!(send(&mut device, TOPIC, 2, &first), NO_FORMAT);
    assert_eq!(plant.refused("expired"), 1);
    let fresh = seal_at(&mut sealer, now_ms() + 59_000, b"by a clock that is ahead");
    assert_eq!(send(&mut device, TOPIC, 3, &fresh), NO_FORMAT);
}
