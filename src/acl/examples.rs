//! Clients that a policy names, each by an example: for questions about all of them.

use super::assign::{Demand, Holder};
use super::policy::{Policy, Subject};
use super::template::Names;
use crate::identity::{Attribute, AttributeSource, Attributes, ClientId, Principal};
use crate::topic::TopicFilter;

/// A name that no policy has.
const ANY: &str = "~any~";

/// One client for all that a policy does not tell apart from it.
#[derive(Clone, Debug)]
pub struct Example {
    /// Whom it stands for, as people read it.
    pub label: String,
    /// Whom it has proven to be.
    pub principal: Principal,
    /// What it calls itself.
    pub client_id: ClientId,
    /// What its proof says.
    pub attributes: Attributes,
}

impl Example {
    fn of(label: impl Into<String>, principal: Principal) -> Self {
        let (client_id, attributes) = (ClientId::new(ANY), Attributes::default());
        Self { label: label.into(), principal, client_id, attributes }
    }

    /// It asks by no listener and in the first minute of the epoch.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let named = Subject::named(&self.principal, &self.client_id);
        Subject { attributes: &self.attributes, ..named }
    }
}

impl Policy {
    /// An example of everybody whom the policy names, of the clients without a name, and of those
    /// whom it does not name.
    #[must_use]
    pub fn examples(&self) -> Vec<Example> {
        let nobody = Example::of("anybody else", Principal::User(ANY.into()));
        let anonymous = Example::of("anonymous", Principal::Anonymous);
        let named = self.assignments.holders().into_iter().filter_map(|holder| example(&holder));
        [anonymous, nobody].into_iter().chain(named).collect()
    }

    /// The topics of the rules of `subject`, with its names in them.
    #[must_use]
    pub fn topics_of(&self, subject: &Subject<'_>) -> Vec<TopicFilter> {
        let (roles, names) = (self.roles_of(subject), Names::of(subject));
        let rules = self.book.rules.rules_of(&roles);
        rules
            .flat_map(|(_, rule)| &rule.topics)
            .filter_map(|topic| topic.substitute(&names).ok())
            .collect()
    }
}

fn example(holder: &Holder) -> Option<Example> {
    let by_id = |label: String, id: &str| Example {
        client_id: ClientId::new(id),
        ..Example::of(label, Principal::Anonymous)
    };
    Some(match holder {
        Holder::User(name) => Example::of(format!("user:{name}"), Principal::User((**name).into())),
        Holder::Certificate(name) => {
            Example::of(format!("certificate:{name}"), Principal::Certificate((**name).into()))
        }
        Holder::ClientId(id) => by_id(format!("client_id:{id}"), id),
        Holder::ClientIdPrefix(start) => {
            by_id(format!("client_id:{start}*"), &format!("{start}{ANY}"))
        }
        Holder::Attributes(demand) => by_attributes(demand),
        Holder::Anonymous | Holder::Everyone => return None,
    })
}

fn by_attributes(demand: &Demand) -> Example {
    let (source, principal) = match demand.source {
        AttributeSource::Certificate => ("certificate", Principal::Certificate(ANY.into())),
        AttributeSource::Unix => ("unix", Principal::User(ANY.into())),
        AttributeSource::Token => ("claims", Principal::User(ANY.into())),
        AttributeSource::Http => ("http", Principal::Http(ANY.into())),
    };
    let said = demand.names.iter().filter_map(|(name, values)| Some((&**name, &**values.first()?)));
    let said: Vec<(&str, &str)> = said.collect();
    let label: Vec<_> = said.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let attribute = |(name, value): &(&str, &str)| Attribute {
        source: demand.source,
        name: (*name).into(),
        value: (*value).into(),
    };
    Example {
        attributes: said.iter().map(attribute).collect(),
        ..Example::of(format!("{source} {{ {} }}", label.join(", ")), principal)
    }
}
