//! Who holds which roles.

use std::collections::HashMap;

use super::Subject;
use super::origin::Origin;
use crate::identity::{Attribute, AttributeSource, Attributes, Principal};

/// Whom an `[[assign]]` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    User(Box<str>),
    Certificate(Box<str>),
    ClientId(Box<str>),
    /// Every client identifier that begins so.
    ClientIdPrefix(Box<str>),
    /// Whoever's proof says so.
    Attributes(Demand),
    Anonymous,
    Everyone,
}

/// What a proof must say: one of the values of each name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) source: AttributeSource,
    pub(super) names: Vec<(Box<str>, Vec<Box<str>>)>,
}

/// One `[[assign]]`: any of its holders holds all of its roles.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) line: u32,
    pub(super) holders: Vec<Holder>,
    /// The places of the roles in the rulebook.
    pub(super) roles: Vec<usize>,
    /// From where its holders must come to hold them.
    pub(super) origin: Origin,
}

/// The places of assignments in the file.
type Places = Vec<usize>;

/// The assignments, by whom they name: a look-up costs the same with a hundred thousand users as
/// with one.
#[derive(Debug, Default)]
pub(super) struct Assignments {
    all: Vec<Grant>,
    users: HashMap<Box<str>, Places>,
    certificates: HashMap<Box<str>, Places>,
    client_ids: HashMap<Box<str>, Places>,
    client_id_prefixes: Vec<(Box<str>, usize)>,
    demands: Vec<(Demand, usize)>,
    /// The places in `demands` of those that ask for an attribute first.
    attributes: HashMap<Attribute, Places>,
    anonymous: Places,
    everyone: Places,
}

/// What an assignment gives.
#[derive(Debug)]
struct Grant {
    roles: Vec<usize>,
    origin: Origin,
}

impl Assignments {
    /// Everybody that is named, in no order.
    pub(super) fn holders(&self) -> Vec<Holder> {
        let users = self.users.keys().cloned().map(Holder::User);
        let certificates = self.certificates.keys().cloned().map(Holder::Certificate);
        let client_ids = self.client_ids.keys().cloned().map(Holder::ClientId);
        let prefixes = self.client_id_prefixes.iter().map(|(start, _)| start.clone());
        let demands = self.demands.iter().map(|(demand, _)| Holder::Attributes(demand.clone()));
        let by_name = users.chain(certificates).chain(client_ids);
        by_name.chain(prefixes.map(Holder::ClientIdPrefix)).chain(demands).collect()
    }

    pub(super) fn of(assignments: Vec<Assignment>) -> Self {
        let mut index = Self::default();
        for (place, assignment) in assignments.into_iter().enumerate() {
            let Assignment { holders, roles, origin, .. } = assignment;
            index.all.push(Grant { roles, origin });
            holders.into_iter().for_each(|holder| index.add(holder, place));
        }
        index
    }

    fn add(&mut self, holder: Holder, place: usize) {
        match holder {
            Holder::User(name) => self.users.entry(name).or_default().push(place),
            Holder::Certificate(name) => self.certificates.entry(name).or_default().push(place),
            Holder::ClientId(id) => self.client_ids.entry(id).or_default().push(place),
            Holder::ClientIdPrefix(start) => self.client_id_prefixes.push((start, place)),
            Holder::Attributes(demand) => self.add_demand(demand, place),
            Holder::Anonymous => self.anonymous.push(place),
            Holder::Everyone => self.everyone.push(place),
        }
    }

    fn add_demand(&mut self, demand: Demand, place: usize) {
        for attribute in demand.first() {
            self.attributes.entry(attribute).or_default().push(self.demands.len());
        }
        self.demands.push((demand, place));
    }

    /// The places of the roles that `subject` holds, each once, in the order of the file.
    pub(super) fn roles_of(&self, subject: &Subject<'_>) -> Vec<usize> {
        let grants = self.places_of(subject).into_iter().filter_map(|place| self.all.get(place));
        let held = grants.filter(|grant| grant.origin.admits(subject));
        let mut roles: Vec<usize> = held.flat_map(|grant| grant.roles.iter().copied()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    fn places_of(&self, subject: &Subject<'_>) -> Places {
        let by_principal = match subject.principal {
            Principal::Anonymous => Some(&self.anonymous),
            Principal::User(name) => self.users.get(&**name),
            Principal::Certificate(name) => self.certificates.get(&**name),
            // By what is known of its process.
            Principal::Unix(_) => None,
            // Its claims say which roles it has: the issuer's names are not those of our users.
            Principal::Token(_) => None,
            // By what the service says of it: its names are not those of our users either.
            Principal::Http(_) => None,
        };
        let client_id = subject.client_id.as_str();
        let by_name = by_principal
            .into_iter()
            .chain(self.client_ids.get(client_id))
            .chain([&self.everyone])
            .flatten()
            .copied();
        let by_prefix = self
            .client_id_prefixes
            .iter()
            .filter(|(start, _)| client_id.starts_with(&**start))
            .map(|(_, place)| *place);
        let by_attribute = subject
            .attributes
            .iter()
            .filter_map(|attribute| self.attributes.get(attribute))
            .flatten()
            .filter_map(|demand| self.demands.get(*demand))
            .filter(|(demand, _)| demand.is_met_by(subject.attributes))
            .map(|(_, place)| *place);
        by_name.chain(by_prefix).chain(by_attribute).collect()
    }
}

impl Demand {
    fn is_met_by(&self, attributes: &Attributes) -> bool {
        self.names.iter().all(|(name, values)| {
            let mut said = attributes.values(self.source, name);
            said.any(|value| values.iter().any(|wanted| **wanted == *value))
        })
    }

    /// One of these is said by every proof that meets the demand.
    fn first(&self) -> Vec<Attribute> {
        let Some((name, values)) = self.names.first() else { return Vec::new() };
        let attribute = |value: &str| Attribute {
            source: self.source,
            name: (**name).into(),
            value: value.into(),
        };
        values.iter().map(|value| attribute(value)).collect()
    }
}
