//! What one client may do: its part of the policy, and the rules that it has to itself.

use std::sync::Arc;

use super::Subject;
use super::client_rules::ClientRules;
use super::envelope::{EnvelopeMode, EnvelopeTerms};
use super::layer::{Book, Granted, Layer, Publishing, Word};
use super::limits::Limits;
use super::rule::{Description, RuleId};
use super::template::Names;
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
    policy: Layer,
    /// Those that it has beside the policy.
    own: Option<Box<Layer>>,
    names: Names,
    limits: Limits,
}

impl Permit {
    /// The permit of a client that is `assigned` these roles.
    pub(super) fn compile(book: &Arc<Book>, assigned: &[usize], subject: &Subject<'_>) -> Self {
        let names = Names::of(subject);
        let limits = book.rules.roles_at(assigned).map(|role| role.limits);
        let limits = limits.reduce(Limits::and).unwrap_or_default();
        let roles = &book.rules.with_inherited(assigned);
        Self { policy: Layer::compile(book, roles, &names, subject), own: None, names, limits }
    }

    /// As this one, for `subject`, which has `rules` to itself: a rule that denies, be it of the
    /// policy or of these, decides; what none denies is allowed by any that allows it.
    #[must_use]
    pub fn with_rules(mut self, rules: &ClientRules, subject: &Subject<'_>) -> Self {
        let own = Layer::compile(rules.book(), &[ClientRules::ROLE], &self.names, subject);
        self.own = Some(Box::new(own));
        self
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
        let asked = self.publishing(topic, qos, retain);
        let word = self.ask(|layer| layer.publish(&self.names, asked, bytes), |first, _| first);
        word.into()
    }

    /// The bytes of the largest payload that [`Self::publish`] allows; none where it allows nothing.
    #[must_use]
    pub fn largest_payload(&self, topic: TopicNameRef<'_>, qos: QoS, retain: bool) -> Option<u32> {
        if topic.is_reserved() {
            return None;
        }
        let asked = self.publishing(topic, qos, retain);
        match self.ask(|layer| layer.largest_payload(&self.names, asked), u32::max) {
            Word::Allowed(bytes) => Some(bytes),
            Word::Denied(_) | Word::Nothing => None,
        }
    }

    /// Whether the client may subscribe to `filter`: not when no allow rule has a topic in common
    /// with it that no deny rule of the same or a higher priority takes back with all of the filter.
    /// A share is judged by its filter.
    #[must_use]
    pub fn subscribe(&self, filter: TopicFilterRef<'_>) -> SubscribeDecision {
        match self.ask(|layer| layer.subscribe(&self.names, filter), Granted::or) {
            Word::Allowed(Granted { max_qos, rule, .. }) => {
                SubscribeDecision::Granted { max_qos, rule }
            }
            Word::Denied(rule) => SubscribeDecision::Refused { rule: Some(rule) },
            Word::Nothing => SubscribeDecision::Refused { rule: None },
        }
    }

    /// Whether a message on `topic` may be delivered to the client, whatever it is subscribed to:
    /// asked at each delivery.
    #[must_use]
    pub fn receive(&self, topic: TopicNameRef<'_>) -> Decision {
        self.ask(|layer| layer.receive(&self.names, topic), |first, _| first).into()
    }

    /// Whether the client is given opened what the broker has sealed of `topic`, where it may
    /// [receive](Self::receive) it.
    #[must_use]
    pub fn open(&self, topic: TopicNameRef<'_>) -> Decision {
        self.ask(|layer| layer.open(&self.names, topic), |first, _| first).into()
    }

    /// What holds for the payloads of `topic`, whoever publishes them; nothing where they are what they
    /// are.
    #[must_use]
    pub fn envelope(&self, topic: TopicNameRef<'_>) -> Option<&Arc<EnvelopeTerms>> {
        self.policy.rules().envelopes.terms(topic)
    }

    /// Whether the policy gives the client the role of this name, be it by another that inherits it.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.policy.has_role(name)
    }

    /// The limits of its roles.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a decision of this permit went by.
    #[must_use]
    pub fn describe(&self, rule: impl Into<Option<RuleId>>) -> Description<'_> {
        let rule = rule.into();
        match &self.own {
            Some(own) if rule.is_some_and(RuleId::is_of_client) => own.rules().describe(rule),
            _ => self.policy.rules().describe(rule),
        }
    }

    fn publishing<'a>(&self, topic: TopicNameRef<'a>, qos: QoS, retain: bool) -> Publishing<'a> {
        let terms = self.envelope(topic);
        let is_verified = terms.is_some_and(|terms| terms.mode == EnvelopeMode::Verify);
        Publishing { topic, qos, retain, is_verified }
    }

    /// What the policy says, with what the rules of the client say where it has any.
    fn ask<T>(
        &self,
        question: impl Fn(&Layer) -> Word<T>,
        both: impl FnOnce(T, T) -> T,
    ) -> Word<T> {
        let word = question(&self.policy);
        match &self.own {
            None => word,
            Some(own) => word.and(question(own), both),
        }
    }
}

/// What nothing allows is denied.
impl From<Word<RuleId>> for Decision {
    fn from(word: Word<RuleId>) -> Self {
        match word {
            Word::Allowed(rule) => Self { allowed: true, rule: Some(rule) },
            Word::Denied(rule) => Self::denied(Some(rule)),
            Word::Nothing => Self::denied(None),
        }
    }
}
