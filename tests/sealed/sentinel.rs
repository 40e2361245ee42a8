//! The rules of the sentinel about sealed payloads, each shown by an attack: it is told of, counted and
//! written down, and what the rule does about it happens to the attacker.

use bastionmq::envelope::{Key, KeyId, Options, Sealer};
use serde_json::Value;

use crate::harness::Answer::{Ban, Disconnect, Quarantine};
use crate::harness::raw::{PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{Answer, DEVICE1, DEVICE2, Ground, bastionmq, expect_thrown_out};
use crate::plant::{
    Plant, REVOKED, TOPIC, key, now_ms, seal, seal_at, sealer, sealer_of, send, topic,
};

/// A plant whose rule answers so, and an attacker.
struct Scene {
    plant: Plant,
    watcher: RawClient,
    device: RawClient,
    rule: &'static str,
    answer: Answer,
}

impl Scene {
    fn new(rule: &'static str, answer: Answer) -> Self {
        let plant = Plant::with_settings(&answer.of(rule, ""));
        let watcher = plant.reader("$bastion/alerts/#");
        let device = plant.client(DEVICE1, "device");
        Self { plant, watcher, device, rule, answer }
    }

    /// The device sends payloads that are all taken, or all refused. The last one may be the last that it does.
    fn brings(&mut self, topic: &str, are_taken: bool, payloads: &[Vec<u8>]) {
        let (last, others) = payloads.split_last().expect("some");
        for payload in others {
            assert_eq!(send(&mut self.device, topic, 1, payload) < 0x80, are_taken);
        }
        self.device.send(&publish_with(5, PUBLISH | 1 << 1, topic, Some(1), &[], last));
        if !matches!(self.answer, Disconnect(_) | Ban(_)) {
            assert_eq!(self.device.expect(PUBACK).acknowledged().1 < 0x80, are_taken);
        }
    }

    /// The alert of the rule, which is counted, logged and stands in the audit log, and what was done about it.
    fn finds(mut self) -> Value {
        let rule = self.rule;
        let told = loop {
            let published = self.watcher.expect(PUBLISH).publish(5);
            let told: Value = serde_json::from_slice(&published.payload).expect("an alert is JSON");
            if told["rule"] == rule {
                break told;
            }
        };
        let severity = told["severity"].as_str().expect("a severity");
        let labels = format!("{{rule=\"{rule}\",severity=\"{severity}\"}}");
        let name = format!("bastionmq_sentinel_findings_total{labels}");
        assert_eq!(self.plant.count(&name), 1);
        let broker = &self.plant.broker;
        self.answer.expect(&told, Ground { broker, is_behind_proxy: false, topic: "office/x" });
        if matches!(self.answer, Disconnect(_)) {
            expect_thrown_out(self.device);
        }
        self.plant.broker.terminate();
        self.plant.broker.wait();
        expect_record(&self.plant, &told);
        assert_eq!(told["key"]["principal"], "user:device1");
        told
    }
}

fn expect_record(plant: &Plant, told: &Value) {
    let mut command = bastionmq();
    command.args(["audit", "search", "--event", "alert", "--dir"]).arg(plant.file("audit"));
    let output = command.output().expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let is_told = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("JSON");
        ["rule", "key", "severity", "value", "responses"].iter().all(|it| record[it] == told[it])
    };
    assert!(lines.lines().any(is_told), "{told} is not written down: {lines}");
}

#[test]
fn payloads_that_come_again() {
    let mut scene = Scene::new("replayed-payloads", Disconnect("client"));
    let sealed = seal(&mut sealer(), b"1200");
    assert!(send(&mut scene.device, TOPIC, 9, &sealed) < 0x80);
    scene.brings(TOPIC, false, &vec![sealed; 5]);
    assert_eq!(scene.finds()["event"], "envelope_refused.replayed");
}

#[test]
fn payloads_of_a_device_that_seals_as_another_one() {
    let mut scene = Scene::new("replayed-payloads", Quarantine("principal"));
    assert!(send(&mut scene.device, TOPIC, 9, &seal(&mut sealer(), b"1200")) < 0x80);
    let of_twin = seal(&mut sealer(), b"another device with the same stream");
    scene.brings(TOPIC, false, &vec![of_twin; 5]);
    assert_eq!(scene.finds()["event"], "envelope_refused.stream_reused");
}

/// A payload that is sealed for a topic of the plant, which is the first device's.
fn sealed_by(key: &Key, on: &str) -> Vec<u8> {
    let mut sealer = Sealer::new(key, DEVICE1.0, [9; 16]).expect("a sealer");
    sealer.seal(topic(on), now_ms(), b"x", &Options::default()).expect("sealed")
}

/// By the key of the plant, which says to be another one.
fn sealed_as_by(number: u8) -> Vec<u8> {
    sealed_by(&Key { id: KeyId([number; 8]), ..key(1, "plant/#") }, TOPIC)
}

#[test]
fn payloads_that_are_forged_in_every_way() {
    type Forge = fn() -> Vec<u8>;
    let forgeries: [(_, _, Forge, _); 6] = [
        (
            "sender_mismatch",
            TOPIC,
            || seal(&mut sealer_of(DEVICE2.0, 1), b"x"),
            Quarantine("client"),
        ),
        ("bad_tag", TOPIC, || sealed_by(&key(1, "plant/#"), "plant/8/speed"), Ban("principal")),
        ("bad_signature", "signed/1", || sealed_by(&key(4, "signed/#"), "signed/1"), Ban("client")),
        ("wrong_topic", TOPIC, || sealed_as_by(2), Disconnect("principal")),
        ("unknown_key", TOPIC, || sealed_as_by(9), Quarantine("client")),
        ("revoked_key", TOPIC, || sealed_as_by(REVOKED), Quarantine("principal")),
    ];
    for (event, on, forge, answer) in forgeries {
        let mut scene = Scene::new("forged-payloads", answer);
        scene.brings(on, false, &vec![forge(); 5]);
        let told = scene.finds();
        let event = format!("envelope_refused.{event}");
        assert_eq!((&told["event"], &told["topic"]), (&event.into(), &on.into()));
    }
}

#[test]
fn payloads_that_are_not_sealed() {
    let mut scene = Scene::new("unsealed-payloads", Quarantine("principal"));
    scene.brings(TOPIC, false, &vec![b"plain".to_vec(); 20]);
    assert_eq!(scene.finds()["event"], "envelope_refused.malformed");
}

/// Sealed so many times at that time.
fn sealed_at(time_ms: u64, times: usize) -> Vec<Vec<u8>> {
    let mut sealer = sealer();
    (0..times).map(|_| seal_at(&mut sealer, time_ms, b"x")).collect()
}

#[test]
fn payloads_of_a_clock_that_is_wrong() {
    for (time, event, answer) in [
        (now_ms() + 3_600_000, "clock_skew.ahead", Quarantine("client")),
        (1_000, "envelope_refused.expired", Ban("client")),
    ] {
        let mut scene = Scene::new("clock-skew", answer);
        scene.brings(TOPIC, false, &sealed_at(time, 3));
        let told = scene.finds();
        assert_eq!((&told["event"], &told["topic"]), (&event.into(), &TOPIC.into()));
    }
}

#[test]
fn payloads_of_a_clock_that_is_off_and_not_so_far_that_they_are_refused() {
    let mut scene = Scene::new("clock-skew", Disconnect("principal"));
    scene.brings(TOPIC, true, &sealed_at(now_ms() + 45_000, 3));
    let told = scene.finds();
    assert_eq!((&told["event"], &told["severity"]), (&"clock_skew.ahead".into(), &"notice".into()));
}

#[test]
fn payloads_that_are_old_when_they_come() {
    let mut scene = Scene::new("slow-clock", Quarantine("principal"));
    // All of them are older than this broker, which refuses them: of the clock it is told whether or not.
    scene.brings(TOPIC, false, &sealed_at(now_ms() - 45_000, 30));
    let told = scene.finds();
    assert_eq!((&told["event"], &told["severity"]), (&"clock_skew.behind".into(), &"info".into()));
    assert_eq!((&told["value"], &told["topic"]), (&30.0.into(), &TOPIC.into()));
}
