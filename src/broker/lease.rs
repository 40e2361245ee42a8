//! How long the proof of an identity lasts: a connection ends with it.

use std::time::{Duration, Instant};

use crate::clock::Now;

/// When a client has to prove anew who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    ends: Instant,
}

impl Lease {
    /// Until `end`, since the Unix epoch; none where that is beyond all clocks.
    pub(super) fn until(now: Now, end: Duration) -> Option<Self> {
        let ends = now.instant.checked_add(end.saturating_sub(now.unix))?;
        Some(Self { ends })
    }

    /// The one that ends first, of those there are.
    pub(super) fn sooner(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter().chain(other).min_by_key(Self::ends)
    }

    pub(super) fn ends(&self) -> Instant {
        self.ends
    }
}
