//! Every scenario of the benchmark, briefly and with the real binary: nothing is lost, doubled or
//! out of order. How long anything takes is asserted nowhere.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and then says why"
)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the benchmark with `broker`, from the root of the repository.
fn bench(broker: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bastionmq-bench"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--quick", "--broker", broker])
        .args(arguments)
        .output()
        .expect("the benchmark starts")
}

fn bastionmq() -> String {
    let program = env!("CARGO_BIN_EXE_bastionmq");
    format!("bastionmq={program} serve --config {{config:benches/brokers/bastionmq.toml}}")
}

#[track_caller]
fn passes(scenario: &str, arguments: &[&str], steps: usize) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("report.json");
    let json_path = json.to_str().expect("a path in UTF-8");
    let mut all = vec!["--scenario", scenario, "--json", json_path];
    all.extend(arguments);
    let output = bench(&bastionmq(), &all);
    let errors = String::from_utf8_lossy(&output.stderr);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}\n{errors}");
    let is_row = |line: &&str| line.contains("| bastionmq ") && !line.starts_with("| scenario ");
    assert_eq!(table.lines().filter(is_row).count(), steps, "{table}");
    assert_eq!(read(&json).matches("\"broker\": \"bastionmq\"").count(), steps);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the report is written")
}

#[test]
fn pairs_lose_nothing_at_any_qos_plain_and_over_tls() {
    passes("pairs-qos0,pairs-qos1,pairs-qos2", &["--transport", "tcp,tls"], 6);
}

#[test]
fn large_payloads_arrive_whole() {
    passes("pairs-qos1,fan-out", &["--payload", "1024,65536", "--transport", "tcp,tls"], 8);
}

#[test]
fn pairs_with_one_message_in_flight_go_on() {
    passes("pairs-one-ahead", &[], 1);
}

#[test]
fn fans_lose_nothing() {
    passes("fan-out,fan-in", &[], 2);
}

#[test]
fn a_shared_subscription_gives_each_message_to_one() {
    passes("shared", &[], 1);
}

#[test]
fn each_of_many_subscriptions_gets_its_messages() {
    passes("subscriptions", &[], 1);
}

#[test]
fn every_retained_message_is_kept() {
    passes("retained", &[], 2);
}

#[test]
fn what_waited_for_a_session_arrives() {
    passes("offline", &[], 2);
}

#[test]
fn pairs_with_sessions_that_are_kept_lose_nothing() {
    passes("kept-pairs", &[], 1);
}

#[test]
fn messages_at_a_fixed_rate_all_arrive() {
    passes("latency", &[], 1);
}

#[test]
fn a_subscriber_that_stops_reading_costs_the_others_nothing() {
    passes("slow-neighbour", &[], 2);
}

#[test]
fn idle_connections_are_counted() {
    passes("connections", &["--transport", "tcp,tls"], 2);
}

#[test]
fn another_broker_that_fails_or_cannot_is_reported_and_the_run_goes_on() {
    let other = ["--broker", "other=/nowhere/broker {port}", "--scenario", "fan-in,shared"];
    let cannot = ["--cannot", "other:shared=it shares nothing"];
    let output = bench(&bastionmq(), &[&other[..], &cannot].concat());
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}");
    assert!(table.contains("FAILED: other in fan-in"), "{table}");
    assert!(table.contains("CANNOT: other in shared, tcp, 64 B: it shares nothing"), "{table}");
}

#[test]
fn a_broker_that_cannot_start_fails_the_run_and_says_why() {
    let output = bench("none=/nowhere/broker {port}", &["--scenario", "fan-in"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(table.contains("FAILED: none in fan-in"), "{table}");
    assert!(table.contains("cannot start /nowhere/broker"), "{table}");
}
