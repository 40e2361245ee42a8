//! Why a request is allowed or denied: the rule that decided, and why the others did not.

use std::fmt;
use std::sync::Arc;

use super::client_rules::ClientRules;
use super::envelope::{EnvelopeMode, EnvelopeTerms};
use super::permit::{Permit, SubscribeDecision};
use super::policy::{Policy, Subject};
use super::rule::{Action, ActionSet, Conditions, Description, Effect, Rule, RuleId, Rulebook};
use super::template::{Names, Template};
use crate::message::QoS;
use crate::topic::{self, TopicFilterRef, TopicNameRef};

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// To publish.
    Publish {
        /// To this topic.
        topic: TopicNameRef<'a>,
        /// With this QoS.
        qos: QoS,
        /// As a retained message or not.
        retain: bool,
        /// With so many bytes of payload.
        bytes: usize,
    },
    /// To subscribe.
    Subscribe {
        /// To this filter.
        filter: TopicFilterRef<'a>,
    },
    /// To be delivered a message.
    Receive {
        /// On this topic.
        topic: TopicNameRef<'a>,
    },
    /// To be given opened what the broker has sealed.
    Open {
        /// On this topic.
        topic: TopicNameRef<'a>,
    },
}

impl<'a> Request<'a> {
    /// The one topic that it is about, where it is about one.
    fn topic(&self) -> Option<TopicNameRef<'a>> {
        match *self {
            Self::Publish { topic, .. } | Self::Receive { topic } | Self::Open { topic } => {
                Some(topic)
            }
            Self::Subscribe { .. } => None,
        }
    }
}

/// The decision of a policy with its reasons.
#[derive(Clone, Debug)]
pub struct Explanation<'p> {
    /// Whether it may be done.
    pub allowed: bool,
    /// The highest QoS that a subscription is granted.
    pub max_qos: Option<QoS>,
    /// What decided.
    pub by: Description<'p>,
    /// What holds for the payloads of the topic, where they are not just what they are.
    pub envelope: Option<Arc<EnvelopeTerms>>,
    /// Why a name of the client could not be put into a deny rule that decided, and that therefore
    /// denies every topic.
    pub unsafe_name: Option<String>,
    /// The names of the roles that the client holds.
    pub roles: Vec<&'p str>,
    /// The other rules of those roles, in the order of the file, and then those of the client.
    pub others: Vec<Considered<'p>>,
}

/// A rule that did not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered<'p> {
    /// The rule.
    pub rule: Description<'p>,
    /// Why it did not decide.
    pub why: Aside,
}

/// Why a rule did not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It is about the other action.
    Action,
    /// None of its topics has anything to do with the one asked for.
    Topic,
    /// It denies a part of what a subscription asks for: that part is not delivered.
    Part,
    /// It allows no QoS above this one.
    MaxQos(QoS),
    /// It allows no retained messages, or denies only those.
    Retain,
    /// It allows no payload of more bytes than these.
    MaxPayload(u32),
    /// It allows envelopes alone, and nothing verifies those of this topic.
    Envelope,
    /// It is not about clients that come by this listener.
    Listener,
    /// It is not about clients whose transport is protected like this.
    Transport,
    /// It does not hold at this hour.
    Time,
    /// A name cannot stand in its topic.
    Name(String),
    /// It fits as well, but another one decided.
    Outranked,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("about another action"),
            Self::Topic => f.write_str("about other topics"),
            Self::Part => f.write_str("denies a part of it, which is not delivered"),
            Self::MaxQos(qos) => write!(f, "only up to QoS {}", *qos as u8),
            Self::Retain => f.write_str("does not fit the retain flag"),
            Self::MaxPayload(bytes) => write!(f, "only payloads of up to {bytes} bytes"),
            Self::Envelope => f.write_str(
                "only envelopes that hold, and no [[envelope]] verifies those of this topic",
            ),
            Self::Listener => f.write_str("only by another listener"),
            Self::Transport => f.write_str("only over another transport"),
            Self::Time => f.write_str("not at this hour"),
            Self::Name(error) => write!(f, "not used for this client: {error}"),
            Self::Outranked => f.write_str(
                "fits too, but another rule outranks it: a higher priority goes first, then \
                     deny before allow",
            ),
        }
    }
}

impl Policy {
    /// Decides `request` as the permit of `subject` does, and says why.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>, request: &Request<'_>) -> Explanation<'_> {
        self.explain_with_rules(subject, None, request)
    }

    /// As [`Self::explain`], for a client that has `own` rules to itself where it has any: see
    /// [`Permit::with_rules`].
    #[must_use]
    pub fn explain_with_rules<'p>(
        &'p self,
        subject: &Subject<'_>,
        own: Option<&'p ClientRules>,
        request: &Request<'_>,
    ) -> Explanation<'p> {
        let places = self.roles_of(subject);
        let permit = self.permit(subject);
        let permit = match own {
            Some(own) => permit.with_rules(own, subject),
            None => permit,
        };
        let answer = Answer::of(&permit, request);
        let envelope = request.topic().and_then(|topic| permit.envelope(topic)).cloned();
        let names = Names::of(subject);
        let policy = &self.book.rules;
        let own = own.map(|own| &own.book().rules);
        let mut others = Vec::new();
        let all = [(Some(policy), &*places), (own, &[ClientRules::ROLE])];
        for (rulebook, roles) in all.into_iter().filter_map(|(book, roles)| Some((book?, roles))) {
            let question = Question { rulebook, subject, names: &names, request };
            let rules = rulebook.rules_of(roles).filter(|(id, _)| Some(*id) != answer.rule);
            others.extend(rules.map(|(id, rule)| Considered {
                rule: rulebook.describe(Some(id)),
                why: question.aside(rule),
            }));
        }
        let decided_by = answer.rule.filter(|id| id.is_of_client()).and(own).unwrap_or(policy);
        Explanation {
            allowed: answer.allowed,
            max_qos: answer.max_qos,
            by: decided_by.describe(answer.rule),
            envelope,
            unsafe_name: answer.rule.and_then(|id| unsafe_name(decided_by, id, &names)),
            roles: places
                .iter()
                .filter_map(|place| Some(&*policy.roles.get(*place)?.name))
                .collect(),
            others,
        }
    }
}

fn unsafe_name(rulebook: &Rulebook, id: RuleId, names: &Names) -> Option<String> {
    let rule = rulebook.rules.get(id.index())?;
    let mut topics = rule.topics.iter().filter(|_| rule.effect == Effect::Deny);
    topics.find_map(|topic| topic.substitute(names).err()).map(|error| error.to_string())
}

struct Answer {
    allowed: bool,
    max_qos: Option<QoS>,
    rule: Option<RuleId>,
}

impl Answer {
    fn of(permit: &Permit, request: &Request<'_>) -> Self {
        let decision = match *request {
            Request::Publish { topic, qos, retain, bytes } => {
                permit.publish(topic, qos, retain, bytes)
            }
            Request::Receive { topic } => permit.receive(topic),
            Request::Open { topic } => permit.open(topic),
            Request::Subscribe { filter } => return permit.subscribe(filter).into(),
        };
        Self { allowed: decision.allowed, max_qos: None, rule: decision.rule }
    }
}

impl From<SubscribeDecision> for Answer {
    fn from(decision: SubscribeDecision) -> Self {
        match decision {
            SubscribeDecision::Granted { max_qos, rule } => {
                Self { allowed: true, max_qos: Some(max_qos), rule: Some(rule) }
            }
            SubscribeDecision::Refused { rule } => Self { allowed: false, max_qos: None, rule },
        }
    }
}

/// Who asks what.
struct Question<'a> {
    rulebook: &'a Rulebook,
    subject: &'a Subject<'a>,
    names: &'a Names,
    request: &'a Request<'a>,
}

impl Question<'_> {
    /// Why `rule` did not decide: the nearest miss among its topics.
    fn aside(&self, rule: &Rule) -> Aside {
        let action = match self.request {
            Request::Publish { .. } => Action::Publish,
            Request::Subscribe { .. } => Action::Subscribe,
            Request::Receive { .. } => Action::Receive,
            Request::Open { .. } => Action::Open,
        };
        if !ActionSet::from(self.rulebook.actions_of(rule)).has(action) {
            return Aside::Action;
        }
        let topics = rule.topics.iter();
        topics
            .map(|topic| self.topic_aside(rule, topic))
            .max_by_key(closeness)
            .unwrap_or(Aside::Topic)
    }

    fn topic_aside(&self, rule: &Rule, topic: &Template) -> Aside {
        // What cannot be put into a deny rule makes it one about every topic.
        let own = match topic.substitute(self.names) {
            Ok(own) => Some(own),
            Err(_) if rule.effect == Effect::Deny => None,
            Err(error) => return Aside::Name(error.to_string()),
        };
        let own = own.as_ref().map(|own| own.borrowed());
        let matches = |topic| own.is_none_or(|own| topic::matches(own, topic));
        let overlaps = |filter| own.is_none_or(|own| topic::overlaps(own, filter));
        let covers = |filter| own.is_none_or(|own| topic::covers(own, filter));
        match *self.request {
            Request::Publish { topic, .. }
            | Request::Receive { topic }
            | Request::Open { topic }
                if !matches(topic) =>
            {
                Aside::Topic
            }
            Request::Subscribe { filter } if !overlaps(filter) => Aside::Topic,
            Request::Subscribe { filter } if rule.effect == Effect::Deny && !covers(filter) => {
                Aside::Part
            }
            Request::Publish { qos, .. } if qos > rule.max_qos => Aside::MaxQos(rule.max_qos),
            Request::Publish { retain, .. } if !rule.retain.admits(retain) => Aside::Retain,
            Request::Publish { topic, .. } if rule.needs_envelope && !self.is_verified(topic) => {
                Aside::Envelope
            }
            Request::Publish { bytes, .. } => match rule.max_payload {
                Some(most) if bytes > most as usize => Aside::MaxPayload(most),
                _ => self.condition_aside(rule),
            },
            _ => self.condition_aside(rule),
        }
    }

    fn is_verified(&self, topic: TopicNameRef<'_>) -> bool {
        let terms = self.rulebook.envelopes.terms(topic);
        terms.is_some_and(|terms| terms.mode == EnvelopeMode::Verify)
    }

    fn condition_aside(&self, rule: &Rule) -> Aside {
        let Some(conditions) = &rule.conditions else { return Aside::Outranked };
        let Conditions { origin, schedule } = &**conditions;
        if !origin.has_listener(self.subject.listener) {
            Aside::Listener
        } else if !origin.has_transport(self.subject.security) {
            Aside::Transport
        } else if schedule.is_some_and(|schedule| !schedule.holds_at(self.subject.time)) {
            Aside::Time
        } else {
            Aside::Outranked
        }
    }
}

fn closeness(aside: &Aside) -> u8 {
    match aside {
        Aside::Action => 0,
        Aside::Topic => 1,
        Aside::Name(_) => 2,
        Aside::Retain | Aside::MaxQos(_) | Aside::MaxPayload(_) | Aside::Envelope | Aside::Part => {
            3
        }
        Aside::Listener | Aside::Transport | Aside::Time => 4,
        Aside::Outranked => 5,
    }
}
