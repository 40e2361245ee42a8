//! The sentinel: told every event, it says which rules are broken, and by whom.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;

use super::keys::Keys;
use super::past::Past;
use super::{Event, Kind, Rule, RuleSet};

/// Findings of one rule in a minute that people are told of. More say nothing new.
const TOLD_IN_A_MINUTE: u64 = 30;

/// A rule is broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which.
    pub rule: Arc<Rule>,
    /// What the events have in common, by the names of [`Rule::per`].
    pub key: Vec<(&'static str, String)>,
    /// What was measured.
    pub value: f64,
    /// The event that has broken it.
    pub event: Event,
    /// How many findings of the rule nobody was told of since the last one; nothing where nobody is to be
    /// told of this one either, because there are too many.
    pub untold: Option<u64>,
}

/// A rule in force, and how it is getting on.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Which.
    pub rule: Arc<Rule>,
    /// How often it was broken since it has been in force.
    pub found: u64,
    /// When it was last, by the time of [`Sentinel::observe`].
    pub last: Option<Duration>,
    /// How many keys it remembers.
    pub keys: usize,
}

/// How many keys were forgotten to make room for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// By rules that count.
    pub counting: u64,
    /// By rules that learn what is usual.
    pub learning: u64,
}

/// Rules, and what they remember.
#[derive(Debug)]
pub struct Sentinel {
    watches: Vec<Watch>,
    /// The places of the rules that look at a kind of event.
    by_kind: [Vec<usize>; Kind::ALL.len()],
    hashes: FixedState,
    /// The latest moment that it was told of.
    now: Duration,
}

/// A rule, and what it remembers.
#[derive(Debug)]
struct Watch {
    rule: Arc<Rule>,
    keys: Keys<Past>,
    found: u64,
    last: Option<Duration>,
    /// The last minute in which people were told of it, and how often.
    minute: u64,
    told: u64,
    untold: u64,
}

impl Sentinel {
    /// One that goes by `rules` and has seen nothing. Whoever does not know `seed` cannot choose keys that
    /// are taken for each other.
    #[must_use]
    pub fn new(rules: RuleSet, seed: u64) -> Self {
        let mut sentinel = Self {
            watches: Vec::new(),
            by_kind: Default::default(),
            hashes: FixedState::with_seed(seed),
            now: Duration::ZERO,
        };
        sentinel.follow(rules);
        sentinel
    }

    /// Goes by other rules. Those that stay as they are, but for being tried, remember what they did, unless
    /// they are to remember less.
    pub fn follow(&mut self, RuleSet { rules, max_keys, max_learned_keys, .. }: RuleSet) {
        let mut before = std::mem::take(&mut self.watches);
        for rule in rules {
            let most = if rule.learns() { max_learned_keys } else { max_keys };
            let same = before.iter().position(|watch| watch.rule.remembers_as(&rule));
            let watch = same.map(|at| before.swap_remove(at).going_on(&rule, most));
            self.watches.push(watch.unwrap_or_else(|| Watch::new(rule, most)));
        }
        for kind in Kind::ALL {
            let looks_at =
                |(at, watch): (usize, &Watch)| watch.rule.kinds().contains(&kind).then_some(at);
            self.by_kind[kind as usize] =
                self.watches.iter().enumerate().filter_map(looks_at).collect();
        }
    }

    /// Takes notice of `event`, which has happened `now`: the time since some beginning, which is the same
    /// for all events, and for two years at most. What is broken by it is added to `findings`.
    pub fn observe(&mut self, now: Duration, event: &Event, findings: &mut Vec<Finding>) {
        // Threads tell of their events in about the order of time.
        self.now = self.now.max(now);
        for at in &self.by_kind[event.kind as usize] {
            if let Some(watch) = self.watches.get_mut(*at) {
                findings.extend(watch.observe(self.now, event, &self.hashes));
            }
        }
    }

    /// All rules, in no order.
    #[must_use]
    pub fn report(&self) -> Vec<Watched> {
        self.watches.iter().map(Watch::report).collect()
    }

    /// Has the rule of this name only tried, or not, until it follows other rules. What it remembers stays.
    pub fn set_dry_run(&mut self, name: &str, dry_run: bool) -> Option<Watched> {
        let watch = self.watches.iter_mut().find(|watch| &*watch.rule.name == name)?;
        Arc::make_mut(&mut watch.rule).dry_run = dry_run;
        Some(watch.report())
    }

    /// How many keys were forgotten to make room for others, since this was last asked.
    pub fn take_forgotten(&mut self) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for watch in &mut self.watches {
            let count = match watch.rule.learns() {
                true => &mut forgotten.learning,
                false => &mut forgotten.counting,
            };
            *count += watch.keys.take_forgotten();
        }
        forgotten
    }

    /// The keys that are remembered, of all rules.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.watches.iter().map(|watch| watch.keys.len()).sum()
    }
}

impl Watch {
    fn new(rule: Rule, max_keys: usize) -> Self {
        let keys = Keys::new(max_keys);
        Self { rule: Arc::new(rule), keys, found: 0, last: None, minute: 0, told: 0, untold: 0 }
    }

    /// By the same rule, which may be tried now, or not any more.
    fn going_on(mut self, rule: &Rule, max_keys: usize) -> Self {
        Arc::make_mut(&mut self.rule).dry_run = rule.dry_run;
        self.keys.set_most(max_keys);
        self
    }

    fn report(&self) -> Watched {
        let Self { rule, keys, found, last, .. } = self;
        Watched { rule: Arc::clone(rule), found: *found, last: *last, keys: keys.len() }
    }

    fn observe(&mut self, now: Duration, event: &Event, hashes: &FixedState) -> Option<Finding> {
        let rule = &self.rule;
        let (leads, counts) = (rule.leads(event), rule.counts(event));
        if !leads && !counts {
            return None;
        }
        let mut hasher = hashes.build_hasher();
        if !rule.per.iter().all(|attribute| attribute.hash_of(event, &mut hasher)) {
            return None;
        }
        let past = self.keys.of(hasher.finish(), || Past::new(rule, now));
        let is_led = counts && past.is_led(rule, now);
        if leads {
            past.lead(rule, now, event);
        }
        if !is_led {
            return None;
        }
        let value = past.measure(rule, now, event, hashes);
        if value < rule.threshold || now < past.quiet_until {
            return None;
        }
        past.quiet_until = now + rule.cool_down;
        self.found += 1;
        self.last = Some(now);
        let named = |of: &super::Attribute| Some((of.name(), of.of(event)?));
        let key = rule.per.iter().filter_map(named).collect();
        let (rule, event) = (Arc::clone(rule), event.clone());
        Some(Finding { rule, key, value, event, untold: self.tell(now) })
    }

    /// Whether people are told of a finding of `now`, and of how many they were not.
    fn tell(&mut self, now: Duration) -> Option<u64> {
        let minute = now.as_secs() / 60;
        if minute != self.minute {
            (self.minute, self.told) = (minute, 0);
        }
        if self.told >= TOLD_IN_A_MINUTE {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}
