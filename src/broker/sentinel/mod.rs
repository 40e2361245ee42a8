//! The sentinel at work: events go through a bounded queue to a thread of its own, which acts upon what it
//! finds. Nobody waits for it; what finds no place in the queue is counted.

mod asking;
mod conduct;
mod pace;
mod report;
mod respond;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::asking::RuleReport;
pub(super) use self::conduct::{Class, Conduct};
pub(super) use self::pace::Pace;
use self::report::Report;
use super::Broker;
use crate::clock::Now;
use crate::sentinel::{Event, Finding, Forgotten, Kind, Response, RuleSet, Sentinel, Severity};
use crate::telemetry::{Metrics, RuleSort};

/// Events that may wait to be looked at.
const QUEUE: usize = 8_192;
/// Alerts that operators are shown again.
const RECENT: usize = 256;
/// Those among them of clients that have not been let in: whoever knocks at the door in vain does not keep
/// the sentinel from seeing what is done inside.
const QUEUE_OF_STRANGERS: usize = QUEUE / 2;
/// Events that are looked at before the keys are counted again.
const BETWEEN_COUNTS: u32 = 256;

/// Where events are brought, and the rules that they are looked at by.
#[derive(Debug)]
pub(super) struct Watch {
    /// Whether there are any rules.
    is_on: AtomicBool,
    queue: SyncSender<Seen>,
    /// How many of those that wait are of strangers.
    strangers: AtomicUsize,
    /// Until the thread takes it.
    waiting: Mutex<Option<Receiver<Seen>>>,
    sentinel: Mutex<Sentinel>,
    /// Milliseconds that clocks may be off.
    clock_skew_ms: AtomicU64,
    /// The time of the sentinel is counted from here.
    begin: Instant,
    /// The last alerts, as JSON.
    recent: Mutex<VecDeque<Bytes>>,
    metrics: Arc<Metrics>,
}

/// An event, and when it has happened.
#[derive(Debug)]
struct Seen {
    at: Instant,
    event: Box<Event>,
}

impl Seen {
    /// Whether whoever has done it has not been let in.
    fn is_of_stranger(&self) -> bool {
        self.event.kind == Kind::LoginRefused || self.event.client.is_none()
    }
}

impl Watch {
    pub(super) fn new(rules: RuleSet, seed: u64, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let this = Self {
            is_on: AtomicBool::new(false),
            queue,
            strangers: AtomicUsize::new(0),
            clock_skew_ms: AtomicU64::new(0),
            waiting: Mutex::new(Some(waiting)),
            sentinel: Mutex::new(Sentinel::new(RuleSet::default(), seed)),
            begin: Instant::now(),
            recent: Mutex::default(),
            metrics,
        };
        this.follow(rules);
        this
    }

    /// Goes by other rules. Those that stay remember what they did.
    pub(super) fn follow(&self, rules: RuleSet) {
        for rule in &rules.rules {
            self.metrics.shows_rule(&rule.name, rule.severity.name());
        }
        self.is_on.store(!rules.rules.is_empty(), Ordering::Relaxed);
        let clock_skew_ms = u64::try_from(rules.clock_skew.as_millis()).unwrap_or(u64::MAX);
        self.clock_skew_ms.store(clock_skew_ms, Ordering::Relaxed);
        self.sentinel.lock().follow(rules);
    }

    fn count_keys(&self) {
        let mut sentinel = self.sentinel.lock();
        let (keys, Forgotten { counting, learning }) = (sentinel.keys(), sentinel.take_forgotten());
        drop(sentinel);
        self.metrics.sentinel_keys.set(keys as f64);
        self.metrics.sentinel_keys_forgotten.add(RuleSort::Counting, counting);
        self.metrics.sentinel_keys_forgotten.add(RuleSort::Learning, learning);
    }

    /// Has an alert among the last ones.
    fn remember(&self, alert: Bytes) {
        let mut recent = self.recent.lock();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(alert);
    }

    /// Whether there are any rules.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether the clock that says `time_ms` at `now_ms` is ahead or behind, and by how many seconds, if it is
    /// further off than clocks may be.
    pub(super) fn clock_skew(&self, time_ms: u64, now_ms: u64) -> Option<(&'static str, f64)> {
        let off = time_ms.abs_diff(now_ms);
        let side = if time_ms > now_ms { "ahead" } else { "behind" };
        (off > self.clock_skew_ms.load(Ordering::Relaxed)).then_some((side, off as f64 / 1e3))
    }

    /// Has it looked at, if there are any rules. Never waits.
    pub(super) fn observe(&self, event: impl FnOnce() -> Event) {
        if !self.is_on() {
            return;
        }
        let seen = Seen { at: Instant::now(), event: Box::new(event()) };
        if !self.bring(seen) {
            self.metrics.sentinel_events_lost.increment(1);
        }
    }

    /// Whether there was room for it.
    fn bring(&self, seen: Seen) -> bool {
        if !seen.is_of_stranger() {
            return self.queue.try_send(seen).is_ok();
        }
        if self.strangers.fetch_add(1, Ordering::Relaxed) < QUEUE_OF_STRANGERS
            && self.queue.try_send(seen).is_ok()
        {
            return true;
        }
        self.strangers.fetch_sub(1, Ordering::Relaxed);
        false
    }
}

impl Broker {
    /// Starts the thread that looks at what happens; it ends with the broker.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn keep_watch(self: &Arc<Self>) -> io::Result<()> {
        let Some(waiting) = self.counts.watch.waiting.lock().take() else { return Ok(()) };
        let broker = Arc::downgrade(self);
        let watch = move || watch(&broker, &waiting);
        thread::Builder::new().name("sentinel".to_owned()).spawn(watch).map(drop)
    }

    fn act_upon(&self, finding: &Finding, now: Now) {
        let rule = &finding.rule;
        self.counts.metrics.found(&rule.name, rule.severity.name());
        // Done to everybody who breaks it, told of or not.
        let responded = self.respond(finding);
        let Some(untold) = finding.untold else { return };
        let report = Report::new(finding, untold, responded, now);
        self.counts.audit(|| report.as_record());
        let does = |response| rule.responses.contains(&response);
        if does(Response::Log) || rule.dry_run {
            log(&report, rule.severity);
        }
        let Some(json) = report.as_json() else {
            tracing::error!(rule = &*rule.name, "an alert cannot be written");
            return;
        };
        self.counts.watch.remember(json.clone());
        if does(Response::Webhook) && !rule.dry_run {
            self.webhook.post(json.clone());
        }
        if does(Response::Alert)
            && !rule.dry_run
            && let Some(message) = report.as_message(json)
        {
            self.publish_directly(&Arc::new(message));
        }
    }
}

/// Looks at what happens until there is no broker any more.
fn watch(broker: &Weak<Broker>, waiting: &Receiver<Seen>) {
    let mut findings = Vec::new();
    let mut looked_at = 0_u32;
    while let Ok(seen) = waiting.recv() {
        let Some(broker) = broker.upgrade() else { return };
        let watch = &broker.counts.watch;
        if seen.is_of_stranger() {
            watch.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        let Seen { at, event } = seen;
        let since = at.saturating_duration_since(watch.begin);
        watch.sentinel.lock().observe(since, &event, &mut findings);
        watch.metrics.sentinel_events.increment(1);
        if looked_at.is_multiple_of(BETWEEN_COUNTS) {
            watch.count_keys();
        }
        looked_at = looked_at.wrapping_add(1);
        let now = Now::read();
        findings.drain(..).for_each(|finding| broker.act_upon(&finding, now));
    }
}

fn log(report: &Report<'_>, severity: Severity) {
    let Report { rule, about, value, threshold, event, dry_run, .. } = report;
    let (key, severity_name) = (report.key_as_text(), severity.name());
    let responses = report.responses_as_text();
    // The level of an event is part of the program.
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                rule,
                severity = severity_name,
                key,
                value,
                threshold,
                event,
                responses,
                dry_run,
                "sentinel: {about}"
            )
        };
    }
    match severity {
        Severity::Info | Severity::Notice => say!(info),
        Severity::Warning | Severity::Critical => say!(warn),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{
        DeniedAction, EnvelopeRefusal, Label, ProtocolFault, Refusal, Throttled,
    };

    fn names<L: Label>(name: fn(L) -> &'static str) -> Vec<&'static str> {
        (0..L::COUNT).filter_map(L::at).map(name).collect()
    }

    #[test]
    fn rules_may_name_every_reason_that_events_are_told_with() {
        assert_eq!(Kind::EnvelopeRefused.reasons(), names(EnvelopeRefusal::name));
        assert_eq!(Kind::Malformed.reasons(), names(ProtocolFault::name));
        assert_eq!(Kind::Violation.reasons(), names(ProtocolFault::name));
        assert_eq!(Kind::Throttled.reasons(), names(Throttled::name));
        let mut refusals = names(Refusal::name);
        refusals.retain(|name| *name != Refusal::Banned.name());
        assert_eq!(Kind::ConnectionRefused.reasons(), refusals);
        let denied = names(DeniedAction::name);
        assert!(Kind::Denied.reasons().iter().all(|reason| denied.contains(reason)));
    }

    #[test]
    fn a_clock_is_off_beyond_what_is_set_on_either_side() {
        let rules = RuleSet::of(&crate::sentinel::Settings::default(), &[]).expect("rules");
        let watch = Watch::new(rules, 1, Arc::new(Metrics::new()));
        let now = 1_000_000;
        for time in [now - 30_000, now, now + 30_000] {
            assert_eq!(watch.clock_skew(time, now), None, "{time}");
        }
        assert_eq!(watch.clock_skew(now + 30_500, now), Some(("ahead", 30.5)));
        assert_eq!(watch.clock_skew(0, now), Some(("behind", 1_000.0)));
        watch.follow(RuleSet { clock_skew: Duration::from_secs(5), ..RuleSet::default() });
        assert_eq!(watch.clock_skew(now - 6_000, now), Some(("behind", 6.0)));
    }

    fn inside() -> Event {
        let client = Some(crate::identity::ClientId::new("c"));
        Event { client, ..Event::new(Kind::Denied, "") }
    }

    #[test]
    fn what_finds_no_room_is_counted_as_lost_and_what_is_looked_at_by_no_rule_is_not() {
        const LOST: &str = "bastionmq_sentinel_events_lost_total";
        let metrics = Arc::new(Metrics::new());
        let watch = Watch::new(RuleSet::default(), 1, Arc::clone(&metrics));
        let shows = |lost: &str| metrics.render().lines().any(|it| it == format!("{LOST} {lost}"));
        (0..QUEUE + 9).for_each(|_| watch.observe(inside));
        assert!(shows("0"), "nobody looks");
        let rules = RuleSet::of(&crate::sentinel::Settings::default(), &[]).expect("rules");
        watch.follow(rules);
        (0..QUEUE).for_each(|_| watch.observe(inside));
        assert!(shows("0"), "there is room");
        (0..7).for_each(|_| watch.observe(inside));
        assert!(shows("7"));
        watch.observe(|| Event::new(Kind::LoginRefused, "credentials"));
        assert!(shows("8"), "strangers are counted as well");
    }

    #[test]
    fn strangers_leave_room_for_what_is_done_inside() {
        let rules = RuleSet::of(&crate::sentinel::Settings::default(), &[]).expect("rules");
        let watch = Watch::new(rules, 1, Arc::new(Metrics::new()));
        let seen = |kind| Seen { at: Instant::now(), event: Box::new(Event::new(kind, "")) };
        let brought = (0..QUEUE).filter(|_| watch.bring(seen(Kind::LoginRefused))).count();
        assert_eq!(brought, QUEUE_OF_STRANGERS);
        let within = || Seen { at: Instant::now(), event: Box::new(inside()) };
        let brought = (0..QUEUE).filter(|_| watch.bring(within())).count();
        assert_eq!(brought, QUEUE - QUEUE_OF_STRANGERS);
    }
}
