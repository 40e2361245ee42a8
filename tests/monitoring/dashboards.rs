//! Dashboards are whole, and ask for nothing that the broker does not have.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{asked_for, assert_is_there, dashboards, exposition, expressions, panels};

/// Units of Grafana that mean something for what we show.
const UNITS: [&str; 9] = ["short", "ops", "mps", "eps", "pps", "Bps", "bytes", "s", "percentunit"];

/// Kinds of panels that are used.
const KINDS: [&str; 4] = ["stat", "timeseries", "heatmap", "row"];

#[test]
fn every_metric_and_label_of_the_dashboards_exists() {
    let exposition = exposition();
    for (name, dashboard) in dashboards() {
        let expressions: Vec<_> = panels(&dashboard).flat_map(expressions).collect();
        assert!(expressions.len() > 10, "{name} has too few expressions");
        expressions.iter().for_each(|expression| assert_is_there(&exposition, expression));
        for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
            assert_is_there(
                &exposition,
                annotation["target"]["expr"].as_str().expect("an expression"),
            );
        }
    }
}

#[test]
fn every_metric_of_the_broker_is_on_a_dashboard() {
    let dashboards = dashboards();
    let expressions = dashboards.iter().flat_map(|(_, it)| panels(it)).flat_map(expressions);
    let shown: BTreeSet<_> = expressions.flat_map(|expression| asked_for(expression).0).collect();
    for line in exposition().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(shown.contains(name), "{name} is on no dashboard");
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_when_to_worry() {
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty(), "{name} has a panel without a title");
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{name}, {title}: no sentence describes it");
            let defaults = &panel["fieldConfig"]["defaults"];
            let unit = defaults["unit"].as_str().unwrap_or_default();
            assert!(UNITS.contains(&unit), "{name}, {title}: unit {unit:?}");
            if panel["type"] != "heatmap" {
                assert!(defaults["color"]["mode"].is_string(), "{name}, {title}: no colours");
            }
            let steps = defaults["thresholds"]["steps"].as_array().expect("thresholds");
            assert!(
                steps[0]["value"].is_null(),
                "{name}, {title}: the first threshold has a value"
            );
            let values: Vec<_> = steps[1..].iter().map(|step| step["value"].as_f64()).collect();
            assert!(values.is_sorted() && values.iter().all(Option::is_some), "{name}, {title}");
            assert!(expressions(panel).next().is_some(), "{name}, {title}: no expression");
        }
    }
}

#[test]
fn dashboards_have_what_grafana_requires_and_nothing_twice() {
    let dashboards = dashboards();
    let names: Vec<_> = dashboards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["delivery", "internals", "overview", "security", "store"]);
    let mut uids = BTreeSet::new();
    for (name, dashboard) in &dashboards {
        assert_eq!(dashboard["uid"], format!("bastionmq-{name}"));
        assert!(uids.insert(dashboard["uid"].to_string()));
        assert!(dashboard["title"].as_str().is_some_and(|title| title.starts_with("BastionMQ")));
        assert!(dashboard["schemaVersion"].as_u64() >= Some(39), "{name}");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let variables: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "instance"], "{name}");
        check_panels(name, dashboard);
    }
}

fn check_panels(name: &str, dashboard: &Value) {
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = &panel["title"];
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "{name}, {title}: its id is taken"
        );
        assert!(KINDS.contains(&panel["type"].as_str().unwrap_or_default()), "{name}, {title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
        assert!(width > 0 && height > 0 && x + width <= 24, "{name}, {title} is out of the grid");
        for cell in (y..y + height).flat_map(|y| (x..x + width).map(move |x| (x, y))) {
            assert!(places.insert(cell), "{name}, {title} lies on another panel");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}, {title}");
            assert!(target["legendFormat"].is_string(), "{name}, {title}");
        }
    }
}
