//! What operators ask of the sentinel while it works.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::RECENT;
use crate::broker::Broker;
use crate::clock::Now;
use crate::sentinel::Watched;

/// A rule in force, and how it is getting on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// What it means when it is broken.
    pub about: String,
    /// How bad that is.
    pub severity: &'static str,
    /// Whether it is only tried.
    pub dry_run: bool,
    /// What is done, in its order.
    pub responses: Vec<&'static str>,
    /// How often it was broken, since it has been in force as it is.
    pub found: u64,
    /// When it was last, since the Unix epoch.
    pub last: Option<Duration>,
    /// How many keys it remembers.
    pub keys: usize,
}

impl Broker {
    /// The rules of the sentinel that are in force, by name.
    #[must_use]
    pub fn sentinel_rules(&self) -> Vec<RuleReport> {
        let watch = &self.counts.watch;
        let now = Now::read();
        let mut reports: Vec<_> = watch
            .sentinel
            .lock()
            .report()
            .into_iter()
            .map(|watched| RuleReport::of(&watched, watch.begin, now))
            .collect();
        reports.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        reports
    }

    /// Has a rule of the sentinel only tried, or not any more, until the configuration says something else.
    /// Gives the rule; nothing where there is none of that name in force.
    #[must_use]
    pub fn try_sentinel_rule(&self, name: &str, dry_run: bool) -> Option<RuleReport> {
        let watch = &self.counts.watch;
        let watched = watch.sentinel.lock().set_dry_run(name, dry_run)?;
        Some(RuleReport::of(&watched, watch.begin, Now::read()))
    }

    /// The last alerts, `most` of them and no more than 256, each as JSON; the latest is the last one. Those of
    /// rules that are only tried are among them.
    #[must_use]
    pub fn recent_alerts(&self, most: usize) -> Vec<Bytes> {
        let recent = self.counts.watch.recent.lock();
        recent.iter().skip(recent.len().saturating_sub(most.min(RECENT))).cloned().collect()
    }
}

impl RuleReport {
    fn of(watched: &Watched, begin: Instant, now: Now) -> Self {
        let Watched { rule, found, last, keys } = watched;
        let since_begin = now.instant.saturating_duration_since(begin);
        let ago = |last: Duration| since_begin.saturating_sub(last);
        Self {
            name: rule.name.to_string(),
            about: rule.about.to_string(),
            severity: rule.severity.name(),
            dry_run: rule.dry_run,
            responses: rule.responses.iter().map(|it| it.name()).collect(),
            found: *found,
            last: last.map(|last| now.unix.saturating_sub(ago(last))),
            keys: *keys,
        }
    }
}
