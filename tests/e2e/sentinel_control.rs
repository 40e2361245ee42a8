//! What operators see of the sentinel and tell it, and whom it slows down meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::budgets::until;
use crate::control::Place;
use crate::harness::http::series;
use crate::harness::raw::{self, Connect, PUBACK, PUBLISH, RawClient};
use crate::harness::{ADMIN, DEVICE1, DEVICE2, Stream, bastionmq};

/// A rule about 3 denials of a client, which may then publish 2 messages a second for so long.
fn slows_down(seconds: u32) -> String {
    format!(
        "[keys]\nmaster_key_file = \"master.key\"\n[audit]\ndir = \"audit\"\n\
         [[sentinel.rule]]\nname = \"probing\"\nevents = [\"denied\"]\nper = [\"principal\", \"client\"]\n\
         threshold = 3\nabout = \"It asks for too much\"\n\
         responses = [\"alert\", {{ tighten = \"principal\", rate = 2, seconds = {seconds} }}]\n"
    )
}

fn device(place: &Place, client_id: &str) -> RawClient {
    place.connect(&Connect::new(5, client_id).login(DEVICE1))
}

/// Breaks that rule.
fn probe(client: &mut RawClient) {
    for number in 0..3 {
        assert_eq!(client.subscribe(5, &format!("else/{number}"), 0), 0x87);
    }
}

/// How long it takes until so many messages that are sent at once are acknowledged.
fn publish(client: &mut RawClient, topic: &str, count: u16) -> Duration {
    let begin = Instant::now();
    let each = |id| raw::publish_with(5, PUBLISH | 2, topic, Some(id), &[], b"x");
    client.send(&(1..=count).flat_map(each).collect::<Vec<_>>());
    (1..=count).for_each(|id| assert_eq!(client.expect(PUBACK).acknowledged().0, id));
    begin.elapsed()
}

fn metric(place: &Place, name: &str) -> f64 {
    series(place.broker().admin_port(), name)
}

fn tightened(place: &Place) -> f64 {
    metric(place, "bastionmq_tightenings{kind=\"principal\"}")
}

fn delayed(place: &Place) -> f64 {
    metric(
        place,
        "bastionmq_throttled_total{rule=\"rule:probing\",what=\"messages_in\",action=\"delay\"}",
    )
}

fn json(place: &Place, words: &[&str]) -> Vec<Value> {
    let said = place.ctl(&[words, &["--json"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn recorded(directory: &Path, event: &str) -> Vec<Value> {
    let mut command = bastionmq();
    command.args(["audit", "search", "--event", event, "--dir"]).arg(directory);
    let output = command.output().expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn who_is_slowed_down_publishes_no_more_than_its_rate_until_it_is_lifted() {
    let place = Place::with(&slows_down(3_600));
    let mut other = place.connect(&Connect::new(5, "other").login(DEVICE2));
    let mut twin = device(&place, "twin");
    let mut prober = device(&place, "prober");
    probe(&mut prober);
    until("it shows", || tightened(&place) > 0.5);
    // Two at once, and two a second after that, of both together.
    let took =
        publish(&mut prober, "devices/device1/x", 5) + publish(&mut twin, "devices/device1/x", 3);
    assert!(took >= Duration::from_secs(2), "{took:?}");
    let until_now = delayed(&place);
    assert!(until_now > 0.5);
    publish(&mut other, "devices/device2/x", 20);
    assert_eq!(delayed(&place), until_now, "nobody else is slowed down");
    // Who comes is as well.
    publish(&mut device(&place, "newcomer"), "devices/device1/x", 5);
    assert!(delayed(&place) > until_now);

    let [row] = &json(&place, &["sentinel", "tightened"])[..] else { panic!("one") };
    assert_eq!((&row["subject"], &row["by"]), (&"user:device1".into(), &"rule:probing".into()));
    let said = place.ctl(&["sentinel", "tightened"]).out;
    assert!(said.contains("rule:probing") && said.ends_with("1 of 1 slowed down\n"), "{said}");
    assert_eq!(place.ctl(&["sentinel", "loosen", "user:device1"]).out, "1 limit lifted\n");
    let until_now = delayed(&place);
    publish(&mut prober, "devices/device1/x", 20);
    publish(&mut device(&place, "latecomer"), "devices/device1/x", 20);
    assert_eq!(delayed(&place), until_now);
    until("it shows", || tightened(&place) < 0.5);
    assert_eq!(place.ctl(&["sentinel", "loosen", "--all"]).code, Some(1));
    let name = "bastionmq_sentinel_responses_total{response=\"tighten\",outcome=\"done\"}";
    assert_eq!(metric(&place, name), 1.0);
    let audit = place.file("audit");
    until("it is written", || !recorded(&audit, "slowed_down_ended").is_empty());
    let [slowed] = &recorded(&audit, "slowed_down")[..] else { panic!("one") };
    assert_eq!((&slowed["subject"], &slowed["seconds"]), (&"user:device1".into(), &3_600.into()));
}

#[test]
fn who_is_slowed_down_is_free_when_its_time_is_over() {
    let place = Place::with(&slows_down(1));
    let mut prober = device(&place, "prober");
    probe(&mut prober);
    place.broker().process().wait_for_text(Stream::Err, "slowed down no more: its time is over");
    let until_now = delayed(&place);
    publish(&mut prober, "devices/device1/x", 20);
    assert_eq!(delayed(&place), until_now);
    assert!(json(&place, &["sentinel", "tightened"]).is_empty());
}

#[test]
fn operators_see_rules_and_alerts_and_have_a_rule_only_tried() {
    let place = Place::with(&slows_down(3_600));
    let mut prober = device(&place, "prober");
    let rule = |name: &str| {
        let rules = json(&place, &["sentinel", "rules"]);
        rules.into_iter().find(|it| it["name"] == name).expect("a rule")
    };
    let before = rule("probing");
    assert_eq!((&before["found"], &before["dry_run"]), (&0.into(), &false.into()));
    assert_eq!(before["responses"], serde_json::json!(["alert", "tighten"]));
    assert!(rule("password-guessing")["keys"] == 0);

    let said = place.ctl(&["sentinel", "dry-run", "probing", "on"]);
    assert!(said.out.contains("dry run"), "{}", said.out);
    probe(&mut prober);
    until("it is found", || rule("probing")["found"] == 1);
    let now = rule("probing");
    assert!(now["last"].as_u64() > Some(1_700_000_000) && now["keys"] == 1, "{now}");
    let [alert] = &json(&place, &["sentinel", "alerts"])[..] else { panic!("one") };
    assert_eq!((&alert["rule"], &alert["dry_run"]), (&"probing".into(), &true.into()));
    assert_eq!(alert["responses"][0]["outcome"], "dry_run");
    let said = place.ctl(&["sentinel", "alerts", "-n", "5"]).out;
    assert!(said.contains("client=prober") && said.contains("tighten user:device1"), "{said}");
    assert!(json(&place, &["sentinel", "tightened"]).is_empty());

    assert_eq!(place.ctl(&["sentinel", "dry-run", "probing", "off"]).code, Some(0));
    let mut other = device(&place, "other");
    probe(&mut other);
    until("it is slowed down", || json(&place, &["sentinel", "tightened"]).len() == 1);
    let said = place.ctl(&["sentinel", "dry-run", "no-such-rule", "on"]);
    assert!(said.code == Some(1) && said.err.contains("no-such-rule"), "{}", said.err);
    let said = place.ctl(&["sentinel", "rules"]).out;
    assert!(said.contains("probing") && said.contains(" rules in force\n"), "{said}");
}

#[test]
fn who_is_slowed_down_is_sent_no_more_than_its_rate_and_the_rest_once_it_is_lifted() {
    let place = Place::with(&slows_down(3_600));
    let mut prober = device(&place, "prober");
    assert_eq!(prober.subscribe(5, "devices/device1/down", 0), 0);
    probe(&mut prober);
    until("it shows", || tightened(&place) > 0.5);
    let mut admin = place.connect(&Connect::new(5, "admin").login(ADMIN));
    publish(&mut admin, "devices/device1/down", 20);
    let waits =
        "bastionmq_throttled_total{rule=\"rule:probing\",what=\"messages_out\",action=\"delay\"}";
    until("some wait", || metric(&place, waits) > 0.5);
    assert_eq!(place.ctl(&["sentinel", "loosen", "user:device1"]).code, Some(0));
    for _ in 0..20 {
        prober.expect(PUBLISH);
    }
    prober.expect_silence();
}
