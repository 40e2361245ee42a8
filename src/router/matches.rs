//! What a topic is routed to: one copy per session, however many of its subscriptions match.

use std::sync::Arc;

use super::share::ShareGroup;
use super::subscription::{Recipient, Route};

/// Everything that a message to one topic goes to. Kept and filled again, it stops allocating.
#[derive(Clone, Debug)]
pub struct Matches<R> {
    /// Each session with a matching subscription of its own, once.
    pub routes: Vec<Route<R>>,
    /// Each share group that matches, once: one of its members gets a copy, whatever it is routed
    /// by subscriptions of its own.
    pub shares: Vec<Arc<ShareGroup<R>>>,
}

impl<R> Matches<R> {
    /// Nothing, yet.
    #[must_use]
    pub fn new() -> Self {
        Self { routes: Vec::new(), shares: Vec::new() }
    }

    /// Forgets all, and keeps the room.
    pub fn clear(&mut self) {
        self.routes.clear();
        self.shares.clear();
    }

    /// Whether nobody receives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.shares.is_empty()
    }
}

impl<R> Default for Matches<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Recipient> Matches<R> {
    /// Makes one route of those to the same session. The routes are a few sequences, each in the
    /// order of keys: the stable sort finds and merges them in linear time.
    pub(super) fn merge_overlaps(&mut self) {
        self.routes.sort_by_key(|route| route.recipient.key());
        self.routes.dedup_by(|later, kept| {
            let same = later.recipient.key() == kept.recipient.key();
            if same {
                kept.absorb(later);
            }
            same
        });
    }
}
