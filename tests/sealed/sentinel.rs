//! The rules of the sentinel about sealed payloads, each shown by an attack: it is told of, counted and
//! written down.

use serde_json::Value;

use crate::harness::raw::{PUBLISH, RawClient};
use crate::harness::{DEVICE1, DEVICE2, bastionmq};
use crate::plant::{Plant, TOPIC, now_ms, seal, seal_at, sealer, sealer_of, send};

/// The alert of `rule`, which is counted and stands in the audit log; the broker has ended then.
fn finds(mut plant: Plant, mut watcher: RawClient, rule: &str) -> Value {
    let told = loop {
        let published = watcher.expect(PUBLISH).publish(5);
        let told: Value = serde_json::from_slice(&published.payload).expect("an alert is JSON");
        if told["rule"] == rule {
            break told;
        }
    };
    let severity = told["severity"].as_str().expect("a severity");
    let labels = format!("{{rule=\"{rule}\",severity=\"{severity}\"}}");
    assert_eq!(plant.count(&format!("bastionmq_sentinel_findings_total{labels}")), 1);
    plant.broker.terminate();
    plant.broker.wait();
    let mut command = bastionmq();
    command.args(["audit", "search", "--event", "alert", "--dir"]).arg(plant.file("audit"));
    let output = command.output().expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let is_of_rule = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("JSON");
        record["rule"] == rule && record["key"] == told["key"]
    };
    assert!(lines.lines().any(is_of_rule), "{rule} is not written down: {lines}");
    told
}

/// What is found when the first device sends `payloads`, which are all refused.
fn attack(rule: &str, event: &str, payloads: impl IntoIterator<Item = Vec<u8>>) {
    let plant = Plant::start();
    let watcher = plant.reader("$bastion/alerts/#");
    let mut device = plant.client(DEVICE1, "device");
    for (packet_id, payload) in (1..).zip(payloads) {
        assert!(send(&mut device, TOPIC, packet_id, &payload) >= 0x80);
    }
    let told = finds(plant, watcher, rule);
    assert_eq!((&told["event"], &told["topic"]), (&event.into(), &TOPIC.into()));
    assert_eq!(told["key"]["principal"], "user:device1");
}

#[test]
fn payloads_that_come_again() {
    let plant = Plant::start();
    let watcher = plant.reader("$bastion/alerts/#");
    let mut device = plant.client(DEVICE1, "device");
    let sealed = seal(&mut sealer(), b"1200");
    assert!(send(&mut device, TOPIC, 1, &sealed) < 0x80);
    for packet_id in 2..7 {
        assert!(send(&mut device, TOPIC, packet_id, &sealed) >= 0x80);
    }
    let told = finds(plant, watcher, "replayed-payloads");
    assert_eq!(told["event"], "envelope_refused.replayed");
}

#[test]
fn payloads_of_somebody_else() {
    let mut other = sealer_of(DEVICE2.0, 1);
    let payloads: Vec<_> = (0..5).map(|_| seal(&mut other, b"x")).collect();
    attack("forged-payloads", "envelope_refused.sender_mismatch", payloads);
}

#[test]
fn payloads_that_are_not_sealed() {
    attack("unsealed-payloads", "envelope_refused.malformed", vec![b"plain".to_vec(); 20]);
}

#[test]
fn payloads_of_a_clock_that_is_wrong() {
    for (time, event) in
        [(now_ms() + 3_600_000, "clock_skew.ahead"), (1_000, "envelope_refused.expired")]
    {
        let mut sealer = sealer();
        let payloads: Vec<_> = (0..3).map(|_| seal_at(&mut sealer, time, b"x")).collect();
        attack("clock-skew", event, payloads);
    }
}

#[test]
fn payloads_of_a_clock_that_is_off_and_not_so_far_that_they_are_refused() {
    let plant = Plant::start();
    let watcher = plant.reader("$bastion/alerts/#");
    let mut device = plant.client(DEVICE1, "device");
    let mut sealer = sealer();
    for packet_id in 1..4 {
        let ahead = seal_at(&mut sealer, now_ms() + 45_000, b"x");
        assert!(send(&mut device, TOPIC, packet_id, &ahead) < 0x80);
    }
    let told = finds(plant, watcher, "clock-skew");
    assert_eq!((&told["event"], &told["severity"]), (&"clock_skew.ahead".into(), &"notice".into()));
    assert_eq!(told["key"]["principal"], "user:device1");
}
