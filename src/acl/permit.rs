//! What one client may do: the roles that it holds and the names that it has, before the index of all
//! rules.

use std::sync::Arc;

use super::Subject;
use super::index::{Clause, Client, Found, Index};
use super::limits::Limits;
use super::rule::{Action, Description, Effect, Rule, RuleId, Rulebook};
use super::template::Names;
use crate::message::QoS;
use crate::topic::{self, TopicFilterRef, TopicNameRef};

/// The answer to one question, and the rule that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// What decided; none where nothing allows it.
    pub rule: Option<RuleId>,
}

impl Decision {
    fn denied(rule: Option<RuleId>) -> Self {
        Self { allowed: false, rule }
    }
}

/// The answer to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeDecision {
    /// It is made, at no more than `max_qos`. Each delivery is asked about again
    /// ([`Permit::receive`]), since not all that the filter matches need be allowed.
    Granted {
        /// The highest QoS that may be granted: no topic of the filter is delivered above what the
        /// policy allows for it.
        max_qos: QoS,
        /// The rule that this QoS comes from.
        rule: RuleId,
    },
    /// Nothing that the filter matches could ever be delivered.
    Refused {
        /// The deny rule that holds all of it; none where nothing allows any of it.
        rule: Option<RuleId>,
    },
}

/// What one client may do under one policy. Made when it connects and whenever the policy or the hour
/// changes, and asked ever after: a question costs no allocation, and meets only rules that are about
/// its topic. All that is large in it is shared by every client of the policy.
#[derive(Clone, Debug)]
pub struct Permit {
    book: Arc<Book>,
    /// The places of its roles in the rulebook, in order.
    roles: Box<[u32]>,
    /// Its rules that have conditions, and meet them; in order.
    met: Box<[RuleId]>,
    /// The rules that deny every topic, since a name cannot be put into theirs; in order of rank.
    closing: Box<[Clause]>,
    names: Names,
    limits: Limits,
}

/// The rules of a policy, as written and by their topics.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) rules: Rulebook,
    pub(super) index: Index,
}

impl Permit {
    /// The permit of a client that is `assigned` these roles.
    pub(super) fn compile(book: &Arc<Book>, assigned: &[usize], subject: &Subject<'_>) -> Self {
        let names = Names::of(subject);
        let limits = book.rules.roles_at(assigned).map(|role| role.limits);
        let limits = limits.reduce(Limits::and).unwrap_or_default();
        let roles = &book.rules.with_inherited(assigned);
        let special = || book.rules.special_rules_of(roles);
        let is_met = |rule: &Rule| {
            rule.conditions.as_ref().is_some_and(|conditions| conditions.are_met_by(subject))
        };
        let met = special().filter(|(_, rule)| is_met(rule)).map(|(id, _)| id).collect();
        let closes = |rule: &Rule| {
            !names.are_safe()
                && rule.effect == Effect::Deny
                && rule.topics.iter().any(|topic| topic.substitute(&names).is_err())
        };
        let closing = special().filter(|(_, rule)| closes(rule));
        let mut closing: Vec<Clause> =
            closing.filter_map(|(id, _)| book.index.clause(id).copied()).collect();
        closing.sort_by_key(|clause| clause.rank);
        Self {
            book: Arc::clone(book),
            roles: roles.iter().filter_map(|place| u32::try_from(*place).ok()).collect(),
            met,
            closing: closing.into(),
            names,
            limits,
        }
    }

    /// Whether the client may publish `bytes` of payload to `topic`, be it now or by its will.
    #[must_use]
    pub fn publish(
        &self,
        topic: TopicNameRef<'_>,
        qos: QoS,
        retain: bool,
        bytes: usize,
    ) -> Decision {
        if topic.is_reserved() {
            return Decision::denied(Some(RuleId::RESERVED_TOPICS));
        }
        let admits = |clause: &Clause| {
            qos <= clause.max_qos
                && clause.retain.admits(retain)
                && bytes <= clause.max_payload as usize
        };
        self.decide(&self.about(topic), Action::Publish, retain, admits)
    }

    /// The bytes of the largest payload that [`Self::publish`] allows; none where it allows nothing.
    #[must_use]
    pub fn largest_payload(&self, topic: TopicNameRef<'_>, qos: QoS, retain: bool) -> Option<u32> {
        if topic.is_reserved() {
            return None;
        }
        let found = self.about(topic);
        let denied = self.denied(&found, Action::Publish, retain);
        let bounds = self
            .allowing(&found, Action::Publish, rank_of(denied))
            .filter(|clause| qos <= clause.max_qos && clause.retain.admits(retain))
            .map(|clause| clause.max_payload);
        let mut largest = None;
        for bound in bounds {
            largest = largest.max(Some(bound));
            if bound == u32::MAX {
                break;
            }
        }
        largest
    }

    /// Whether the client may subscribe to `filter`: not when no allow rule has a topic in common
    /// with it that no deny rule of the same or a higher priority takes back with all of the filter.
    /// A share is judged by its filter.
    #[must_use]
    pub fn subscribe(&self, filter: TopicFilterRef<'_>) -> SubscribeDecision {
        let mut covering = Found::new();
        covering.push(&self.closing);
        self.book.index.covering(filter, self.client(), &mut covering);
        let denied = self.denied(&covering, Action::Subscribe, true);
        let rank = rank_of(denied);
        let highest = self
            .allowing(&covering, Action::Subscribe, rank)
            .max_by_key(|clause| (clause.max_qos, std::cmp::Reverse(clause.rank)));
        match highest.or_else(|| self.lowest_overlapping(filter, rank)) {
            Some(clause) => {
                SubscribeDecision::Granted { max_qos: clause.max_qos, rule: clause.rule }
            }
            None => SubscribeDecision::Refused { rule: denied.map(|clause| clause.rule) },
        }
    }

    /// Whether a message on `topic` may be delivered to the client, whatever it is subscribed to:
    /// asked at each delivery.
    #[must_use]
    pub fn receive(&self, topic: TopicNameRef<'_>) -> Decision {
        self.decide(&self.about(topic), Action::Receive, true, |_| true)
    }

    /// The limits of its roles.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a decision of this permit went by.
    #[must_use]
    pub fn describe(&self, rule: impl Into<Option<RuleId>>) -> Description<'_> {
        self.book.rules.describe(rule.into())
    }
}

impl Permit {
    fn about(&self, topic: TopicNameRef<'_>) -> Found<'_> {
        let mut found = Found::new();
        found.push(&self.closing);
        self.book.index.matching(topic, self.client(), &mut found);
        found
    }

    fn client(&self) -> Client<'_> {
        Client { roles: &self.roles, names: &self.names }
    }

    /// The lower rank decides, and what nothing allows is denied.
    fn decide(
        &self,
        found: &Found<'_>,
        action: Action,
        retain: bool,
        admits: impl Fn(&Clause) -> bool,
    ) -> Decision {
        let denied = self.denied(found, action, retain);
        let rank = rank_of(denied);
        let first = of_effect(found, Effect::Allow)
            .filter_map(|clauses| self.held(clauses, action, rank, &admits).next());
        match first.min_by_key(|clause| clause.rank) {
            Some(clause) => Decision { allowed: true, rule: Some(clause.rule) },
            None => Decision::denied(denied.map(|clause| clause.rule)),
        }
    }

    /// The first of the clauses that deny.
    fn denied<'f>(&self, found: &Found<'f>, action: Action, retain: bool) -> Option<&'f Clause> {
        let mut first: Option<&Clause> = None;
        let denies = |clause: &Clause| clause.retain.admits(retain);
        for clauses in of_effect(found, Effect::Deny) {
            first = self.held(clauses, action, rank_of(first), denies).next().or(first);
        }
        first
    }

    /// The clauses that allow and come before `rank`.
    fn allowing<'b, 'f>(
        &'f self,
        found: &'f Found<'b>,
        action: Action,
        rank: u32,
    ) -> impl Iterator<Item = &'b Clause> + use<'b, 'f> {
        of_effect(found, Effect::Allow)
            .flat_map(move |clauses| self.held(clauses, action, rank, |_| true))
    }

    /// Those of `clauses` that are of the client, about `action`, come before `rank`, and are
    /// `wanted`. What is quickly seen is looked at first: a client may have a thousand roles.
    fn held<'b, 's, W: Fn(&Clause) -> bool>(
        &'s self,
        clauses: &'b [Clause],
        action: Action,
        rank: u32,
        wanted: W,
    ) -> impl Iterator<Item = &'b Clause> + use<'b, 's, W> {
        clauses.iter().take_while(move |clause| clause.rank < rank).filter(move |clause| {
            clause.actions.has(action)
                && wanted(clause)
                && self.roles.binary_search(&clause.role).is_ok()
                && (!clause.is_conditional || self.met.binary_search(&clause.rule).is_ok())
        })
    }

    /// Where no clause covers a filter, the lowest QoS of those that have something in common with it
    /// is safe for all of it.
    fn lowest_overlapping(&self, filter: TopicFilterRef<'_>, rank: u32) -> Option<&Clause> {
        let Book { rules, index } = &*self.book;
        let roles: Vec<usize> = self.roles.iter().map(|place| *place as usize).collect();
        let overlaps = |rule: &Rule| {
            let mut topics =
                rule.topics.iter().filter_map(|topic| topic.substitute(&self.names).ok());
            topics.any(|topic| topic::overlaps(topic.borrowed(), filter))
        };
        rules
            .rules_of(&roles)
            .filter_map(|(id, rule)| Some((rule, index.clause(id)?)))
            .filter(|(_, clause)| clause.effect == Effect::Allow)
            .filter(|(_, clause)| {
                let clauses = std::slice::from_ref(*clause);
                self.held(clauses, Action::Subscribe, rank, |_| true).next().is_some()
            })
            .filter(|(rule, _)| overlaps(rule))
            .map(|(_, clause)| clause)
            .min_by_key(|clause| (clause.max_qos, clause.rank))
    }
}

/// Those slices of what was found that have this effect.
fn of_effect<'b, 'f>(
    found: &'f Found<'b>,
    effect: Effect,
) -> impl Iterator<Item = &'b [Clause]> + use<'b, 'f> {
    found
        .iter()
        .copied()
        .filter(move |clauses| clauses.first().is_some_and(|first| first.effect == effect))
}

/// The rank before which a clause must come where `denied` denies.
fn rank_of(denied: Option<&Clause>) -> u32 {
    denied.map_or(u32::MAX, |clause| clause.rank)
}
