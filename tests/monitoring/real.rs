//! Every panel and every alert, evaluated by the real Prometheus over a broker under traffic and attack.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::drill::Stage;
use crate::files::{dashboards, expressions, panels};
use crate::harness::http;
use crate::prometheus::{Prometheus, program, promtool};

/// How long data may take to come: seconds of scraping, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What the drill does not make happen: `promtool test rules` tries those alerts.
const NOT_DRILLED: [&str; 19] = [
    "BastionMQRestartsOften",
    "BastionMQInternalError",
    "BastionMQLoginsBusy",
    "BastionMQForgedPayloads",
    "BastionMQSentinelBlind",
    "BastionMQSentinelForgets",
    "BastionMQWebhookFailing",
    "BastionMQAuditFailing",
    "BastionMQAuditLosing",
    "BastionMQAuditDamaged",
    "BastionMQLogLosing",
    "BastionMQDeliverySlow",
    "BastionMQStoreFailing",
    "BastionMQStoreSlow",
    "BastionMQStoreDamaged",
    "BastionMQStoreBehind",
    "BastionMQFilesRunOut",
    "BastionMQAcceptErrors",
    "BastionMQSaturated",
];

#[test]
fn every_panel_and_every_alert_has_data_under_traffic_and_attack() {
    let mut stage = Stage::set();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = nobody.local_addr().expect("an address").port();
    let prometheus = Prometheus::start(stage.place.broker.admin_port(), nobody);
    stage.flow();
    // What is counted is seen to grow only from the first look on.
    until(&mut stage, "it is looked at", || !prometheus.evaluate("up == 1").is_empty());
    stage.attack();
    let mut wanted = asked_by_panels();
    let (alerts, sides) = alerts(&prometheus);
    wanted.extend(sides);
    assert!(wanted.len() > 100, "{}", wanted.len());
    let mut quiet: BTreeSet<_> = alerts.into_iter().collect();
    NOT_DRILLED.iter().for_each(|name| assert!(quiet.remove(*name), "{name} is no alert"));
    let deadline = Instant::now() + LIMIT;
    while !(wanted.is_empty() && quiet.is_empty()) {
        stage.flow();
        wanted.retain(|(_, expression)| prometheus.evaluate(expression).is_empty());
        // Whether it would fire is what is asked: for how long it would have to is not waited for.
        for alert in prometheus.ask("/api/v1/alerts")["alerts"].as_array().expect("alerts") {
            quiet.remove(alert["labels"]["alertname"].as_str().expect("a name"));
        }
        assert!(Instant::now() < deadline, "no data for {wanted:#?}, and quiet: {quiet:#?}");
    }
}

/// What each panel asks, for all brokers and over what a short test has; without what is there to show
/// nothing, or 0, where nothing has happened.
fn asked_by_panels() -> Vec<(String, String)> {
    let mut asked = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let place = format!("{name}, {}", panel["title"]);
            let plain = |it: &str| {
                let it = it.replace("$instance", ".*").replace("$__rate_interval", "1m");
                let whole = [" or vector(0)", " > 0", " >= 0", " == 0"];
                whole.iter().fold(it, |it, end| it.trim_end_matches(end).to_owned())
            };
            asked.extend(expressions(panel).map(|it| (place.clone(), plain(it))));
        }
    }
    asked
}

/// The names of all alerts, and what they compare with a number.
fn alerts(prometheus: &Prometheus) -> (Vec<String>, Vec<(String, String)>) {
    let data = prometheus.ask("/api/v1/rules");
    let groups = data["groups"].as_array().expect("groups");
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let (mut names, mut sides) = (Vec::new(), Vec::new());
    for rule in rules {
        let name = rule["name"].as_str().expect("a name").to_owned();
        let query = rule["query"].as_str().expect("a query");
        if rule["type"] == "alerting" {
            let mut words = query.rsplitn(3, ' ');
            let number: f64 = words.next().and_then(|word| word.parse().ok()).expect("a number");
            assert!(number >= 0.0 && matches!(words.next(), Some(">" | "==")), "{query}");
            sides.push((name.clone(), words.next().expect("what is compared").to_owned()));
            names.push(name);
        } else {
            sides.push((name, query.to_owned()));
        }
    }
    (names, sides)
}

fn until(stage: &mut Stage, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        stage.flow();
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_rules_and_configuration() {
    promtool(&["check", "rules", "rules/recording.yml", "rules/alerts.yml"]);
    promtool(&["test", "rules", "rules/tests.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics_of_a_broker_that_works() {
    let mut stage = Stage::set();
    stage.flow();
    let (_, metrics) = http::get(stage.place.broker.admin_port(), "/metrics");
    let mut child = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, metrics.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
