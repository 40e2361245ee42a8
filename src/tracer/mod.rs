//! Traces for OpenTelemetry: which connections and publications are traced, their spans, and how these reach a
//! collector (OTLP over HTTP, as JSON).
//!
//! Each connection decides for itself what is traced, so that what is not costs it a few instructions. Nobody waits
//! for a span to be posted.

mod connect;
mod exporter;
mod forcing;
mod open_span;
mod otlp;
mod publication;
mod sampler;
mod settings;
mod span;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

pub use connect::{ConnectSampler, ConnectTrace, Stage};
pub use publication::{Considered, DeliveryTrace, PublishSampler, PublishTrace};
pub use sampler::{NotARatio, Ratio};
pub use settings::Settings;
pub use span::Value;

use self::exporter::Exporter;
use self::forcing::{Forcing, Level};
use self::sampler::Sampler;
use self::span::Span;
use crate::http_client::Access;
use crate::identity::PeerAddress;
use crate::telemetry::Metrics;
use crate::trace_context::{SpanId, TraceContext, TraceId};

/// How the collector is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where, and what both sides prove to each other.
    pub access: Access,
    /// For one attempt, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

/// Begins traces, and has their spans posted once it is [run](Self::run).
#[derive(Debug)]
pub struct Tracer {
    exporter: Exporter,
    /// Of 2^63 each.
    connect_threshold: AtomicU64,
    publish_threshold: AtomicU64,
    forcing: ArcSwap<Forcing>,
    /// Of all clients together.
    forced: Level,
    /// What its level is counted from.
    started: Instant,
    max_deliveries: u32,
    includes_identifiers: bool,
    metrics: Arc<Metrics>,
}

impl Tracer {
    /// Nothing is posted yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let most_waiting = settings.max_queued_spans.get() as usize;
        Self {
            exporter: Exporter::new(endpoint, settings.service_name.clone(), most_waiting),
            connect_threshold: AtomicU64::new(settings.connect_ratio.threshold()),
            publish_threshold: AtomicU64::new(settings.publish_ratio.threshold()),
            forcing: ArcSwap::from_pointee(Forcing::of(settings)),
            forced: Level::default(),
            started: Instant::now(),
            max_deliveries: settings.max_deliveries,
            includes_identifiers: settings.include_identifiers,
            metrics,
        }
    }

    /// Takes up how much is traced: of connections that come from now on, and of what is published then. The rest
    /// stays as it was.
    pub fn follow(&self, settings: &Settings) {
        self.connect_threshold.store(settings.connect_ratio.threshold(), Ordering::Relaxed);
        self.publish_threshold.store(settings.publish_ratio.threshold(), Ordering::Relaxed);
        self.forcing.store(Arc::new(Forcing::of(settings)));
    }

    /// Whether spans say which client, user, address and topic they are about.
    #[must_use]
    pub fn includes_identifiers(&self) -> bool {
        self.includes_identifiers
    }

    /// Posts spans, until it is [closed](Self::close). Does nothing where it runs already.
    pub async fn run(&self) {
        self.exporter.run(&self.metrics.tracing).await;
    }

    /// What waits is posted at once, and then [`Self::run`] returns.
    pub fn close(&self) {
        self.exporter.close();
    }

    fn submit(&self, span: Span) {
        self.exporter.submit(span, &self.metrics.tracing);
    }

    /// What decides for one connection or listener; none where there is no randomness.
    fn sampler() -> Option<Sampler> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).ok()?;
        Some(Sampler::new(u64::from_be_bytes(seed)))
    }

    /// That of a trace that begins here; none where there is no randomness.
    fn new_context() -> Option<TraceContext> {
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        getrandom::fill(&mut trace).ok()?;
        getrandom::fill(&mut span).ok()?;
        let (trace, span) = (TraceId::new(trace)?, SpanId::new(span)?);
        Some(TraceContext { trace, span, is_sampled: true })
    }
}

/// Who spans are about, where they say so.
#[derive(Clone, Copy, Debug)]
pub struct Identifiers<'a> {
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Who it has proven to be, or claims to.
    pub user: Option<&'a str>,
    /// Where it comes from.
    pub address: &'a PeerAddress,
}

impl Identifiers<'_> {
    fn set(self, span: &mut open_span::OpenSpan) {
        span.set("messaging.client.id", Value::said(self.client_id));
        if let Some(user) = self.user {
            span.set("user.name", Value::said(user));
        }
        if let PeerAddress::Network(address) = self.address {
            span.set("network.peer.address", Value::said(&address.ip().to_string()));
            span.set("network.peer.port", u32::from(address.port()));
        }
    }
}
