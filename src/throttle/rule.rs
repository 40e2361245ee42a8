//! `[[throttle]]`: one limit of what clients may do, and what becomes of what is over it.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Rate;
use crate::topic::{TopicFilter, TopicNameRef, matches};

/// What is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Messages that clients publish.
    #[default]
    MessagesIn,
    /// Bytes of all packets that they send once they have been let in; for some topics, those of the payloads
    /// and topics of the messages that they publish there.
    BytesIn,
    /// Messages that are delivered to clients.
    MessagesOut,
    /// Bytes of the payloads and topics of those.
    BytesOut,
    /// Filters that they subscribe to, again or for the first time.
    Subscriptions,
    /// Messages that they have retained, those among them that only remove one.
    Retained,
}

/// Whose doings are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Those of one client identifier, over all of its connections.
    #[default]
    Client,
    /// Those of all clients of one principal.
    User,
    /// Those of all clients that hold one role; who holds two of them counts for both.
    Role,
    /// Those of all clients that have come by one listener.
    Listener,
    /// Those of all clients of the broker.
    Broker,
}

/// What becomes of what is over a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is taken, and nothing more for as long as it is too early: the client finds that its
    /// connection is slow. Nothing is lost.
    #[default]
    Delay,
    /// A message of QoS 0 is lost; others are delayed.
    Drop,
    /// It is refused with 0x97 (quota exceeded); a message of QoS 0 is lost.
    Reject,
    /// The connection ends with 0x96 (message rate too high).
    Disconnect,
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    /// How the log calls it.
    pub name: Option<String>,
    /// What is limited.
    pub what: What,
    /// Whose doings are counted together.
    pub per: Per,
    /// Only what clients do that hold one of these roles, be it by inheritance, counts.
    pub roles: Option<Vec<String>>,
    /// Only messages whose topics match this filter count.
    pub topics: Option<String>,
    /// How many in `seconds`.
    pub rate: Option<NonZeroU32>,
    /// The time that `rate` is for.
    pub seconds: NonZeroU32,
    /// How many at once, after a rest; as many as `rate` where it is not set.
    pub burst: Option<NonZeroU32>,
    /// What becomes of what is over it.
    pub action: Action,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            name: None,
            what: What::default(),
            per: Per::default(),
            roles: None,
            topics: None,
            rate: None,
            seconds: NonZeroU32::MIN,
            burst: None,
            action: Action::default(),
        }
    }
}

/// A rule that can be gone by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How the log calls it; no other rule has the same name.
    pub name: Arc<str>,
    /// What is limited.
    pub what: What,
    /// Whose doings are counted together.
    pub per: Per,
    /// Only clients that hold one of these roles; all of them where there are none.
    pub roles: Box<[Arc<str>]>,
    /// Only messages on these topics.
    pub topics: Option<TopicFilter>,
    /// How much.
    pub rate: Rate,
    /// What becomes of what is over it.
    pub action: Action,
}

/// Why a rule cannot be gone by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// The log could not say which it was.
    #[error("a rule needs a `name`, by which the log calls it")]
    Nameless,
    /// There is no number.
    #[error("rule {0:?} needs a `rate`: how many in `seconds`")]
    Rateless(String),
    /// Nobody could be meant.
    #[error("`roles` of rule {0:?} is empty: leave it out where it is for everybody")]
    NoRoles(String),
    /// Nobody could be counted together.
    #[error("rule {0:?} is per \"role\", and needs `roles`: which they are")]
    Roleless(String),
    /// The topics are no filter.
    #[error("`topics` of rule {0:?} is no topic filter without a share")]
    Topics(String),
    /// There are no topics in what is counted.
    #[error("`topics` means nothing for rule {0:?}: only messages have topics")]
    NoTopics(String),
    /// It cannot be done with what is counted.
    #[error(
        "rule {0:?} cannot do that: \"drop\" is for messages, in or out, and what is not a message \
         that comes in, or is retained, or subscribed to, cannot be refused; \"bytes-in\" is of \
         messages where it has `topics`"
    )]
    Action(String),
}

impl Rule {
    /// The rule that `settings` describe.
    ///
    /// # Errors
    /// What is missing, or does not go together.
    pub fn of(settings: &RuleSettings) -> Result<Self, RuleError> {
        let RuleSettings { name, what, per, roles, topics, rate, seconds, burst, action } =
            settings;
        let name = name.clone().filter(|name| !name.is_empty()).ok_or(RuleError::Nameless)?;
        let Some(rate) = rate else { return Err(RuleError::Rateless(name)) };
        if roles.as_ref().is_some_and(Vec::is_empty) {
            return Err(RuleError::NoRoles(name));
        }
        if *per == Per::Role && roles.is_none() {
            return Err(RuleError::Roleless(name));
        }
        if topics.is_some() && !what.has_topics() {
            return Err(RuleError::NoTopics(name));
        }
        if !what.allows(*action, topics.is_some()) {
            return Err(RuleError::Action(name));
        }
        let topics = topics.as_deref().map(TopicFilter::parse).transpose().ok();
        let topics = topics
            .filter(|it| it.as_ref().is_none_or(|filter| filter.borrowed().share().is_none()));
        let Some(topics) = topics else { return Err(RuleError::Topics(name)) };
        let rate = Rate::new(*rate, *seconds, burst.unwrap_or(*rate));
        let roles = roles.iter().flatten().map(|role| role.as_str().into()).collect();
        let (what, per, action) = (*what, *per, *action);
        Ok(Self { name: name.into(), what, per, roles, topics, rate, action })
    }

    /// Whether something on this topic counts, or what has none.
    #[must_use]
    pub fn concerns(&self, topic: Option<TopicNameRef<'_>>) -> bool {
        match (&self.topics, topic) {
            (Some(filter), Some(topic)) => matches(filter.borrowed(), topic),
            (Some(_), None) => false,
            // The packet that brings a message counts already.
            (None, Some(_)) => self.what != What::BytesIn,
            (None, None) => true,
        }
    }
}

impl What {
    /// Whether it is what clients are sent, rather than what they do.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::MessagesOut | Self::BytesOut)
    }

    fn has_topics(self) -> bool {
        self != Self::Subscriptions
    }

    /// Whether what is over a limit, of everything or `of_topics`, can be dealt with so.
    fn allows(self, action: Action, of_topics: bool) -> bool {
        let is_incoming = self == Self::MessagesIn || (self == Self::BytesIn && of_topics);
        match action {
            Action::Delay => true,
            Action::Drop => is_incoming || self.is_delivered(),
            Action::Reject => is_incoming || matches!(self, Self::Subscriptions | Self::Retained),
            Action::Disconnect => !self.is_delivered(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, RuleError> {
        Rule::of(&toml::from_str(text).expect("settings"))
    }

    #[test]
    fn a_rule_has_a_name_and_a_rate_and_the_rest_by_default() {
        let rule = rule("name = \"flood\"\nrate = 100").unwrap();
        assert_eq!((rule.what, rule.per, rule.action), Default::default());
        let hundred = NonZeroU32::new(100).unwrap();
        assert_eq!(rule.rate, Rate::new(hundred, NonZeroU32::MIN, hundred));
        assert!(rule.concerns(None));
    }

    #[test]
    fn what_does_not_go_together_is_an_error() {
        let name = "name = \"r\"\nrate = 1\n";
        let of = |rest: &str| rule(&format!("{name}{rest}")).unwrap_err();
        assert_eq!(rule("rate = 1"), Err(RuleError::Nameless));
        assert_eq!(rule("name = \"r\""), Err(RuleError::Rateless("r".to_owned())));

        assert_eq!(of("roles = []"), RuleError::NoRoles("r".to_owned()));
        assert_eq!(of("per = \"role\""), RuleError::Roleless("r".to_owned()));
        for topics in ["a/#/b", "$share/g/a", ""] {
            assert_eq!(of(&format!("topics = \"{topics}\"")), RuleError::Topics("r".to_owned()));
        }
        let of_filters = of("topics = \"a\"\nwhat = \"subscriptions\"");
        assert_eq!(of_filters, RuleError::NoTopics("r".to_owned()));
        for (what, action) in [
            ("bytes-in", "drop"),
            ("bytes-in", "reject"),
            ("messages-out", "reject"),
            ("bytes-out", "disconnect"),
            ("subscriptions", "drop"),
            ("retained", "drop"),
        ] {
            let said = of(&format!("what = \"{what}\"\naction = \"{action}\""));
            assert_eq!(said, RuleError::Action("r".to_owned()), "{what} {action}");
        }
    }

    #[test]
    fn a_rule_of_topics_counts_messages_on_those_alone() {
        let rule = rule("name = \"r\"\nrate = 1\ntopics = \"a/+\"").unwrap();
        let concerns = |topic| rule.concerns(Some(TopicNameRef::parse(topic).unwrap()));
        assert!(concerns("a/b") && !concerns("b/a") && !rule.concerns(None));
    }

    #[test]
    fn bytes_that_come_are_those_of_packets_or_of_messages_on_some_topics() {
        let rule =
            |more: &str| rule(&format!("name = \"r\"\nrate = 1\nwhat = \"bytes-in\"\n{more}"));
        let topic = TopicNameRef::parse("a/b").ok();
        let of_packets = rule("").unwrap();
        assert!(of_packets.concerns(None) && !of_packets.concerns(topic));
        for action in ["delay", "drop", "reject", "disconnect"] {
            let of_messages = rule(&format!("topics = \"a/+\"\naction = \"{action}\"")).unwrap();
            assert!(of_messages.concerns(topic) && !of_messages.concerns(None), "{action}");
        }
    }
}
