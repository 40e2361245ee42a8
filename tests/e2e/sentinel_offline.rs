//! `bastionmq sentinel test`: rules on what has happened before, as people or the audit log write it.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::harness::raw::{CONNACK, Connect, RawClient};
use crate::harness::{Broker, bastionmq, scratch};

const RULES: &str = "[[sentinel.rule]]\nname = \"valves\"\nevents = [\"denied.publish\"]\n\
    topics = \"plant/+/valve/#\"\nper = [\"principal\"]\nthreshold = 3\n\
    responses = [\"alert\", { ban = \"principal\", seconds = 60 }]\n";

const STREAM: &str = r#"
{"time": 0, "event": "denied.publish", "principal": "user:ann", "topic": "plant/1/valve/x", "times": 2}
{"time": 1, "event": "denied.publish", "principal": "user:ben", "topic": "plant/1/valve/x"}
{"expect": []}
{"time": 2.5, "event": "denied.publish", "principal": "user:ann", "topic": "plant/2/valve/x"}
{"expect": ["valves"]}
{"time": 3, "event": "login_refused.credentials", "address": "192.0.2.1", "times": 20}
{"expect": ["password-guessing"]}
"#;

fn test(place: &TempDir, rules: &str, stream: &str) -> Output {
    let (rules_file, events) = (place.path().join("rules.toml"), place.path().join("e.jsonl"));
    fs::write(&rules_file, rules).expect("rules");
    fs::write(&events, stream).expect("events");
    let mut command = bastionmq();
    command.current_dir(place).args(["sentinel", "test", "rules.toml", "e.jsonl"]);
    command.output().expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_stream_says_when_rules_are_broken_and_whether_that_was_expected() {
    let place = scratch();
    let output = test(&place, RULES, STREAM);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        out(&output),
        "e.jsonl:5: 2.5 s  warning  valves  principal=user:ann  3 of 3  alert, ban principal\n\
         e.jsonl:7: 3 s  warning  password-guessing  address=192.0.2.1  20 of 20  log, alert, webhook\n\
         24 events, 2 findings, 0 of 3 expectations failed\n"
    );
    let strict = RULES.replace("threshold = 3", "threshold = 2\ndry_run = true");
    let output = test(&place, &strict, STREAM);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = out(&output);
    assert!(said.contains("e.jsonl:4: FAILED: to be broken: none; broken are: valves\n"), "{said}");
    assert!(said.contains("e.jsonl:6: FAILED: to be broken: valves; broken are: none\n"), "{said}");
    assert!(said.contains("dry run") && said.ends_with("2 of 3 expectations failed\n"), "{said}");
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let place = scratch();
    for (rules, stream, why) in [
        (
            RULES,
            "{\"time\": 1, \"event\": \"denial\"}\n",
            "e.jsonl:1: there are no events \"denial\"",
        ),
        (RULES, "\n\nno JSON\n", "e.jsonl:3: "),
        ("[[sentinel.rule]]\nname = \"r\"\n", "", "needs `events`"),
        ("[[sentinel.rule]\n", "", "rules.toml:1"),
    ] {
        let output = test(&place, rules, stream);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{said}");
    }
    let mut command = bastionmq();
    command.current_dir(&place).args(["sentinel", "test", "rules.toml", "missing"]);
    assert_eq!(command.output().expect("it runs").status.code(), Some(2));
}

#[test]
fn the_audit_log_of_a_broker_is_a_stream() {
    let place = scratch();
    let mut broker = Broker::secure_with_settings(&format!(
        "\n[keys]\nmaster_key_file = \"{at}/master.key\"\n[audit]\ndir = \"{at}/audit\"\n",
        at = place.path().display()
    ));
    for _ in 0..4 {
        let mut stranger = RawClient::plain(broker.plain_port());
        stranger.send(&Connect::new(5, "eve").login(("device1", "a guess")).encode());
        assert_ne!(stranger.expect(CONNACK).reason(), 0);
    }
    broker.terminate();
    broker.wait();
    let mut search = bastionmq();
    search.args(["audit", "search", "--dir"]).arg(place.path().join("audit"));
    let log = search.output().expect("it runs").stdout;
    let rules = "[[sentinel.rule]]\nname = \"password-guessing\"\nthreshold = 4\n";
    fs::write(place.path().join("rules.toml"), rules).expect("rules");
    let mut command = bastionmq();
    command.current_dir(&place).args(["sentinel", "test", "rules.toml", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("it runs");
    running.stdin.take().expect("piped").write_all(&log).expect("it reads");
    let output = running.wait_with_output().expect("it ends");
    let said = out(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("password-guessing  address=127.0.0.1  4 of 4"), "{said}");
    assert!(said.contains("1 findings"), "{said}");
}
