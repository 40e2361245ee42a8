//! The dashboards ask for nothing that the broker does not have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeSet;

use bastionmq::telemetry::Metrics;

const OVERVIEW: &str = include_str!("../grafana/dashboards/overview.json");

/// Every `name` and `label="value"` that stands in the expressions of `dashboard`.
fn asked_for(dashboard: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let expressions = dashboard.lines().filter_map(|line| line.trim().strip_prefix("\"expr\": "));
    let (mut names, mut values) = (BTreeSet::new(), BTreeSet::new());
    for expression in expressions {
        let plain = expression.replace('\\', "");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in plain.split(|c| !is_name(c)) {
            if word.starts_with("bastionmq_") || word.starts_with("process_") {
                // A histogram goes by the name of all of its series.
                names.insert(word.strip_suffix("_bucket").unwrap_or(word).to_owned());
            }
        }
        for (label, rest) in plain.match_indices("=\"").map(|(at, _)| plain.split_at(at)) {
            let label = label.rsplit(|c| !is_name(c)).next().unwrap();
            let value = rest.trim_start_matches("=\"").split('"').next().unwrap();
            values.insert(format!("{label}=\"{value}\""));
        }
    }
    (names, values)
}

#[test]
fn every_metric_and_label_of_the_dashboards_exists() {
    let exposition = Metrics::new().render();
    let (names, values) = asked_for(OVERVIEW);
    assert!(names.len() > 15, "too few metrics found in the dashboard: {names:?}");
    assert!(values.contains("result=\"refused\""), "{values:?}");
    for name in names {
        let is_there = exposition.lines().any(|line| line.starts_with(&format!("# TYPE {name} ")));
        assert!(is_there, "the broker has no metric {name}");
    }
    for value in values {
        assert!(exposition.contains(&value), "the broker has no series with {value}");
    }
}

#[test]
fn every_metric_of_the_broker_is_on_a_dashboard() {
    let (names, _) = asked_for(OVERVIEW);
    let exposition = Metrics::new().render();
    let not_shown = ["bastionmq_build_info", "bastionmq_start_time_seconds"];
    for line in exposition.lines().filter_map(|line| line.strip_prefix("# TYPE bastionmq_")) {
        let name = format!("bastionmq_{}", line.split(' ').next().unwrap());
        let is_detail = name.starts_with("bastionmq_packets_") || name.ends_with("_bytes");
        assert!(
            names.contains(&name) || not_shown.contains(&name.as_str()) || is_detail,
            "{name} is on no dashboard"
        );
    }
}
