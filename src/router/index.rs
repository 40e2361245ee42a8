//! A value per topic filter, and the values of all filters that match a topic.

use foldhash::{HashMap, HashMapExt};

use super::shapes::{Shape, Shapes};
use super::shrink::release_spare;
use super::trie::Trie;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// Filters without a wildcard, and those of the shapes that are listed, are found by one hash lookup
/// each; only the others are worth a trie. Filters are taken as they are: a share has been undone
/// before.
pub(super) struct FilterIndex<V> {
    by_text: HashMap<Box<[u8]>, V>,
    shapes: Shapes,
    others: Trie<V>,
}

/// Where a filter is kept.
#[derive(Clone, Copy)]
enum Place {
    Exact,
    Listed(Shape),
    Trie(Option<Shape>),
}

impl<V: Default> FilterIndex<V> {
    pub(super) fn new() -> Self {
        Self { by_text: HashMap::new(), shapes: Shapes::new(), others: Trie::new() }
    }

    /// The value of `filter`; the default one where it is new.
    pub(super) fn get_or_default(&mut self, filter: TopicFilterRef<'_>) -> &mut V {
        let place = place(filter, |shape| self.shapes.would_list(shape));
        if let Place::Listed(shape) | Place::Trie(Some(shape)) = place
            && self.get_mut(filter).is_none()
        {
            self.shapes.add(shape);
        }
        match place {
            Place::Exact | Place::Listed(_) => {
                self.by_text.entry(Box::from(filter.as_str().as_bytes())).or_default()
            }
            Place::Trie(_) => self.others.get_or_default(filter),
        }
    }

    /// The value of `filter`, where it has one.
    pub(super) fn get_mut(&mut self, filter: TopicFilterRef<'_>) -> Option<&mut V> {
        match place(filter, |shape| self.shapes.is_listed(shape)) {
            Place::Exact | Place::Listed(_) => self.by_text.get_mut(filter.as_str().as_bytes()),
            Place::Trie(_) => self.others.get_mut(filter),
        }
    }

    /// Forgets `filter`, and gives back the memory that only it needed.
    pub(super) fn remove(&mut self, filter: TopicFilterRef<'_>) {
        if self.get_mut(filter).is_none() {
            return;
        }
        let place = place(filter, |shape| self.shapes.is_listed(shape));
        match place {
            Place::Exact | Place::Listed(_) => {
                self.by_text.remove(filter.as_str().as_bytes());
                release_spare(&mut self.by_text);
            }
            Place::Trie(_) => self.others.remove(filter),
        }
        if let Place::Listed(shape) | Place::Trie(Some(shape)) = place {
            self.shapes.remove(shape);
        }
    }

    /// Visits the value of each filter that matches `topic`.
    pub(super) fn matching<'a>(&'a self, topic: TopicNameRef<'_>, mut visit: impl FnMut(&'a V)) {
        self.by_text.get(topic.as_str().as_bytes()).into_iter().for_each(&mut visit);
        self.shapes.candidates(topic, |filter| {
            self.by_text.get(filter).into_iter().for_each(&mut visit);
        });
        self.others.matching(topic, visit);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.by_text.capacity() + self.shapes.capacity() + self.others.capacity()
    }
}

/// As written: a share has been undone before, and what it held may look like another.
fn place(filter: TopicFilterRef<'_>, is_listed: impl Fn(Shape) -> bool) -> Place {
    if !filter.as_str().contains(['+', '#']) {
        return Place::Exact;
    }
    match Shape::of(filter) {
        Some(shape) if is_listed(shape) => Place::Listed(shape),
        shape => Place::Trie(shape),
    }
}
