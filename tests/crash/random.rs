//! Numbers that follow from a seed alone.

/// A generator, so simple that a failure can be had again anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        // Seeds that are close to each other begin alike.
        random.below(2);
        random
    }

    /// A number from 0 on, less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_F42D);
        (self.0 >> 33) % bound
    }

    /// Yes, once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Another one that goes its own way.
    pub(crate) fn split(&mut self) -> Self {
        Self::new(self.below(1 << 31) << 31 | self.below(1 << 31))
    }
}
