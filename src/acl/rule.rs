//! Roles and their rules, as the policy file has them.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::Subject;
use super::envelope::Envelopes;
use super::limits::Limits;
use super::origin::Origin;
use super::schedule::Schedule;
use super::template::Template;
use crate::message::QoS;

/// Names one rule of one policy, in decisions and to [`Policy::describe`](super::Policy::describe).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u32);

impl RuleId {
    /// The rule that no policy can change: clients do not publish to `$` topics.
    pub const RESERVED_TOPICS: Self = Self(u32::MAX);

    /// Set in the names of rules that one client has to itself.
    const OF_CLIENT: u32 = 1 << 31;

    pub(super) fn of_index(index: usize) -> Self {
        // A policy is too short to hold this many rules: see `parse::MAX_POLICY_BYTES`.
        Self(u32::try_from(index).unwrap_or(u32::MAX).min(Self::OF_CLIENT - 1))
    }

    fn of_client(self) -> Self {
        Self(self.0 | Self::OF_CLIENT)
    }

    /// Whether it is one that the client has to itself.
    pub(super) fn is_of_client(self) -> bool {
        self != Self::RESERVED_TOPICS && self.0 & Self::OF_CLIENT != 0
    }

    pub(super) fn index(self) -> usize {
        (self.0 & !Self::OF_CLIENT) as usize
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
    pub(super) receive: bool,
    /// To be given opened what the broker has sealed.
    pub(super) open: bool,
}

/// One of [`Actions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Publish = 1,
    Subscribe = 2,
    Receive = 4,
    Open = 8,
}

/// [`Actions`] in a byte: a decision looks at those of many rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActionSet(u8);

impl From<Actions> for ActionSet {
    fn from(Actions { publish, subscribe, receive, open }: Actions) -> Self {
        let each = [
            (publish, Action::Publish),
            (subscribe, Action::Subscribe),
            (receive, Action::Receive),
            (open, Action::Open),
        ];
        let bits = each.into_iter().filter(|(has, _)| *has).map(|(_, action)| action as u8);
        Self(bits.fold(0, |set, bit| set | bit))
    }
}

impl ActionSet {
    pub(super) fn has(self, action: Action) -> bool {
        self.0 & action as u8 != 0
    }
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

/// Where and when a rule holds; everywhere and always, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) origin: Origin,
    pub(super) schedule: Option<Schedule>,
}

/// One rule of a role.
#[derive(Debug)]
pub(super) struct Rule {
    /// The place of its role in the rulebook.
    pub(super) role: usize,
    pub(super) line: u32,
    pub(super) effect: Effect,
    /// As written: see [`Rulebook::actions_of`].
    pub(super) actions: Actions,
    pub(super) topics: Box<[Template]>,
    /// A higher one decides before a lower one.
    pub(super) priority: i32,
    pub(super) max_qos: QoS,
    pub(super) retain: Retain,
    /// Bytes; no bound where there is none.
    pub(super) max_payload: Option<u32>,
    /// Whether it allows to publish envelopes alone, which hold.
    pub(super) needs_envelope: bool,
    /// Boxed, since most rules have none.
    pub(super) conditions: Option<Box<Conditions>>,
}

impl Conditions {
    pub(super) fn are_met_by(&self, subject: &Subject<'_>) -> bool {
        self.origin.admits(subject)
            && self.schedule.is_none_or(|schedule| schedule.holds_at(subject.time))
    }
}

impl Rule {
    fn is_special(&self) -> bool {
        let has_names = || self.topics.iter().any(|topic| topic.variables().next().is_some());
        self.conditions.is_some() || (self.effect == Effect::Deny && has_names())
    }
}

/// A named set of rules.
#[derive(Debug, Default)]
pub(super) struct Role {
    pub(super) name: Box<str>,
    pub(super) line: u32,
    /// The places of its rules in the rulebook.
    pub(super) rules: Range<usize>,
    /// The places of the roles whose rules are its as well. Never in a circle.
    pub(super) inherits: Vec<usize>,
    /// With what it inherits, once the policy is whole.
    pub(super) limits: Limits,
    /// Whether it says itself what is received: see [`Rulebook::actions_of`]. Noted once the policy
    /// is whole.
    pub(super) allows_receive: bool,
    /// Those of its rules that a client is measured by when it gets a permit. Noted with the rest.
    pub(super) special: Vec<RuleId>,
}

/// All roles and rules of a policy, or those of one client.
#[derive(Debug, Default)]
pub(super) struct Rulebook {
    pub(super) roles: Vec<Role>,
    pub(super) rules: Vec<Rule>,
    pub(super) is_of_client: bool,
    /// On which topics payloads are sealed.
    pub(super) envelopes: Envelopes,
}

impl Rulebook {
    /// The name of the rule at `index`.
    pub(super) fn id_of(&self, index: usize) -> RuleId {
        let id = RuleId::of_index(index);
        if self.is_of_client { id.of_client() } else { id }
    }

    /// The rules of the roles at `places`, in the order of the file.
    pub(super) fn rules_of<'b>(
        &'b self,
        places: &'b [usize],
    ) -> impl Iterator<Item = (RuleId, &'b Rule)> {
        self.roles_at(places)
            .flat_map(|role| role.rules.clone())
            .filter_map(|index| Some((self.id_of(index), self.rules.get(index)?)))
    }

    /// The places of `roles` and of all that they inherit, each once, in the order of the file.
    pub(super) fn with_inherited(&self, roles: &[usize]) -> Vec<usize> {
        let mut seen = HashSet::<usize, foldhash::fast::RandomState>::default();
        let mut open = roles.to_vec();
        while let Some(place) = open.pop() {
            if let Some(role) = self.roles.get(place).filter(|_| seen.insert(place)) {
                open.extend(&role.inherits);
            }
        }
        let mut places: Vec<_> = seen.into_iter().collect();
        places.sort_unstable();
        places
    }

    /// What a rule is about. Who may subscribe receives, unless its role says itself what is
    /// received; who may not subscribe does not receive in any case.
    pub(super) fn actions_of(&self, rule: &Rule) -> Actions {
        let Actions { publish, subscribe, receive, open } = rule.actions;
        let says_itself = self.roles.get(rule.role).is_some_and(|role| role.allows_receive);
        let implied = subscribe && (rule.effect == Effect::Deny || !says_itself);
        Actions { publish, subscribe, receive: receive || implied, open }
    }

    /// The roles at `places`.
    pub(super) fn roles_at<'b>(&'b self, places: &'b [usize]) -> impl Iterator<Item = &'b Role> {
        places.iter().filter_map(|place| self.roles.get(*place))
    }

    /// The rules of the roles at `places` that have conditions, or that deny by a name.
    pub(super) fn special_rules_of<'b>(
        &'b self,
        places: &'b [usize],
    ) -> impl Iterator<Item = (RuleId, &'b Rule)> {
        let special = self.roles_at(places).flat_map(|role| &role.special);
        special.filter_map(|id| Some((*id, self.rules.get(id.index())?)))
    }

    /// Notes about each role what only the whole policy can tell. `order` has every role after all
    /// that it inherits.
    pub(super) fn finish(&mut self, order: &[usize]) {
        let is_of_client = self.is_of_client;
        for role in &mut self.roles {
            let rules = self.rules.get(role.rules.clone()).unwrap_or_default();
            let allows = |rule: &Rule| rule.effect == Effect::Allow && rule.actions.receive;
            role.allows_receive = rules.iter().any(allows);
            let special = role.rules.clone().zip(rules).filter(|(_, rule)| rule.is_special());
            let id = |index| {
                let id = RuleId::of_index(index);
                if is_of_client { id.of_client() } else { id }
            };
            role.special = special.map(|(index, _)| id(index)).collect();
        }
        for place in order {
            let Some(role) = self.roles.get(*place) else { continue };
            let inherited = self.roles_at(&role.inherits).map(|role| role.limits);
            let limits = role.limits.or(inherited.reduce(Limits::and).unwrap_or_default());
            if let Some(role) = self.roles.get_mut(*place) {
                role.limits = limits;
            }
        }
    }

    pub(super) fn describe(&self, rule: Option<RuleId>) -> Description<'_> {
        match rule {
            None => Description::NoRule,
            Some(RuleId::RESERVED_TOPICS) => Description::ReservedTopics,
            Some(id) if id.is_of_client() != self.is_of_client => Description::Unknown,
            Some(id) if self.is_of_client => {
                self.rules.get(id.index()).map_or(Description::Unknown, |rule| {
                    Description::OfClient { number: rule.line, text: rule.to_string() }
                })
            }
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
    /// A rule that the client has to itself.
    OfClient {
        /// Its place among those, from 1.
        number: u32,
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
            Self::OfClient { number, text } => {
                write!(f, "rule {number} of those that came with its login: {text}")
            }
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
        if let Some(bytes) = self.max_payload {
            write!(f, ", max_payload_bytes = {bytes}")?;
        }
        if self.needs_envelope {
            f.write_str(", envelope = \"required\"")?;
        }
        if self.priority != 0 {
            write!(f, ", priority = {}", self.priority)?;
        }
        if let Some(conditions) = &self.conditions {
            write!(f, "{conditions}")?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listeners) = &self.origin.listeners {
            write!(f, ", listeners = {listeners:?}")?;
        }
        if let Some(transport) = &self.origin.transport {
            let names: Vec<_> = transport.iter().map(|kind| kind.name()).collect();
            write!(f, ", transport = {names:?}")?;
        }
        match &self.schedule {
            Some(schedule) => write!(f, ", time = {schedule}"),
            None => Ok(()),
        }
    }
}

impl Actions {
    fn names(self) -> Vec<&'static str> {
        let publish = self.publish.then_some("publish");
        let subscribe = self.subscribe.then_some("subscribe");
        let receive = self.receive.then_some("receive");
        let open = self.open.then_some("open");
        publish.into_iter().chain(subscribe).chain(receive).chain(open).collect()
    }
}
