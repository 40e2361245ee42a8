//! The memory that argon2id fills, kept from one password to the next.

use argon2::Block;
use zeroize::Zeroize;

/// KiB that are kept between passwords; what a costlier hash needed beyond is given back.
const KEPT_KIB: usize = 64 << 10;

/// Room for one hash at a time. Whoever checks many passwords brings the same memory to each:
/// memory of this size that is taken and given back for every login is never all given back.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl HashMemory {
    /// `kib` blocks of 1 KiB, whatever they hold; `None` where the memory cannot be had.
    pub(super) fn blocks(&mut self, kib: usize) -> Option<&mut [Block]> {
        self.0.try_reserve_exact(kib.saturating_sub(self.0.len())).ok()?;
        self.0.resize(kib.max(self.0.len()), Block::new());
        self.0.get_mut(..kib)
    }

    /// Forgets what the last password left. Call it when no other one waits, since that would
    /// overwrite it anyway.
    pub fn wipe(&mut self) {
        self.0.iter_mut().zeroize();
        self.0.truncate(KEPT_KIB);
        self.0.shrink_to(KEPT_KIB);
    }
}

impl Drop for HashMemory {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for HashMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashMemory({} KiB)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_and_what_is_beyond_the_usual_is_given_back() {
        let mut memory = HashMemory::default();
        let first = memory.blocks(100).expect("memory").as_ptr();
        assert_eq!(memory.blocks(50).expect("memory").as_ptr(), first);
        memory.wipe();
        assert_eq!(memory.blocks(100).expect("memory").as_ptr(), first);
        memory.blocks(KEPT_KIB + 1).expect("memory");
        memory.wipe();
        assert_eq!(memory.0.capacity(), KEPT_KIB);
    }

    #[test]
    fn memory_that_cannot_be_had_is_none() {
        assert!(HashMemory::default().blocks(usize::MAX >> 10).is_none());
    }

    #[test]
    fn nothing_is_left_of_a_password_once_wiped() {
        let mut memory = HashMemory::default();
        memory.blocks(2).expect("memory")[1].as_mut().fill(7);
        memory.wipe();
        let left = memory.blocks(2).expect("memory");
        assert!(left.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
