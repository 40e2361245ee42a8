//! The security audit log of a broker that runs, and what `bastionmq audit` says of it.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::budgets::until;
use crate::harness::http::metric;
use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, DEVICE1, bastionmq, scratch};

/// A broker with an audit log in `place`; `more` begins with settings of that.
fn audited(place: &Path, more: &str) -> Broker {
    Broker::secure_with_settings(&format!(
        "\n[keys]\nmaster_key_file = \"{at}/master.key\"\n[audit]\ndir = \"{at}/audit\"\n{more}",
        at = place.display()
    ))
}

/// What stands in the first file of the log by now.
fn written(place: &Path) -> String {
    fs::read_to_string(place.join("audit/audit.00000001.jsonl")).unwrap()
}

/// Whether a record there has all of these parts.
fn is_written(place: &Path, parts: &[&str]) -> bool {
    written(place).lines().any(|line| parts.iter().all(|part| line.contains(part)))
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

fn ctl(place: &Path, arguments: &[&str]) -> Output {
    let mut command = bastionmq();
    command.arg("ctl").arg("--socket").arg(place.join("control/ctl.sock")).args(arguments);
    command.output().unwrap()
}

/// The records of one event, by a broker that has ended and whose log is whole.
fn found(place: &Path, event: &str) -> Vec<Value> {
    records(&audit(place, &["search", "--event", event]))
}

#[test]
fn operators_lock_outs_limits_reloads_and_listeners_stand_in_it() {
    let place = scratch();
    let more = format!(
        "[control]\nsocket = \"{}/control/ctl.sock\"\n[network]\nmax_handshakes_per_address = 2\n\
         [[throttle]]\nname = \"slow\"\nrate = 1\nseconds = 3600\naction = \"reject\"\n",
        place.path().display()
    );
    let mut broker = audited(place.path(), &more);
    let port = broker.plain_port();
    let mut client = RawClient::connected(port, &Connect::new(5, "c").login(ADMIN));
    for expected in [0x10, 0x97, 0x97] {
        client.send(&raw::publish_with(5, 0x32, "x", Some(1), &[], b"x"));
        assert_eq!(client.expect(raw::PUBACK).acknowledged().1, expected);
    }
    let held = [RawClient::plain(port), RawClient::plain(port)];
    until("both are in", || metric(broker.admin_port(), "bastionmq_connections_open") == Some(3.0));
    RawClient::plain(port).expect_end();
    drop(held);
    until("it is locked out", || {
        let mut eve = RawClient::plain(port);
        let login = Connect::new(5, "eve").login((DEVICE1.0, "the wrong word"));
        eve.try_send(&login.encode()).is_ok()
            && eve.read_or_end().is_some_and(|it| it.first == raw::CONNACK && it.reason() == 0x9f)
    });
    assert!(ctl(place.path(), &["lift", DEVICE1.0]).status.success());
    assert!(ctl(place.path(), &["reload"]).status.success());
    broker.terminate();
    broker.wait();
    assert!(verify(place.path()).status.success());

    let limited = found(place.path(), "limited");
    assert_eq!(limited[0]["limit"], "too_many_handshakes_of_address");
    assert_eq!((&limited[0]["count"], &limited[0]["address"]), (&1.into(), &"127.0.0.1".into()));
    // The second was told as the broker stopped.
    let throttled = found(place.path(), "throttled");
    let told: Vec<_> = throttled.iter().map(|it| (&it["rule"], &it["count"])).collect();
    assert_eq!(told, [(&"slow".into(), &1.into()), (&"slow".into(), &1.into())]);
    assert_eq!(throttled[0]["client_id"], "c");
    let locked_out = &found(place.path(), "locked_out")[0];
    assert_eq!((&locked_out["user"], &locked_out["failures"]), (&DEVICE1.0.into(), &5.into()));
    let commands = found(place.path(), "operator");
    assert_eq!(commands[0]["request"], json!({"lift": {"user": DEVICE1.0}}));
    assert_eq!(commands[1]["request"], "reload");
    assert_eq!(commands[0]["uid"], rustix::process::getuid().as_raw());
    let reloaded = found(place.path(), "reloaded");
    assert!(reloaded.iter().any(|it| it["what"] == "policy" && it["in_force"] == true));
    for event in ["listener_opened", "listener_closed"] {
        let urls = found(place.path(), event);
        assert!(urls.iter().any(|it| it["listener"] == format!("mqtt://127.0.0.1:{port}")));
        assert_eq!(urls.len(), 2, "{event}");
    }
}

#[test]
fn a_strict_log_has_each_decision_before_anybody_learns_of_it() {
    let place = scratch();
    let socket = format!("[control]\nsocket = \"{}/control/ctl.sock\"\n", place.path().display());
    let mut broker = audited(place.path(), &format!("strict = true\n{socket}"));
    let has = |parts: &[&str]| is_written(place.path(), parts);
    let connect = Connect::new(5, "device1").login(DEVICE1);
    let mut device = RawClient::connected(broker.plain_port(), &connect);
    assert!(has(&["\"admitted\"", "device1"]));
    for number in 0..20 {
        let topic = format!("devices/device2/{number}");
        device.send(&raw::publish_with(5, 0x32, &topic, Some(1), &[], b"x"));
        assert_eq!(device.expect(raw::PUBACK).acknowledged().1, 0x87);
        assert!(has(&["\"denied\"", &topic]));
    }
    for number in 0..3 {
        let id = format!("eve{number}");
        let mut eve = RawClient::plain(broker.plain_port());
        eve.send(&Connect::new(5, &id).login((DEVICE1.0, "the wrong word")).encode());
        assert_eq!(eve.expect(raw::CONNACK).reason(), 0x86);
        assert!(has(&["\"login_refused\"", &id]));
    }
    assert!(ctl(place.path(), &["ban", "add", "client:device1"]).status.success());
    device.expect_disconnect(0x98);
    assert!(has(&["\"operator\"", "client:device1"]));
    assert!(ctl(place.path(), &["reload"]).status.success());
    assert!(has(&["\"reloading\"", "policy"]));
    broker.terminate();
    broker.wait();
    assert!(verify(place.path()).status.success());
}

#[test]
fn a_strict_log_has_each_disconnection_by_a_throttle_before_anybody_learns_of_it() {
    let place = scratch();
    let more = "strict = true\n\
        [[throttle]]\nname = \"calm\"\nrate = 1\nseconds = 3600\naction = \"disconnect\"\n";
    let mut broker = audited(place.path(), more);
    let has = |parts: &[&str]| is_written(place.path(), parts);
    for id in ["loud0", "loud1", "loud2"] {
        let connect = Connect::new(5, id).login(ADMIN);
        let mut client = RawClient::connected(broker.plain_port(), &connect);
        for packet in [1, 2] {
            client.send(&raw::publish_with(5, 0x32, "x", Some(packet), &[], b"x"));
        }
        assert_eq!(client.expect(raw::PUBACK).acknowledged(), (1, 0x10));
        assert_eq!(client.expect(raw::PUBACK).acknowledged(), (2, 0x97));
        assert!(has(&["\"throttled\"", id]), "{id} has learned of it");
        client.expect_disconnect(0x96);
    }
    broker.terminate();
    broker.wait();
    assert!(verify(place.path()).status.success());
}

#[test]
fn whoever_is_masked_is_found_by_whoever_has_the_master_key() {
    let place = scratch();
    let socket = format!("[control]\nsocket = \"{}/control/ctl.sock\"\n", place.path().display());
    let mut broker = audited(place.path(), &format!("mask = true\n{socket}"));
    use_it(&broker);
    assert!(ctl(place.path(), &["ban", "add", "client:device1"]).status.success());
    assert!(ctl(place.path(), &["ban", "add", "client:device2"]).status.success());
    broker.terminate();
    broker.wait();
    let key = place.path().join("master.key");
    let names = |arguments: &[&str]| {
        let found = records(&audit(place.path(), arguments));
        let mut names: Vec<_> = found.iter().map(|it| it["event"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let with_key = ["--master-key-file", key.to_str().unwrap()];
    let by_address = [&["search", "--address", "127.0.0.1"][..], &with_key].concat();
    assert_eq!(names(&by_address), "connected denied disconnected login_refused");
    assert_eq!(names(&by_address[..3]), "");
    let by_id = [&["search", "--client-id", "device1"][..], &with_key].concat();
    assert_eq!(names(&by_id), "banned connected denied disconnected");
}

#[test]
fn a_client_with_a_long_name_takes_little_of_the_log_and_is_found_by_all_of_it() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    let long = "x".repeat(1_000);
    for _ in 0..5 {
        let connect = Connect::new(5, &long).login(ADMIN);
        let mut client = RawClient::connected(broker.plain_port(), &connect);
        client.send(&raw::packet(raw::DISCONNECT, &[]));
        client.expect_orderly_end();
        let mut stranger = RawClient::plain(broker.plain_port());
        stranger.send(&Connect::new(5, &long).login((ADMIN.0, "the wrong word")).encode());
        assert_eq!(stranger.expect(raw::CONNACK).reason(), 0x86);
    }
    broker.terminate();
    broker.wait();
    let longest = written(place.path()).lines().map(str::len).max().unwrap();
    assert!(longest < long.len(), "{longest} bytes");
    let found = records(&audit(place.path(), &["search", "--client-id", &long]));
    let count = |event: &str| found.iter().filter(|it| it["event"] == event).count();
    let [connected, gone, refused] = ["connected", "disconnected", "login_refused"].map(count);
    assert_eq!((connected, gone, refused), (5, 5, 5));
    assert!(said(&verify(place.path())).ends_with("\nwhole\n"));
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
fn a_log_that_lacks_something_is_not_whole_for_whoever_has_the_public_key_alone() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    use_it(&broker);
    broker.terminate();
    broker.wait();
    let output = said(&verify(place.path()));
    let value = |name| output.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let (public, seq) = (value("public key "), value("last seq ").parse::<u64>().unwrap());
    let verify_public = |at_least: u64, code| {
        let at_least = at_least.to_string();
        let arguments = ["verify", "--public-key", public, "--at-least-seq", &at_least];
        let output = audit(place.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        said(&output)
    };
    assert!(verify_public(seq, 0).ends_with("\nwhole\n"));
    let said = verify_public(seq + 1, 1);
    assert!(said.contains(&format!("is to go on to record {}", seq + 1)), "{said}");
    fs::remove_file(place.path().join("audit/audit.00000001.jsonl")).unwrap();
    assert!(verify_public(0, 1).contains("the end is missing"));
    fs::remove_file(place.path().join("audit/head")).unwrap();
    assert!(verify_public(0, 1).contains("the file `head` is missing"));
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
fn a_broker_that_finds_its_log_cut_off_says_so_in_the_log_and_in_the_metrics() {
    let place = scratch();
    let mut broker = audited(place.path(), "");
    broker.terminate();
    broker.wait();
    fs::remove_file(place.path().join("audit/head")).unwrap();

    let mut broker = audited(place.path(), "");
    let damage = || metric(broker.admin_port(), "bastionmq_audit_damage_total");
    until("it is counted", || damage() == Some(1.0));
    broker.terminate();
    broker.wait();
    let damaged = records(&audit(place.path(), &["search", "--event", "damaged"]));
    assert_eq!(damaged[0]["damage"], "head_missing", "{damaged:?}");
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
