//! How full the buckets of limits are. Those of who is connected are counted by whoever uses them; of the
//! others a bounded number is remembered, however many there have been.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::{DashMap, Entry};
use metrics::Counter;
use parking_lot::{Mutex, MutexGuard};

use crate::throttle::Levels;

/// All buckets that are not empty: each by a number that nobody can choose, so that a name of any length takes
/// no room. That two of them have the same one is as likely as to guess a key of 64 bits.
#[derive(Debug)]
pub(super) struct Buckets {
    numbers: RandomState,
    in_use: DashMap<u64, InUse>,
    /// Locked below the locks of `in_use`, and never the other way round.
    idle: Mutex<Levels>,
    /// Whoever has them moved to another room.
    moving: Mutex<()>,
    /// Those that were forgotten and not empty.
    forgotten: Counter,
    /// What levels are counted from.
    started: Instant,
}

#[derive(Debug, Default)]
struct InUse {
    users: usize,
    level: Arc<AtomicU64>,
}

/// The level of one, for one user.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    level: Arc<AtomicU64>,
    /// Where it is remembered, and by which number; nowhere, where it ends with its last user.
    home: Option<(Arc<Buckets>, u64)>,
}

impl Buckets {
    /// With room for so many that nobody uses. `seed` is secret.
    pub(super) fn new(max_idle: usize, seed: u64, forgotten: Counter) -> Arc<Self> {
        let (numbers, in_use, started) = (RandomState::new(), DashMap::new(), Instant::now());
        let idle = Mutex::new(Levels::new(max_idle, seed));
        let moving = Mutex::default();
        Arc::new(Self { numbers, in_use, idle, moving, forgotten, started })
    }

    /// Has room for so many that nobody uses. Whoever comes or goes meanwhile waits for a part of that at most.
    pub(super) fn follow(&self, max_idle: usize) {
        let _alone = self.moving.lock();
        self.idle.lock().resize(max_idle);
        loop {
            let (now, mut forgotten) = (since(self.started, Instant::now()), 0);
            let mut idle = self.idle.lock();
            let left = idle.move_some(|level| forgotten += u64::from(level > now));
            MutexGuard::unlock_fair(idle);
            self.forgotten.increment(forgotten);
            if left.is_some() {
                return;
            }
        }
    }

    /// What levels are counted from.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The bucket of this name, as it was left.
    pub(super) fn of(self: &Arc<Self>, name: impl Hash) -> Bucket {
        self.take(self.numbers.hash_one(name))
    }

    fn take(self: &Arc<Self>, number: u64) -> Bucket {
        let mut in_use = self.in_use.entry(number).or_insert_with(|| {
            let level = Arc::new(AtomicU64::new(self.idle.lock().of(number)));
            InUse { users: 0, level }
        });
        in_use.users += 1;
        let level = Arc::clone(&in_use.level);
        Bucket { level, home: Some((Arc::clone(self), number)) }
    }

    /// Remembers a bucket once its last user leaves it. Under the lock of its place: whoever asks for it
    /// meanwhile finds it in use, or as it was left.
    fn give_back(&self, number: u64) {
        let Entry::Occupied(mut entry) = self.in_use.entry(number) else { return };
        entry.get_mut().users -= 1;
        if entry.get().users > 0 {
            return;
        }
        let (level, now) =
            (entry.get().level.load(Ordering::Relaxed), since(self.started, Instant::now()));
        if level > now && self.idle.lock().keep(number, level) > now {
            self.forgotten.increment(1);
        }
        entry.remove();
    }
}

impl Deref for Bucket {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.level
    }
}

impl Clone for Bucket {
    fn clone(&self) -> Self {
        match &self.home {
            Some((home, number)) => home.take(*number),
            None => Self { level: Arc::clone(&self.level), home: None },
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some((home, number)) = &self.home {
            home.give_back(*number);
        }
    }
}

/// In nanoseconds.
pub(super) fn since(started: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(started).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use metrics::CounterFn;

    use super::*;

    const ROOM: usize = 1 << 12;
    /// A level that is not over while a test runs.
    const LONG: u64 = 1 << 60;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl CounterFn for Count {
        fn increment(&self, value: u64) {
            self.0.fetch_add(value, Ordering::Relaxed);
        }

        fn absolute(&self, value: u64) {
            self.0.store(value, Ordering::Relaxed);
        }
    }

    fn buckets() -> Arc<Buckets> {
        Buckets::new(ROOM, 7, Counter::noop())
    }

    fn level(buckets: &Arc<Buckets>, name: impl Hash) -> u64 {
        buckets.of(name).load(Ordering::Relaxed)
    }

    fn fill(buckets: &Arc<Buckets>, name: impl Hash, level: u64) {
        buckets.of(name).fetch_max(level, Ordering::Relaxed);
    }

    #[test]
    fn a_bucket_is_one_for_all_of_its_users_and_as_they_left_it_for_who_comes_back() {
        let buckets = buckets();
        let (one, two) = (buckets.of("a"), buckets.of("a"));
        one.store(LONG, Ordering::Relaxed);
        assert_eq!(two.load(Ordering::Relaxed), LONG);
        drop(one);
        assert_eq!(level(&buckets, "a"), LONG, "still in use");
        let three = two.clone();
        three.fetch_add(1, Ordering::Relaxed);
        drop((two, three));
        assert!(buckets.in_use.is_empty());
        assert_eq!((level(&buckets, "a"), level(&buckets, "b")), (LONG + 1, 0));
    }

    #[test]
    fn of_those_that_have_no_place_in_a_smaller_room_it_is_counted_how_many_were_not_empty() {
        let forgotten = Arc::new(Count::default());
        let buckets = Buckets::new(ROOM, 7, Counter::from_arc(Arc::clone(&forgotten)));
        (0..ROOM / 4).for_each(|name| fill(&buckets, name, LONG));
        let known = || (0..ROOM / 4).filter(|name| level(&buckets, name) > 0).count();
        let forgotten = || forgotten.0.load(Ordering::Relaxed) as usize;
        assert_eq!(known() + forgotten(), ROOM / 4);
        buckets.follow(ROOM / 16);
        assert!(forgotten() > ROOM / 8, "{}", forgotten());
        assert_eq!(known() + forgotten(), ROOM / 4);
    }

    #[test]
    fn what_is_empty_takes_no_room() {
        let buckets = buckets();
        fill(&buckets, "full", LONG);
        // It is over before it is given back.
        (0..100_000_u32).for_each(|name| fill(&buckets, name, 1));
        assert_eq!((0..100_000_u32).filter(|name| level(&buckets, name) > 0).count(), 0);
        assert_eq!(level(&buckets, "full"), LONG);
    }

    #[test]
    fn a_million_names_leave_no_more_than_there_is_room_for_and_take_nothing_from_who_is_there() {
        let buckets = buckets();
        let connected = buckets.of("connected");
        connected.store(LONG, Ordering::Relaxed);
        fill(&buckets, "away", LONG + 1_000_000);
        let names = (0..1_000_000_u64).map(|name| (name, LONG + name % 1_000));
        names.clone().for_each(|(name, level)| fill(&buckets, name, level));
        assert_eq!(buckets.in_use.len(), 1);
        assert_eq!(level(&buckets, "away"), LONG + 1_000_000, "the fullest stay");
        assert_eq!(level(&buckets, "connected"), LONG);
        // Nobody's is fuller than it was left.
        let known = names.filter(|(name, left)| match level(&buckets, name) {
            0 => false,
            found => {
                assert_eq!(found, *left, "{name}");
                true
            }
        });
        let known = known.count();
        assert!(known <= ROOM && known > ROOM / 2, "{known}");
    }

    #[test]
    fn users_who_come_and_go_at_once_lose_no_count() {
        const ROUNDS: u64 = 20_000;
        let buckets = buckets();
        fill(&buckets, "a", LONG);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        buckets.of("a").fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(level(&buckets, "a"), LONG + 4 * ROUNDS);
        assert!(buckets.in_use.is_empty());
    }
}
