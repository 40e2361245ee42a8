//! The routing engine: which sessions a topic goes to, and which messages are retained.
//!
//! Plain structures for one thread: whoever shares them brings the lock or the snapshot.

mod index;
mod matches;
mod retained;
mod search;
mod shapes;
mod share;
mod shrink;
mod slab;
mod subscribers;
mod subscription;
mod symbols;
mod trie;

#[cfg(test)]
mod model;

use index::FilterIndex;
use share::ShareGroups;
use subscribers::Subscribers;

pub use matches::Matches;
pub use retained::{EXPIRY_SLICE, Full, Retained, Slice};
pub use share::{ShareGroup, choose_least_loaded, choose_round_robin};
pub use subscription::{Grant, Recipient, Route, Subscriber};

use crate::message::SessionKey;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// All subscriptions of the broker. Plain and shared ones are apart, so that one is never taken
/// for the other.
pub struct Router<R> {
    plain: FilterIndex<Subscribers<R>>,
    /// By the filter within the share.
    shared: FilterIndex<ShareGroups<R>>,
    subscriptions: usize,
    /// How many of them are shared.
    members: usize,
}

impl<R: Recipient> Router<R> {
    /// A router without subscriptions; it holds no memory.
    #[must_use]
    pub fn new() -> Self {
        let (plain, shared) = (FilterIndex::new(), FilterIndex::new());
        Self { plain, shared, subscriptions: 0, members: 0 }
    }

    /// Adds a subscription, or replaces that of the same session to the same filter
    /// `[MQTT-3.8.4-3]`. True: it is new. `$share/…` joins the group.
    pub fn subscribe(&mut self, filter: TopicFilterRef<'_>, recipient: R, grant: Grant) -> bool {
        let subscriber = Subscriber { recipient, grant };
        let is_new = match filter.share() {
            Some(share) => self.shared.get_or_default(share.filter).insert(filter, subscriber),
            None => self.plain.get_or_default(filter).insert(subscriber),
        };
        self.subscriptions += usize::from(is_new);
        self.members += usize::from(is_new && filter.share().is_some());
        is_new
    }

    /// Ends a subscription: the one to this very filter, character by character
    /// `[MQTT-3.10.4-1]`. False: there was none.
    pub fn unsubscribe(&mut self, filter: TopicFilterRef<'_>, session: SessionKey) -> bool {
        let was_there = match filter.share() {
            Some(share) => self.leave(filter, share.filter, session),
            None => self.unsubscribe_plain(filter, session),
        };
        self.subscriptions -= usize::from(was_there);
        self.members -= usize::from(was_there && filter.share().is_some());
        was_there
    }

    fn leave(
        &mut self,
        group: TopicFilterRef<'_>,
        filter: TopicFilterRef<'_>,
        session: SessionKey,
    ) -> bool {
        let Some(groups) = self.shared.get_mut(filter) else { return false };
        let was_there = groups.remove(group, session);
        if groups.is_empty() {
            self.shared.remove(filter);
        }
        was_there
    }

    fn unsubscribe_plain(&mut self, filter: TopicFilterRef<'_>, session: SessionKey) -> bool {
        let Some(subscribers) = self.plain.get_mut(filter) else { return false };
        let was_there = subscribers.remove(session);
        if subscribers.is_empty() {
            self.plain.remove(filter);
        }
        was_there
    }

    /// Fills `into` with everything that a message to `topic` goes to. Subscriptions of `publisher`
    /// with No Local are left out `[MQTT-3.8.3-3]`; a share has no such option `[MQTT-3.8.3-4]`.
    pub fn matches(
        &self,
        topic: TopicNameRef<'_>,
        publisher: Option<SessionKey>,
        into: &mut Matches<R>,
    ) {
        into.clear();
        let mut filters = 0;
        self.plain.matching(topic, |subscribers| {
            filters += 1;
            subscribers.for_each(|subscriber| {
                if subscriber.takes_from(publisher) {
                    into.routes.push(subscriber.route());
                }
            });
        });
        // Within one filter no session is twice.
        if filters > 1 {
            into.merge_overlaps();
        }
        self.shared.matching(topic, |groups| into.shares.extend(groups.iter().cloned()));
    }

    /// How many subscriptions there are; each member of a share group has one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    /// How many of them are shared.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// Whether nobody subscribes to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }
}

impl<R: Recipient> Default for Router<R> {
    fn default() -> Self {
        Self::new()
    }
}
