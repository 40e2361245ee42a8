//! Clients that are set apart: they notice nothing, and nobody hears of them but who may.

use std::fs;

use crate::control::Place;
use crate::harness::raw::{self, Connect, PUBACK, PUBLISH, RawClient, Will};
use crate::harness::{ADMIN, DEVICE1, Stream};

/// A user property of MQTT 5.
const ORIGINAL: &[u8] = b"\x26\x00\x0eoriginal-topic\x00\x0fdevices/device1";

/// An operator may see what comes from quarantine.
fn place() -> Place {
    let place = Place::with("");
    let policy = fs::read_to_string(place.file("policy.toml")).expect("a policy");
    let rule = "topics = [\"$SYS/#\"";
    assert!(policy.contains(rule));
    let policy = policy.replace(rule, "topics = [\"$bastion/quarantine/#\", \"$SYS/#\"");
    fs::write(place.file("policy.toml"), policy).expect("a policy");
    assert_eq!(place.ctl(&["reload"]).code, Some(0));
    place
}

/// Publishes with QoS 1, and is told that it was done.
fn publish(client: &mut RawClient, version: u8, topic: &str, payload: &[u8]) {
    client.send(&raw::publish_with(version, PUBLISH | 3, topic, Some(9), &[], payload));
    assert_eq!(client.expect(PUBACK).acknowledged(), (9, 0));
}

#[test]
fn what_a_client_in_quarantine_publishes_is_acknowledged_and_goes_elsewhere() {
    let place = place();
    let mut operator = place.connect(&Connect::new(5, "operator").login(ADMIN));
    assert_eq!(operator.subscribe(5, "$bastion/quarantine/+", 1), 1);
    let mut old = place.connect(&Connect::new(4, "old").login(ADMIN));
    assert_eq!(old.subscribe(4, "$bastion/quarantine/#", 0), 0);
    let mut reader = place.connect(&Connect::new(5, "reader").login(DEVICE1));
    assert_eq!(reader.subscribe(5, "devices/device1/#", 1), 1);
    assert_eq!(reader.subscribe(5, "$bastion/#", 0), 0x87);
    let will = Some(Will::new("devices/device1/will", b"gone"));
    let connect = Connect::new(5, "a/b").login(DEVICE1);
    let mut pump = place.connect(&Connect { will, ..connect });
    publish(&mut pump, 5, "devices/device1", b"before");
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, b"before");

    let said = place.ctl(&["quarantine", "add", "user:device1", "--why", "a test"]);
    assert!(said.out.contains("user:device1 is in quarantine for good; 2 connections affected"));
    publish(&mut pump, 5, "devices/device1", b"during");
    let seen = operator.expect(PUBLISH).publish(5);
    assert_eq!((&*seen.topic, &*seen.payload), ("$bastion/quarantine/a%2Fb", &b"during"[..]));
    assert_eq!((seen.properties, seen.retain, seen.qos), (ORIGINAL.to_vec(), false, 1));
    assert_eq!(old.expect(PUBLISH).publish(4).topic, "$bastion/quarantine/a%2Fb");
    // What is not allowed is as little allowed as ever.
    pump.send(&raw::publish_with(5, PUBLISH | 2, "devices/device2", Some(1), &[], b"x"));
    assert_eq!(pump.expect(PUBACK).acknowledged(), (1, 0x87));
    pump.break_off();
    assert_eq!(operator.expect(PUBLISH).publish(5).payload, b"gone");
    assert_eq!(old.expect(PUBLISH).publish(4).payload, b"gone");
    reader.expect_silence();

    // Who comes is in it as well, until it is lifted.
    let mut pump = place.connect(&Connect::new(4, "pump").login(DEVICE1));
    publish(&mut pump, 4, "devices/device1/x", b"again");
    assert_eq!(operator.expect(PUBLISH).publish(5).topic, "$bastion/quarantine/pump");
    let said = place.ctl(&["quarantine", "lift", "user:device1"]);
    assert!(said.out.starts_with("1 quarantine lifted\n"), "{}", said.out);
    publish(&mut pump, 4, "devices/device1/x", b"after");
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, b"after");
    // Nothing of it was retained.
    let mut late = place.connect(&Connect::new(5, "late").login(ADMIN));
    assert_eq!(late.subscribe(5, "$bastion/quarantine/#", 1), 1);
    late.expect_silence();
}

#[test]
fn a_quarantine_ends_by_itself() {
    let place = place();
    let mut pump = place.connect(&Connect::new(5, "pump").login(DEVICE1));
    let said = place.ctl(&["quarantine", "add", "client:pump", "--for", "1s"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    place.broker().process().wait_for_text(Stream::Err, "quarantine has ended");
    assert!(place.ctl(&["quarantine", "list"]).out.contains("0 of 0 quarantines"));
    let mut reader = place.connect(&Connect::new(5, "reader").login(DEVICE1));
    assert_eq!(reader.subscribe(5, "devices/device1/#", 0), 0);
    publish(&mut pump, 5, "devices/device1/x", b"free");
    assert_eq!(reader.expect(PUBLISH).publish(5).payload, b"free");
}
