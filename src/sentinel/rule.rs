//! A rule that can be gone by: which events count, together with which, and how many are too many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::panes::Window;
use super::rule_settings::MeasureName;
use super::{Attribute, Event, Kind, Response, RuleSettings, Settings, default_rules};
use crate::topic::{TopicFilter, TopicFilterRef, TopicNameRef, matches, overlaps};

/// Seconds of a window, where a rule says nothing else.
const SECONDS: u32 = 60;
/// Seconds of silence about a key, where a rule says nothing else.
const COOL_DOWN_SECONDS: u32 = 300;
/// The longest window and the longest silence: a quarter of a year.
const MOST_SECONDS: u32 = 90 * 86_400;

/// How bad it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Unusual, and mostly harmless.
    Notice,
    /// Somebody should look at it.
    #[default]
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// How many events there were.
    Count,
    /// How many a second.
    Rate,
    /// The sum of their numbers.
    Sum,
    /// The mean of their numbers.
    Mean,
    /// This quantile of their numbers.
    Quantile(f64),
    /// How many different ones.
    Distinct(Attribute),
    /// 1 for one that was not seen before, once so many events were seen and no more than 32 different ones.
    New(Attribute, u32),
    /// How many standard deviations above what is usual, once so many events were seen.
    Deviation(u32),
    /// Seconds without one.
    Silence,
}

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selector {
    kind: Kind,
    /// Nothing for any.
    reason: Option<&'static str>,
}

/// A rule that can be gone by.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What logs, alerts and metrics call it; no other rule has the same name.
    pub name: Arc<str>,
    /// What it means when it is broken.
    pub about: Arc<str>,
    events: Vec<Selector>,
    topics: Option<TopicFilter>,
    after: Vec<Selector>,
    /// So many of `after` have to come before.
    pub(super) after_count: u64,
    /// What the events have in common that are looked at together.
    pub per: Vec<Attribute>,
    /// Which of them count.
    pub window: Window,
    /// What is measured.
    pub measure: Measure,
    /// From which value on the rule is broken.
    pub threshold: f64,
    /// How bad that is.
    pub severity: Severity,
    /// How long nothing more is said about the same key.
    pub cool_down: Duration,
    /// What is done.
    pub responses: Vec<Response>,
    /// Whether it is only logged and counted what would be done.
    pub dry_run: bool,
}

/// The rules in force. By default there are none, and nothing is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    /// Each with another name.
    pub rules: Vec<Rule>,
    /// Of how many keys each of them keeps what it needs to know.
    pub max_keys: usize,
    /// The same for those that learn what is usual.
    pub max_learned_keys: usize,
    /// Clocks that are further off are told of, ahead or behind.
    pub clock_skew: Duration,
}

/// Why a rule cannot be gone by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// Nobody could say which it was.
    #[error("a rule needs a `name` of letters, digits, `-` and `_`, by which alerts call it")]
    Name,
    /// There is another one.
    #[error("there are two rules of the name {0:?}")]
    Twice(String),
    /// Nothing counts.
    #[error("rule {0:?} needs `events`: the kinds of events that count, such as \"login_refused\"")]
    NoEvents(String),
    /// There are no such events.
    #[error("rule {0:?}: there are no events {1:?}; {2}")]
    Unknown(String, String, String),
    /// The topics are no filter.
    #[error("`topics` of rule {0:?} is no topic filter without a share")]
    Topics(String),
    /// How many are too many is not known.
    #[error(
        "rule {0:?} needs a `threshold`, the value from which on it is broken: a number above 0"
    )]
    Threshold(String),
    /// It is not said of what.
    #[error("rule {0:?} measures different or new ones and needs `of`, such as \"address\"")]
    Of(String),
    /// There is no such quantile.
    #[error("rule {0:?} needs a `quantile` above 0 and up to 1, such as 0.95")]
    Quantile(String),
    /// Nothing can be kept for so long.
    #[error(
        "rule {0:?}: `seconds`, those of responses too, and `cool_down_seconds` are at most \
         {MOST_SECONDS}, 90 days"
    )]
    TooLong(String),
    /// It would be done to whoever came last.
    #[error(
        "rule {rule:?} cannot {response} the {target} of whichever event comes last: it needs a `per` with \
         \"{needed}\", so that all events that break it are of the same"
    )]
    NotInKey {
        /// Its name.
        rule: String,
        /// What it would do.
        response: &'static str,
        /// To whom.
        target: &'static str,
        /// What its key lacks.
        needed: &'static str,
    },
    /// It would be done to whoever somebody else says to be.
    #[error(
        "rule {rule:?} cannot {response} the {target} of refused logins, who is only claimed to be that: \
         anybody could do so and have others locked out. Let the rule be `per` \"address\", and \
         {response} that"
    )]
    Claimed {
        /// Its name.
        rule: String,
        /// What it would do.
        response: &'static str,
        /// To whom.
        target: &'static str,
    },
    /// It would be done to everybody on this machine.
    #[error(
        "rule {rule:?} cannot {response} anybody for what is done at the page of operators: it is reached from \
         this machine alone, and whoever can would have all others here locked out. Those who guess there \
         are locked out by themselves"
    )]
    OfThisMachine {
        /// Its name.
        rule: String,
        /// What it would do.
        response: &'static str,
    },
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Critical];

    /// As rules and alerts write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Selector {
    fn parse(text: &str, rule: &str) -> Result<Self, RuleError> {
        let (name, reason) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
        let unknown = |known: String| {
            RuleError::Unknown(rule.to_owned(), text.to_owned(), format!("there are {known}"))
        };
        let kinds = || Kind::ALL.map(Kind::name).join(", ");
        let kind = Kind::named(name).ok_or_else(|| unknown(kinds()))?;
        let Some(reason) = reason else { return Ok(Self { kind, reason: None }) };
        let found = kind.reasons().iter().find(|it| **it == reason);
        let reasons = || format!("{name}.{}", kind.reasons().join(&format!(", {name}.")));
        let reason = found.ok_or_else(|| unknown(reasons()))?;
        Ok(Self { kind, reason: Some(reason) })
    }

    fn parse_all(texts: Option<&Vec<String>>, rule: &str) -> Result<Vec<Self>, RuleError> {
        texts.into_iter().flatten().map(|text| Self::parse(text, rule)).collect()
    }

    fn is_of(self, event: &Event) -> bool {
        self.kind == event.kind && self.reason.is_none_or(|reason| reason == event.reason)
    }
}

impl RuleSet {
    /// The rules in force by `settings` and `written`, over those that come with the broker.
    ///
    /// # Errors
    /// What is missing or does not go together, and at which places in `written`.
    pub fn of(
        settings: &Settings,
        written: &[RuleSettings],
    ) -> Result<Self, Vec<(usize, RuleError)>> {
        let (mut rules, mut faults, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        let defaults = if settings.default_rules { default_rules() } else { Vec::new() };
        for (at, settings) in written.iter().enumerate() {
            if let Some(name) = settings.name.clone()
                && !names.insert(name.clone())
            {
                faults.push((at, RuleError::Twice(name)));
                continue;
            }
            let same = defaults.iter().find(|it| it.name.is_some() && it.name == settings.name);
            match Rule::of(&settings.clone().or(same.cloned().unwrap_or_default())) {
                Ok(rule) => rules.extend(rule),
                Err(fault) => faults.push((at, fault)),
            }
        }
        let is_overridden =
            |it: &&RuleSettings| it.name.as_ref().is_some_and(|it| names.contains(it));
        let others = defaults.iter().filter(|it| !is_overridden(it));
        // That each of them can be gone by is tested.
        rules.extend(others.filter_map(|it| Rule::of(it).ok().flatten()));
        if !faults.is_empty() {
            return Err(faults);
        }
        if !settings.enabled {
            return Ok(Self::default());
        }
        Ok(Self {
            rules,
            max_keys: settings.max_keys.get() as usize,
            max_learned_keys: settings.max_learned_keys.get() as usize,
            clock_skew: settings.clock_skew(),
        })
    }
}

impl Rule {
    /// The rule that `settings` describe; nothing where it is turned off.
    fn of(settings: &RuleSettings) -> Result<Option<Self>, RuleError> {
        let is_simple = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let name = settings.name.clone().filter(|name| (1..=64).contains(&name.len()));
        let name = name.filter(|name| name.chars().all(is_simple)).ok_or(RuleError::Name)?;
        if settings.enabled == Some(false) {
            return Ok(None);
        }
        let events = Selector::parse_all(settings.events.as_ref(), &name)?;
        let after = Selector::parse_all(settings.after.as_ref(), &name)?;
        let measure = measure_of(settings, &name)?;
        let threshold = settings.threshold.filter(|it| it.is_finite() && *it > 0.0);
        let topics = settings.topics.as_deref().map(TopicFilter::parse).transpose().ok();
        let topics = topics
            .filter(|it| it.as_ref().is_none_or(|filter| filter.borrowed().share().is_none()));
        let seconds = settings.seconds.map_or(SECONDS, u32::from);
        let responses = settings.responses.clone().unwrap_or(vec![
            Response::Log,
            Response::Alert,
            Response::Webhook,
        ]);
        let longest = responses.iter().filter_map(|it| it.lasts()).max().unwrap_or_default();
        let cool_down = settings.cool_down_seconds.map_or_else(
            || default_cool_down(&responses),
            |seconds| Duration::from_secs(seconds.into()),
        );
        if events.is_empty() {
            return Err(RuleError::NoEvents(name));
        }
        let length = Duration::from_secs(seconds.into());
        if length.max(cool_down).max(longest) > Duration::from_secs(MOST_SECONDS.into()) {
            return Err(RuleError::TooLong(name));
        }
        let Some(topics) = topics else { return Err(RuleError::Topics(name)) };
        let Some(threshold) = threshold else { return Err(RuleError::Threshold(name)) };
        let rule = Self {
            name: name.into(),
            about: settings.about.as_deref().unwrap_or_default().into(),
            events,
            topics,
            after,
            after_count: settings.after_count.map_or(1, |it| it.get().into()),
            per: settings.per.clone().unwrap_or_default(),
            window: Window { shape: settings.window.unwrap_or_default(), length },
            measure,
            threshold,
            severity: settings.severity.unwrap_or_default(),
            cool_down,
            responses,
            dry_run: settings.dry_run.unwrap_or_default(),
        };
        rule.check_responses().map(|()| Some(rule))
    }

    /// That what is done is done to those who have broken it, and to nobody whom they can choose.
    fn check_responses(&self) -> Result<(), RuleError> {
        for (response, target) in self.responses.iter().filter_map(|it| Some((it, it.target()?))) {
            let (rule, response) = (self.name.to_string(), response.name());
            if self.kinds().into_iter().any(Kind::is_of_this_machine) {
                return Err(RuleError::OfThisMachine { rule, response });
            }
            if !target.is_place() && self.is_of_claims() {
                return Err(RuleError::Claimed { rule, response, target: target.name() });
            }
            let follows_from = target.follows_from();
            if !follows_from.iter().any(|it| self.per.contains(it)) {
                let needed = follows_from.first().map_or("", |it| it.name());
                return Err(RuleError::NotInKey { rule, response, target: target.name(), needed });
            }
        }
        Ok(())
    }

    /// Whether somebody can break it in the name of another: by what only claims to be that one's, or by such
    /// things beforehand, unless those came from where that one itself comes from.
    fn is_of_claims(&self) -> bool {
        let claims = |selectors: &[Selector]| selectors.iter().any(|it| !it.kind.proves_who());
        claims(&self.events) || (claims(&self.after) && !self.per.contains(&Attribute::Address))
    }

    /// Whether `event` is one of those that count.
    pub(super) fn counts(&self, event: &Event) -> bool {
        self.events.iter().any(|it| it.is_of(event)) && self.concerns_topic_of(event)
    }

    /// Whether `event` is one of those that have to come before.
    pub(super) fn leads(&self, event: &Event) -> bool {
        self.after.iter().any(|it| it.is_of(event))
    }

    /// Whether it learns what is usual, and so has to remember everybody.
    #[must_use]
    pub fn learns(&self) -> bool {
        matches!(self.measure, Measure::New(..) | Measure::Deviation(_) | Measure::Silence)
    }

    /// Whether it is the same but for being tried: what one remembers, the other one would.
    pub(super) fn remembers_as(&self, other: &Self) -> bool {
        self.name == other.name && *self == Self { dry_run: self.dry_run, ..other.clone() }
    }

    /// Whether something has to come before.
    pub(super) fn is_sequence(&self) -> bool {
        !self.after.is_empty()
    }

    /// The kinds of events that it looks at.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        self.events.iter().chain(&self.after).map(|it| it.kind).collect()
    }

    fn concerns_topic_of(&self, event: &Event) -> bool {
        let Some(filter) = &self.topics else { return true };
        let (Some(topic), filter) = (&event.topic, filter.borrowed()) else { return false };
        match (TopicNameRef::parse(topic), TopicFilterRef::parse(topic)) {
            (Ok(name), _) => matches(filter, name),
            (Err(_), Ok(asked)) => overlaps(filter, asked.unshared()),
            (Err(_), Err(_)) => false,
        }
    }
}

/// Where a rule says nothing else. Whoever goes on once a response is over is answered again.
fn default_cool_down(responses: &[Response]) -> Duration {
    let shortest = responses.iter().filter_map(|it| it.lasts()).min();
    let usual = Duration::from_secs(COOL_DOWN_SECONDS.into());
    shortest.map_or(usual, |shortest| shortest.min(usual))
}

fn measure_of(settings: &RuleSettings, rule: &str) -> Result<Measure, RuleError> {
    let of = || settings.of.ok_or_else(|| RuleError::Of(rule.to_owned()));
    let quantile = || {
        let found = settings.quantile.filter(|it| *it > 0.0 && *it <= 1.0);
        found.ok_or_else(|| RuleError::Quantile(rule.to_owned()))
    };
    let warm_up = settings.warm_up.unwrap_or(30);
    Ok(match settings.measure.unwrap_or_default() {
        MeasureName::Count => Measure::Count,
        MeasureName::Rate => Measure::Rate,
        MeasureName::Sum => Measure::Sum,
        MeasureName::Mean => Measure::Mean,
        MeasureName::Quantile => Measure::Quantile(quantile()?),
        MeasureName::Distinct => Measure::Distinct(of()?),
        MeasureName::New => Measure::New(of()?, warm_up),
        MeasureName::Deviation => Measure::Deviation(warm_up),
        MeasureName::Silence => Measure::Silence,
    })
}
