//! Lines and colours on panels say when to worry: where an alert watches the same, from the number on from which
//! that fires.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{dashboards, expressions, panels, selected, text, values};

/// Nothing that an alert says to be too much is a whole event, or one a minute: what shows that it is there at all.
const ANY: [f64; 2] = [1.0, 0.01];

/// What every alert watches: the dashboard, and the panel.
const WATCHED: [(&str, &str, &str); 39] = [
    ("BastionMQDown", "overview", "Brokers down"),
    ("BastionMQRestartsOften", "internals", "Starts within an hour"),
    ("BastionMQInternalError", "internals", "Faults of the broker"),
    ("BastionMQLoginsRefused", "overview", "Logins refused"),
    ("BastionMQLoginsRefused", "security", "Logins refused"),
    ("BastionMQLockouts", "security", "Locked out"),
    ("BastionMQLoginsBusy", "internals", "Logins turned away"),
    ("BastionMQDenials", "security", "Denied by the policy"),
    ("BastionMQDenials", "security", "Denied by the policy, by action"),
    ("BastionMQForgedPayloads", "security", "Payloads forged"),
    ("BastionMQProtocolFaults", "security", "Protocol faults, by reason"),
    ("BastionMQConnectionsRefused", "overview", "Refused"),
    ("BastionMQConnectionsRefused", "security", "Connections refused, by reason"),
    ("BastionMQThrottling", "overview", "Over a rate"),
    ("BastionMQThrottling", "security", "Over a rate, by rule and action"),
    ("BastionMQSentinelFindings", "security", "Sentinel, last hour"),
    ("BastionMQSentinelFindings", "security", "Findings, by rule"),
    ("BastionMQSentinelBlind", "security", "Events lost"),
    ("BastionMQWebhookFailing", "security", "Alerts to the webhook"),
    ("BastionMQSentinelForgets", "security", "Keys unlearned"),
    ("BastionMQAuditFailing", "security", "Audit log not written"),
    ("BastionMQAuditLosing", "security", "Events lost"),
    ("BastionMQAuditDamaged", "security", "Audit log damaged"),
    ("BastionMQLogLosing", "internals", "Lines of the log that are lost"),
    ("BastionMQTakeovers", "security", "Taken over"),
    ("BastionMQSessionsRevoked", "security", "Sessions revoked, by reason"),
    ("BastionMQReloadFailed", "security", "Files not in force, by name"),
    ("BastionMQHttpServiceDown", "security", "Left alone"),
    ("BastionMQMessagesDropped", "delivery", "Messages dropped, by reason"),
    ("BastionMQDeliverySlow", "overview", "Delivery time"),
    ("BastionMQDeliverySlow", "delivery", "Delivery time"),
    ("BastionMQDeliverySlow", "delivery", "Delivery time, p99 by QoS"),
    ("BastionMQStoreFailing", "store", "Disk takes nothing, by why"),
    ("BastionMQStoreSlow", "store", "Time of a sync"),
    ("BastionMQStoreDamaged", "store", "Damage"),
    ("BastionMQStoreBehind", "store", "Waiting"),
    ("BastionMQFilesRunOut", "internals", "File descriptors"),
    ("BastionMQAcceptErrors", "security", "Connections waiting for descriptors"),
    ("BastionMQSaturated", "internals", "Workers"),
];

const FLEET: &str = "clients and what they do are as many as the fleet makes them";
const MACHINE: &str = "machines differ in what they have";
const MIXED: &str = "what is well is in it; what is not has a line on a panel of its own";
const NEUTRAL: &str = "no value is better than another";

/// Panels for which no number is right for everybody, and why.
const NO_NUMBER: [(&str, &str, &str); 54] = [
    ("delivery", "Out for one in", FLEET),
    ("delivery", "Delivery time, distribution", "heatmaps have no thresholds"),
    ("delivery", "Messages in, by version", FLEET),
    ("delivery", "Messages out, by version", FLEET),
    ("delivery", "Writes that are timed", FLEET),
    ("delivery", "Bytes in, by QoS", FLEET),
    ("delivery", "Bytes out, by QoS", FLEET),
    ("delivery", "Size of a message", FLEET),
    ("delivery", "Acknowledgements in", FLEET),
    ("delivery", "Acknowledgements out", FLEET),
    ("delivery", "Bytes of other packets", FLEET),
    ("internals", "Version", NEUTRAL),
    ("internals", "Up", NEUTRAL),
    ("internals", "Memory per client", "with few clients it is what the broker itself takes"),
    ("internals", "Processor", MACHINE),
    ("internals", "Memory", MACHINE),
    (
        "internals",
        "Processor time for each message",
        "with few messages it is what the broker itself takes",
    ),
    ("internals", "Rests", NEUTRAL),
    ("internals", "Memory reserved", NEUTRAL),
    ("internals", "Packets in, by type", FLEET),
    ("internals", "Packets out, by type", FLEET),
    ("internals", "Tasks", FLEET),
    (
        "internals",
        "Threads and files",
        "machines differ: File descriptors has the part of what may be open",
    ),
    ("internals", "Traces", "as many as the configuration asks for"),
    ("internals", "Spans of traces", "as many as the configuration asks for"),
    ("overview", "Messages in", FLEET),
    ("overview", "Messages out", FLEET),
    ("overview", "Processor", MACHINE),
    ("overview", "Memory", MACHINE),
    ("overview", "Messages in, by QoS", FLEET),
    ("overview", "Messages out, by QoS", FLEET),
    ("overview", "Comings and goings", FLEET),
    ("overview", "Bytes", FLEET),
    ("overview", "Logins, by version of MQTT", FLEET),
    (
        "security",
        "Post-quantum handshakes",
        "what clients are able to do is not the broker's to choose",
    ),
    ("security", "Logins, by method and result", MIXED),
    ("security", "Allowed by the policy, and not delivered", FLEET),
    ("security", "Handshakes, by key exchange", FLEET),
    ("security", "Handshakes, by version and cipher", FLEET),
    ("security", "Asked at login, by answer", MIXED),
    ("security", "Asked again, by answer", MIXED),
    ("security", "Passwords remembered", FLEET),
    ("security", "Sealed payloads", FLEET),
    ("security", "Files read anew", MIXED),
    ("security", "Age of what is in force", "what nobody changes grows old"),
    ("store", "On disk", MACHINE),
    ("store", "Of use", "what is of no use is cleaned up in its time"),
    ("store", "Syncs and commits", FLEET),
    ("store", "Bytes written", MACHINE),
    ("store", "Bytes written for each message", FLEET),
    ("store", "Never written, and read", FLEET),
    ("store", "Size", MACHINE),
    ("store", "Records and segments", FLEET),
    ("store", "Sessions, subscriptions, retained", FLEET),
];

/// The values and colours from which on a panel says to worry.
fn steps(panel: &Value) -> Vec<(f64, &str)> {
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    let steps = steps.expect("thresholds").iter().skip(1);
    steps
        .map(|step| {
            (step["value"].as_f64().expect("a value"), step["color"].as_str().expect("a colour"))
        })
        .collect()
}

#[test]
fn every_panel_shows_when_to_worry_or_has_a_reason_not_to() {
    let mut without: BTreeSet<_> =
        NO_NUMBER.iter().map(|(dashboard, title, _)| (*dashboard, *title)).collect();
    assert_eq!(without.len(), NO_NUMBER.len(), "a panel is named twice");
    let dashboards = dashboards();
    for (name, dashboard) in &dashboards {
        for panel in panels(dashboard) {
            let title = panel["title"].as_str().expect("a title");
            let is_excused = without.remove(&(name.as_str(), title));
            assert_eq!(steps(panel).is_empty(), is_excused, "{name}, {title}");
            // A statistic has the colour itself; in a chart the line has to be drawn.
            let style = &panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"];
            let is_drawn = panel["type"] != "timeseries" || style == "dashed";
            assert!(is_excused || is_drawn, "{name}, {title}: its lines are not shown");
        }
    }
    assert!(without.is_empty(), "there are no such panels: {without:?}");
}

#[test]
fn panels_say_to_worry_from_where_the_alert_that_watches_the_same_fires() {
    let (alerts, recording) =
        (text("grafana/rules/alerts.yml"), text("grafana/rules/recording.yml"));
    let recorded: Vec<_> = values(&recording, "record").zip(values(&recording, "expr")).collect();
    let dashboards = dashboards();
    let conditions = values(&alerts, "expr").zip(values(&alerts, "severity"));
    for (alert, (condition, severity)) in values(&alerts, "alert").zip(conditions) {
        let (watched, number) = condition.rsplit_once([' ']).expect("a number");
        let number: f64 = number.parse().expect("a number");
        let watched =
            recorded.iter().fold(watched.to_owned(), |it, (name, of)| it.replace(name, of));
        let places: Vec<_> = WATCHED.iter().filter(|(name, ..)| *name == alert).collect();
        assert!(!places.is_empty(), "no panel shows what {alert} watches");
        for (_, name, title) in places {
            let dashboard = &dashboards.iter().find(|(it, _)| it == name).expect("a dashboard").1;
            let panel = panels(dashboard).find(|panel| panel["title"] == *title);
            let panel = panel.unwrap_or_else(|| panic!("{name} has no panel {title}"));
            let shown: BTreeSet<_> = expressions(panel).flat_map(selected).collect();
            let watched = selected(&watched);
            let is_shown = watched.is_subset(&shown);
            assert!(is_shown, "{name}, {title} shows {shown:?}, and {alert} watches {watched:?}");
            let agrees = |value: f64| value == number || number == 0.0 && ANY.contains(&value);
            let colour = steps(panel).into_iter().find(|(value, _)| agrees(*value));
            let colour =
                colour.unwrap_or_else(|| panic!("{name}, {title}: no line where {alert} fires")).1;
            assert!(
                severity != "critical" || colour == "red",
                "{name}, {title}: {alert} is critical"
            );
        }
    }
    let names: BTreeSet<_> = values(&alerts, "alert").collect();
    assert!(WATCHED.iter().all(|(alert, ..)| names.contains(alert)), "there is no such alert");
}

#[test]
fn every_panel_that_the_runbook_names_is_there() {
    let (runbook, dashboards) = (text("docs/runbook.md"), dashboards());
    // Lines are wrapped anywhere.
    let runbook: String = runbook.split_whitespace().flat_map(|word| [word, " "]).collect();
    let sentences = ["anel *", "anels *"].map(|start| runbook.split(start).skip(1));
    let mut count = 0;
    for sentence in sentences.into_iter().flatten() {
        let (named, rest) = sentence.split_once("* of *").expect("the dashboard of a panel");
        let name = rest.split('*').next().unwrap_or_default().to_lowercase();
        let dashboard = dashboards.iter().find(|(it, _)| *it == name);
        let (_, dashboard) = dashboard.unwrap_or_else(|| panic!("{named}: no dashboard {name}"));
        for title in named.split("* and *") {
            let is_there = panels(dashboard).any(|panel| panel["title"] == title);
            assert!(is_there, "the runbook names a panel that {name} has not: {title}");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}
