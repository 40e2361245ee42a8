//! A vector with holes: whatever has a place keeps it, and 32 bits name the place.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// Values in one allocation, each under an [`Id`] until it is removed. A hole holds the default
/// value. Values refer to each other by [`Id`], so that freeing them never recurses.
pub(super) struct Slab<T> {
    slots: Vec<T>,
    holes: Vec<Id>,
}

/// A place in a [`Slab`]: its index and one, so that an `Option` of it takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(NonZeroU32);

/// Where everything went when a [`Slab`] closed its holes.
pub(super) struct Moves(Vec<Option<Id>>);

impl<T: Default> Slab<T> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), holes: Vec::new() }
    }

    /// Finds a place for `value`.
    ///
    /// # Panics
    /// At more than 4,294,967,295 values: a hundred gigabytes of subscriptions.
    pub(super) fn insert(&mut self, value: T) -> Id {
        if let Some(id) = self.holes.pop() {
            self[id] = value;
            return id;
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        assert!(index < u32::MAX, "a slab holds at most 4,294,967,295 values");
        self.slots.push(value);
        Id::at(index)
    }

    /// Gives up the place `id`. A slab without values holds no memory.
    pub(super) fn remove(&mut self, id: Id) {
        self[id] = T::default();
        self.holes.push(id);
        if self.holes.len() == self.slots.len() {
            *self = Self::new();
        }
    }

    /// Whether most of the memory is holes, so that [`Self::compact`] is worth its work.
    pub(super) fn is_sparse(&self) -> bool {
        const WORTH_IT: usize = 16;
        self.slots.len() >= WORTH_IT && self.holes.len() >= self.slots.len() / 4 * 3
    }

    /// Closes all holes, and says what is where now.
    pub(super) fn compact(&mut self) -> Moves {
        let mut is_hole = vec![false; self.slots.len()];
        for hole in std::mem::take(&mut self.holes) {
            is_hole[hole.index()] = true;
        }
        let mut holes = is_hole.iter();
        self.slots.retain(|_| holes.next() == Some(&false));
        self.slots.shrink_to_fit();
        let mut places = (0..u32::MAX).map(Id::at);
        Moves(is_hole.iter().map(|is_hole| if *is_hole { None } else { places.next() }).collect())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity() + self.holes.capacity()
    }
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        &self.slots[id.index()]
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        &mut self.slots[id.index()]
    }
}

impl<T> Slab<T> {
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut()
    }
}

impl Moves {
    /// The place of what was at `id`; a hole has none.
    pub(super) fn of(&self, id: Id) -> Option<Id> {
        self.0.get(id.index()).copied().flatten()
    }
}

impl Id {
    fn at(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_filled_before_the_slab_grows_and_the_last_value_takes_the_memory_along() {
        let mut slab = Slab::new();
        let (one, two) = (slab.insert('1'), slab.insert('2'));
        slab.remove(one);
        let three = slab.insert('3');
        assert_eq!((three, slab[two], slab[three]), (one, '2', '3'));
        slab.remove(two);
        slab.remove(three);
        assert_eq!(slab.capacity(), 0);
    }

    #[test]
    fn a_compacted_slab_has_everything_in_its_new_place() {
        let mut slab = Slab::new();
        let ids = (0..100).map(|value| slab.insert(value)).collect::<Vec<_>>();
        let (kept, removed) = ids.iter().copied().partition::<Vec<Id>, _>(|id| slab[*id] % 10 == 9);
        removed.into_iter().for_each(|id| slab.remove(id));
        assert!(slab.is_sparse());
        let moves = slab.compact();
        let values = kept.iter().filter_map(|id| moves.of(*id)).map(|id| slab[id]);
        assert_eq!(values.collect::<Vec<_>>(), [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]);
        assert!(!slab.is_sparse() && slab.capacity() == 10 && moves.of(ids[0]).is_none());
    }
}
