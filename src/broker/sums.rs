//! What limits have refused is told in sums, so that a flood fills no log: the first of it at once, and what
//! comes after that once a minute.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Broker;
use crate::audit::Event;
use crate::clock::Now;
use crate::telemetry::{Label, Refusal};

/// How often the same limit is told of at most, in seconds.
const BETWEEN: u64 = 60;

/// What one limit has refused and nobody has been told of.
#[derive(Debug, Default)]
pub(super) struct Sum {
    untold: AtomicU64,
    /// When it was last told of, in seconds since the Unix epoch.
    told_at: AtomicU64,
}

/// Those of connections and logins; each rule of `[[throttle]]` has its own.
#[derive(Debug)]
pub(super) struct Sums {
    connections: Vec<Sum>,
    logins: Sum,
}

/// The name of the limits of logins under way.
pub(super) const LOGINS: &str = "logins_under_way";

impl Sum {
    /// One more. How many there are to be told of, if it is time.
    pub(super) fn add(&self, now: Duration) -> Option<u64> {
        self.add_all(1, now)
    }

    /// So many more. How many there are to be told of, if it is time.
    fn add_all(&self, times: u32, now: Duration) -> Option<u64> {
        self.untold.fetch_add(times.into(), Ordering::Relaxed);
        self.due(now)
    }

    /// How many there are to be told of, if it is time.
    pub(super) fn due(&self, now: Duration) -> Option<u64> {
        let is_due = |told: u64| (told + BETWEEN <= now.as_secs()).then_some(now.as_secs());
        if self.untold.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        self.told_at.fetch_update(set, get, is_due).ok()?;
        self.rest()
    }

    /// Whether all of it is told.
    pub(super) fn is_told(&self) -> bool {
        self.untold.load(Ordering::Relaxed) == 0
    }

    /// How many nobody has been told of, due or not.
    pub(super) fn rest(&self) -> Option<u64> {
        Some(self.untold.swap(0, Ordering::AcqRel)).filter(|count| *count > 0)
    }
}

impl Default for Sums {
    fn default() -> Self {
        let connections = (0..Refusal::COUNT).map(|_| Sum::default()).collect();
        Self { connections, logins: Sum::default() }
    }
}

impl Sums {
    fn all(&self) -> impl Iterator<Item = (&'static str, &Sum)> {
        let names = (0..Refusal::COUNT).filter_map(Refusal::at).map(Refusal::name);
        names.zip(&self.connections).chain([(LOGINS, &self.logins)])
    }
}

impl Broker {
    /// So many connections were closed as they came, or dropped, by a limit. What a ban refuses is told otherwise.
    pub fn note_refused_connections(&self, why: Refusal, address: Option<IpAddr>, times: u32) {
        if why == Refusal::Banned {
            return;
        }
        if let Some(sum) = self.sums.connections.get(why.index())
            && let Some(count) = sum.add_all(times, Now::read().unix)
        {
            self.tell_sum(why.name(), count, address);
        }
    }

    /// A login was refused because too many are under way.
    pub(super) fn note_refused_login(&self, address: Option<IpAddr>) {
        if let Some(count) = self.sums.logins.add(Now::read().unix) {
            tracing::warn!(
                address = address.map(tracing::field::display),
                count,
                "logins refused: busy"
            );
            self.tell_sum(LOGINS, count, address);
        }
    }

    pub(super) fn tell_sum(&self, limit: &str, count: u64, address: Option<IpAddr>) {
        self.counts.audit(|| Event::Limited {
            limit: limit.to_owned(),
            count,
            address: address.map(|address| address.to_string()),
        });
    }

    /// Tells what has come together for a minute.
    pub(super) fn tell_sums(&self) {
        let now = Now::read().unix;
        self.tell_each_sum(|sum| sum.due(now));
    }

    /// Tells all that nobody has been told of: the broker stops.
    pub fn tell_all_sums(&self) {
        self.tell_each_sum(Sum::rest);
    }

    fn tell_each_sum(&self, count: impl Fn(&Sum) -> Option<u64>) {
        for (limit, sum) in self.sums.all() {
            if let Some(count) = count(sum) {
                self.tell_sum(limit, count, None);
            }
        }
        self.throttles.each_sum(|rule, sum| {
            if let Some(count) = count(sum) {
                let (principal, client_id) = (None, None);
                let rule = rule.to_owned();
                self.counts.audit(|| Event::Throttled { rule, count, principal, client_id });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_what_follows_a_minute_later() {
        let at = |seconds: u64| Duration::from_secs(1_000 + seconds);
        let sum = Sum::default();
        assert_eq!(sum.due(at(0)), None);
        assert_eq!(sum.add(at(0)), Some(1));
        for second in 0..60 {
            assert_eq!(sum.add(at(second)), None);
        }
        assert_eq!(sum.due(at(59)), None);
        assert_eq!(sum.due(at(60)), Some(60));
        assert_eq!(sum.due(at(600)), None);
        assert_eq!(sum.add(at(601)), Some(1));
        assert_eq!(sum.add(at(602)), None);
        assert_eq!((sum.rest(), sum.rest()), (Some(1), None));
    }
}
