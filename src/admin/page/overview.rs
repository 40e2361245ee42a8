//! What the page shows, as JSON. Worked out at most once a second, whoever asks and however many do, and not
//! by a thread that serves connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::rows::{List, PartRow, QueueRow, SanctionRow, alerts};
use crate::admin::readiness::Readiness;
use crate::broker::{Broker, LongestQueues};
use crate::clock::Now;
use crate::telemetry::Readings;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// Sessions with long queues that are shown, connected and away.
const QUEUES: usize = 10;
/// To look at all queues takes at most this part of the time of one thread.
const QUEUES_SHARE: u32 = 20;

/// What is now, by the name of the metric.
const GAUGES: [(&str, &str); 18] = [
    ("connections", "bastionmq_connections_open"),
    ("clients", "bastionmq_clients_connected"),
    ("sessions", "bastionmq_sessions"),
    ("subscriptions", "bastionmq_subscriptions"),
    ("retained", "bastionmq_retained_messages"),
    ("retained_bytes", "bastionmq_retained_bytes"),
    ("in_flight", "bastionmq_in_flight_messages"),
    ("queued_memory_bytes", "bastionmq_queued_memory_bytes"),
    ("queued_disk_bytes", "bastionmq_queued_disk_bytes"),
    ("locked_out", "bastionmq_locked_out"),
    ("bans", "bastionmq_bans"),
    ("quarantines", "bastionmq_quarantines"),
    ("tightened", "bastionmq_tightenings"),
    ("memory_bytes", "process_resident_memory_bytes"),
    ("store_bytes", "bastionmq_store_bytes"),
    ("store_live_bytes", "bastionmq_store_live_bytes"),
    ("store_waiting_bytes", "bastionmq_store_waiting_bytes"),
    ("store_records", "bastionmq_store_records"),
];

/// What only grows while the broker runs.
const COUNTERS: [(&str, &str); 10] = [
    ("connections", "bastionmq_connections_accepted_total"),
    ("messages_in", "bastionmq_publishes_received_total"),
    ("messages_out", "bastionmq_publishes_sent_total"),
    ("bytes_in", "bastionmq_received_bytes_total"),
    ("bytes_out", "bastionmq_sent_bytes_total"),
    ("dropped", "bastionmq_messages_dropped_total"),
    ("takeovers", "bastionmq_takeovers_total"),
    ("internal_errors", "bastionmq_internal_errors_total"),
    ("store_commits", "bastionmq_store_commits_total"),
    ("cpu_seconds", "process_cpu_seconds_total"),
];

/// The name and the value of a label.
type Label = (&'static str, &'static str);

/// What was refused: a metric, by which label, and of which series.
const REFUSALS: [(&str, &str, &str, &[Label]); 9] = [
    ("connections", "bastionmq_connections_refused_total", "reason", &[]),
    ("logins", "bastionmq_logins_total", "method", &[("result", "refused")]),
    ("lock-outs", "bastionmq_logins_total", "result", &[("result", "locked_out")]),
    ("bans", "bastionmq_ban_refusals_total", "kind", &[]),
    ("policy", "bastionmq_acl_decisions_total", "action", &[("decision", "denied")]),
    ("protocol", "bastionmq_protocol_faults_total", "reason", &[]),
    ("payloads", "bastionmq_envelopes_refused_total", "reason", &[]),
    ("limits", "bastionmq_throttled_total", "rule", &[]),
    ("dropped", "bastionmq_messages_dropped_total", "reason", &[]),
];

/// Works out what the page shows, and remembers it for those who ask next.
pub(super) struct Overview {
    source: Arc<Source>,
    /// Held while the next one is worked out: whoever asks meanwhile waits for that.
    last: tokio::sync::Mutex<Option<(Instant, Bytes)>>,
}

/// What it is made of.
struct Source {
    broker: Arc<Broker>,
    inspect: Box<dyn Fn() -> Readiness + Send + Sync>,
    queues: Mutex<Queues>,
}

/// The longest queues when they were last looked for.
#[derive(Default)]
struct Queues {
    longest: LongestQueues,
    /// When they may be looked for again.
    next: Option<Instant>,
}

/// All of it.
#[derive(Serialize)]
struct Shown {
    /// In seconds since the Unix epoch.
    time: f64,
    version: &'static str,
    uptime_seconds: u64,
    stopping: bool,
    ready: bool,
    parts: Vec<PartRow>,
    has_store: bool,
    /// 1 for what it is.
    store_state: BTreeMap<String, f64>,
    gauges: BTreeMap<&'static str, f64>,
    counters: BTreeMap<&'static str, f64>,
    /// Of times of delivery, in seconds.
    delivery: Histogram,
    refused: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// Findings of the sentinel, by severity.
    findings: BTreeMap<String, f64>,
    alerts: Vec<Value>,
    bans: List<SanctionRow>,
    quarantines: List<SanctionRow>,
    slowest: Vec<QueueRow>,
    away: Vec<QueueRow>,
}

/// How many were at or below each bound; the last count is of all.
#[derive(Serialize)]
struct Histogram {
    bounds: Vec<f64>,
    counts: Vec<f64>,
}

impl Overview {
    pub(super) fn of(
        broker: Arc<Broker>,
        inspect: impl Fn() -> Readiness + Send + Sync + 'static,
    ) -> Self {
        let (inspect, queues) = (Box::new(inspect), Mutex::default());
        let source = Arc::new(Source { broker, inspect, queues });
        Self { source, last: tokio::sync::Mutex::default() }
    }

    /// How the broker is now, or was less than a second ago; nothing where that cannot be told, which is a
    /// fault of ours.
    pub(super) async fn current(&self) -> Option<Bytes> {
        let mut last = self.last.lock().await;
        if let Some((at, json)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let _ = at;
            return Some(json.clone());
        }
        let source = Arc::clone(&self.source);
        let told = spawn_blocking(move || serde_json::to_vec(&source.look())).await;
        match told.map_err(|error| error.to_string()).and_then(|it| it.map_err(|e| e.to_string())) {
            Ok(json) => {
                let json = Bytes::from(json);
                *last = Some((Instant::now(), json.clone()));
                Some(json)
            }
            Err(error) => {
                tracing::error!(error, "the administrative page cannot be shown");
                None
            }
        }
    }
}

impl Source {
    fn look(&self) -> Shown {
        let store = self.broker.store();
        if let Some(store) = store {
            store.show();
        }
        let (readings, readiness) = (self.broker.metrics().read(), (self.inspect)());
        let (report, LongestQueues { connected, away }) = (self.broker.report(), self.queues());
        Shown {
            time: Now::read().unix.as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: report.uptime.as_secs(),
            stopping: report.is_stopping,
            ready: readiness.is_ready(),
            parts: readiness.into_parts().into_iter().map(PartRow::of).collect(),
            has_store: store.is_some(),
            store_state: readings.by("bastionmq_store_state", "state", &[]),
            gauges: totals(&readings, &GAUGES),
            counters: totals(&readings, &COUNTERS),
            delivery: Histogram::of(readings.buckets("bastionmq_delivery_seconds")),
            refused: refused(&readings),
            findings: readings.by("bastionmq_sentinel_findings_total", "severity", &[]),
            alerts: alerts(&self.broker),
            bans: List::of(self.broker.bans()),
            quarantines: List::of(self.broker.quarantined()),
            slowest: connected.into_iter().map(QueueRow::of).collect(),
            away: away.into_iter().map(QueueRow::of).collect(),
        }
    }

    /// Those that were last found, where there are so many sessions that looking takes its time.
    fn queues(&self) -> LongestQueues {
        let mut queues = self.queues.lock();
        let begin = Instant::now();
        if queues.next.is_none_or(|next| next <= begin) {
            queues.longest = self.broker.longest_queues(QUEUES);
            queues.next = Some(begin + begin.elapsed() * QUEUES_SHARE);
        }
        queues.longest.clone()
    }
}

impl Histogram {
    fn of(buckets: Vec<(f64, f64)>) -> Self {
        let (bounds, counts): (Vec<f64>, Vec<f64>) = buckets.into_iter().unzip();
        // JSON has no infinity.
        Self { bounds: bounds.into_iter().filter(|bound| bound.is_finite()).collect(), counts }
    }
}

fn totals(
    readings: &Readings,
    names: &[(&'static str, &'static str)],
) -> BTreeMap<&'static str, f64> {
    names.iter().map(|(key, metric)| (*key, readings.total(metric))).collect()
}

/// Only what has happened at all.
fn refused(readings: &Readings) -> BTreeMap<&'static str, BTreeMap<String, f64>> {
    let by_reason = REFUSALS.iter().map(|(what, metric, label, only)| {
        let mut reasons = readings.by(metric, label, only);
        reasons.retain(|_, count| *count > 0.0);
        (*what, reasons)
    });
    by_reason.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Metrics, ThrottleAction, Throttled};

    #[test]
    fn every_metric_that_is_shown_exists() {
        let metrics = Metrics::new();
        // It has no series before there is a rule.
        metrics.throttled("a rule", Throttled::MessagesIn, ThrottleAction::Drop).increment(0);
        let text = metrics.render();
        let names = GAUGES.iter().chain(&COUNTERS).map(|(_, name)| *name);
        for name in names.chain(REFUSALS.iter().map(|(_, name, ..)| *name)) {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }

    #[test]
    fn what_has_never_been_refused_is_not_told() {
        let metrics = Metrics::new();
        metrics.throttled("a rule", Throttled::MessagesIn, ThrottleAction::Drop).increment(2);
        let refused = refused(&metrics.read());
        assert_eq!(refused["limits"], BTreeMap::from([("a rule".to_owned(), 2.0)]));
        assert!(refused["connections"].is_empty());
    }
}
