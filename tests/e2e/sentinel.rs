//! How the sentinel looks at a broker that runs, and who hears of what it finds.

use std::path::Path;

use serde_json::Value;

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, DEVICE1, Place, Stream, bastionmq, http, scratch};

/// A broker with an audit log in `place`.
pub(crate) fn watched(place: &Path, more: &str) -> Broker {
    Broker::secure_with_settings(&(audited(place) + more))
}

/// Settings of an audit log in `place`.
pub(crate) fn audited(place: &Path) -> String {
    let at = place.display();
    format!("\n[keys]\nmaster_key_file = \"{at}/master.key\"\n[audit]\ndir = \"{at}/audit\"\n")
}

/// Somebody who hears of all alerts.
pub(crate) fn listener(broker: &Broker) -> RawClient {
    let connect = Connect::new(5, "watcher").login(ADMIN);
    let mut watcher = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(watcher.subscribe(5, "$bastion/alerts/#", 0), 0);
    watcher
}

pub(crate) fn device(broker: &Broker) -> RawClient {
    let connect = Connect::new(5, "device1").login(DEVICE1);
    RawClient::connected(broker.plain_port(), &connect)
}

/// The next alert: its topic, and what it says.
fn alert(watcher: &mut RawClient) -> (String, Value) {
    let published = watcher.read().publish(5);
    let told = serde_json::from_slice(&published.payload).expect("an alert is JSON");
    (published.topic, told)
}

/// The alert of `rule`, whatever others come before it.
pub(crate) fn alert_of(watcher: &mut RawClient, rule: &str) -> Value {
    loop {
        let (topic, told) = alert(watcher);
        if told["rule"] == rule {
            let severity = told["severity"].as_str().expect("a severity");
            assert_eq!(topic, format!("$bastion/alerts/{severity}/{rule}"));
            return told;
        }
    }
}

pub(crate) fn found(broker: &Broker, rule: &str, severity: &str) -> f64 {
    let name =
        format!("bastionmq_sentinel_findings_total{{rule=\"{rule}\",severity=\"{severity}\"}}");
    http::series(broker.admin_port(), &name)
}

/// What stands in the audit log of alerts, once the broker has ended.
pub(crate) fn recorded(place: &Path, broker: &mut Broker) -> Vec<Value> {
    broker.terminate();
    broker.wait();
    let mut command = bastionmq();
    command.args(["audit", "search", "--event", "alert", "--dir"]).arg(place.join("audit"));
    let output = command.output().expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub(crate) fn fails_to_log_in(broker: &Broker, user: &'static str) {
    let mut stranger = RawClient::plain(broker.plain_port());
    stranger.send(&Connect::new(5, "eve").login((user, "a guess")).encode());
    assert_ne!(stranger.expect(raw::CONNACK).reason(), 0);
}

#[test]
fn guessing_passwords_is_counted_logged_told_of_and_written_down() {
    let place = scratch();
    let mut broker = watched(place.path(), "");
    let mut watcher = listener(&broker);
    assert!(found(&broker, "password-guessing", "warning") < 0.5);
    (0..20).for_each(|_| fails_to_log_in(&broker, "device1"));
    let told = alert_of(&mut watcher, "password-guessing");
    assert_eq!(told["key"]["address"], "127.0.0.1");
    assert_eq!((&told["value"], &told["seconds"]), (&20.0.into(), &60.into()));
    assert_eq!(told["principal"], "user:device1");
    assert!(found(&broker, "password-guessing", "warning") > 0.5);
    broker.process().wait_for_text(Stream::Err, "sentinel: One address fails to log in");
    let recorded = recorded(place.path(), &mut broker);
    let record = recorded.iter().find(|it| it["rule"] == "password-guessing").expect("a record");
    assert_eq!((&record["severity"], &record["threshold"]), (&"warning".into(), &20.0.into()));
    assert_eq!(record["key"]["address"], "127.0.0.1");
}

#[test]
fn a_rule_that_is_only_tried_is_counted_and_written_down_and_nobody_is_told() {
    let place = scratch();
    let rules = "[[sentinel.rule]]\nname = \"topic-probing\"\ndry_run = true\nthreshold = 2\n\
        [[sentinel.rule]]\nname = \"any-denial\"\nevents = [\"denied\"]\nthreshold = 3\n";
    let mut broker = watched(place.path(), rules);
    let mut watcher = listener(&broker);
    let mut device = device(&broker);
    for number in 0..3 {
        assert_eq!(device.subscribe(5, &format!("else/{number}"), 0), 0x87);
    }
    // The first that is told of comes after the one that is not.
    assert_eq!(alert(&mut watcher).1["rule"], "any-denial");
    assert!(found(&broker, "topic-probing", "warning") > 0.5);
    let recorded = recorded(place.path(), &mut broker);
    let tried = recorded.iter().find(|it| it["rule"] == "topic-probing").expect("a record");
    assert_eq!(tried["dry_run"], true);
}

#[test]
fn rules_change_while_the_broker_runs() {
    let place = Place::of_site();
    let broker = &place.broker;
    let (mut watcher, mut device) = (listener(broker), device(broker));
    let before = place.text("bastionmq.toml");
    let rule = "[[sentinel.rule]]\nname = \"any\"\nevents = [\"denied\"]\n";
    place.replace("bastionmq.toml", format!("{before}{rule}"));
    let fault = place.log("not reloaded");
    assert!(fault.contains("bastionmq.toml:") && fault.contains("threshold"), "{fault}");
    place.replace("bastionmq.toml", format!("{before}{rule}threshold = 1\n"));
    place.reloaded("config");
    assert_eq!(device.subscribe(5, "else", 0), 0x87);
    assert_eq!(alert_of(&mut watcher, "any")["topic"], "else");
    let off = "[sentinel]\nenabled = false\n";
    place.replace("bastionmq.toml", format!("{before}{off}{rule}threshold = 1\n"));
    place.reloaded_times("config", 2);
    let events = || http::metric(broker.admin_port(), "bastionmq_sentinel_events_total");
    let looked_at = events();
    assert_eq!(device.subscribe(5, "else/2", 0), 0x87);
    assert_eq!(events(), looked_at);
}

#[test]
fn nobody_publishes_alerts_and_who_may_not_hear_them_does_not() {
    let broker = Broker::secure();
    let connect = Connect::new(5, "admin").login(ADMIN);
    let mut admin = RawClient::connected(broker.plain_port(), &connect);
    let first = raw::PUBLISH | 1 << 1;
    let forged = "$bastion/alerts/critical/password-guessing";
    admin.send(&raw::publish_with(5, first, forged, Some(1), &[], b"{}"));
    assert_eq!(admin.expect(raw::PUBACK).acknowledged().1, 0x87);
    assert_eq!(device(&broker).subscribe(5, "$bastion/alerts/#", 0), 0x87);
}
