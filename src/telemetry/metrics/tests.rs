//! What is shown, and how it is called.

use super::*;
use crate::codec::Version;

fn value_of(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn every_series_shows_from_the_start_at_zero() {
    let text = Metrics::new().render();
    for series in [
        "bastionmq_connections_open",
        "bastionmq_connections_refused_total{reason=\"tls_handshake\"}",
        "bastionmq_logins_total{method=\"password\",result=\"refused\"}",
        "bastionmq_packets_sent_total{type=\"pubcomp\",version=\"3.1\"}",
        "bastionmq_publishes_received_total{qos=\"2\",version=\"unknown\"}",
        "bastionmq_delivery_seconds_count{qos=\"1\"}",
        "bastionmq_messages_dropped_total{reason=\"offline_qos0\"}",
    ] {
        assert_eq!(value_of(&text, series), Some(0.0), "{series}\n{text}");
    }
}

#[test]
fn each_label_counts_for_itself() {
    let metrics = Metrics::new();
    metrics.logins.increment((LoginMethod::Certificate, LoginResult::Busy));
    let version = ProtocolVersion::Known(Version::V5);
    metrics.publishes_sent.add((QoS::AtLeastOnce, version), 7);
    let text = metrics.render();
    let busy = "bastionmq_logins_total{method=\"certificate\",result=\"busy\"}";
    assert_eq!(value_of(&text, busy), Some(1.0));
    for (qos, count) in [(1, 7.0), (0, 0.0)] {
        let series = format!("bastionmq_publishes_sent_total{{qos=\"{qos}\",version=\"5.0\"}}");
        assert_eq!(value_of(&text, &series), Some(count));
    }
}

#[test]
fn every_metric_has_help_a_type_and_a_conventional_name() {
    let text = Metrics::new().render();
    let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(types.len() > 20, "{text}");
    for (name, kind) in types.iter().filter_map(|line| line.split_once(' ')) {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        assert!(name.starts_with("bastionmq_") || name.starts_with("process_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
}

#[test]
fn two_brokers_in_one_process_count_apart() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.takeovers.increment(1);
    assert_eq!(value_of(&one.render(), "bastionmq_takeovers_total"), Some(1.0));
    assert_eq!(value_of(&other.render(), "bastionmq_takeovers_total"), Some(0.0));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_shows_its_memory_and_files() {
    let text = Metrics::new().render();
    assert!(value_of(&text, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(value_of(&text, "process_virtual_memory_bytes").unwrap() > 1e6);
    assert!(value_of(&text, "process_threads").unwrap() >= 1.0);
    assert!(value_of(&text, "process_cpu_seconds_total").unwrap() > 0.0);
    assert!(value_of(&text, "process_open_fds").unwrap() >= 3.0);
    assert!(value_of(&text, "process_max_fds").unwrap() >= 3.0);
}
