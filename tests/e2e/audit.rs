//! The security audit log of a broker that runs, and what `bastionmq audit` says of it.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{Broker, DEVICE1, bastionmq, scratch};

/// A broker with an audit log in `place`.
fn audited(place: &Path, more: &str) -> Broker {
    Broker::secure_with_settings(&format!(
        "\n[keys]\nmaster_key_file = \"{at}/master.key\"\n[audit]\ndir = \"{at}/audit\"\n{more}",
        at = place.display()
    ))
}

fn audit(place: &Path, arguments: &[&str]) -> Output {
    let mut command = bastionmq();
    command.arg("audit").args(arguments).arg("--dir").arg(place.join("audit"));
    command.output().unwrap()
}

fn verify(place: &Path) -> Output {
    let key = place.join("master.key");
    audit(place, &["verify", "--master-key-file", key.to_str().unwrap()])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn records(output: &Output) -> Vec<Value> {
    said(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A login, one that is refused, and a message that is denied.
fn use_it(broker: &Broker) {
    let connect = Connect::new(5, "device1").login(DEVICE1);
    let mut device = RawClient::connected(broker.plain_port(), &connect);
    let first = raw::PUBLISH | 1 << 1;
    let secret = b"a payload that nobody is told";
    device.send(&raw::publish_with(5, first, "devices/device2/x", Some(1), &[], secret));
    assert_eq!(device.expect(raw::PUBACK).acknowledged().1, 0x87);
    device.send(&raw::packet(raw::DISCONNECT, &[]));
    device.expect_orderly_end();
    let mut stranger = RawClient::plain(broker.plain_port());
    stranger.send(&Connect::new(5, "eve").login((DEVICE1.0, "the wrong word")).encode());
    assert_eq!(stranger.expect(raw::CONNACK).reason(), 0x86);
}

#[test]
fn who_came_and_what_was_refused_stands_in_a_log_that_verifies() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.terminate();
    broker.wait();

    let output = verify(place.path());
    assert!(output.status.success(), "{output:?}");
    assert!(said(&output).ends_with("\nwhole\n"), "{}", said(&output));
    let events = records(&audit(place.path(), &["search"]));
    let names: Vec<_> = events.iter().map(|it| it["event"].as_str().unwrap()).collect();
    for name in ["started", "connected", "denied", "disconnected", "login_refused", "stopped"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let denied = &records(&audit(place.path(), &["search", "--event", "denied"]))[0];
    assert_eq!(denied["principal"], "user:device1");
    assert_eq!(denied["topic"], "devices/device2/x");
    assert_eq!(denied["action"], "publish");
    let correlation = denied["correlation"].as_str().unwrap();
    let same = audit(place.path(), &["search", "--correlation", correlation]);
    let same: Vec<_> = records(&same).iter().map(|it| it["event"].clone()).collect();
    assert_eq!(same, ["connected", "denied", "disconnected"]);
    let refused = &records(&audit(place.path(), &["search", "--event", "login_refused"]))[0];
    assert_eq!((&refused["user"], &refused["client_id"]), (&"device1".into(), &"eve".into()));
    let since = audit(place.path(), &["search", "--since", "2100-01-01"]);
    assert_eq!(said(&since), "");
}

#[test]
fn neither_passwords_nor_payloads_stand_in_it() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.terminate();
    broker.wait();
    let text = fs::read_to_string(place.path().join("audit/audit.00000001.jsonl")).unwrap();
    assert!(text.contains("device1"));
    for secret in [DEVICE1.1, "the wrong word", "a payload that nobody"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_log_that_somebody_has_changed_does_not_verify_with_the_secret_or_without() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.terminate();
    broker.wait();
    let output = said(&verify(place.path()));
    let public = output.lines().find_map(|line| line.strip_prefix("public key ")).unwrap();
    let file = place.path().join("audit/audit.00000001.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    assert!(audit(place.path(), &["verify", "--public-key", public]).status.success());
    fs::write(&file, text.replacen("devices/device2/x", "devices/device1/x", 1)).unwrap();
    let output = verify(place.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("audit.00000001.jsonl:"), "{}", said(&output));
    let output = audit(place.path(), &["verify", "--public-key", public]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

#[test]
fn a_broker_that_was_killed_goes_on_with_its_log() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.process_mut().kill();
    broker.wait();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.terminate();
    broker.wait();
    let output = verify(place.path());
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("in 2 files"), "{}", said(&output));
    let tail = audit(place.path(), &["tail", "-n", "2"]);
    let names: Vec<_> = records(&tail).iter().map(|it| it["event"].clone()).collect();
    assert_eq!(names, ["stopped", "checkpoint"]);
}

#[test]
fn an_audit_log_without_a_master_key_does_not_start() {
    let place = scratch();
    let config = place.path().join("bastionmq.toml");
    let text = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[audit]\ndir = \"audit\"\n";
    fs::write(&config, text).unwrap();
    let output = bastionmq().args(["check-config"]).arg(&config).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &said(&output);
    assert!(said.contains("bastionmq.toml:4: ") && said.contains("master_key_file"), "{said}");
}
