//! How the routing table is shared: many readers, one writer, and a generation that tells a
//! connection when what it remembers is out of date.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::mailbox::Mailbox;
use crate::message::SessionKey;
use crate::router::{Grant, Matches, Router};
use crate::topic::{TopicFilterRef, TopicNameRef};

/// The subscriptions of all sessions.
pub(super) struct Routes {
    router: RwLock<Router<Arc<Mailbox>>>,
    generation: AtomicU64,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Routes {
    pub(super) fn new() -> Self {
        Self { router: RwLock::new(Router::new()), generation: AtomicU64::new(0) }
    }

    /// Changes with every subscription. What was matched under another generation may be wrong.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Adds or replaces a subscription, and says whether it is new. On return, every publish that
    /// begins sees it.
    pub(super) fn subscribe(
        &self,
        filter: TopicFilterRef<'_>,
        mailbox: &Arc<Mailbox>,
        grant: Grant,
    ) -> bool {
        let mut router = self.router.write();
        let is_new = router.subscribe(filter, Arc::clone(mailbox), grant);
        self.generation.fetch_add(1, Ordering::Release);
        is_new
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&self, filter: TopicFilterRef<'_>, session: SessionKey) {
        let mut router = self.router.write();
        if router.unsubscribe(filter, session) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Finds the recipients of `topic`, and the generation they belong to.
    pub(super) fn matches(
        &self,
        topic: TopicNameRef<'_>,
        publisher: Option<SessionKey>,
        into: &mut Matches<Arc<Mailbox>>,
    ) -> u64 {
        let router = self.router.read();
        router.matches(topic, publisher, into);
        self.generation()
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.router.read().len()
    }

    /// How many there are, but for those that are shared; and how many are.
    pub(super) fn plain_and_shared(&self) -> (usize, usize) {
        let router = self.router.read();
        (router.len() - router.members(), router.members())
    }
}
