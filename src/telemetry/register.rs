//! How metrics get their names, and become known to the one who shows them.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{Counters, Gauges, Label, WorkerCounters};

/// Registers with one recorder. A recorder of our own, and not the global one of the process, is
/// what lets several brokers live in one test.
pub(super) struct Register<'a>(pub(super) &'a PrometheusRecorder);

const METADATA: Metadata<'static> = Metadata::new("bastionmq", Level::INFO, None);

impl Register<'_> {
    pub(super) fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.0.describe_counter(KeyName::from_const_str(name), None, help.into());
        self.zeroed_counter(Key::from_name(name))
    }

    pub(super) fn counters<L: Label>(&self, name: &'static str, help: &'static str) -> Counters<L> {
        self.0.describe_counter(KeyName::from_const_str(name), None, help.into());
        Counters::register(|labels| self.zeroed_counter(Key::from_parts(name, labels)))
    }

    pub(super) fn worker_counters<L: Label>(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> WorkerCounters<L> {
        self.0.describe_counter(KeyName::from_const_str(name), None, help.into());
        WorkerCounters::register(|labels| self.zeroed_counter(Key::from_parts(name, labels)))
    }

    pub(super) fn zeroed_counter(&self, key: Key) -> Counter {
        self.0.register_counter(&key, &METADATA)
    }

    pub(super) fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        self.0.describe_histogram(KeyName::from_const_str(name), None, help.into());
        self.0.register_histogram(&Key::from_name(name), &METADATA)
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.0.describe_gauge(KeyName::from_const_str(name), None, help.into());
        self.0.register_gauge(&Key::from_name(name), &METADATA)
    }

    pub(super) fn gauges<L: Label>(&self, name: &'static str, help: &'static str) -> Gauges<L> {
        self.0.describe_gauge(KeyName::from_const_str(name), None, help.into());
        Gauges::register(|labels| self.0.register_gauge(&Key::from_parts(name, labels), &METADATA))
    }

    pub(super) fn build_info(&self) {
        let name = "bastionmq_build_info";
        let version = metrics::Label::from_static_parts("version", env!("CARGO_PKG_VERSION"));
        let help = "1, with the version of this broker as its label";
        self.0.describe_gauge(KeyName::from_const_str(name), None, help.into());
        self.0.register_gauge(&Key::from_parts(name, vec![version]), &METADATA).set(1.0);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.gauge("bastionmq_start_time_seconds", "When this broker started, in Unix time")
            .set(started.as_secs_f64());
    }
}
