//! What clients have done lately of what is limited: a bucket for each rule and each of those that it
//! counts together. Who comes back finds its own as it has left it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metrics::Counter;
use parking_lot::Mutex;

use super::buckets::{Bucket, Buckets, since};
use super::counts::Counts;
use super::gate::{Gate, Who};
use super::sums::Sum;
use crate::audit::Event;
use crate::clock::Now;
use crate::identity::{ClientId, Principal};
use crate::sentinel::Kind;
use crate::telemetry::{Metrics, ThrottleAction, Throttled as Label};
use crate::throttle::{Action, Per, Rule, What};
use crate::topic::TopicName;

/// The rules in force, and the levels of all buckets.
#[derive(Debug)]
pub(super) struct Throttles {
    rules: ArcSwap<Vec<Arc<InForce>>>,
    /// All that somebody may count with, also by rules of earlier and for one client, and those that have
    /// something to tell.
    in_use: Mutex<Vec<Arc<InForce>>>,
    metrics: Arc<Metrics>,
    buckets: Arc<Buckets>,
}

/// A rule, and what has been over it.
#[derive(Debug)]
struct InForce {
    rule: Rule,
    /// What the rule says became of them.
    as_told: Counter,
    /// What was delayed in its place, because it must not be lost.
    delayed: Counter,
    /// What the audit log has not been told of.
    sum: Sum,
}

#[derive(Hash)]
enum Whose<'a> {
    Client(&'a ClientId),
    User(&'a Principal),
    Role(&'a str),
    Listener(&'a str),
    Broker,
}

/// The limits of one client. There are none where no rule concerns it.
#[derive(Debug)]
pub(super) struct Throttled {
    limits: Vec<Limit>,
    /// Whether any of them is for what is delivered to it.
    pub(super) has_slow_deliveries: bool,
    started: Instant,
    /// Why nothing is taken from the client now.
    pub(super) pause: Option<Pause>,
    /// Until when nothing is delivered to it.
    pub(super) delivers_at: Option<Instant>,
    /// Whether the log knows that it is limited: once for each connection.
    has_said: bool,
}

/// A rule, and its bucket.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    rule: Arc<InForce>,
    bucket: Bucket,
}

/// Why nothing is taken from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// It is too early.
    Until(Instant),
    /// Its connection is to end.
    End,
}

/// Something that a client does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doing<'a> {
    pub(super) what: What,
    pub(super) count: u64,
    pub(super) topic: Option<&'a TopicName>,
    /// Whether it may be lost: it is a message of QoS 0.
    pub(super) may_be_lost: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Taken,
    /// It is not, and nobody is told.
    Lost,
    /// It is not, and the client is told.
    Refused,
}

impl Throttles {
    pub(super) fn new(rules: Vec<Rule>, buckets: Arc<Buckets>, metrics: Arc<Metrics>) -> Self {
        let in_use = Mutex::default();
        let this = Self { rules: ArcSwap::default(), in_use, metrics, buckets };
        this.follow(rules);
        this
    }

    /// Goes by other rules. What was counted under a name goes on being counted under it.
    pub(super) fn follow(&self, rules: Vec<Rule>) {
        self.rules.store(Arc::new(rules.into_iter().map(|rule| self.in_force(rule)).collect()));
    }

    fn in_force(&self, rule: Rule) -> Arc<InForce> {
        let in_force = Arc::new(InForce::new(rule, &self.metrics));
        self.in_use.lock().push(Arc::clone(&in_force));
        in_force
    }

    /// A limit by a rule that is none of those in force, with an empty bucket.
    pub(super) fn limit_by(&self, rule: Rule) -> Limit {
        Limit { rule: self.in_force(rule), bucket: Bucket::default() }
    }

    /// Remembers so many buckets that nobody uses.
    pub(super) fn remember(&self, max_idle: usize) {
        self.buckets.follow(max_idle);
    }

    /// Whether these are the rules in force.
    pub(super) fn are(&self, rules: &[Rule]) -> bool {
        self.rules.load().iter().map(|it| &it.rule).eq(rules)
    }

    /// Shows what each rule has refused and nobody was told of; and forgets those that are nobody's any more,
    /// once all of that is told.
    pub(super) fn each_sum(&self, mut show: impl FnMut(&str, &Sum)) {
        self.in_use.lock().retain_mut(|it| {
            show(&it.rule.name, &it.sum);
            Arc::get_mut(it).is_none_or(|alone| !alone.sum.is_told())
        });
    }

    /// The limits of the client that `gate` lets through, and `others` that it has; nothing where that is none.
    pub(super) fn of(&self, gate: &Gate, others: Vec<Limit>) -> Option<Box<Throttled>> {
        let mut limits = others;
        limits.extend(self.rules.load().iter().flat_map(|rule| self.limits(rule, gate)));
        (!limits.is_empty()).then(|| Box::new(Throttled::by(limits, self.buckets.started())))
    }

    /// What `rule` limits of the client: nothing where it is not about its roles, and each of them
    /// where they are counted apart.
    fn limits(&self, in_force: &Arc<InForce>, gate: &Gate) -> Vec<Limit> {
        let rule = &in_force.rule;
        let mut held = rule.roles.iter().filter(|role| gate.has_role(role));
        let who = gate.who();
        let whose = match rule.per {
            Per::Role => {
                return held.map(|it| self.limit(in_force, Whose::Role(it))).collect();
            }
            _ if !rule.roles.is_empty() && held.next().is_none() => return Vec::new(),
            Per::Client => Whose::Client(&who.client_id),
            Per::User => Whose::User(&who.principal),
            Per::Listener => Whose::Listener(&who.listener),
            Per::Broker => Whose::Broker,
        };
        vec![self.limit(in_force, whose)]
    }

    fn limit(&self, rule: &Arc<InForce>, whose: Whose<'_>) -> Limit {
        let bucket = self.buckets.of((&rule.rule.name, whose));
        Limit { rule: Arc::clone(rule), bucket }
    }
}

impl InForce {
    fn new(rule: Rule, metrics: &Metrics) -> Self {
        let counter =
            |action: Action| metrics.throttled(&rule.name, rule.what.into(), action.into());
        let as_told = counter(rule.action);
        // Nothing else is ever delayed in the place of what the rule says.
        let delayed = match rule.action {
            Action::Drop => counter(Action::Delay),
            _ => as_told.clone(),
        };
        Self { rule, as_told, delayed, sum: Sum::default() }
    }

    fn count(&self, action: Action, who: &Who, counts: &Counts) {
        match action {
            Action::Delay => self.delayed.increment(1),
            _ => self.as_told.increment(1),
        }
        let count = match action {
            // Nobody is sent away before that is written down: it waits for a record of its own, which nobody
            // else takes out of a sum meanwhile.
            Action::Disconnect if counts.has_strict_audit() => Some(1),
            _ => self.sum.add(Now::read().unix),
        };
        if let Some(count) = count {
            counts.audit(|| Event::Throttled {
                rule: self.rule.name.to_string(),
                count,
                principal: Some(who.principal.to_string()),
                client_id: Some(who.client_id.to_string()),
            });
        }
    }
}

impl Throttled {
    /// There is no limit, and nothing to wait for.
    pub(super) fn unlimited() -> Box<Self> {
        Box::new(Self::by(Vec::new(), Instant::now()))
    }

    fn by(limits: Vec<Limit>, started: Instant) -> Self {
        let has_slow_deliveries = limits.iter().any(|it| it.rule.rule.what.is_delivered());
        let (pause, delivers_at, has_said) = (None, None, false);
        Self { limits, has_slow_deliveries, started, pause, delivers_at, has_said }
    }

    /// Counts what a client does, and says what becomes of it.
    pub(super) fn weigh(
        &mut self,
        doing: Doing<'_>,
        now: Instant,
        gate: &mut Gate,
        counts: &Counts,
    ) -> Verdict {
        let nanoseconds = since(self.started, now);
        let topic = doing.topic.map(TopicName::borrowed);
        for at in 0..self.limits.len() {
            let Some(Limit { rule: in_force, bucket }) = self.limits.get(at) else { break };
            let rule = &in_force.rule;
            if rule.what != doing.what || !rule.concerns(topic) {
                continue;
            }
            let action = match rule.action {
                Action::Drop if !doing.may_be_lost => Action::Delay,
                action => action,
            };
            let Some(over) = excess(rule, bucket, action, nanoseconds, doing.count) else {
                continue;
            };
            let what = Label::from(doing.what);
            in_force.count(action, gate.who(), counts);
            let topic = doing.topic.map(TopicName::as_str).unwrap_or_default();
            gate.watch(counts, Kind::Throttled, what.name(), topic);
            if !std::mem::replace(&mut self.has_said, true) {
                report(rule, action, gate.who());
            }
            match action {
                Action::Delay => self.delay(doing.what, now + Duration::from_nanos(over)),
                Action::Reject if !doing.may_be_lost => return Verdict::Refused,
                Action::Drop | Action::Reject => return Verdict::Lost,
                Action::Disconnect => {
                    self.pause = Some(Pause::End);
                    return Verdict::Refused;
                }
            }
        }
        Verdict::Taken
    }

    fn delay(&mut self, what: What, until: Instant) {
        match what.is_delivered() {
            true => self.delivers_at = self.delivers_at.max(Some(until)),
            false => self.wait(until),
        }
    }

    /// Takes nothing from the client before `until`.
    pub(super) fn wait(&mut self, until: Instant) {
        self.pause = match self.pause {
            Some(Pause::Until(earlier)) => Some(Pause::Until(earlier.max(until))),
            Some(Pause::End) => Some(Pause::End),
            None => Some(Pause::Until(until)),
        };
    }
}

/// Counts; by how many nanoseconds that is too early, where it is. What is refused is not counted.
fn excess(rule: &Rule, level: &AtomicU64, action: Action, now: u64, count: u64) -> Option<u64> {
    let change = |it| match action {
        Action::Delay => Some(rule.rate.add(it, now, count)),
        Action::Drop | Action::Reject | Action::Disconnect => rule.rate.admit(it, now, count),
    };
    match level.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change) {
        Ok(before) => {
            let after = rule.rate.add(before, now, count);
            Some(rule.rate.excess(after, now)).filter(|over| *over > 0 && action == Action::Delay)
        }
        Err(_) => Some(0),
    }
}

fn report(rule: &Rule, action: Action, who: &Who) {
    let Who { principal, client_id, .. } = who;
    let (rule, action) = (&*rule.name, ThrottleAction::from(action).name());
    tracing::warn!(%principal, client_id = client_id.as_str(), rule, action, "throttled");
}

impl From<What> for Label {
    fn from(what: What) -> Self {
        match what {
            What::MessagesIn => Self::MessagesIn,
            What::BytesIn => Self::BytesIn,
            What::MessagesOut => Self::MessagesOut,
            What::BytesOut => Self::BytesOut,
            What::Subscriptions => Self::Subscriptions,
            What::Retained => Self::Retained,
        }
    }
}

impl From<Action> for ThrottleAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Delay => Self::Delay,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
            Action::Disconnect => Self::Disconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU32;
    use std::thread;

    use super::*;
    use crate::audit::{AuditLog, Keys, Settings, Ticket};
    use crate::broker::authority::Standing;
    use crate::broker::sentinel::Watch;
    use crate::identity::{Attributes, PeerAddress, TransportSecurity};
    use crate::keys::MasterKeySource;
    use crate::sentinel::RuleSet;
    use crate::throttle::Rate;

    fn who() -> Who {
        Who {
            principal: Principal::Anonymous,
            client_id: ClientId::new("loud"),
            attributes: Attributes::default(),
            address: PeerAddress::Network((Ipv4Addr::LOCALHOST, 1_883).into()),
            listener: Arc::from("test"),
            security: TransportSecurity::Plain,
            standing: Standing::default(),
            connected_at: 0,
            rules: None,
        }
    }

    #[test]
    fn each_that_is_sent_away_under_a_strict_log_waits_for_a_record_of_its_own() {
        const EACH: usize = 4_000;
        let place = tempfile::tempdir().expect("a directory");
        let source = MasterKeySource::File(place.path().join("master"));
        let (master, _) = source.read_or_make().expect("a master key");
        let keys = Keys::open_or_make(place.path(), &master).expect("keys");
        let settings = Settings { strict: true, ..Settings::default() };
        let log = AuditLog::open(place.path(), keys, &settings, Now::read()).expect("a log");
        let metrics = Arc::new(Metrics::new());
        let watch = Watch::new(RuleSet::default(), 1, Arc::clone(&metrics));
        let counts = Counts::new(Arc::clone(&metrics), Some(Arc::new(log)), watch);
        let rule = Rule {
            name: "calm".into(),
            what: What::MessagesIn,
            per: Per::Broker,
            roles: Box::default(),
            topics: None,
            rate: Rate::new(NonZeroU32::MIN, NonZeroU32::MIN, NonZeroU32::MIN),
            action: Action::Disconnect,
        };
        let in_force = InForce::new(rule, &metrics);
        let send_away = || {
            for _ in 0..EACH {
                in_force.count(Action::Disconnect, &who(), &counts);
                assert!(Ticket::take_last_here().is_some(), "it waits for nothing");
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(send_away))));
    }
}
