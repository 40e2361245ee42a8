//! Maps that give their memory back.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Halves a map that is three quarters empty: rarely enough that a removal is cheap on average.
pub(super) fn release_spare<K, V, S>(map: &mut HashMap<K, V, S>)
where
    K: Eq + Hash,
    S: BuildHasher,
{
    if map.len() * 4 <= map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}
