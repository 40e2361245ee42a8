//! What a rule remembers of one key.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::quality::FixedState;

use super::baseline::Baseline;
use super::distinct::{Distinct, Few};
use super::histogram::Histogram;
use super::panes::{Panes, Shape, Window};
use super::tally::Tally;
use super::{Event, Measure, Rule};

/// The parts of a window by which it is told what is too long ago, where different ones are counted.
const TICKS: u32 = 16;

/// What a rule remembers of one key: enough to measure, and no more as events come.
#[derive(Clone, Debug)]
pub(super) struct Past {
    kept: Kept,
    /// What has to come before.
    led: Option<Box<Panes<Tally>>>,
    /// Until when nothing more is said about it.
    pub(super) quiet_until: Duration,
}

#[derive(Clone, Debug)]
enum Kept {
    Tally(Panes<Tally>),
    Histogram(Panes<Histogram>),
    Distinct {
        seen: Distinct,
        last: Duration,
    },
    /// Nothing is new any more once there were too many.
    Known {
        seen: Option<Few>,
        events: u32,
    },
    Baseline(Baseline),
    Last(Option<Duration>),
}

impl Past {
    pub(super) fn new(rule: &Rule, now: Duration) -> Self {
        let kept = match rule.measure {
            Measure::Count | Measure::Rate | Measure::Sum | Measure::Mean => {
                Kept::Tally(Panes::new(rule.window, now))
            }
            Measure::Quantile(_) => Kept::Histogram(Panes::new(rule.window, now)),
            Measure::Distinct(_) => Kept::Distinct { seen: Distinct::new(), last: now },
            Measure::New(..) => Kept::Known { seen: Some(Few::default()), events: 0 },
            Measure::Deviation(_) => Kept::Baseline(Baseline::default()),
            Measure::Silence => Kept::Last(None),
        };
        let led = rule.is_sequence().then(|| Box::new(Panes::new(rule.window, now)));
        Self { kept, led, quiet_until: Duration::ZERO }
    }

    /// Notes one that has to come before.
    pub(super) fn lead(&mut self, rule: &Rule, now: Duration, event: &Event) {
        if let Some(led) = &mut self.led {
            led.newest(rule.window, now).add(event);
        }
    }

    /// Whether enough have come before.
    pub(super) fn is_led(&mut self, rule: &Rule, now: Duration) -> bool {
        self.led.as_mut().is_none_or(|led| led.total(rule.window, now).count >= rule.after_count)
    }

    /// Notes one that counts, and measures. Of a hash that `seeds` makes of what is counted.
    pub(super) fn measure(
        &mut self,
        rule: &Rule,
        now: Duration,
        event: &Event,
        seeds: &FixedState,
    ) -> f64 {
        let window = rule.window;
        match (&mut self.kept, rule.measure) {
            (Kept::Tally(tallies), measure) => {
                let newest = tallies.newest(window, now);
                newest.add(event);
                let total = tallies.total(window, now);
                match measure {
                    Measure::Sum => total.sum,
                    Measure::Mean => total.mean(),
                    Measure::Rate => total.count as f64 / window.length.as_secs_f64(),
                    _ => total.count as f64,
                }
            }
            (Kept::Histogram(histograms), Measure::Quantile(quantile)) => {
                histograms.newest(window, now).add(event.number, event.times);
                histograms.total(window, now).quantile(quantile)
            }
            (Kept::Distinct { seen, last }, Measure::Distinct(of)) => {
                let mut hasher = seeds.build_hasher();
                if !of.hash_of(event, &mut hasher) {
                    return 0.0;
                }
                let (oldest, tick) = ticks(window, now, *last);
                *last = now.max(*last);
                seen.insert(hasher.finish(), tick, oldest);
                seen.count(oldest)
            }
            (Kept::Known { seen, events }, Measure::New(of, warm_up)) => {
                let mut hasher = seeds.build_hasher();
                if !of.hash_of(event, &mut hasher) {
                    return 0.0;
                }
                let (oldest, tick) = ticks(window, now, now);
                let is_new = seen.as_mut().and_then(|it| it.insert(hasher.finish(), tick, oldest));
                if is_new.is_none() {
                    // Who comes from everywhere comes from nowhere new.
                    *seen = None;
                }
                let is_warm = *events >= warm_up;
                *events = events.saturating_add(1);
                if is_warm && is_new == Some(true) { 1.0 } else { 0.0 }
            }
            (Kept::Baseline(baseline), Measure::Deviation(warm_up)) => {
                baseline.deviation(event.number, warm_up, rule.threshold)
            }
            (Kept::Last(last), Measure::Silence) => {
                last.replace(now).map_or(0.0, |last| now.saturating_sub(last).as_secs_f64())
            }
            // What is kept was made for what is measured.
            _ => 0.0,
        }
    }
}

/// The first tick that counts, and that of now; both are 1 or more. `last` is when the latest event came.
fn ticks(window: Window, now: Duration, last: Duration) -> (u32, u32) {
    let ticks = |at: Duration| {
        let length = window.length.as_millis().max(1);
        let tick = at.as_millis().saturating_mul(TICKS.into()) / length;
        u32::try_from(tick).unwrap_or(u32::MAX - 1).saturating_add(1)
    };
    let tick = ticks(now);
    let oldest = match window.shape {
        Shape::Sliding => tick.saturating_sub(TICKS - 1),
        Shape::Tumbling => (tick - 1) / TICKS * TICKS + 1,
        Shape::Session if now.saturating_sub(last) > window.length => tick,
        Shape::Session => 1,
    };
    (oldest.max(1), tick)
}
