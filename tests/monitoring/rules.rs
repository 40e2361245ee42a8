//! Rules ask for nothing that the broker does not have, each alert has its part in the runbook, and Grafana
//! evaluates the same ones as Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::files::{assert_is_there, exposition, text, values};
use crate::harness::scratch;

const ALERTS: &str = "grafana/rules/alerts.yml";
const RECORDING: &str = "grafana/rules/recording.yml";
const GRAFANA: &str = "grafana/provisioning/alerting/bastionmq.yml";

#[test]
fn every_metric_and_label_of_the_rules_exists() {
    let (exposition, recording) = (exposition(), text(RECORDING));
    let recorded: BTreeSet<_> = values(&recording, "record").collect();
    assert!(recorded.len() > 5, "{recorded:?}");
    for file in [ALERTS, RECORDING, GRAFANA] {
        let rules = text(file);
        assert!(values(&rules, "expr").count() >= recorded.len(), "{file}");
        for expression in values(&rules, "expr") {
            let (mut own, mut rest) = (expression.to_owned(), Vec::new());
            for name in recorded.iter().filter(|name| expression.contains(**name)) {
                rest.push(*name);
                own = own.replace(name, "");
            }
            assert!(!own.contains("instance:"), "{file}: nobody records what it asks for: {own}");
            assert!(file != GRAFANA || rest.is_empty(), "Grafana has no recording rules: {rest:?}");
            assert_is_there(&exposition, &own);
        }
    }
}

#[test]
fn each_alert_has_its_part_in_the_runbook_and_leads_there() {
    let (alerts, runbook) = (text(ALERTS), text("docs/runbook.md"));
    let names: Vec<_> = values(&alerts, "alert").collect();
    assert!(names.len() > 20, "{names:?}");
    let parts: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(names, parts);
    let links: Vec<_> = values(&alerts, "runbook_url").map(str::to_owned).collect();
    let expected: Vec<_> =
        names.iter().map(|name| format!("docs/runbook.md#{}", name.to_lowercase())).collect();
    assert_eq!(links, expected);
    for part in runbook.split("\n## ").skip(1) {
        assert!(part.contains("\nLook at:\n") && part.contains("\nDo:\n"), "{part}");
    }
}

#[test]
fn every_alert_is_tried_when_it_should_fire_and_when_not() {
    let (alerts, tests) = (text(ALERTS), text("grafana/rules/tests.yml"));
    let (fires, quiet) = tests.split_once("nothing fires when all is well").expect("both");
    for name in values(&alerts, "alert") {
        for part in [fires, quiet] {
            assert!(values(part, "alertname").any(|tried| tried == name), "{name} is not tried");
        }
    }
}

#[test]
fn grafana_evaluates_the_alerts_that_prometheus_does() {
    let (alerts, grafana) = (text(ALERTS), text(GRAFANA));
    for key in ["severity", "description", "runbook_url", "for"] {
        let ours: Vec<_> = values(&alerts, key).collect();
        assert_eq!(values(&grafana, key).collect::<Vec<_>>(), ours, "{key}");
    }
    let names: Vec<_> = values(&alerts, "alert").collect();
    assert_eq!(values(&grafana, "title").collect::<Vec<_>>(), names);
    let uids: BTreeSet<_> = values(&grafana, "uid").collect();
    assert_eq!(uids.len(), names.len());
}

#[test]
fn the_command_of_the_docs_makes_addresses_of_the_paths_that_alerts_lead_to() {
    let (docs, directory) = (text("docs/monitoring.md"), scratch());
    for file in [ALERTS, RECORDING, "grafana/rules/tests.yml", GRAFANA] {
        let copy = directory.path().join(file);
        fs::create_dir_all(copy.parent().expect("a directory")).expect("it is ours");
        fs::write(copy, text(file)).expect("it is ours");
    }
    let command = docs.lines().find(|line| line.starts_with("sed -i 's|docs/runbook.md#|"));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.expect("a command")).current_dir(directory.path());
    assert!(shell.status().expect("a shell").success());
    for file in [ALERTS, "grafana/rules/tests.yml", GRAFANA] {
        let changed = fs::read_to_string(directory.path().join(file)).expect("it is there");
        let links: Vec<_> = values(&changed, "runbook_url").collect();
        let leads =
            |link: &&str| link.starts_with("https://") && link.contains("/docs/runbook.md#");
        assert!(!links.is_empty() && links.iter().all(leads), "{file}: {links:?}");
    }
}
