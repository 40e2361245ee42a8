//! The trace of a message: from when its packet has come to when that is acknowledged, and its deliveries.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::open_span::OpenSpan;
use super::sampler::Sampler;
use super::span::SpanKind;
use super::{Identifiers, Tracer, Value};
use crate::clock::Now;
use crate::codec::{Property, ReasonCode, Version};
use crate::message::{Message, QoS};
use crate::telemetry::TraceDecision;
use crate::trace_context::{MessageTrace, TraceContext};

/// The number of the span of a commit among those below a publication; deliveries count from 1.
const COMMIT: u64 = 0;

/// Decides which messages of one connection are traced.
#[derive(Debug)]
pub struct PublishSampler {
    tracer: Arc<Tracer>,
    sampler: Sampler,
    threshold: u64,
    /// What the client has asked for of late.
    forced: u64,
}

/// The trace of one message that a client publishes. Dropped before it is acknowledged, it has failed.
#[derive(Debug)]
pub struct PublishTrace {
    // The order in which they are dropped: what is below goes first.
    commit: Option<OpenSpan>,
    root: OpenSpan,
    tracer: Arc<Tracer>,
    shared: Arc<MessageTrace>,
}

/// That a subscriber is sent it. Dropped before it has left, it has failed.
#[derive(Debug)]
pub struct DeliveryTrace(OpenSpan);

impl Tracer {
    /// What decides for one connection which of its messages are traced; none where there is no randomness.
    #[must_use]
    pub fn publications(self: &Arc<Self>) -> Option<PublishSampler> {
        let threshold = self.publish_threshold.load(Ordering::Relaxed);
        let sampler = Self::sampler()?;
        Some(PublishSampler { tracer: Arc::clone(self), sampler, threshold, forced: 0 })
    }
}

impl PublishSampler {
    /// Its tracer.
    #[must_use]
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// Takes up another ratio, where there is one: to be called once for many messages.
    pub fn follow(&mut self) {
        self.threshold = self.tracer.publish_threshold.load(Ordering::Relaxed);
    }

    /// Whether a message may be traced: most are not. To be asked once for each.
    #[must_use]
    pub fn considers(&mut self, message: &Message) -> Option<Considered> {
        let is_taken = self.sampler.takes(self.threshold);
        (is_taken || !message.properties.is_empty()).then_some(Considered { is_taken })
    }

    /// The trace of a message that came at `now`, if it has one.
    pub fn begin(
        &mut self,
        Considered { is_taken }: Considered,
        message: &Message,
        version: Version,
        now: Now,
    ) -> Option<PublishTrace> {
        let parent = self.parent_of(message, is_taken);
        let decision = match parent {
            _ if is_taken => TraceDecision::Sampled,
            Some(parent) if parent.is_sampled => self.force(now),
            _ => return None,
        };
        self.tracer.metrics.tracing.traces.add(decision, 1);
        if decision == TraceDecision::Refused {
            return None;
        }
        let own = Tracer::new_context()?;
        let context = TraceContext { trace: parent.map_or(own.trace, |it| it.trace), ..own };
        let parent = parent.map(|parent| parent.span);
        let mut root = OpenSpan::root(&self.tracer, context, parent, "publish", now);
        describe(&mut root, "publish", message.qos, version);
        root.set("mqtt.retain", message.retain);
        root.set("messaging.message.body.size", message.payload.len());
        let shared = MessageTrace::new(context, now, self.tracer.max_deliveries);
        let tracer = Arc::clone(&self.tracer);
        Some(PublishTrace { commit: None, root, tracer, shared: Arc::new(shared) })
    }

    /// The span that the message asks to be a child of. Who is not heard anyway is not read.
    fn parent_of(&self, message: &Message, is_taken: bool) -> Option<TraceContext> {
        if message.properties.is_empty() || !is_taken && !self.tracer.forcing.load().is_possible() {
            return None;
        }
        let user = Property::iter(&message.properties).filter_map(|property| match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        });
        TraceContext::of_properties(user)
    }

    fn force(&mut self, now: Now) -> TraceDecision {
        let forcing = self.tracer.forcing.load();
        let since = now.instant.saturating_duration_since(self.tracer.started);
        match forcing.admits(&mut self.forced, &self.tracer.forced, since) {
            true => TraceDecision::Forced,
            false => TraceDecision::Refused,
        }
    }
}

/// A message that may be traced.
#[derive(Clone, Copy, Debug)]
pub struct Considered {
    /// Whether the ratio says so; otherwise its publisher may.
    is_taken: bool,
}

impl PublishTrace {
    /// What is to go with the message.
    #[must_use]
    pub fn shared(&self) -> &Arc<MessageTrace> {
        &self.shared
    }

    /// Who has published it and where, where spans say so.
    pub fn identify(&mut self, identifiers: Identifiers<'_>, topic: &str) {
        if self.tracer.includes_identifiers {
            identifiers.set(&mut self.root);
            self.root.set("messaging.destination.name", Value::said(topic));
        }
    }

    /// It was taken or refused.
    pub fn set_reason(&mut self, reason: ReasonCode) {
        self.root.set("mqtt.reason_code", reason.byte());
        if reason.is_error() {
            self.root.fail(format!("{reason:?}"));
        }
    }

    /// Its acknowledgement waits for the store since then. The first call counts.
    pub fn await_commit(&mut self, since: Instant) {
        let Self { tracer, shared, .. } = self;
        self.commit.get_or_insert_with(|| {
            let (context, what) = (shared.context, ("store commit", SpanKind::Internal));
            let id = context.span.sibling(COMMIT);
            OpenSpan::below(tracer, context, id, what, (shared.began, since))
        });
    }

    /// Its acknowledgement has left, or it needs none.
    pub fn end(mut self, at: Instant) {
        if let Some(commit) = self.commit.take() {
            commit.end(at);
        }
        self.root.set("bastionmq.recipients", self.shared.recipients());
        self.root.end(at);
    }
}

impl DeliveryTrace {
    /// A message that is traced is about to be sent to a client of this version, unless enough others are traced.
    #[must_use]
    pub fn begin(
        tracer: &Arc<Tracer>,
        message: &MessageTrace,
        qos: QoS,
        version: Version,
    ) -> Option<Self> {
        let number = message.next_delivery()?;
        let (context, what) = (message.context, ("deliver", SpanKind::Producer));
        let id = context.span.sibling(number.into());
        let times = (message.began, message.routed());
        let mut span = OpenSpan::below(tracer, context, id, what, times);
        describe(&mut span, "deliver", qos, version);
        Some(Self(span))
    }

    /// Who is sent it, where spans say so.
    pub fn identify(&mut self, tracer: &Tracer, identifiers: Identifiers<'_>) {
        if tracer.includes_identifiers {
            identifiers.set(&mut self.0);
        }
    }

    /// It has left.
    pub fn end(self, at: Instant) {
        self.0.end(at);
    }
}

fn describe(span: &mut OpenSpan, operation: &'static str, qos: QoS, version: Version) {
    span.set("messaging.system", "mqtt");
    span.set("messaging.operation.name", operation);
    span.set("network.protocol.name", "mqtt");
    span.set("network.protocol.version", version.name());
    span.set("mqtt.qos", qos as u8);
}
