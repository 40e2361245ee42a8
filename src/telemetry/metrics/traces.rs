//! What is counted of traces.

use super::super::register::Register;
use super::super::{Counters, SpanResult, TraceDecision, WorkerCounters};

/// Counters of what is traced, and of what has become of it.
#[derive(Debug)]
pub struct TracingMetrics {
    /// Spans, by what has become of them.
    pub spans: Counters<SpanResult>,
    /// Connections and messages, by why they are traced or are not. Those are not counted that nobody has asked for.
    pub traces: WorkerCounters<TraceDecision>,
}

impl TracingMetrics {
    pub(super) fn register(register: &Register<'_>) -> Self {
        Self {
            spans: register.counters(
                "bastionmq_trace_spans_total",
                "Spans of traces, by what has become of them",
            ),
            traces: register.worker_counters(
                "bastionmq_traces_total",
                "Connections and messages that are traced, by why, and those whose publishers asked too often",
            ),
        }
    }
}
