//! What one client may do: the rules of its roles, with its names put in, split by action.

use std::sync::Arc;

use super::Subject;
use super::pattern::Pattern;
use super::rule::{Actions, Description, Effect, Retain, Rule, RuleId, Rulebook};
use super::template::{Template, UnsafeName};
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// The answer to one question, and the rule that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// What decided; none where nothing allows it.
    pub rule: Option<RuleId>,
}

impl Decision {
    fn allowed(rule: RuleId) -> Self {
        Self { allowed: true, rule: Some(rule) }
    }

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

/// What one client may do under one policy. Compiled when it connects, and asked ever after: a
/// question costs no allocation and looks at no rule of another role or action.
#[derive(Clone, Debug)]
pub struct Permit {
    rulebook: Arc<Rulebook>,
    publish: Lane,
    subscribe: Lane,
}

/// The clauses about one action.
#[derive(Clone, Debug)]
struct Lane {
    deny: Box<[Clause]>,
    allow: Box<[Clause]>,
}

/// One topic of one rule, for one client.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) pattern: Pattern,
    rule: RuleId,
    pub(super) max_qos: QoS,
    pub(super) retain: Retain,
}

impl Permit {
    pub(super) fn compile(
        rulebook: &Arc<Rulebook>,
        roles: &[usize],
        subject: &Subject<'_>,
    ) -> Self {
        let lane = |wanted: fn(&Actions) -> bool| {
            let clauses = |effect: Effect| -> Box<[Clause]> {
                rulebook
                    .rules_of(roles)
                    .filter(|(_, rule)| rule.effect == effect && wanted(&rule.actions))
                    .flat_map(|(id, rule)| rule.topics.iter().map(move |topic| (id, rule, topic)))
                    .filter_map(|(id, rule, topic)| Clause::compile(id, rule, topic, subject).ok())
                    .collect()
            };
            Lane { deny: clauses(Effect::Deny), allow: clauses(Effect::Allow) }
        };
        Self {
            rulebook: Arc::clone(rulebook),
            publish: lane(|actions| actions.publish),
            subscribe: lane(|actions| actions.subscribe),
        }
    }

    /// Whether the client may publish to `topic`, be it now or by its will.
    #[must_use]
    pub fn publish(&self, topic: TopicNameRef<'_>, qos: QoS, retain: bool) -> Decision {
        if topic.is_reserved() {
            return Decision::denied(Some(RuleId::RESERVED_TOPICS));
        }
        self.publish.decide(|clause| clause.admits(topic, qos, retain))
    }

    /// Whether the client may subscribe to `filter`: not when no allow rule has a topic in common
    /// with it, nor when one deny rule covers it. A share is judged by its filter.
    #[must_use]
    pub fn subscribe(&self, filter: TopicFilterRef<'_>) -> SubscribeDecision {
        if let Some(clause) =
            self.subscribe.deny.iter().find(|clause| clause.pattern.covers(filter))
        {
            return SubscribeDecision::Refused { rule: Some(clause.rule) };
        }
        match self.subscribe.grant(filter) {
            Some(clause) => {
                SubscribeDecision::Granted { max_qos: clause.max_qos, rule: clause.rule }
            }
            None => SubscribeDecision::Refused { rule: None },
        }
    }

    /// Whether a message on `topic` may be delivered to the client, whatever it is subscribed to:
    /// asked at each delivery.
    #[must_use]
    pub fn receive(&self, topic: TopicNameRef<'_>) -> Decision {
        self.subscribe.decide(|clause| clause.pattern.matches(topic))
    }

    /// What a decision of this permit went by.
    #[must_use]
    pub fn describe(&self, rule: impl Into<Option<RuleId>>) -> Description<'_> {
        self.rulebook.describe(rule.into())
    }
}

impl Lane {
    /// Deny wins over allow, and what nothing allows is denied.
    fn decide(&self, applies: impl Fn(&Clause) -> bool) -> Decision {
        if let Some(clause) = self.deny.iter().find(|clause| applies(clause)) {
            return Decision::denied(Some(clause.rule));
        }
        match self.allow.iter().find(|clause| applies(clause)) {
            Some(clause) => Decision::allowed(clause.rule),
            None => Decision::denied(None),
        }
    }

    /// The allow clause whose QoS is safe for every topic of `filter`: the highest of those that
    /// cover it, else the lowest of those that have something in common with it.
    fn grant(&self, filter: TopicFilterRef<'_>) -> Option<&Clause> {
        let covering = self.allow.iter().filter(|clause| clause.pattern.covers(filter));
        let overlapping = self.allow.iter().filter(|clause| clause.pattern.overlaps(filter));
        covering
            .max_by_key(|clause| clause.max_qos)
            .or_else(|| overlapping.min_by_key(|clause| clause.max_qos))
    }
}

impl Clause {
    /// One topic of a rule for `subject`.
    ///
    /// # Errors
    /// When a name cannot be put into an allow rule: it then allows nothing. A deny rule then
    /// denies everything that it is about, since what it was to close is not known.
    pub(super) fn compile(
        id: RuleId,
        rule: &Rule,
        topic: &Template,
        subject: &Subject<'_>,
    ) -> Result<Self, UnsafeName> {
        let pattern = match (topic.substitute(subject), rule.effect) {
            (Ok(filter), _) => filter.into(),
            (Err(_), Effect::Deny) => Pattern::Every,
            (Err(error), Effect::Allow) => return Err(error),
        };
        Ok(Self { pattern, rule: id, max_qos: rule.max_qos, retain: rule.retain })
    }

    fn admits(&self, topic: TopicNameRef<'_>, qos: QoS, retain: bool) -> bool {
        qos <= self.max_qos && self.retain.admits(retain) && self.pattern.matches(topic)
    }
}
