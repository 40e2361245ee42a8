//! How often the sentinel is told what one client does again and again.

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::sentinel::Kind;

/// Told one by one in each second, of each sort.
const ONE_BY_ONE: u32 = 32;
const SECOND: Duration = Duration::from_secs(1);

/// What was told of one client, so that it does not fill the queue alone. Of more than 32 events of a sort in
/// a second, one stands for as many as were told before: at least half of them are always told, and the rest
/// with the next one. But those on another topic are told by themselves, of 32 topics more in each second: who
/// repeats one topic does not hide others behind it. There is none before the first event.
#[derive(Debug, Default)]
pub(in crate::broker) struct Pace(Vec<Lane>);

/// Events of one sort, of which there are as many as kinds have reasons.
#[derive(Debug)]
struct Lane {
    kind: Kind,
    reason: &'static str,
    since: Instant,
    /// In the second that began then.
    told: u32,
    untold: u32,
    /// Of those beyond the first.
    topics: Topics,
}

/// What is told by itself, by hashes that nobody can foresee.
#[derive(Debug, Default)]
struct Topics {
    hasher: RandomState,
    told: Vec<u64>,
}

impl Pace {
    /// Whether the sentinel is told of one more event, and how many alike it then stands for.
    pub(in crate::broker) fn admit(
        &mut self,
        kind: Kind,
        reason: &'static str,
        topic: &str,
        now: Instant,
    ) -> Option<u32> {
        let is_same = |lane: &Lane| lane.kind == kind && lane.reason == reason;
        let at = self.0.iter().position(is_same).unwrap_or_else(|| {
            let topics = Topics::default();
            self.0.push(Lane { kind, reason, since: now, told: 0, untold: 0, topics });
            self.0.len() - 1
        });
        self.0.get_mut(at)?.admit(topic, now)
    }
}

impl Lane {
    fn admit(&mut self, topic: &str, now: Instant) -> Option<u32> {
        self.untold = self.untold.saturating_add(1);
        if now.saturating_duration_since(self.since) >= SECOND {
            (self.since, self.told) = (now, 1);
            self.topics.told.clear();
            return Some(std::mem::take(&mut self.untold));
        }
        let together = if self.told < ONE_BY_ONE { 1 } else { self.told };
        let stands_out = self.told >= ONE_BY_ONE && self.topics.is_new(topic);
        if self.untold < together && !stands_out {
            return None;
        }
        self.told = self.told.saturating_add(self.untold);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Topics {
    fn is_new(&mut self, topic: &str) -> bool {
        if self.told.len() >= ONE_BY_ONE as usize {
            return false;
        }
        let hash = self.hasher.hash_one(topic);
        let is_new = !self.told.contains(&hash);
        if is_new {
            self.told.push(hash);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_one_by_one_and_many_together() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut admit = |reason, now| pace.admit(Kind::Denied, reason, "a", now);
        let told: Vec<_> = (0..100_000).filter_map(|_| admit("publish", begin)).collect();
        assert_eq!(told[..33], [1; 33]);
        assert_eq!(told[33..37], [33, 66, 132, 264]);
        assert!(told.len() < 50, "{}", told.len());
        assert!(told.iter().sum::<u32>() >= 50_000);
        // Of another sort than that there were few.
        assert_eq!(admit("subscribe", begin), Some(1));
        let rest = admit("publish", begin + SECOND).expect("in the next second");
        assert_eq!(told.iter().sum::<u32>() + rest, 100_001);
        assert_eq!(admit("publish", begin + SECOND), Some(1));
    }

    #[test]
    fn who_repeats_one_topic_does_not_hide_others_behind_it() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut admit = |topic: &str| pace.admit(Kind::Denied, "publish", topic, begin);
        for _ in 0..1_000 {
            admit("a");
        }
        let topics = (0..40).map(|number| format!("b/{number}"));
        let told: Vec<_> = topics.filter(|topic| admit(topic).is_some()).collect();
        // One of the 32 was the topic that is repeated.
        assert_eq!(told, (0..31).map(|number| format!("b/{number}")).collect::<Vec<_>>());
        assert!((0..100).all(|_| admit("b/0").is_none()), "again");
    }
}
