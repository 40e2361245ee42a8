//! How often the sentinel is told what one client does again and again.

use std::time::{Duration, Instant};

use crate::sentinel::Kind;

/// Told one by one in each second, of each sort.
const ONE_BY_ONE: u32 = 32;
const SECOND: Duration = Duration::from_secs(1);

/// What was told of one client, so that it does not fill the queue alone. Of more than 32 events of a sort in
/// a second, one stands for as many as were told before: at least half of them are always told, and the rest
/// with the next one. There is none before the first event.
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
}

impl Pace {
    /// Whether the sentinel is told of one more event, and how many alike it then stands for.
    pub(in crate::broker) fn admit(
        &mut self,
        kind: Kind,
        reason: &'static str,
        now: Instant,
    ) -> Option<u32> {
        let is_same = |lane: &Lane| lane.kind == kind && lane.reason == reason;
        let at = self.0.iter().position(is_same).unwrap_or_else(|| {
            self.0.push(Lane { kind, reason, since: now, told: 0, untold: 0 });
            self.0.len() - 1
        });
        self.0.get_mut(at)?.admit(now)
    }
}

impl Lane {
    fn admit(&mut self, now: Instant) -> Option<u32> {
        self.untold = self.untold.saturating_add(1);
        if now.saturating_duration_since(self.since) >= SECOND {
            (self.since, self.told) = (now, 1);
            return Some(std::mem::take(&mut self.untold));
        }
        let together = if self.told < ONE_BY_ONE { 1 } else { self.told };
        if self.untold < together {
            return None;
        }
        self.told = self.told.saturating_add(self.untold);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_one_by_one_and_many_together() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut admit = |reason, now| pace.admit(Kind::Denied, reason, now);
        let told: Vec<_> = (0..100_000).filter_map(|_| admit("publish", begin)).collect();
        assert_eq!(told[..32], [1; 32]);
        assert_eq!(told[32..36], [32, 64, 128, 256]);
        assert!(told.len() < 50, "{}", told.len());
        assert!(told.iter().sum::<u32>() >= 50_000);
        // Of another sort than that there were few.
        assert_eq!(admit("subscribe", begin), Some(1));
        let rest = admit("publish", begin + SECOND).expect("in the next second");
        assert_eq!(told.iter().sum::<u32>() + rest, 100_001);
        assert_eq!(admit("publish", begin + SECOND), Some(1));
    }
}
