//! A value per topic filter, and the values of all filters that match a topic.

use foldhash::{HashMap, HashMapExt};

use super::shrink::release_spare;
use super::trie::Trie;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// Filters without a wildcard are one hash lookup of the whole topic; only the others are worth a
/// trie. Filters are taken as they are: a share has been undone before.
pub(super) struct FilterIndex<V> {
    exact: HashMap<Box<str>, V>,
    wildcard: Trie<V>,
}

impl<V: Default> FilterIndex<V> {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::new(), wildcard: Trie::new() }
    }

    /// The value of `filter`; the default one where it is new.
    pub(super) fn get_or_default(&mut self, filter: TopicFilterRef<'_>) -> &mut V {
        if has_wildcard(filter) {
            self.wildcard.get_or_default(filter)
        } else {
            self.exact.entry(Box::from(filter.as_str())).or_default()
        }
    }

    /// The value of `filter`, where it has one.
    pub(super) fn get_mut(&mut self, filter: TopicFilterRef<'_>) -> Option<&mut V> {
        if has_wildcard(filter) {
            self.wildcard.get_mut(filter)
        } else {
            self.exact.get_mut(filter.as_str())
        }
    }

    /// Forgets `filter`, and gives back the memory that only it needed.
    pub(super) fn remove(&mut self, filter: TopicFilterRef<'_>) {
        if has_wildcard(filter) {
            self.wildcard.remove(filter);
        } else if self.exact.remove(filter.as_str()).is_some() {
            release_spare(&mut self.exact);
        }
    }

    /// Visits the value of each filter that matches `topic`.
    pub(super) fn matching<'a>(&'a self, topic: TopicNameRef<'_>, mut visit: impl FnMut(&'a V)) {
        if let Some(value) = self.exact.get(topic.as_str()) {
            visit(value);
        }
        self.wildcard.matching(topic, visit);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.exact.capacity() + self.wildcard.capacity()
    }
}

/// As written: a share has been undone before, and what it held may look like another.
fn has_wildcard(filter: TopicFilterRef<'_>) -> bool {
    filter.as_str().contains(['+', '#'])
}
