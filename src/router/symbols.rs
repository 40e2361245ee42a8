//! The texts of topic levels, each kept once under a number.

use foldhash::{HashMap, HashMapExt};

use super::shrink::release_spare;
use super::slab::{Id, Moves, Slab};

/// Level texts and how many edges of the trie bear each. Tries repeat their levels (`sensors`,
/// `temperature`), and comparing numbers is cheaper than comparing texts.
pub(super) struct Symbols {
    known: HashMap<Box<str>, Symbol>,
    /// Hands out the numbers, and takes no room.
    numbers: Slab<()>,
}

struct Symbol {
    id: Id,
    uses: u32,
}

impl Symbols {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), numbers: Slab::new() }
    }

    /// The number of `level`, where some edge bears it.
    pub(super) fn find(&self, level: &str) -> Option<Id> {
        self.known.get(level).map(|symbol| symbol.id)
    }

    /// The number of `level`, for one more edge.
    pub(super) fn take(&mut self, level: &str) -> Id {
        if let Some(symbol) = self.known.get_mut(level) {
            symbol.uses += 1;
            return symbol.id;
        }
        let id = self.numbers.insert(());
        self.known.insert(Box::from(level), Symbol { id, uses: 1 });
        id
    }

    /// One edge less bears `level`.
    pub(super) fn give_back(&mut self, level: &str) {
        let Some(symbol) = self.known.get_mut(level) else { return };
        symbol.uses -= 1;
        if symbol.uses == 0 {
            self.numbers.remove(symbol.id);
            self.known.remove(level);
            release_spare(&mut self.known);
        }
    }

    /// Gives all levels the lowest numbers, and says which.
    pub(super) fn compact(&mut self) -> Moves {
        let moves = self.numbers.compact();
        for symbol in self.known.values_mut() {
            symbol.id = moves.of(symbol.id).unwrap_or(symbol.id);
        }
        moves
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.known.capacity()
    }
}
