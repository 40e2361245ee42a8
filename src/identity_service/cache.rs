//! Answers that need not be asked for again: of clients that were let in, for a while. Kept by MACs of
//! the questions under a key that lives in memory alone, so that nothing here helps to guess a
//! password.

use std::collections::{HashMap, VecDeque};
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

/// HMAC-SHA-256 of a question.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct QuestionMac([u8; 32]);

/// Admissions by question. Once it is full, the oldest goes.
#[derive(Debug)]
pub(super) struct Cache {
    lifetime: Duration,
    max: usize,
    entries: HashMap<QuestionMac, Entry, foldhash::fast::RandomState>,
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

    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length: RFC 2104")]
    pub(super) fn mac(&self, question: &[u8]) -> QuestionMac {
        let mac: Hmac<Sha256> = Hmac::new_from_slice(self.0.expose()).expect("a key of any length");
        QuestionMac(mac.chain_update(question).finalize().into_bytes().into())
    }
}

impl Cache {
    /// Keeps up to `max` admissions, each for `lifetime`; none where that is 0.
    pub(super) fn new(lifetime: Duration, max: NonZeroU32) -> Self {
        let max = usize::try_from(max.get()).unwrap_or(usize::MAX);
        Self { lifetime, max, entries: HashMap::default(), order: VecDeque::new() }
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
        (0..count).map(|number| key.mac(&[number])).collect()
    }

    fn cache(max: u32) -> Cache {
        Cache::new(LIFETIME, NonZeroU32::new(max).unwrap())
    }

    #[test]
    fn an_answer_is_found_by_its_question_under_the_same_key_for_its_time() {
        let (mut cache, now) = (cache(10), Instant::now());
        let question = CacheKey::new([7; 32]).mac(b"question");
        cache.insert(now, question, &admission());
        assert!(cache.find(now + LIFETIME / 2, &question).is_some());
        assert!(cache.find(now + LIFETIME, &question).is_none());
        for other in [CacheKey::new([8; 32]).mac(b"question"), CacheKey::new([7; 32]).mac(b"other")]
        {
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
    fn a_lifetime_of_0_keeps_nothing() {
        let mut cache = Cache::new(Duration::ZERO, NonZeroU32::MIN);
        let now = Instant::now();
        cache.insert(now, macs(1)[0], &admission());
        assert!(cache.entries.is_empty() && cache.order.is_empty());
    }
}
