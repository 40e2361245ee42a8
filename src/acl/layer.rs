//! The rules of one book that a client holds, and what they say to one question.

use std::sync::Arc;

use super::Subject;
use super::index::{Clause, Client, Found, Index};
use super::rule::{Action, Effect, Rule, RuleId, Rulebook};
use super::template::Names;
use crate::message::QoS;
use crate::topic::{self, TopicFilterRef, TopicNameRef};

/// The rules of a policy, or of one client, as written and by their topics.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) rules: Rulebook,
    pub(super) index: Index,
}

/// The part of a book that is one client's. All that is large in it is shared by every client of the
/// book.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    book: Arc<Book>,
    /// The places of its roles in the rulebook, in order.
    roles: Box<[u32]>,
    /// Its rules that have conditions, and meet them; in order.
    met: Box<[RuleId]>,
    /// The rules that deny every topic, since a name cannot be put into theirs; in order of rank.
    closing: Box<[Clause]>,
}

/// What the rules of one book say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<T> {
    Allowed(T),
    Denied(RuleId),
    /// None of them is about it.
    Nothing,
}

/// How far a subscription is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) max_qos: QoS,
    pub(super) rule: RuleId,
    /// Whether the rule allows all of it.
    pub(super) is_whole: bool,
}

/// What somebody wants to publish.
#[derive(Clone, Copy)]
pub(super) struct Publishing<'a> {
    pub(super) topic: TopicNameRef<'a>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Whether what is published is an envelope that holds, or is refused.
    pub(super) is_verified: bool,
}

impl Layer {
    /// That of a client which holds the roles at `roles`, those that they inherit among them.
    pub(super) fn compile(
        book: &Arc<Book>,
        roles: &[usize],
        names: &Names,
        subject: &Subject<'_>,
    ) -> Self {
        let special = || book.rules.special_rules_of(roles);
        let is_met = |rule: &Rule| {
            rule.conditions.as_ref().is_some_and(|conditions| conditions.are_met_by(subject))
        };
        let met = special().filter(|(_, rule)| is_met(rule)).map(|(id, _)| id).collect();
        let closes = |rule: &Rule| {
            !names.are_safe()
                && rule.effect == Effect::Deny
                && rule.topics.iter().any(|topic| topic.substitute(names).is_err())
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
        }
    }

    pub(super) fn rules(&self) -> &Rulebook {
        &self.book.rules
    }

    pub(super) fn has_role(&self, name: &str) -> bool {
        let role = |place: &u32| self.book.rules.roles.get(usize::try_from(*place).ok()?);
        self.roles.iter().filter_map(role).any(|role| *role.name == *name)
    }

    /// Whether `bytes` of payload may be published.
    pub(super) fn publish(
        &self,
        names: &Names,
        asked: Publishing<'_>,
        bytes: usize,
    ) -> Word<RuleId> {
        let admits =
            |clause: &Clause| asked.is_admitted_by(clause) && bytes <= clause.max_payload as usize;
        self.decide(&self.about(asked.topic, names), Action::Publish, asked.retain, admits)
    }

    /// The bytes of the largest payload that [`Self::publish`] allows.
    pub(super) fn largest_payload(&self, names: &Names, asked: Publishing<'_>) -> Word<u32> {
        let found = self.about(asked.topic, names);
        let denied = self.denied(&found, Action::Publish, asked.retain);
        let bounds = self
            .allowing(&found, Action::Publish, rank_of(denied))
            .filter(|clause| asked.is_admitted_by(clause))
            .map(|clause| clause.max_payload);
        let mut largest = None;
        for bound in bounds {
            largest = largest.max(Some(bound));
            if bound == u32::MAX {
                break;
            }
        }
        Word::of(largest, denied)
    }

    /// Whether a message on `topic` may be delivered.
    pub(super) fn receive(&self, names: &Names, topic: TopicNameRef<'_>) -> Word<RuleId> {
        self.decide(&self.about(topic, names), Action::Receive, true, |_| true)
    }

    /// Whether what the broker has sealed of `topic` is opened for the client.
    pub(super) fn open(&self, names: &Names, topic: TopicNameRef<'_>) -> Word<RuleId> {
        self.decide(&self.about(topic, names), Action::Open, true, |_| true)
    }

    /// How far `filter` may be subscribed to.
    pub(super) fn subscribe(&self, names: &Names, filter: TopicFilterRef<'_>) -> Word<Granted> {
        let mut covering = Found::new();
        covering.push(&self.closing);
        self.book.index.covering(filter, self.client(names), &mut covering);
        let denied = self.denied(&covering, Action::Subscribe, true);
        let rank = rank_of(denied);
        let highest = self
            .allowing(&covering, Action::Subscribe, rank)
            .max_by_key(|clause| (clause.max_qos, std::cmp::Reverse(clause.rank)));
        let is_whole = highest.is_some();
        let granted = highest
            .or_else(|| self.lowest_overlapping(filter, names, rank))
            .map(|clause| Granted { max_qos: clause.max_qos, rule: clause.rule, is_whole });
        Word::of(granted, denied)
    }
}

impl Layer {
    fn about(&self, topic: TopicNameRef<'_>, names: &Names) -> Found<'_> {
        let mut found = Found::new();
        found.push(&self.closing);
        self.book.index.matching(topic, self.client(names), &mut found);
        found
    }

    fn client<'a>(&'a self, names: &'a Names) -> Client<'a> {
        Client { roles: &self.roles, names }
    }

    /// The lower rank decides.
    fn decide(
        &self,
        found: &Found<'_>,
        action: Action,
        retain: bool,
        admits: impl Fn(&Clause) -> bool,
    ) -> Word<RuleId> {
        let denied = self.denied(found, action, retain);
        let rank = rank_of(denied);
        let first = of_effect(found, Effect::Allow)
            .filter_map(|clauses| self.held(clauses, action, rank, &admits).next());
        Word::of(first.min_by_key(|clause| clause.rank).map(|clause| clause.rule), denied)
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
    fn lowest_overlapping(
        &self,
        filter: TopicFilterRef<'_>,
        names: &Names,
        rank: u32,
    ) -> Option<&Clause> {
        let Book { rules, index } = &*self.book;
        let roles: Vec<usize> = self.roles.iter().map(|place| *place as usize).collect();
        let overlaps = |rule: &Rule| {
            let mut topics = rule.topics.iter().filter_map(|topic| topic.substitute(names).ok());
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

impl Publishing<'_> {
    fn is_admitted_by(&self, clause: &Clause) -> bool {
        self.qos <= clause.max_qos
            && clause.retain.admits(self.retain)
            && (self.is_verified || !clause.needs_envelope)
    }
}

impl<T> Word<T> {
    /// What is `allowed` has been found before `denied`.
    fn of(allowed: Option<T>, denied: Option<&Clause>) -> Self {
        match (allowed, denied) {
            (Some(allowed), _) => Self::Allowed(allowed),
            (None, Some(clause)) => Self::Denied(clause.rule),
            (None, None) => Self::Nothing,
        }
    }

    /// What two books say together: a rule of either that denies decides, and what neither denies is
    /// allowed by what either allows, or by `both`.
    pub(super) fn and(self, other: Self, both: impl FnOnce(T, T) -> T) -> Self {
        match (self, other) {
            (Self::Denied(rule), _) | (_, Self::Denied(rule)) => Self::Denied(rule),
            (Self::Allowed(one), Self::Allowed(other)) => Self::Allowed(both(one, other)),
            (Self::Allowed(one), Self::Nothing) | (Self::Nothing, Self::Allowed(one)) => {
                Self::Allowed(one)
            }
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

impl Granted {
    /// The rule that allows all of it at the highest QoS; where none does, the lowest is safe.
    pub(super) fn or(self, other: Self) -> Self {
        let (low, high) = match self.max_qos <= other.max_qos {
            true => (self, other),
            false => (other, self),
        };
        match (low.is_whole, high.is_whole) {
            (_, true) => high,
            (true, false) | (false, false) => low,
        }
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
