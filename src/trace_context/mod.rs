//! What a trace is known by (W3C Trace Context), and what goes with a message that is traced.

mod message_trace;
mod traceparent;

use std::fmt;

pub use message_trace::MessageTrace;

/// Sixteen bytes, not all of them 0, that all spans of a trace share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// Eight bytes, not all of them 0, that are one span's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// The span that others are children of, as its owner names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Of the trace.
    pub trace: TraceId,
    /// Of the span in it.
    pub span: SpanId,
    /// Whether whoever names it has recorded it.
    pub is_sampled: bool,
}

impl TraceId {
    /// None where all bytes are 0.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl SpanId {
    /// None where all bytes are 0.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The one with this `number` among those of a trace, which differ from this one and from each other.
    #[must_use]
    pub fn sibling(self, number: u64) -> Self {
        // Odd, so that no two numbers come to the same.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let own = u64::from_be_bytes(self.0);
        let other = own.wrapping_add(number.wrapping_add(1).wrapping_mul(STEP));
        Self::new(other.to_be_bytes()).unwrap_or(Self(STEP.to_be_bytes()))
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// 16 lower-case hexadecimal digits.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_lower_case_hexadecimal_and_never_all_0() {
        let trace = TraceId::new([0xAB; 16]).unwrap();
        assert_eq!(trace.to_string(), "ab".repeat(16));
        assert_eq!(
            SpanId::new([0, 0, 0, 0, 0, 0, 0, 0x0F]).unwrap().to_string(),
            "000000000000000f"
        );
        assert!(TraceId::new([0; 16]).is_none() && SpanId::new([0; 8]).is_none());
    }

    #[test]
    fn siblings_differ_from_each_other_and_from_whose_siblings_they_are() {
        let own = SpanId::new([0xFF; 8]).unwrap();
        let mut all: Vec<_> = (0..1_000).map(|number| own.sibling(number).to_string()).collect();
        all.push(own.to_string());
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1_001);
    }
}
