//! What goes with a message that is traced, to all who have a part in it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::TraceContext;
use crate::clock::Now;

/// The span that its deliveries are children of, shared by all of its recipients.
#[derive(Debug)]
pub struct MessageTrace {
    /// Its publication.
    pub context: TraceContext,
    /// When that began.
    pub began: Now,
    /// Deliveries that are still to be traced.
    deliveries: AtomicU32,
    recipients: AtomicU32,
    /// Nanoseconds from when it began to when it was routed; 0 before.
    routed: AtomicU64,
}

impl MessageTrace {
    /// Of a publication that has begun, of which so many `deliveries` are traced.
    #[must_use]
    pub fn new(context: TraceContext, began: Now, deliveries: u32) -> Self {
        Self {
            context,
            began,
            deliveries: AtomicU32::new(deliveries),
            recipients: AtomicU32::new(0),
            routed: AtomicU64::new(0),
        }
    }

    /// It goes to so many `recipients`, from `now` on.
    pub fn set_routed(&self, recipients: usize, now: Instant) {
        let took = now.saturating_duration_since(self.began.instant).as_nanos();
        self.routed.store(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.recipients.store(u32::try_from(recipients).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// To how many it goes, groups of shared subscriptions being one each.
    #[must_use]
    pub fn recipients(&self) -> u32 {
        self.recipients.load(Ordering::Relaxed)
    }

    /// When it was routed, or began where it was not.
    #[must_use]
    pub fn routed(&self) -> Instant {
        let took = Duration::from_nanos(self.routed.load(Ordering::Relaxed));
        self.began.instant.checked_add(took).unwrap_or(self.began.instant)
    }

    /// The number of the next delivery, from 1 on, if it is to be traced.
    #[must_use]
    pub fn next_delivery(&self) -> Option<u32> {
        let less = |left: u32| left.checked_sub(1);
        self.deliveries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace_context::{SpanId, TraceId};

    #[test]
    fn so_many_deliveries_are_traced_and_no_more() {
        let context = TraceContext {
            trace: TraceId::new([1; 16]).unwrap(),
            span: SpanId::new([1; 8]).unwrap(),
            is_sampled: true,
        };
        let began = Now::read();
        let trace = MessageTrace::new(context, began, 3);
        assert_eq!((trace.routed(), trace.recipients()), (began.instant, 0));
        let later = began.instant + Duration::from_millis(5);
        trace.set_routed(70_000, later);
        assert_eq!((trace.routed(), trace.recipients()), (later, 70_000));
        let numbers: Vec<_> = std::iter::from_fn(|| trace.next_delivery()).collect();
        assert_eq!(numbers, [3, 2, 1]);
    }
}
