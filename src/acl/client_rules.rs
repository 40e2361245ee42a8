//! Rules that one client has to itself, as whoever let it in has given them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::index::Index;
use super::layer::Book;
use super::rule::{Actions, Effect, Retain, Role, Rule, Rulebook};
use super::template::Template;
use crate::message::QoS;

/// Rules of one client.
const MAX_RULES: usize = 256;
/// Levels of all topics of them: each takes some hundred bytes of the index.
const MAX_LEVELS: usize = 2_048;

/// The rules that came with the login of a client. They add to what the policy allows it, and take
/// from it: see [`Permit::with_rules`](super::Permit::with_rules). Written as those of a role are,
/// in any language that serde reads:
///
/// ```json
/// [{"allow": ["publish"], "topics": ["devices/${username}/#"], "max_qos": 1, "retain": false},
///  {"deny": ["subscribe"], "topics": ["devices/+/secret"]}]
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Written>", into = "Vec<Written>")]
pub struct ClientRules {
    book: Arc<Book>,
}

/// One rule as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<WrittenAction>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deny: Option<Vec<WrittenAction>>,
    topics: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_qos: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payload_bytes: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenAction {
    Publish,
    Subscribe,
    Receive,
    Open,
}

/// Why rules of a client are not used; none of them is then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientRulesError {
    /// There are too many rules.
    #[error("a client has at most 256 rules: give it a role of the policy")]
    TooMany,
    /// Their topics are too long.
    #[error("the topics of a client's rules have at most 2,048 levels together")]
    TooManyLevels,
    /// A rule is none.
    #[error("rule {number}: {fault}")]
    Rule {
        /// Its place, from 1.
        number: u32,
        /// What is wrong with it.
        fault: String,
    },
}

impl ClientRules {
    /// The place of the one role that holds them.
    pub(super) const ROLE: usize = 0;

    pub(super) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Each of them on one line, as a policy file would have it.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.book.rules.rules.iter().map(ToString::to_string)
    }
}

/// Those that say the same, in the same order.
impl PartialEq for ClientRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.book, &other.book) || self.texts().eq(other.texts())
    }
}

impl TryFrom<Vec<Written>> for ClientRules {
    type Error = ClientRulesError;

    fn try_from(written: Vec<Written>) -> Result<Self, ClientRulesError> {
        if written.len() > MAX_RULES {
            return Err(ClientRulesError::TooMany);
        }
        let levels = |rule: &Written| {
            rule.topics.iter().map(|topic| topic.split('/').count()).sum::<usize>()
        };
        if written.iter().map(levels).sum::<usize>() > MAX_LEVELS {
            return Err(ClientRulesError::TooManyLevels);
        }
        let rules = (1..).zip(written).map(|(number, rule)| {
            rule.compile(number).map_err(|fault| ClientRulesError::Rule { number, fault })
        });
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let role = Role { rules: 0..rules.len(), ..Role::default() };
        let mut rules =
            Rulebook { roles: vec![role], rules, is_of_client: true, ..Rulebook::default() };
        rules.finish(&[Self::ROLE]);
        Ok(Self { book: Arc::new(Book { index: Index::of(&rules), rules }) })
    }
}

impl From<ClientRules> for Vec<Written> {
    fn from(rules: ClientRules) -> Self {
        rules.book.rules.rules.iter().map(Written::from).collect()
    }
}

impl From<&Rule> for Written {
    fn from(rule: &Rule) -> Self {
        let Actions { publish, subscribe, receive, open } = rule.actions;
        let each = [
            (publish, WrittenAction::Publish),
            (subscribe, WrittenAction::Subscribe),
            (receive, WrittenAction::Receive),
            (open, WrittenAction::Open),
        ];
        let actions = each.into_iter().filter(|(has, _)| *has).map(|(_, action)| action).collect();
        let (allow, deny) = match rule.effect {
            Effect::Allow => (Some(actions), None),
            Effect::Deny => (None, Some(actions)),
        };
        Self {
            allow,
            deny,
            topics: rule.topics.iter().map(|topic| topic.as_str().to_owned()).collect(),
            // What is not said is QoS 2.
            max_qos: (rule.max_qos < QoS::ExactlyOnce).then_some(rule.max_qos as u8),
            retain: match rule.retain {
                Retain::Any => None,
                Retain::Never => Some(false),
                Retain::Only => Some(true),
            },
            max_payload_bytes: rule.max_payload,
        }
    }
}

impl Written {
    fn compile(self, number: u32) -> Result<Rule, String> {
        let (effect, actions) = match (&self.allow, &self.deny) {
            (Some(actions), None) => (Effect::Allow, actions),
            (None, Some(actions)) => (Effect::Deny, actions),
            _ => return Err("it either allows or denies".to_owned()),
        };
        if actions.is_empty() || self.topics.is_empty() {
            return Err("an empty list says nothing".to_owned());
        }
        let about = |action| actions.contains(&action);
        let actions = Actions {
            publish: about(WrittenAction::Publish),
            subscribe: about(WrittenAction::Subscribe),
            receive: about(WrittenAction::Receive),
            open: about(WrittenAction::Open),
        };
        let template = |topic: &String| {
            Template::parse(topic).map_err(|error| format!("topic {topic:?}: {error}"))
        };
        Ok(Rule {
            role: Self::ROLE,
            line: number,
            effect,
            actions,
            topics: self.topics.iter().map(template).collect::<Result<_, _>>()?,
            priority: 0,
            max_qos: self.max_qos(effect)?,
            retain: self.retain(effect, actions)?,
            max_payload: self.max_payload(effect, actions)?,
            needs_envelope: false,
            conditions: None,
        })
    }

    const ROLE: usize = ClientRules::ROLE;

    fn max_qos(&self, effect: Effect) -> Result<QoS, String> {
        match (self.max_qos, effect) {
            (None, _) => Ok(QoS::ExactlyOnce),
            (Some(_), Effect::Deny) => Err("max_qos limits what a rule allows".to_owned()),
            (Some(bits), Effect::Allow) => {
                QoS::from_bits(bits).ok_or_else(|| "max_qos is 0, 1 or 2".to_owned())
            }
        }
    }

    fn retain(&self, effect: Effect, actions: Actions) -> Result<Retain, String> {
        match (self.retain, effect) {
            (None, _) => Ok(Retain::Any),
            (Some(_), _) if !actions.publish => Err("retain is about publishing".to_owned()),
            (Some(true), Effect::Allow) => Ok(Retain::Any),
            (Some(false), Effect::Allow) => Ok(Retain::Never),
            (Some(true), Effect::Deny) => Ok(Retain::Only),
            (Some(false), Effect::Deny) => Err("a deny rule takes \"retain\": true".to_owned()),
        }
    }

    fn max_payload(&self, effect: Effect, actions: Actions) -> Result<Option<u32>, String> {
        let is_about_it = effect == Effect::Allow && actions.publish;
        match self.max_payload_bytes {
            Some(_) if !is_about_it => {
                Err("max_payload_bytes limits what a rule allows to publish".to_owned())
            }
            bytes => Ok(bytes),
        }
    }
}
