//! Spans on their way to a collector: in batches, posted one after the other, tried again where that may help, and
//! never waited for. What finds no place among those that wait is counted.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Endpoint, otlp, span::Span};
use crate::http_client::{Fault, pause_with_jitter};
use crate::telemetry::{SpanResult, TracingMetrics};

/// Spans of one request.
const BATCH: usize = 512;
/// For how long a span waits for others.
const DELAY: Duration = Duration::from_secs(5);
/// How often a batch is tried.
const ATTEMPTS: u32 = 5;

/// The queue of spans, and what is at its end.
#[derive(Debug)]
pub(super) struct Exporter {
    endpoint: Endpoint,
    service_name: String,
    queue: Sender<Span>,
    /// Until it is run.
    waiting: Mutex<Option<Receiver<Span>>>,
    closing: watch::Sender<bool>,
}

/// Why a batch has not been taken.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("it has not answered in time")]
    Timeout,
}

impl Failure {
    /// Whether it is of no use to send the same again: of answers, only some mean "later" (OTLP, "Failures").
    fn is_final(&self) -> bool {
        let Self::Fault(Fault::Status { status, .. }) = self else { return false };
        ![
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ]
        .contains(status)
    }

    /// For how long the collector asks not to be asked again; it must be heard (OTLP/HTTP, "Retryable Response
    /// Codes" and "OTLP/HTTP Throttling").
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fault(Fault::Status { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

impl Exporter {
    /// Nothing is posted yet.
    pub(super) fn new(endpoint: Endpoint, service_name: String, most_waiting: usize) -> Self {
        let (queue, waiting) = channel(most_waiting);
        let (closing, _) = watch::channel(false);
        Self { endpoint, service_name, queue, waiting: Mutex::new(Some(waiting)), closing }
    }

    /// Has `span` posted soon. Never waits.
    pub(super) fn submit(&self, span: Span, metrics: &TracingMetrics) {
        if self.queue.try_send(span).is_err() {
            metrics.spans.increment(SpanResult::Dropped);
        }
    }

    /// What waits, of an exporter that is not run.
    #[cfg(test)]
    pub(super) fn take_waiting(&self) -> Vec<Span> {
        let mut waiting = self.waiting.lock();
        let waiting = waiting.as_mut().into_iter();
        waiting
            .flat_map(|it| std::iter::from_fn(|| it.try_recv().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// What waits is posted at once, each batch tried no more than once, and then [`Self::run`] returns.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Posts what is submitted, until it is closed. Does nothing where it runs already.
    pub(super) async fn run(&self, metrics: &TracingMetrics) {
        let Some(mut waiting) = self.waiting.lock().take() else { return };
        let mut closing = self.closing.subscribe();
        let (mut batch, mut failures) = (Vec::with_capacity(BATCH), 0);
        loop {
            collect(&mut waiting, &mut closing, &mut batch).await;
            if batch.is_empty() {
                return;
            }
            self.deliver(&batch, &mut closing, &mut failures, metrics).await;
            batch.clear();
        }
    }

    /// Tries a batch a few times. `failures` are those in a row until now, of earlier batches too.
    async fn deliver(
        &self,
        batch: &[Span],
        closing: &mut watch::Receiver<bool>,
        failures: &mut u32,
        metrics: &TracingMetrics,
    ) {
        let count = |result, spans: usize| metrics.spans.add(result, spans as u64);
        let Ok(body) = otlp::request(&self.service_name, batch).map(Bytes::from) else {
            return count(SpanResult::Failed, batch.len());
        };
        let url = &self.endpoint.access.url;
        for _ in 0..ATTEMPTS {
            let failure = match self.attempt(&body).await {
                Ok(rejected) => {
                    if std::mem::take(failures) > 0 {
                        tracing::info!(%url, "the collector of traces answers again");
                    }
                    let rejected =
                        usize::try_from(rejected).map_or(batch.len(), |it| it.min(batch.len()));
                    count(SpanResult::Rejected, rejected);
                    return count(SpanResult::Exported, batch.len() - rejected);
                }
                Err(failure) => failure,
            };
            if *failures == 0 {
                tracing::warn!(%url, "the collector of traces fails: {failure}");
            }
            let pause = pause_with_jitter(*failures, failure.retry_after(), random());
            *failures = failures.saturating_add(1);
            if failure.is_final() {
                return count(SpanResult::Rejected, batch.len());
            }
            if *closing.borrow() {
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = closed(closing) => {}
            }
        }
        count(SpanResult::Failed, batch.len());
    }

    /// Posts `body`; how many of its spans the collector does not want.
    async fn attempt(&self, body: &Bytes) -> Result<u64, Failure> {
        let Endpoint { access, timeout: patience } = &self.endpoint;
        let posted = timeout(*patience, access.post(body.clone(), HeaderMap::new())).await;
        let answer = posted.map_err(|_| Failure::Timeout)??;
        Ok(otlp::rejected(&answer))
    }
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness the pause is right all the same, and only not spread.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

/// Waits for spans: for as many as a batch has, or those that come soon after the first. None means that it is
/// closed and no more are there.
async fn collect(
    waiting: &mut Receiver<Span>,
    closing: &mut watch::Receiver<bool>,
    batch: &mut Vec<Span>,
) {
    let whole = async {
        waiting.recv_many(batch, BATCH).await;
        let deadline = Instant::now() + DELAY;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            if timeout_at(deadline, waiting.recv_many(batch, room)).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        () = whole => {}
        () = closed(closing) => {}
    }
    while batch.len() < BATCH
        && let Ok(span) = waiting.try_recv()
    {
        batch.push(span);
    }
}

/// Returns once it is closed. Who closes it lives as long as whoever asks.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|is_closed| *is_closed).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Access;
    use crate::telemetry::Metrics;
    use crate::trace_context::{SpanId, TraceId};
    use crate::tracer::span::SpanKind;

    fn exporter(most_waiting: usize) -> Exporter {
        let url = "http://127.0.0.1:9/v1/traces".parse().unwrap();
        let access = Access { url, tls: None, token: None };
        let endpoint = Endpoint { access, timeout: Duration::from_secs(1) };
        Exporter::new(endpoint, "test".to_owned(), most_waiting)
    }

    fn span() -> Span {
        Span {
            trace: TraceId::new([1; 16]).unwrap(),
            id: SpanId::new([1; 8]).unwrap(),
            parent: None,
            name: "publish",
            kind: SpanKind::Internal,
            start: Duration::ZERO,
            end: Duration::ZERO,
            attributes: Vec::new(),
            failure: None,
        }
    }

    #[test]
    fn what_finds_no_place_among_those_that_wait_is_counted() {
        let (exporter, metrics) = (exporter(4), Metrics::new());
        (0..7).for_each(|_| exporter.submit(span(), &metrics.tracing));
        let shown = metrics.render();
        assert!(shown.contains("bastionmq_trace_spans_total{result=\"dropped\"} 3"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_full_or_five_seconds_old() {
        let exporter = exporter(2 * BATCH);
        let metrics = Metrics::new();
        let mut waiting = exporter.waiting.lock().take().unwrap();
        let mut closing = exporter.closing.subscribe();
        let mut batch = Vec::new();
        (0..BATCH + 3).for_each(|_| exporter.submit(span(), &metrics.tracing));
        let began = Instant::now();
        collect(&mut waiting, &mut closing, &mut batch).await;
        assert_eq!((batch.len(), began.elapsed()), (BATCH, Duration::ZERO));
        batch.clear();
        collect(&mut waiting, &mut closing, &mut batch).await;
        assert_eq!(batch.len(), 3);
        assert!((DELAY..DELAY + DELAY).contains(&began.elapsed()));
        batch.clear();
        exporter.submit(span(), &metrics.tracing);
        exporter.close();
        collect(&mut waiting, &mut closing, &mut batch).await;
        assert_eq!(batch.len(), 1);
        batch.clear();
        collect(&mut waiting, &mut closing, &mut batch).await;
        assert!(batch.is_empty() && began.elapsed() < DELAY + DELAY);
    }

    #[test]
    fn only_what_means_later_is_tried_again() {
        for (status, is_final) in [
            (400, true),
            (401, true),
            (404, true),
            (500, true),
            (302, true),
            (429, false),
            (502, false),
            (503, false),
            (504, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let fault = Fault::Status { status, retry_after: None };
            assert_eq!(Failure::Fault(fault).is_final(), is_final, "{status}");
        }
        assert!(!Failure::Timeout.is_final());
    }
}
