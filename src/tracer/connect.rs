//! The trace of a connection: from when it is accepted to when its client is answered.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::open_span::OpenSpan;
use super::sampler::Sampler;
use super::span::SpanKind;
use super::{Identifiers, Tracer, Value};
use crate::clock::Now;
use crate::codec::{ReasonCode, Version};
use crate::telemetry::TraceDecision;
use crate::trace_context::TraceContext;

/// Decides which connections of one listener are traced.
#[derive(Debug)]
pub struct ConnectSampler {
    tracer: Arc<Tracer>,
    sampler: Sampler,
}

/// What a connection is busy with before its client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn.
    Queue,
    /// Its proxy says whom it forwards.
    Proxy,
    /// TLS is agreed on.
    Tls,
    /// HTTP becomes WebSocket.
    WebSocket,
    /// The CONNECT is read.
    Connect,
    /// It is found out who the client is.
    Authenticate,
    /// The client gets its session, which another connection may have to let go of first.
    Session,
    /// The store keeps what has changed.
    Commit,
}

/// The trace of one connection. Dropped before the client is answered, it has failed.
#[derive(Debug)]
pub struct ConnectTrace {
    // The order in which they are dropped: what is below goes first.
    stage: Option<OpenSpan>,
    root: OpenSpan,
    tracer: Arc<Tracer>,
    context: TraceContext,
    anchor: Now,
    stages: u64,
    latest: Stage,
}

impl Tracer {
    /// What decides for one listener which connections are traced; none where there is no randomness.
    #[must_use]
    pub fn connections(self: &Arc<Self>) -> Option<ConnectSampler> {
        Some(ConnectSampler { tracer: Arc::clone(self), sampler: Self::sampler()? })
    }
}

impl ConnectSampler {
    /// The trace of the next connection, if it has one.
    pub fn sample(&mut self) -> Option<Box<ConnectTrace>> {
        let threshold = self.tracer.connect_threshold.load(Ordering::Relaxed);
        if !self.sampler.takes(threshold) {
            return None;
        }
        let (context, anchor) = (Tracer::new_context()?, Now::read());
        self.tracer.metrics.tracing.traces.add(TraceDecision::Sampled, 1);
        let mut root = OpenSpan::root(&self.tracer, context, None, "connect", anchor);
        root.set("messaging.system", "mqtt");
        root.set("messaging.operation.name", "connect");
        root.set("network.protocol.name", "mqtt");
        let tracer = Arc::clone(&self.tracer);
        let mut trace = ConnectTrace {
            stage: None,
            root,
            tracer,
            context,
            anchor,
            stages: 0,
            latest: Stage::Queue,
        };
        trace.begin(Stage::Queue, anchor.instant);
        Some(Box::new(trace))
    }
}

impl ConnectTrace {
    /// Another stage has begun, and the one before has ended.
    pub fn begin(&mut self, stage: Stage, at: Instant) {
        self.end_stage(at);
        let id = self.context.span.sibling(self.stages);
        self.stages += 1;
        self.latest = stage;
        let what = (stage.name(), SpanKind::Internal);
        let times = (self.anchor, at);
        self.stage = Some(OpenSpan::below(&self.tracer, self.context, id, what, times));
    }

    /// Whether this is the latest stage that has begun.
    #[must_use]
    pub fn is_in(&self, stage: Stage) -> bool {
        self.latest == stage
    }

    /// The stage has ended, and none has begun.
    pub fn end_stage(&mut self, at: Instant) {
        if let Some(stage) = self.stage.take() {
            stage.end(at);
        }
    }

    /// Something is known of the stage.
    pub fn set_stage(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(stage) = &mut self.stage {
            stage.set(key, value);
        }
    }

    /// The stage has failed, for a reason that is one of a few.
    pub fn fail_stage(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(stage) = &mut self.stage {
            stage.fail(why);
        }
    }

    /// Where it was accepted.
    pub fn set_listener(&mut self, url: &str, transport: &'static str) {
        self.root.set("bastionmq.listener", Value::said(url));
        self.root.set("network.transport", transport);
    }

    /// What its client speaks.
    pub fn set_version(&mut self, version: Version) {
        self.root.set("network.protocol.version", version.name());
    }

    /// Who its client is, where spans say so.
    pub fn identify(&mut self, identifiers: Identifiers<'_>) {
        if self.tracer.includes_identifiers {
            identifiers.set(&mut self.root);
        }
    }

    /// The client has been answered so, if it has been answered at all.
    pub fn set_reason(&mut self, reason: ReasonCode) {
        self.root.set("mqtt.reason_code", reason.byte());
        if reason.is_error() {
            self.break_off(format!("{reason:?}"));
        }
    }

    /// It has ended for something that its client has said, before it could be answered.
    pub fn break_off(&mut self, why: impl Into<Cow<'static, str>>) {
        if !self.root.has_failed() {
            self.root.fail(why);
        }
    }

    /// The answer has left.
    pub fn end(mut self, at: Instant) {
        self.end_stage(at);
        self.root.end(at);
    }
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "wait for turn",
            Self::Proxy => "proxy header",
            Self::Tls => "tls handshake",
            Self::WebSocket => "websocket upgrade",
            Self::Connect => "read connect",
            Self::Authenticate => "authenticate",
            Self::Session => "open session",
            Self::Commit => "store commit",
        }
    }
}
