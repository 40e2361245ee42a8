//! Failed logins of many, counted each for itself: a leaky bucket that locks when it is full, for
//! twice as long with every failure more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// When whoever fails is locked out, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Failures at which it begins.
    pub(super) threshold: u32,
    /// How long until one failure is forgotten.
    pub(super) forgotten_after: Duration,
    /// What the first failure at the threshold costs.
    pub(super) first: Duration,
    /// What a failure costs at most.
    pub(super) longest: Duration,
}

/// The failures of up to a fixed number of keys. Where it is full, those are forgotten that would be
/// forgotten next.
#[derive(Clone, Debug)]
pub(super) struct Tally<K> {
    measure: Measure,
    capacity: usize,
    strikes: BTreeMap<K, Strikes>,
}

#[derive(Clone, Copy, Debug)]
struct Strikes {
    /// When the last of them is forgotten: they are counted by how far off that is.
    forgotten: Instant,
    locked_until: Option<Instant>,
}

impl<K: Ord + Clone> Tally<K> {
    pub(super) fn new(measure: Measure, capacity: usize) -> Self {
        Self { measure, capacity, strikes: BTreeMap::new() }
    }

    /// Failures that were counted by another measure stay as long as that one had it.
    pub(super) fn measure_by(&mut self, measure: Measure) {
        self.measure = measure;
    }

    /// Counts a failure. Where it locks out: how many there are now, and until when.
    pub(super) fn add(&mut self, now: Instant, key: &K) -> Option<(u32, Instant)> {
        if !self.strikes.contains_key(key) {
            self.make_room(now);
        }
        let measure = self.measure;
        let new = Strikes { forgotten: now, locked_until: None };
        let strikes = self.strikes.entry(key.clone()).or_insert(new);
        let most = measure.forgotten_after * measure.most();
        strikes.forgotten = (strikes.forgotten.max(now) + measure.forgotten_after).min(now + most);
        let failures = measure.count(now, strikes.forgotten);
        let end = now + measure.penalty(failures)?;
        strikes.locked_until = Some(end);
        Some((failures, end))
    }

    fn make_room(&mut self, now: Instant) {
        if self.strikes.len() < self.capacity {
            return;
        }
        self.strikes.retain(|_, strikes| strikes.is_remembered(now));
        if self.strikes.len() < self.capacity {
            return;
        }
        // An eighth at once, so that it need not be done again soon.
        let mut ends: Vec<Instant> = self.strikes.values().map(|it| it.forgotten).collect();
        let (_, &mut bound, _) = ends.select_nth_unstable(self.capacity / 8);
        self.strikes.retain(|_, strikes| strikes.forgotten > bound);
    }

    /// Until when `key` is locked out, if it is.
    pub(super) fn locked_until(&self, now: Instant, key: &K) -> Option<Instant> {
        self.strikes.get(key)?.locked_until.filter(|end| *end > now)
    }

    pub(super) fn forget(&mut self, key: &K) -> bool {
        self.strikes.remove(key).is_some()
    }

    /// Forgets those that `is_meant`, and says how many of them were locked out.
    pub(super) fn forget_if(&mut self, now: Instant, is_meant: impl Fn(&K) -> bool) -> usize {
        let mut locked = 0;
        self.strikes.retain(|key, strikes| {
            let is_meant = is_meant(key);
            locked += usize::from(is_meant && strikes.is_locked(now));
            !is_meant
        });
        locked
    }

    /// Who is locked out, how often it has failed, and until when.
    pub(super) fn locked(&self, now: Instant) -> impl Iterator<Item = (&K, u32, Instant)> {
        self.strikes.iter().filter_map(move |(key, strikes)| {
            let end = strikes.locked_until.filter(|end| *end > now)?;
            Some((key, self.measure.count(now, strikes.forgotten), end))
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.strikes.len()
    }
}

impl Strikes {
    fn is_locked(self, now: Instant) -> bool {
        self.locked_until.is_some_and(|end| end > now)
    }

    fn is_remembered(self, now: Instant) -> bool {
        self.forgotten > now || self.is_locked(now)
    }
}

impl Measure {
    /// Failures beyond these would cost no more.
    fn most(self) -> u32 {
        self.threshold.saturating_add(self.doublings())
    }

    fn doublings(self) -> u32 {
        (0..32).find(|&times| self.after(times) >= self.longest).unwrap_or(32)
    }

    fn after(self, doublings: u32) -> Duration {
        self.first.saturating_mul(1 << doublings.min(31)).min(self.longest)
    }

    fn count(self, now: Instant, forgotten: Instant) -> u32 {
        let left = forgotten.saturating_duration_since(now).as_nanos();
        let each = self.forgotten_after.as_nanos().max(1);
        u32::try_from(left.div_ceil(each)).unwrap_or(u32::MAX)
    }

    fn penalty(self, failures: u32) -> Option<Duration> {
        failures.checked_sub(self.threshold).map(|beyond| self.after(beyond))
    }
}
