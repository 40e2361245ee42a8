//! Answers that need not be asked for again: of clients that were let in, for a while. Kept by MACs of
//! the questions under a key that lives in memory alone, so that nothing here helps to guess a
//! password.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Admission;
use crate::secret::Secret;

/// Decides which name a question has in the cache.
#[derive(Debug)]
pub(super) struct CacheKey(Secret);

/// HMAC-SHA-256 of the name of a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UserMac([u8; 32]);

/// HMAC-SHA-256 of a question, among those about the same user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QuestionMac {
    user: UserMac,
    question: [u8; 32],
}

/// Admissions by question. Once it is full, the oldest goes.
#[derive(Debug)]
pub(super) struct Cache {
    lifetime: Duration,
    max: usize,
    /// Those of one user side by side.
    entries: BTreeMap<QuestionMac, Entry>,
    /// In the order in which they end; those that are not in `entries` any more among them.
    order: VecDeque<(QuestionMac, Instant)>,
}

#[derive(Debug)]
struct Entry {
    admission: Arc<Admission>,
    until: Instant,
}

impl CacheKey {
    /// Takes random bytes.
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    /// That of a question about `user`.
    pub(super) fn mac(&self, user: &str, question: &[u8]) -> QuestionMac {
        QuestionMac { user: self.user(user), question: self.hmac(question) }
    }

    pub(super) fn user(&self, user: &str) -> UserMac {
        UserMac(self.hmac(user.as_bytes()))
    }

    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length: RFC 2104")]
    fn hmac(&self, bytes: &[u8]) -> [u8; 32] {
        let mac: Hmac<Sha256> = Hmac::new_from_slice(self.0.expose()).expect("a key of any length");
        mac.chain_update(bytes).finalize().into_bytes().into()
    }
}

impl Cache {
    /// Keeps up to `max` admissions, each for `lifetime`; none where that is 0.
    pub(super) fn new(lifetime: Duration, max: NonZeroU32) -> Self {
        let max = usize::try_from(max.get()).unwrap_or(usize::MAX);
        Self { lifetime, max, entries: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Keeps as many, for as long, from now on; where that is another number, none of those that it has.
    pub(super) fn follow(&mut self, lifetime: Duration, max: NonZeroU32) {
        let other = Self::new(lifetime, max);
        if (self.lifetime, self.max) != (other.lifetime, other.max) {
            *self = other;
        }
    }

    pub(super) fn find(&self, now: Instant, question: &QuestionMac) -> Option<Arc<Admission>> {
        let entry = self.entries.get(question).filter(|entry| entry.until > now)?;
        Some(Arc::clone(&entry.admission))
    }

    pub(super) fn insert(&mut self, now: Instant, question: QuestionMac, given: &Arc<Admission>) {
        if self.lifetime.is_zero() {
            return;
        }
        let is_over = |first: &mut (QuestionMac, Instant)| first.1 <= now;
        while let Some((oldest, until)) = self.order.pop_front_if(is_over) {
            self.remove(&oldest, until);
        }
        while self.order.len() >= self.max {
            let Some((oldest, until)) = self.order.pop_front() else { break };
            self.remove(&oldest, until);
        }
        let until = now + self.lifetime;
        self.entries.insert(question, Entry { admission: Arc::clone(given), until });
        self.order.push_back((question, until));
    }

    /// Removes the entry that ends then; one that has taken its place stays.
    fn remove(&mut self, question: &QuestionMac, until: Instant) {
        if self.entries.get(question).is_some_and(|entry| entry.until == until) {
            self.entries.remove(question);
        }
    }

    /// Forgets what was said of a user.
    pub(super) fn forget(&mut self, user: UserMac) {
        let first = QuestionMac { user, question: [0; 32] };
        let last = QuestionMac { user, question: [0xFF; 32] };
        while let Some((question, _)) = self.entries.range(first..=last).next() {
            let question = *question;
            self.entries.remove(&question);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }
}

impl std::fmt::Debug for QuestionMac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuestionMac(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Attributes;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn admission() -> Arc<Admission> {
        Arc::new(Admission { attributes: Attributes::default(), ends: None, rules: None })
    }

    fn macs(count: u8) -> Vec<QuestionMac> {
        let key = CacheKey::new([7; 32]);
        (0..count).map(|number| key.mac("ann", &[number])).collect()
    }

    fn cache(max: u32) -> Cache {
        Cache::new(LIFETIME, NonZeroU32::new(max).unwrap())
    }

    #[test]
    fn an_answer_is_found_by_its_question_under_the_same_key_for_its_time() {
        let (mut cache, now) = (cache(10), Instant::now());
        let question = CacheKey::new([7; 32]).mac("ann", b"question");
        cache.insert(now, question, &admission());
        assert!(cache.find(now + LIFETIME / 2, &question).is_some());
        assert!(cache.find(now + LIFETIME, &question).is_none());
        let (key, other_key) = (CacheKey::new([7; 32]), CacheKey::new([8; 32]));
        for other in [other_key.mac("ann", b"question"), key.mac("ann", b"other")] {
            assert!(cache.find(now, &other).is_none());
        }
        cache.clear();
        assert!(cache.find(now, &question).is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_the_oldest_goes_first() {
        let (mut cache, now) = (cache(3), Instant::now());
        let macs = macs(10);
        for mac in macs.iter().chain(&macs) {
            cache.insert(now, *mac, &admission());
            assert!(cache.entries.len() <= 3 && cache.order.len() <= 3);
        }
        let found = macs.iter().map(|mac| cache.find(now, mac).is_some()).collect::<Vec<_>>();
        assert_eq!(found, [[false; 7].as_slice(), &[true; 3]].concat());
        cache.insert(now + LIFETIME, macs[0], &admission());
        assert_eq!((cache.entries.len(), cache.order.len()), (1, 1));
    }

    #[test]
    fn one_that_is_asked_again_lives_on_when_its_first_answer_ends() {
        let (mut cache, now) = (cache(10), Instant::now());
        let macs = macs(2);
        cache.insert(now, macs[0], &admission());
        let later = now + LIFETIME / 2;
        cache.insert(later, macs[0], &admission());
        cache.insert(now + LIFETIME, macs[1], &admission());
        assert!(cache.find(now + LIFETIME, &macs[0]).is_some());
    }

    #[test]
    fn what_was_said_of_one_user_is_forgotten_and_of_others_is_not() {
        let (mut cache, now, key) = (cache(10), Instant::now(), CacheKey::new([7; 32]));
        let questions = ["ann", "bob"]
            .map(|user| [&b"one"[..], b"other"].map(|question| key.mac(user, question)));
        questions.iter().flatten().for_each(|mac| cache.insert(now, *mac, &admission()));
        cache.forget(key.user("ann"));
        let is_known = questions.map(|of| of.map(|mac| cache.find(now, &mac).is_some()));
        assert_eq!(is_known, [[false; 2], [true; 2]]);
        cache.insert(now, questions[0][0], &admission());
        assert!(cache.find(now, &questions[0][0]).is_some());
    }

    #[test]
    fn a_lifetime_of_0_keeps_nothing() {
        let mut cache = Cache::new(Duration::ZERO, NonZeroU32::MIN);
        let now = Instant::now();
        cache.insert(now, macs(1)[0], &admission());
        assert!(cache.entries.is_empty() && cache.order.is_empty());
    }
}
