//! Why a request is allowed or denied: the rule that decided, and why the others did not.

use std::fmt;

use super::permit::{Clause, Permit, SubscribeDecision};
use super::policy::{Policy, Subject};
use super::rule::{Description, Effect, Rule, RuleId};
use super::template::Template;
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

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
    /// Why a name of the client could not be put into a deny rule that decided, and that therefore
    /// denies every topic.
    pub unsafe_name: Option<String>,
    /// The names of the roles that the client holds.
    pub roles: Vec<&'p str>,
    /// The other rules of those roles, in the order of the file.
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
            Self::Name(error) => write!(f, "not used for this client: {error}"),
            Self::Outranked => {
                f.write_str("fits too, but another rule outranks it: deny goes before allow")
            }
        }
    }
}

impl Policy {
    /// Decides `request` as the permit of `subject` does, and says why.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>, request: &Request<'_>) -> Explanation<'_> {
        let places = self.assignments.roles_of(subject);
        let answer = Answer::of(&self.permit(subject), request);
        let others = self
            .rulebook
            .rules_of(&places)
            .filter(|(id, _)| Some(*id) != answer.rule)
            .map(|(id, rule)| Considered {
                rule: self.describe(id),
                why: aside(id, rule, subject, request),
            })
            .collect();
        Explanation {
            allowed: answer.allowed,
            max_qos: answer.max_qos,
            by: self.describe(answer.rule),
            unsafe_name: answer.rule.and_then(|id| self.unsafe_name(id, subject)),
            roles: places
                .iter()
                .filter_map(|place| Some(&*self.rulebook.roles.get(*place)?.name))
                .collect(),
            others,
        }
    }
}

impl Policy {
    fn unsafe_name(&self, id: RuleId, subject: &Subject<'_>) -> Option<String> {
        let rule = self.rulebook.rules.get(id.index())?;
        let mut topics = rule.topics.iter().filter(|_| rule.effect == Effect::Deny);
        topics.find_map(|topic| topic.substitute(subject).err()).map(|error| error.to_string())
    }
}

struct Answer {
    allowed: bool,
    max_qos: Option<QoS>,
    rule: Option<RuleId>,
}

impl Answer {
    fn of(permit: &Permit, request: &Request<'_>) -> Self {
        let decision = match *request {
            Request::Publish { topic, qos, retain } => permit.publish(topic, qos, retain),
            Request::Receive { topic } => permit.receive(topic),
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

/// Why `rule` did not decide: the nearest miss among its topics.
fn aside(id: RuleId, rule: &Rule, subject: &Subject<'_>, request: &Request<'_>) -> Aside {
    let is_about = match request {
        Request::Publish { .. } => rule.actions.publish,
        Request::Subscribe { .. } | Request::Receive { .. } => rule.actions.subscribe,
    };
    if !is_about {
        return Aside::Action;
    }
    let topics = rule.topics.iter();
    let near = topics.map(|topic| topic_aside(id, rule, topic, subject, request));
    near.max_by_key(closeness).unwrap_or(Aside::Topic)
}

fn topic_aside(
    id: RuleId,
    rule: &Rule,
    topic: &Template,
    subject: &Subject<'_>,
    request: &Request<'_>,
) -> Aside {
    let clause = match Clause::compile(id, rule, topic, subject) {
        Ok(clause) => clause,
        Err(error) => return Aside::Name(error.to_string()),
    };
    match *request {
        Request::Publish { topic, .. } | Request::Receive { topic }
            if !clause.pattern.matches(topic) =>
        {
            Aside::Topic
        }
        Request::Subscribe { filter } if !clause.pattern.overlaps(filter) => Aside::Topic,
        Request::Subscribe { filter }
            if rule.effect == Effect::Deny && !clause.pattern.covers(filter) =>
        {
            Aside::Part
        }
        Request::Publish { qos, .. } if qos > clause.max_qos => Aside::MaxQos(clause.max_qos),
        Request::Publish { retain, .. } if !clause.retain.admits(retain) => Aside::Retain,
        _ => Aside::Outranked,
    }
}

fn closeness(aside: &Aside) -> u8 {
    match aside {
        Aside::Action => 0,
        Aside::Topic => 1,
        Aside::Name(_) => 2,
        Aside::Retain | Aside::MaxQos(_) | Aside::Part => 3,
        Aside::Outranked => 4,
    }
}
