//! A policy: read once, asked for a permit whenever a client connects.

use std::sync::Arc;
use std::time::Duration;

use super::assign::{Assignment, Assignments};
use super::error::PolicyWarning;
use super::index::Index;
use super::layer::Book;
use super::origin::Origin;
use super::permit::Permit;
use super::rule::{Description, RuleId, Rulebook};
use super::schedule::Schedule;
use super::warnings;
use crate::identity::{Attributes, ClientId, Principal, TransportSecurity};
use crate::topic::TopicNameRef;

/// Who is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whom the connection belongs to.
    pub principal: &'a Principal,
    /// The client identifier of its session.
    pub client_id: &'a ClientId,
    /// What its proof says beyond its name.
    pub attributes: &'a Attributes,
    /// The URL of the listener that it came by.
    pub listener: &'a str,
    /// What protects its transport.
    pub security: TransportSecurity,
    /// When it asks, since the Unix epoch.
    pub time: Duration,
}

impl<'a> Subject<'a> {
    /// A client that is known by its names alone: no attributes, no listener, no protection, in the
    /// first minute of the epoch.
    #[must_use]
    pub fn named(principal: &'a Principal, client_id: &'a ClientId) -> Self {
        let security = TransportSecurity::Plain;
        let (attributes, time) = (Attributes::none(), Duration::ZERO);
        Self { principal, client_id, attributes, listener: "", security, time }
    }
}

/// A valid policy. There is none that is empty: what nobody assigned is an error, not an opening.
#[derive(Debug)]
pub struct Policy {
    pub(super) book: Arc<Book>,
    pub(super) assignments: Assignments,
    assignment_count: usize,
    warnings: Vec<PolicyWarning>,
    /// From where the holders of assignments must come, with the line of each, where that is anywhere in
    /// particular.
    origins: Vec<(u32, Origin)>,
    /// Each once.
    schedules: Vec<Schedule>,
}

/// How large a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySize {
    /// `[[role]]` tables.
    pub roles: usize,
    /// Rules in all of them.
    pub rules: usize,
    /// `[[assign]]` tables.
    pub assignments: usize,
}

impl Policy {
    /// A policy of these rules, whose roles inherit in no circle: `order` has each after all that it
    /// inherits.
    pub(super) fn of(mut rules: Rulebook, order: &[usize], assignments: Vec<Assignment>) -> Self {
        rules.finish(order);
        let mut schedules = Vec::new();
        let conditions = rules.rules.iter().filter_map(|rule| rule.conditions.as_ref());
        for schedule in conditions.filter_map(|conditions| conditions.schedule) {
            if !schedules.contains(&schedule) {
                schedules.push(schedule);
            }
        }
        let origins = assignments
            .iter()
            .filter(|assignment| assignment.origin != Origin::default())
            .map(|assignment| (assignment.line, assignment.origin.clone()));
        Self {
            warnings: warnings::of(&rules, &assignments),
            origins: origins.collect(),
            assignment_count: assignments.len(),
            assignments: Assignments::of(assignments),
            book: Arc::new(Book { index: Index::of(&rules), rules }),
            schedules,
        }
    }

    /// The policy with these warnings among its own, in the order of the file.
    pub(super) fn and_warn_of(mut self, more: Vec<PolicyWarning>) -> Self {
        self.warnings.extend(more);
        self.warnings.sort_by_key(|warning| warning.line);
        self
    }

    /// What `subject` may do, for as long as [`Self::changes_after`] says. Costs in proportion to its
    /// roles.
    #[must_use]
    pub fn permit(&self, subject: &Subject<'_>) -> Permit {
        Permit::compile(&self.book, &self.assignments.roles_of(subject), subject)
    }

    /// When another hour begins or ends for some rule, first after `time`; both are since the Unix
    /// epoch. Permits made before are out of date then.
    #[must_use]
    pub fn changes_after(&self, time: Duration) -> Option<Duration> {
        self.schedules.iter().filter_map(|schedule| schedule.changes_after(time)).min()
    }

    /// The places of the roles that `subject` holds, with those that they inherit.
    pub(super) fn roles_of(&self, subject: &Subject<'_>) -> Vec<usize> {
        self.book.rules.with_inherited(&self.assignments.roles_of(subject))
    }

    /// What a decision of this policy went by.
    #[must_use]
    pub fn describe(&self, rule: impl Into<Option<RuleId>>) -> Description<'_> {
        self.book.rules.describe(rule.into())
    }

    /// Whether payloads of some topics are verified or sealed, which takes keys.
    #[must_use]
    pub fn needs_keys(&self) -> bool {
        self.book.rules.envelopes.need_keys()
    }

    /// Whether payloads of `topic` are verified or sealed.
    #[must_use]
    pub fn has_envelopes(&self, topic: TopicNameRef<'_>) -> bool {
        self.book.rules.envelopes.terms(topic).is_some()
    }

    /// How far ahead the time of an envelope may be on any topic.
    #[must_use]
    pub fn longest_skew(&self) -> Duration {
        self.book.rules.envelopes.longest_skew()
    }

    /// What in it probably does not do what its author meant.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyWarning] {
        &self.warnings
    }

    /// What of it holds for nobody if these are the URLs of all listeners.
    #[must_use]
    pub fn warnings_of_listeners(&self, urls: &[String]) -> Vec<PolicyWarning> {
        warnings::of_listeners(&self.book.rules, &self.origins, urls)
    }

    /// Whether there is a role of this name.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.book.rules.roles.iter().any(|role| *role.name == *name)
    }

    /// How large it is.
    #[must_use]
    pub fn size(&self) -> PolicySize {
        PolicySize {
            roles: self.book.rules.roles.len(),
            rules: self.book.rules.rules.len(),
            assignments: self.assignment_count,
        }
    }
}
