//! A span: what was done for a client, from when to when, and what is known of it.

use std::borrow::Cow;
use std::time::Duration;

use crate::telemetry::logging::excerpt;
use crate::trace_context::{SpanId, TraceId};

/// What was done, from when to when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    /// Whose child it is; the publisher's, where that has said so.
    pub(super) parent: Option<SpanId>,
    /// One of a few.
    pub(super) name: &'static str,
    pub(super) kind: SpanKind,
    /// Since the Unix epoch.
    pub(super) start: Duration,
    pub(super) end: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// Why it has failed, where it has.
    pub(super) failure: Option<Cow<'static, str>>,
}

/// On which side of a question the broker is, by the numbers of `Span.SpanKind` of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum SpanKind {
    /// Something within the broker.
    Internal = 1,
    /// What a client has asked for.
    Server = 2,
    /// What is sent to a subscriber.
    Producer = 4,
}

/// What is known of a span. A text is no longer than 256 bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Characters.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
}

impl Value {
    /// The first 256 bytes of what a client has said.
    #[must_use]
    pub fn said(text: &str) -> Self {
        Self::Text(Cow::Owned(excerpt(text).to_owned()))
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Number(number.into())
    }
}
