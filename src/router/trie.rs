//! Wildcard filters as a tree of levels, held in flat arrays: no depth of topic recurses.

use foldhash::{HashMap, HashMapExt};
use smallvec::{SmallVec, smallvec};

use super::shrink::release_spare;
use super::slab::{Id, Slab};
use super::symbols::Symbols;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// A value per filter. The edges of all nodes are in one map, so that a node is 16 bytes; values
/// are apart, because most nodes have none.
pub(super) struct Trie<V> {
    root: Option<Id>,
    nodes: Slab<Node>,
    edges: HashMap<Edge, Id>,
    symbols: Symbols,
    values: Slab<V>,
}

/// What follows one sequence of levels.
#[derive(Clone, Copy, Default)]
struct Node {
    /// The value of the filter that ends here.
    value: Option<Id>,
    /// The value of the filter that goes on with `#`.
    hash: Option<Id>,
    /// The node that goes on with `+`.
    plus: Option<Id>,
    /// How many edges go on with a text.
    texts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Edge {
    from: Id,
    symbol: Id,
}

impl<V: Default> Trie<V> {
    pub(super) fn new() -> Self {
        Self {
            root: None,
            nodes: Slab::new(),
            edges: HashMap::new(),
            symbols: Symbols::new(),
            values: Slab::new(),
        }
    }

    /// The value of `filter`; the default one where it is new.
    pub(super) fn get_or_default(&mut self, filter: TopicFilterRef<'_>) -> &mut V {
        let mut at = self.root_or_new();
        let mut ends_in_hash = false;
        for level in filter.levels() {
            match level {
                "#" => ends_in_hash = true,
                "+" => at = self.plus_or_new(at),
                text => at = self.text_or_new(at, text),
            }
        }
        let node = &mut self.nodes[at];
        let place = if ends_in_hash { &mut node.hash } else { &mut node.value };
        let id = *place.get_or_insert_with(|| self.values.insert(V::default()));
        &mut self.values[id]
    }

    fn root_or_new(&mut self) -> Id {
        *self.root.get_or_insert_with(|| self.nodes.insert(Node::default()))
    }

    fn plus_or_new(&mut self, at: Id) -> Id {
        if let Some(plus) = self.nodes[at].plus {
            return plus;
        }
        let plus = self.nodes.insert(Node::default());
        self.nodes[at].plus = Some(plus);
        plus
    }

    fn text_or_new(&mut self, at: Id, text: &str) -> Id {
        if let Some(child) = self.text_child(at, text) {
            return child;
        }
        let child = self.nodes.insert(Node::default());
        self.edges.insert(Edge { from: at, symbol: self.symbols.take(text) }, child);
        self.nodes[at].texts += 1;
        child
    }

    fn text_child(&self, at: Id, text: &str) -> Option<Id> {
        let symbol = self.symbols.find(text)?;
        self.edges.get(&Edge { from: at, symbol }).copied()
    }

    /// The value of `filter`, where it has one.
    pub(super) fn get_mut(&mut self, filter: TopicFilterRef<'_>) -> Option<&mut V> {
        let mut at = self.root?;
        for level in filter.levels() {
            match level {
                "#" => return self.nodes[at].hash.map(|id| &mut self.values[id]),
                level => at = self.child(at, level)?,
            }
        }
        self.nodes[at].value.map(|id| &mut self.values[id])
    }

    fn child(&self, at: Id, level: &str) -> Option<Id> {
        if level == "+" { self.nodes[at].plus } else { self.text_child(at, level) }
    }

    /// Forgets `filter`, and the nodes that no other filter needs.
    pub(super) fn remove(&mut self, filter: TopicFilterRef<'_>) {
        let Some(mut path) = self.path(filter) else { return };
        let Some(&end) = path.last() else { return };
        let ends_in_hash = filter.as_str().ends_with('#');
        let node = &mut self.nodes[end];
        let place = if ends_in_hash { &mut node.hash } else { &mut node.value };
        let Some(value) = place.take() else { return };
        self.values.remove(value);
        self.prune(&mut path, filter);
        if self.nodes.is_sparse() {
            self.compact();
        }
        release_spare(&mut self.edges);
    }

    /// The nodes from the root to the one that holds the value of `filter`.
    fn path(&self, filter: TopicFilterRef<'_>) -> Option<Vec<Id>> {
        let mut at = self.root?;
        let mut path = vec![at];
        for level in filter.levels().filter(|level| *level != "#") {
            at = self.child(at, level)?;
            path.push(at);
        }
        Some(path)
    }

    fn prune(&mut self, path: &mut Vec<Id>, filter: TopicFilterRef<'_>) {
        let mut levels = filter.levels().rev().filter(|level| *level != "#");
        while let Some(node) = path.pop() {
            if !self.nodes[node].is_bare() {
                return;
            }
            self.nodes.remove(node);
            match (path.last(), levels.next()) {
                (Some(&parent), Some(level)) => self.unlink(parent, level),
                _ => self.root = None,
            }
        }
    }

    fn unlink(&mut self, parent: Id, level: &str) {
        if level == "+" {
            self.nodes[parent].plus = None;
        } else if let Some(symbol) = self.symbols.find(level) {
            self.edges.remove(&Edge { from: parent, symbol });
            self.symbols.give_back(level);
            self.nodes[parent].texts -= 1;
        }
    }

    /// Moves everything together: one filter that stays does not hold the memory of a million that
    /// have gone. Three of four nodes went before, so that a removal is cheap on average.
    fn compact(&mut self) {
        let (nodes, values) = (self.nodes.compact(), self.values.compact());
        let symbols = self.symbols.compact();
        self.root = self.root.and_then(|root| nodes.of(root));
        for node in self.nodes.iter_mut() {
            node.plus = node.plus.and_then(|plus| nodes.of(plus));
            node.hash = node.hash.and_then(|hash| values.of(hash));
            node.value = node.value.and_then(|value| values.of(value));
        }
        let edges = std::mem::take(&mut self.edges);
        self.edges.extend(edges.into_iter().filter_map(|(edge, child)| {
            let edge = Edge { from: nodes.of(edge.from)?, symbol: symbols.of(edge.symbol)? };
            Some((edge, nodes.of(child)?))
        }));
    }

    /// Visits the value of each filter that matches `topic`, in an order that depends on nothing
    /// but the filters.
    pub(super) fn matching<'a>(&'a self, topic: TopicNameRef<'_>, mut visit: impl FnMut(&'a V)) {
        let Some(root) = self.root else { return };
        let mut levels = Levels { rest: topic.levels(), read: SmallVec::new() };
        let mut ahead: SmallVec<[(Id, usize); 16]> = smallvec![(root, 0)];
        while let Some((at, depth)) = ahead.pop() {
            let node = self.nodes[at];
            // `$` topics are for filters that begin with `$` too [MQTT-4.7.2-1].
            let wildcards = depth > 0 || !topic.is_reserved();
            if let Some(hash) = node.hash.filter(|_| wildcards) {
                visit(&self.values[hash]);
            }
            let level = levels.at(depth, &self.symbols);
            if let (Level::End, Some(value)) = (level, node.value) {
                visit(&self.values[value]);
            }
            if let Some(plus) = node.plus.filter(|_| wildcards && level != Level::End) {
                ahead.push((plus, depth + 1));
            }
            if let (Level::Known(symbol), 1..) = (level, node.texts)
                && let Some(&child) = self.edges.get(&Edge { from: at, symbol })
            {
                ahead.push((child, depth + 1));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
            + self.edges.capacity()
            + self.symbols.capacity()
            + self.values.capacity()
    }
}

impl Node {
    fn is_bare(&self) -> bool {
        self.value.is_none() && self.hash.is_none() && self.plus.is_none() && self.texts == 0
    }
}

/// The levels of a topic, looked up once each and only as deep as the trie goes.
struct Levels<'a> {
    rest: std::str::Split<'a, char>,
    read: SmallVec<[Level; 16]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The trie knows this text.
    Known(Id),
    /// No filter holds this text.
    Unknown,
    /// The topic has ended.
    End,
}

impl Levels<'_> {
    fn at(&mut self, depth: usize, symbols: &Symbols) -> Level {
        while self.read.len() <= depth {
            self.read.push(match self.rest.next() {
                Some(text) => symbols.find(text).map_or(Level::Unknown, Level::Known),
                None => Level::End,
            });
        }
        self.read.get(depth).copied().unwrap_or(Level::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_16_bytes() {
        assert_eq!(size_of::<Node>(), 16);
        assert_eq!(size_of::<(Edge, Id)>(), 12);
    }
}
