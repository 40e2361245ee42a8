//! `[[sentinel.rule]]`: a rule as it is written, and those that come with the broker.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::panes::Shape;
use super::{Attribute, Response, Severity};

/// The rules that come with the broker.
const DEFAULT_RULES: &str = include_str!("default_rules.toml");

/// A rule as it is written. What is not written is that of the default rule of the same name, where there
/// is one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    /// What logs, alerts and metrics call it.
    pub name: Option<String>,
    /// What it means when it is broken, for people.
    pub about: Option<String>,
    /// Whether it is in force.
    pub enabled: Option<bool>,
    /// The kinds of events that count, each with a reason or without: `login_refused.credentials`.
    pub events: Option<Vec<String>>,
    /// Only events on these topics count.
    pub topics: Option<String>,
    /// They count only after events of these kinds with the same key...
    pub after: Option<Vec<String>>,
    /// ...of which there were at least so many within the window.
    pub after_count: Option<NonZeroU32>,
    /// What events have in common that are looked at together; all events are, where it is empty.
    pub per: Option<Vec<Attribute>>,
    /// How the window moves.
    pub window: Option<Shape>,
    /// How long it is.
    pub seconds: Option<NonZeroU32>,
    /// What is measured.
    pub measure: Option<MeasureName>,
    /// Of what, where different or new ones are counted.
    pub of: Option<Attribute>,
    /// Which quantile.
    pub quantile: Option<f64>,
    /// Events that are only learned from, where deviations or new ones are looked for.
    pub warm_up: Option<u32>,
    /// From which value on the rule is broken.
    pub threshold: Option<f64>,
    /// How bad that is.
    pub severity: Option<Severity>,
    /// How long nothing more is said about the same key.
    pub cool_down_seconds: Option<u32>,
    /// What is done; log, alert and webhook, where nothing else is said.
    pub responses: Option<Vec<Response>>,
    /// Whether it is only logged and counted what would be done.
    pub dry_run: Option<bool>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureName {
    /// How many there were.
    #[default]
    Count,
    /// How many there were a second.
    Rate,
    /// What their numbers come to.
    Sum,
    /// The mean of their numbers.
    Mean,
    /// A quantile of their numbers.
    Quantile,
    /// How many different ones there were.
    Distinct,
    /// 1 for one that is new, where few were seen before.
    New,
    /// By how many standard deviations a number is above what is usual for its key.
    Deviation,
    /// For how many seconds there was none before.
    Silence,
}

/// The rules that come with the broker.
#[must_use]
pub fn default_rules() -> Vec<RuleSettings> {
    #[derive(Default, Deserialize)]
    struct Pack {
        rule: Vec<RuleSettings>,
    }
    // That it can be read is tested.
    toml::from_str::<Pack>(DEFAULT_RULES).unwrap_or_default().rule
}

impl RuleSettings {
    /// These settings, and those of `others` where there are none.
    #[must_use]
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            name: self.name.or(others.name),
            about: self.about.or(others.about),
            enabled: self.enabled.or(others.enabled),
            events: self.events.or(others.events),
            topics: self.topics.or(others.topics),
            after: self.after.or(others.after),
            after_count: self.after_count.or(others.after_count),
            per: self.per.or(others.per),
            window: self.window.or(others.window),
            seconds: self.seconds.or(others.seconds),
            measure: self.measure.or(others.measure),
            of: self.of.or(others.of),
            quantile: self.quantile.or(others.quantile),
            warm_up: self.warm_up.or(others.warm_up),
            threshold: self.threshold.or(others.threshold),
            severity: self.severity.or(others.severity),
            cool_down_seconds: self.cool_down_seconds.or(others.cool_down_seconds),
            responses: self.responses.or(others.responses),
            dry_run: self.dry_run.or(others.dry_run),
        }
    }
}
