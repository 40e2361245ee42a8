//! Everything that Grafana reads is as its own schemas say: types that its makers publish, and TypeScript's compiler.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::files::text;
use crate::harness::clients::node;

/// The files that Grafana reads, and what each is in `tests/clients/grafana.ts`.
const FILES: [(&str, &str); 8] = [
    ("dashboards/delivery.json", "Dashboard"),
    ("dashboards/internals.json", "Dashboard"),
    ("dashboards/overview.json", "Dashboard"),
    ("dashboards/security.json", "Dashboard"),
    ("dashboards/store.json", "Dashboard"),
    ("provisioning/datasources/prometheus.yml", "DataSources"),
    ("provisioning/dashboards/bastionmq.yml", "DashboardProviders"),
    ("provisioning/alerting/bastionmq.yml", "AlertRules"),
];

/// What may be wrong with them: the text of a file, what stands there in its place, and what is said of it.
const FAULTS: [(&str, &str, &str, &str); 27] = [
    ("store.json", r#""uid": "b"#, r#""uuid": "b"#, "'\"uuid\"' does not exist in type"),
    (
        "store.json",
        r#""schemaVersion": 39"#,
        r#""schemaVersion": "39""#,
        "'string' is not assignable",
    ),
    ("store.json", r#""graphTooltip": 1"#, r#""graphTooltip": 3"#, "'3' is not assignable"),
    ("store.json", r#""icon": "external link","#, "", "Property 'icon' is missing"),
    ("store.json", r#""refresh": 2"#, r#""refresh": 4"#, "'4' is not assignable"),
    ("store.json", r#""type": "stat""#, r#""type": "stats""#, "'\"stats\"' is not assignable"),
    ("store.json", r#""w": 4,"#, r#""w": "4","#, "'string' is not assignable"),
    (
        "security.json",
        r#""collapsed": false"#,
        r#""colapsed": false"#,
        "'\"colapsed\"' does not exist",
    ),
    ("store.json", r#""fieldConfig""#, r#""fieldconfig""#, "'\"fieldconfig\"' does not exist"),
    ("store.json", r#""unit": "bytes""#, r#""unit": "byte""#, "'\"byte\"' is not assignable"),
    (
        "store.json",
        r#""mode": "absolute""#,
        r#""mode": "linear""#,
        "'\"linear\"' is not assignable",
    ),
    ("store.json", r#""value": null"#, r#""value": "none""#, "'string' is not assignable"),
    ("store.json", r#""type": "range""#, r#""type": "ranges""#, "'\"ranges\"' is not assignable"),
    (
        "store.json",
        r#""colorMode": "value""#,
        r#""colorMode": "red""#,
        "'\"red\"' is not assignable",
    ),
    ("store.json", r#""graphMode""#, r#""graphmode""#, "'\"graphmode\"' does not exist"),
    ("store.json", r#""legend": {"#, r#""legends": {"#, "'\"legends\"' does not exist"),
    ("store.json", r#""sort": "desc""#, r#""sort": "descending""#, "'\"descending\"' is not"),
    ("store.json", r#""drawStyle": "line""#, r#""drawStyle": "lines""#, "'\"lines\"' is not"),
    ("store.json", r#""lineWidth": 1"#, r#""linewidth": 1"#, "'\"linewidth\"' does not exist"),
    ("store.json", r#""id": "color""#, r#""id": "colour""#, "'\"colour\"' is not assignable"),
    ("store.json", r#""legendFormat""#, r#""legend""#, "'\"legend\"' does not exist"),
    ("store.json", r#""datasource": {"#, r#""dataSource": {"#, "'\"dataSource\"' does not exist"),
    ("delivery.json", r#""steps": 64"#, r#""steps": "64""#, "'string' is not assignable"),
    ("datasources/prometheus.yml", "isDefault", "is_default", "'\"is_default\"' does not exist"),
    ("dashboards/bastionmq.yml", "path:", "paths:", "'\"paths\"' does not exist"),
    ("alerting/bastionmq.yml", "noDataState: OK", "noDataState: Ok", "'\"Ok\"' is not assignable"),
    ("alerting/bastionmq.yml", "type: lt", "type: less", "'\"less\"' is not assignable"),
];

/// What is wrong with each of these, by its name; each has a type of `grafana.ts`, and its text.
fn problems(checked: &[(String, &str, String)]) -> BTreeMap<String, Vec<String>> {
    let checked: Vec<_> = checked
        .iter()
        .map(|(name, kind, text)| json!({"name": name, "type": kind, "text": text}))
        .collect();
    let mut command = node("grafana_types.mjs");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("Node runs");
    let input = serde_json::to_vec(&checked).expect("JSON");
    child.stdin.take().expect("piped").write_all(&input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn everything_that_grafana_reads_is_as_its_schemas_say() {
    let checked = FILES.map(|(file, kind)| {
        (file.replace(['/', '.'], "_"), kind, text(&format!("grafana/{file}")))
    });
    let problems = problems(&checked);
    assert_eq!(problems.len(), FILES.len());
    assert!(problems.values().all(Vec::is_empty), "{problems:#?}");
}

#[test]
fn what_is_not_as_the_schemas_of_grafana_say_is_found() {
    let broken: Vec<_> = FAULTS
        .iter()
        .enumerate()
        .map(|(number, (name, right, wrong, _))| {
            let (file, kind) = FILES.iter().find(|(file, _)| file.ends_with(name)).expect("a file");
            let text = text(&format!("grafana/{file}"));
            assert!(text.contains(right), "{file} has no {right}");
            (number.to_string(), *kind, text.replacen(right, wrong, 1))
        })
        .collect();
    let problems = problems(&broken);
    for (number, (name, _, wrong, expected)) in FAULTS.iter().enumerate() {
        let found = &problems[&number.to_string()];
        assert!(found.iter().any(|it| it.contains(expected)), "{name}, {wrong}: {found:#?}");
    }
}
