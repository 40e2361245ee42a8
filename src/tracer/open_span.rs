//! A span that has begun.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Tracer;
use super::span::{Span, SpanKind, Value};
use crate::clock::Now;
use crate::trace_context::{SpanId, TraceContext};

/// A span that has begun. Dropped before it has ended, it ends then, and has failed.
#[derive(Debug)]
pub(super) struct OpenSpan {
    tracer: Arc<Tracer>,
    /// What all times of the trace are counted from.
    anchor: Now,
    began: Instant,
    /// There until it ends.
    span: Option<Box<Span>>,
}

impl OpenSpan {
    /// The first span of ours in a trace; it is a child where that has begun elsewhere.
    pub(super) fn root(
        tracer: &Arc<Tracer>,
        context: TraceContext,
        parent: Option<SpanId>,
        name: &'static str,
        anchor: Now,
    ) -> Self {
        let span = Span {
            trace: context.trace,
            id: context.span,
            parent,
            name,
            kind: SpanKind::Server,
            start: anchor.unix,
            end: anchor.unix,
            attributes: Vec::with_capacity(8),
            failure: None,
        };
        let tracer = Arc::clone(tracer);
        Self { tracer, anchor, began: anchor.instant, span: Some(Box::new(span)) }
    }

    /// A span below that of `context`, whose times are counted from `anchor`.
    pub(super) fn below(
        tracer: &Arc<Tracer>,
        context: TraceContext,
        id: SpanId,
        (name, kind): (&'static str, SpanKind),
        (anchor, began): (Now, Instant),
    ) -> Self {
        let mut this = Self::root(tracer, context, Some(context.span), name, anchor);
        this.began = began;
        if let Some(span) = &mut this.span {
            (span.id, span.kind) = (id, kind);
        }
        this
    }

    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.span {
            span.attributes.push((key, value.into()));
        }
    }

    /// It has failed, for a reason that is one of a few.
    pub(super) fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        let why = why.into();
        self.set("error.type", Value::Text(why.clone()));
        if let Some(span) = &mut self.span {
            span.failure = Some(why);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.span.as_ref().is_some_and(|span| span.failure.is_some())
    }

    pub(super) fn end(mut self, at: Instant) {
        self.finish(at);
    }

    fn finish(&mut self, at: Instant) {
        let Some(mut span) = self.span.take() else { return };
        let since = |instant: Instant| instant.saturating_duration_since(self.anchor.instant);
        span.start = self.anchor.unix.saturating_add(since(self.began));
        span.end = self.anchor.unix.saturating_add(since(at.max(self.began)));
        self.tracer.submit(*span);
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.span.is_some() {
            if !self.has_failed() {
                self.fail("broken_off");
            }
            self.finish(Instant::now());
        }
    }
}
