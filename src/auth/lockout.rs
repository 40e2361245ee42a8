//! Lock-out: who fails to log in again and again has to wait, longer each time.
//!
//! Counted are pairs of user and origin, and origins. A user alone is never locked out: else anybody
//! could keep a device out for ever by failing in its name. It is slowed where it is guessed at from
//! many places, and then only in places where it has not logged in before. Nor does an origin that is
//! locked out lock out those who have logged in there before: behind one address there can be a
//! whole fleet, and one device of it with an old password.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::origin::Origin;
use super::strikes::{Measure, Tally};
use super::user_name::MAX_USER_NAME_BYTES;

/// Keys of each kind that are counted at once.
const MAX_COUNTED: usize = 65_536;
/// Half of the pairs of user and origin that are known to have logged in, at most.
const MAX_FAMILIAR: usize = 131_072;
/// A user is slowed after so many times the failures that lock out a pair.
const SLOWED_AFTER_TIMES: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Less than any client waits for its CONNACK.
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// When failing to log in locks out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutRules {
    /// Failures of one user from one origin; 0 is never.
    pub failures: u32,
    /// Failures from one origin, whoever the users; 0 is never.
    pub origin_failures: u32,
    /// How long the first lock-out lasts; each failure more doubles it.
    pub first: Duration,
    /// The longest. It takes a pair as long to have one failure forgotten, and an origin all of them.
    pub longest: Duration,
}

/// Who has failed, and how often.
#[derive(Debug)]
pub struct Lockout {
    pairs: Option<Tally<(Arc<str>, Origin)>>,
    users: Option<Tally<Arc<str>>>,
    origins: Option<Tally<Origin>>,
    familiar: Familiar,
}

/// What becomes of a login before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is looked at.
    Admit,
    /// It is looked at after a while.
    Delay(Duration),
    /// It is not looked at until then.
    LockedOut(Instant),
}

/// Who is locked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedOut {
    /// The user; all of them, where there is none.
    pub user: Option<Arc<str>>,
    /// Where from.
    pub origin: Origin,
    /// How often it has failed, without what is forgotten.
    pub failures: u32,
    /// When it ends.
    pub until: Instant,
}

/// Whose lock-outs are to be lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lift {
    /// Those of a user, wherever it fails.
    User(Arc<str>),
    /// Those of an origin, whoever fails there.
    Origin(Origin),
    /// All.
    All,
}

impl Lockout {
    /// Nobody has failed yet. `seed` is not to be foreseen by clients.
    #[must_use]
    pub fn new(rules: LockoutRules, seed: u64) -> Self {
        let familiar = Familiar { seed, ..Familiar::default() };
        let mut lockout = Self { pairs: None, users: None, origins: None, familiar };
        lockout.follow(rules);
        lockout
    }

    /// Goes by other rules from now on. Failures that were counted stay counted, and whoever is locked
    /// out stays so for as long as was said, unless what counted them is turned off.
    pub fn follow(&mut self, rules: LockoutRules) {
        let LockoutRules { failures, origin_failures, first, longest } = rules;
        // A bound of 0 turns lock-outs off; so does no time.
        let is_on = |threshold: u32| threshold > 0 && !longest.is_zero();
        let measure = |threshold| Measure { threshold, forgotten_after: longest, first, longest };
        let of_user = Measure {
            first: FIRST_DELAY,
            longest: LONGEST_DELAY,
            ..measure(failures.saturating_mul(SLOWED_AFTER_TIMES))
        };
        let of_origin = Measure {
            forgotten_after: longest / origin_failures.max(1),
            ..measure(origin_failures)
        };
        follow(&mut self.pairs, is_on(failures).then(|| measure(failures)));
        follow(&mut self.users, is_on(failures).then_some(of_user));
        follow(&mut self.origins, is_on(origin_failures).then_some(of_origin));
    }

    /// Whether a login of `user` from `origin` is looked at. The answer does not depend on whether
    /// there is such a user, nor on its password.
    #[must_use]
    pub fn judge(&self, now: Instant, user: &str, origin: Origin) -> Judgement {
        let user = countable(user);
        let of_pair = self.pairs.as_ref().and_then(|pairs| {
            // The key of a map of pairs cannot be borrowed in parts.
            user.and_then(|user| pairs.locked_until(now, &(Arc::from(user), origin)))
        });
        if let Some(end) = of_pair {
            return Judgement::LockedOut(end);
        }
        let of_origin = self.origins.as_ref().and_then(|it| it.locked_until(now, &origin));
        let of_user = self.users.as_ref().zip(user);
        let of_user = of_user.and_then(|(it, user)| it.locked_until(now, &Arc::from(user)));
        if (of_origin, of_user) == (None, None)
            || user.is_some_and(|user| self.familiar.contains(user, origin))
        {
            return Judgement::Admit;
        }
        match (of_origin, of_user) {
            (Some(end), _) => Judgement::LockedOut(end),
            (None, Some(end)) => Judgement::Delay(end.saturating_duration_since(now)),
            (None, None) => Judgement::Admit,
        }
    }

    /// Counts a wrong password of `user` from `origin`. Gives the lock-outs that it brings.
    pub fn failed(&mut self, now: Instant, user: &str, origin: Origin) -> Vec<LockedOut> {
        let mut brought = Vec::new();
        if let (Some(pairs), Some(user)) = (&mut self.pairs, countable(user)) {
            let user: Arc<str> = Arc::from(user);
            let locked = pairs.add(now, &(Arc::clone(&user), origin));
            if let Some(users) = &mut self.users {
                users.add(now, &user);
            }
            brought.extend(locked.map(|(failures, until)| LockedOut {
                user: Some(user),
                origin,
                failures,
                until,
            }));
        }
        let of_origin = self.origins.as_mut().and_then(|origins| origins.add(now, &origin));
        brought.extend(of_origin.map(|(failures, until)| LockedOut {
            user: None,
            origin,
            failures,
            until,
        }));
        brought
    }

    /// `user` has logged in from `origin`: what it has failed there is forgotten. What the origin
    /// has failed is not, or whoever has one account could go on guessing at others.
    pub fn succeeded(&mut self, user: &str, origin: Origin) {
        let Some(pairs) = &mut self.pairs else { return };
        pairs.forget(&(Arc::from(user), origin));
        self.familiar.insert(user, origin);
    }

    /// Lifts lock-outs, and forgets the failures that led to them. Says how many there were.
    pub fn lift(&mut self, now: Instant, lift: &Lift) -> usize {
        let is_user = |user: &Arc<str>| match lift {
            Lift::User(meant) => user == meant,
            Lift::Origin(_) => false,
            Lift::All => true,
        };
        let is_origin = |origin: &Origin| match lift {
            Lift::User(_) => false,
            Lift::Origin(meant) => origin == meant,
            Lift::All => true,
        };
        let is_pair = |(user, origin): &(Arc<str>, Origin)| is_user(user) || is_origin(origin);
        let of_pairs = self.pairs.as_mut().map_or(0, |pairs| pairs.forget_if(now, is_pair));
        if let Some(users) = &mut self.users {
            users.forget_if(now, is_user);
        }
        of_pairs + self.origins.as_mut().map_or(0, |origins| origins.forget_if(now, is_origin))
    }

    /// Who is locked out.
    #[must_use]
    pub fn list(&self, now: Instant) -> Vec<LockedOut> {
        let pairs = self.pairs.iter().flat_map(|pairs| pairs.locked(now));
        let pairs = pairs.map(|((user, origin), failures, until)| LockedOut {
            user: Some(Arc::clone(user)),
            origin: *origin,
            failures,
            until,
        });
        let origins = self.origins.iter().flat_map(|origins| origins.locked(now));
        let origins = origins.map(|(origin, failures, until)| LockedOut {
            user: None,
            origin: *origin,
            failures,
            until,
        });
        pairs.chain(origins).collect()
    }

    /// How many are locked out.
    #[must_use]
    pub fn count(&self, now: Instant) -> usize {
        let pairs = self.pairs.as_ref().map_or(0, |pairs| pairs.locked(now).count());
        pairs + self.origins.as_ref().map_or(0, |origins| origins.locked(now).count())
    }
}

/// A name that no user can have is counted by its origin alone.
fn countable(user: &str) -> Option<&str> {
    (user.len() <= MAX_USER_NAME_BYTES).then_some(user)
}

/// Who has logged in from where: the latest of them, by hashes. Two that collide would only be
/// spared what others are spared as well.
#[derive(Debug, Default)]
struct Familiar {
    seed: u64,
    recent: BTreeSet<u64>,
    older: BTreeSet<u64>,
}

impl Familiar {
    fn hash(&self, user: &str, origin: Origin) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, user, origin).hash(&mut hasher);
        hasher.finish()
    }

    fn contains(&self, user: &str, origin: Origin) -> bool {
        let hash = self.hash(user, origin);
        self.recent.contains(&hash) || self.older.contains(&hash)
    }

    fn insert(&mut self, user: &str, origin: Origin) {
        if self.recent.len() >= MAX_FAMILIAR {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(self.hash(user, origin));
    }
}

/// Measures by another `measure`, or not at all.
fn follow<K: Ord + Clone>(tally: &mut Option<Tally<K>>, measure: Option<Measure>) {
    match (&mut *tally, measure) {
        (Some(tally), Some(measure)) => tally.measure_by(measure),
        (_, measure) => *tally = measure.map(|measure| Tally::new(measure, MAX_COUNTED)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: LockoutRules = LockoutRules {
        failures: 5,
        origin_failures: 100,
        first: SECOND,
        longest: Duration::from_secs(900),
    };

    fn lockout() -> Lockout {
        Lockout::new(RULES, 7)
    }

    fn at(number: u32) -> Origin {
        Origin::from(IpAddr::from(Ipv4Addr::from_bits(number)))
    }

    /// Fails `times` at `now`, looked at or not.
    fn fail(lockout: &mut Lockout, now: Instant, user: &str, origin: Origin, times: u32) {
        for _ in 0..times {
            lockout.failed(now, user, origin);
        }
    }

    #[test]
    fn the_fifth_failure_locks_out_and_each_one_more_for_twice_as_long() {
        let mut lockout = lockout();
        let mut now = Instant::now();
        fail(&mut lockout, now, "ann", at(1), 4);
        assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
        for seconds in [1, 2, 4, 8, 16] {
            let brought = lockout.failed(now, "ann", at(1));
            let end = now + SECOND * seconds;
            assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::LockedOut(end));
            assert_eq!(brought.len(), 1);
            assert_eq!((brought[0].user.as_deref(), brought[0].until), (Some("ann"), end));
            assert_eq!(lockout.list(now), brought);
            assert_eq!(lockout.count(now), 1);
            now = end;
            assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
            assert_eq!(lockout.count(now), 0);
        }
    }

    #[test]
    fn nobody_locks_out_a_user_from_another_address() {
        let mut lockout = lockout();
        let now = Instant::now();
        fail(&mut lockout, now, "ann", at(1), 1_000);
        let judgement = lockout.judge(now, "ann", at(2));
        assert!(matches!(judgement, Judgement::Delay(time) if time <= LONGEST_DELAY));
        assert_eq!(lockout.judge(now, "bob", at(2)), Judgement::Admit);
        lockout.succeeded("ann", at(3));
        assert_eq!(lockout.judge(now, "ann", at(3)), Judgement::Admit);
    }

    #[test]
    fn an_address_is_locked_out_but_not_who_has_logged_in_there() {
        let mut lockout = lockout();
        let now = Instant::now();
        lockout.succeeded("ann", at(1));
        for number in 0..100 {
            assert_eq!(lockout.judge(now, "eve", at(1)), Judgement::Admit);
            lockout.failed(now, &format!("user{number}"), at(1));
        }
        assert!(matches!(lockout.judge(now, "eve", at(1)), Judgement::LockedOut(_)));
        assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
        assert_eq!(lockout.judge(now, "eve", at(2)), Judgement::Admit);
        // Whoever is known there is no freer to guess.
        fail(&mut lockout, now, "ann", at(1), 5);
        assert!(matches!(lockout.judge(now, "ann", at(1)), Judgement::LockedOut(_)));
    }

    #[test]
    fn a_device_with_an_old_password_does_not_lock_out_its_neighbours() {
        let mut lockout = lockout();
        let begin = Instant::now();
        let week = SECOND * 604_800;
        let mut now = begin;
        while now < begin + week {
            lockout.failed(now, "old", at(1));
            match lockout.judge(now, "old", at(1)) {
                Judgement::LockedOut(end) => now = end,
                _ => now += SECOND,
            }
            assert_eq!(lockout.judge(now, "new", at(1)), Judgement::Admit);
        }
    }

    #[test]
    fn a_login_forgets_what_its_user_has_failed_there_but_not_what_the_address_has() {
        let mut lockout = lockout();
        let now = Instant::now();
        for number in 0..120 {
            fail(&mut lockout, now, "ann", at(1), 4);
            lockout.succeeded("ann", at(1));
            assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit, "{number}");
        }
        assert!(matches!(lockout.judge(now, "bob", at(1)), Judgement::LockedOut(_)));
    }

    #[test]
    fn what_is_lifted_is_forgotten() {
        let mut lockout = lockout();
        let now = Instant::now();
        let fill = |lockout: &mut Lockout| {
            fail(lockout, now, "ann", at(1), 200);
            fail(lockout, now, "ann", at(2), 5);
            fail(lockout, now, "bob", at(2), 5);
        };
        let left = |lockout: &Lockout| -> Vec<(Option<String>, Origin)> {
            let name = |it: LockedOut| (it.user.as_deref().map(str::to_owned), it.origin);
            lockout.list(now).into_iter().map(name).collect()
        };
        let (ann, bob) = (Some("ann".to_owned()), Some("bob".to_owned()));
        fill(&mut lockout);
        assert_eq!(lockout.lift(now, &Lift::User("ann".into())), 2);
        assert_eq!(left(&lockout), [(bob.clone(), at(2)), (None, at(1))]);
        assert!(matches!(lockout.judge(now, "eve", at(1)), Judgement::LockedOut(_)));
        fill(&mut lockout);
        assert_eq!(lockout.lift(now, &Lift::Origin(at(1))), 2);
        assert_eq!(left(&lockout), [(ann, at(2)), (bob, at(2))]);
        assert_eq!(lockout.lift(now, &Lift::All), 2);
        assert_eq!(lockout.judge(now, "ann", at(3)), Judgement::Admit);
        assert_eq!(left(&lockout), []);
    }

    #[test]
    fn other_rules_hold_at_once_and_what_was_counted_stays() {
        let (mut lockout, now) = (lockout(), Instant::now());
        fail(&mut lockout, now, "ann", at(1), 4);
        fail(&mut lockout, now, "bob", at(2), 5);
        assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
        lockout.follow(LockoutRules { failures: 4, ..RULES });
        assert!(matches!(lockout.judge(now, "bob", at(2)), Judgement::LockedOut(_)));
        lockout.failed(now, "ann", at(1));
        assert!(matches!(lockout.judge(now, "ann", at(1)), Judgement::LockedOut(_)));
        lockout.follow(LockoutRules { failures: 0, ..RULES });
        assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
    }

    #[test]
    fn a_bound_of_0_locks_out_nobody() {
        let now = Instant::now();
        let mut off = Lockout::new(LockoutRules { failures: 0, origin_failures: 0, ..RULES }, 7);
        let mut no_time = Lockout::new(LockoutRules { longest: Duration::ZERO, ..RULES }, 7);
        for lockout in [&mut off, &mut no_time] {
            fail(lockout, now, "ann", at(1), 1_000);
            assert_eq!(lockout.judge(now, "ann", at(1)), Judgement::Admit);
            assert_eq!(lockout.list(now), []);
        }
    }

    #[test]
    fn a_name_that_no_user_can_have_counts_for_its_address_alone() {
        let mut lockout = lockout();
        let now = Instant::now();
        let long = "x".repeat(MAX_USER_NAME_BYTES + 1);
        fail(&mut lockout, now, &long, at(1), 100);
        assert_eq!(lockout.pairs.as_ref().unwrap().len(), 0);
        assert!(matches!(lockout.judge(now, &long, at(1)), Judgement::LockedOut(_)));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let mut lockout = lockout();
        let mut now = Instant::now();
        fail(&mut lockout, now, "ann", at(1), 20);
        for number in 0..200_000 {
            now += Duration::from_micros(10);
            lockout.failed(now, "x", at(number + 2));
            lockout.succeeded(&number.to_string(), at(1));
        }
        assert!(lockout.pairs.as_ref().unwrap().len() <= MAX_COUNTED);
        assert!(lockout.origins.as_ref().unwrap().len() <= MAX_COUNTED);
        assert!(lockout.familiar.recent.len() + lockout.familiar.older.len() <= 2 * MAX_FAMILIAR);
        assert!(matches!(lockout.judge(now, "ann", at(1)), Judgement::LockedOut(_)));
    }

    /// A step of a random history.
    #[derive(Clone, Debug)]
    enum Step {
        Fail(usize, u32),
        Succeed(usize, u32),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..3_usize, 0..3_u32).prop_map(|(user, origin)| Step::Fail(user, origin)),
            1 => (0..3_usize, 0..3_u32).prop_map(|(user, origin)| Step::Succeed(user, origin)),
            2 => (0..2_000_u64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against a count by hand: who has failed less than five times since it last logged in is
        /// admitted, or at most delayed; a lock-out ends at most the longest time after a failure of
        /// that very pair; and nobody is locked out by what others do elsewhere.
        #[test]
        fn a_pair_is_locked_out_by_its_own_failures_alone_and_never_for_longer(steps in steps()) {
            let users = ["ann", "bob", ""];
            let rules = LockoutRules { origin_failures: 0, ..RULES };
            let mut lockout = Lockout::new(rules, 7);
            let mut now = Instant::now();
            let mut failures = [[0_u32; 3]; 3];
            let mut last = [[None::<Instant>; 3]; 3];
            for step in steps {
                match step {
                    Step::Fail(user, origin) => {
                        lockout.failed(now, users[user], at(origin));
                        failures[user][origin as usize] += 1;
                        last[user][origin as usize] = Some(now);
                    }
                    Step::Succeed(user, origin) => {
                        lockout.succeeded(users[user], at(origin));
                        failures[user][origin as usize] = 0;
                    }
                    Step::Wait(seconds) => now += SECOND * u32::try_from(seconds).unwrap(),
                }
                for (user, name) in users.iter().enumerate() {
                    for origin in 0..3_u32 {
                        let place = origin as usize;
                        if let Judgement::LockedOut(end) = lockout.judge(now, name, at(origin)) {
                            prop_assert!(failures[user][place] >= RULES.failures);
                            let last = last[user][place].unwrap();
                            prop_assert!(end > now && end <= last + RULES.longest);
                        }
                    }
                }
            }
            // All of it is forgotten in the end.
            now += RULES.longest * 64;
            for user in users {
                prop_assert_eq!(lockout.judge(now, user, at(0)), Judgement::Admit);
            }
        }

        /// Whoever does not wait gets no more guesses than the doubling allows.
        #[test]
        fn a_day_of_guessing_is_a_hundred_guesses(pause in 1_u64..60) {
            let mut lockout = lockout();
            let begin = Instant::now();
            let (mut now, mut guesses) = (begin, 0);
            while now < begin + SECOND * 86_400 {
                if lockout.judge(now, "ann", at(1)) == Judgement::Admit {
                    lockout.failed(now, "ann", at(1));
                    guesses += 1;
                }
                now += Duration::from_secs(pause);
            }
            prop_assert!(guesses <= 120, "{guesses}");
        }
    }
}
