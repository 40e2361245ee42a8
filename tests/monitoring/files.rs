//! The files below `grafana/`, and what their expressions ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bastionmq::telemetry::{Metrics, ThrottleAction, Throttled};
use serde_json::Value;

/// A file of the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every dashboard, by the name of its file.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let directory = fs::read_dir(path("grafana/dashboards")).expect("dashboards");
    let mut dashboards: Vec<_> = directory
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a dashboard");
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    dashboards.sort_by(|one, other| one.0.cmp(&other.0));
    dashboards
}

/// The panels of a dashboard that show something.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().filter(|panel| panel["type"] != "row")
}

/// The expressions of a panel.
pub(crate) fn expressions(panel: &Value) -> impl Iterator<Item = &str> {
    let targets = panel["targets"].as_array().expect("targets");
    targets.iter().map(|target| target["expr"].as_str().expect("an expression"))
}

/// What stands behind `key` in each line of a file of rules that has it, quotes aside.
pub(crate) fn values<'a>(rules: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = rules.lines().map(|line| line.trim().trim_start_matches("- "));
    let values = lines.filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "));
    values.map(|value| value.trim_matches(['\'', '"']))
}

/// Every metric of the broker, and every `label="value"`, that stands in an expression.
pub(crate) fn asked_for(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (mut names, mut values) = (BTreeSet::new(), BTreeSet::new());
    for word in expression.split(|c| !is_name(c)) {
        if word.starts_with("bastionmq_") || word.starts_with("process_") {
            // A histogram goes by the name of all of its series.
            let suffixes = ["_seconds_bucket", "_seconds_sum", "_seconds_count"];
            let is_histogram = suffixes.iter().any(|suffix| word.ends_with(suffix));
            let cut = if is_histogram { word.rsplit_once('_').map(|cut| cut.0) } else { None };
            names.insert(cut.unwrap_or(word).to_owned());
        }
    }
    for (at, operator) in expression.match_indices("=\"").chain(expression.match_indices("=~\"")) {
        let label = expression[..at].trim_end_matches('!').rsplit(|c| !is_name(c)).next().unwrap();
        let value = expression[at + operator.len()..].split('"').next().unwrap();
        // Of patterns only those that list what they mean.
        for value in value.split('|').filter(|value| value.chars().all(|c| is_name(c) || c == '.'))
        {
            values.insert(format!("{label}=\"{value}\""));
        }
    }
    (names, values)
}

/// The series that an expression asks for, each with what its labels have to be, but for those that say which
/// broker it is.
pub(crate) fn selected(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut all = BTreeSet::new();
    let mut rest = expression;
    while let Some(at) = rest.find("bastionmq_") {
        rest = &rest[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let braces = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
        let labels = braces.map_or("", |(labels, _)| labels).split(',');
        let which = |label: &&str| !label.is_empty() && !label.starts_with("instance=");
        let labels: BTreeSet<_> = labels.filter(which).collect();
        all.insert(labels.into_iter().fold(name, |it, label| it + "," + label));
    }
    all
}

/// What the broker shows, within its runtime, with a rule as the configuration names them.
pub(crate) fn exposition() -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let metrics = Metrics::new();
        ["warning", "critical"].into_iter().for_each(|it| metrics.shows_rule("any", it));
        let _ = metrics.throttled("any", Throttled::MessagesIn, ThrottleAction::Delay);
        metrics.render()
    })
}

/// Fails where an expression asks for what the broker does not have.
pub(crate) fn assert_is_there(exposition: &str, expression: &str) {
    let (names, values) = asked_for(expression);
    for name in names {
        let is_there = exposition.lines().any(|line| line.starts_with(&format!("# TYPE {name} ")));
        assert!(is_there, "the broker has no metric {name}: {expression}");
    }
    // Not the broker's: Prometheus adds them.
    let of_prometheus = ["instance=", "job=", "alertname=", "alertstate="];
    for value in values.iter().filter(|it| !of_prometheus.iter().any(|label| it.starts_with(label)))
    {
        assert!(exposition.contains(value), "the broker has no series with {value}: {expression}");
    }
}
