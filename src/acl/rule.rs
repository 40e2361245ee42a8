//! Roles and their rules, as the policy file has them.

use std::fmt;
use std::ops::Range;

use super::template::Template;
use crate::message::QoS;

/// Names one rule of one policy, in decisions and to [`Policy::describe`](super::Policy::describe).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u32);

impl RuleId {
    /// The rule that no policy can change: clients do not publish to `$` topics.
    pub const RESERVED_TOPICS: Self = Self(u32::MAX);

    pub(super) fn of_index(index: usize) -> Self {
        // A policy is too short to hold this many rules: see `parse::MAX_POLICY_BYTES`.
        Self(u32::try_from(index).unwrap_or(u32::MAX - 1))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whether a rule opens or closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) publish: bool,
    pub(super) subscribe: bool,
}

/// Which publishes a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retain {
    /// All of them.
    Any,
    /// Those that are not to be retained: `retain = false` of an allow rule.
    Never,
    /// Those that are to be retained: `retain = true` of a deny rule.
    Only,
}

impl Retain {
    pub(super) fn admits(self, retain: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Never => !retain,
            Self::Only => retain,
        }
    }
}

/// One rule of a role.
#[derive(Debug)]
pub(super) struct Rule {
    /// The place of its role in the rulebook.
    pub(super) role: usize,
    pub(super) line: u32,
    pub(super) effect: Effect,
    pub(super) actions: Actions,
    pub(super) topics: Box<[Template]>,
    pub(super) max_qos: QoS,
    pub(super) retain: Retain,
}

/// A named set of rules.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: Box<str>,
    pub(super) line: u32,
    /// The places of its rules in the rulebook.
    pub(super) rules: Range<usize>,
}

/// All roles and rules of a policy.
#[derive(Debug, Default)]
pub(super) struct Rulebook {
    pub(super) roles: Vec<Role>,
    pub(super) rules: Vec<Rule>,
}

impl Rulebook {
    /// The rules of the roles at `places`, in the order of the file.
    pub(super) fn rules_of<'b>(
        &'b self,
        places: &'b [usize],
    ) -> impl Iterator<Item = (RuleId, &'b Rule)> {
        let roles = places.iter().filter_map(|place| self.roles.get(*place));
        roles
            .flat_map(|role| role.rules.clone())
            .filter_map(|index| Some((RuleId::of_index(index), self.rules.get(index)?)))
    }

    pub(super) fn describe(&self, rule: Option<RuleId>) -> Description<'_> {
        match rule {
            None => Description::NoRule,
            Some(RuleId::RESERVED_TOPICS) => Description::ReservedTopics,
            Some(id) => self.rules.get(id.index()).map_or(Description::Unknown, |rule| {
                let role = self.roles.get(rule.role).map_or("", |role| &role.name);
                Description::Rule { role, line: rule.line, text: rule.to_string() }
            }),
        }
    }
}

/// What decided, for a log line and for `acl explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description<'p> {
    /// A rule of the policy file.
    Rule {
        /// The role that it belongs to.
        role: &'p str,
        /// Its line in the file, from 1.
        line: u32,
        /// What it says, on one line, in the format of the file.
        text: String,
    },
    /// Clients never publish to topics that begin with `$`, whatever the policy says.
    ReservedTopics,
    /// Nothing allows it, and what is not allowed is denied.
    NoRule,
    /// The rule is not of the policy that was asked.
    Unknown,
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { role, line, text } => write!(f, "line {line}, role {role:?}: {text}"),
            Self::ReservedTopics => f.write_str(
                "built-in rule \"reserved-topics\": clients do not publish to topics that begin with '$'",
            ),
            Self::NoRule => f.write_str("no rule allows it"),
            Self::Unknown => f.write_str("a rule of another policy"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let topics: Vec<&str> = self.topics.iter().map(Template::as_str).collect();
        write!(f, "{{ {effect} = {:?}, topics = {topics:?}", self.actions.names())?;
        if self.max_qos != QoS::ExactlyOnce {
            write!(f, ", max_qos = {}", self.max_qos as u8)?;
        }
        match self.retain {
            Retain::Any => {}
            Retain::Never => f.write_str(", retain = false")?,
            Retain::Only => f.write_str(", retain = true")?,
        }
        f.write_str(" }")
    }
}

impl Actions {
    fn names(self) -> Vec<&'static str> {
        let publish = self.publish.then_some("publish");
        publish.into_iter().chain(self.subscribe.then_some("subscribe")).collect()
    }
}
