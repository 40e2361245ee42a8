//! Who holds which roles.

use std::collections::HashMap;

use super::Subject;
use crate::identity::Principal;

/// Whom an `[[assign]]` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    User(Box<str>),
    Certificate(Box<str>),
    ClientId(Box<str>),
    /// Every client identifier that begins so.
    ClientIdPrefix(Box<str>),
    Anonymous,
    Everyone,
}

/// One `[[assign]]`: any of its holders holds all of its roles.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) line: u32,
    pub(super) holders: Vec<Holder>,
    /// The places of the roles in the rulebook.
    pub(super) roles: Vec<usize>,
}

type Places = Vec<usize>;

/// The places of the roles in the rulebook, by who holds them: a look-up costs the same with a
/// hundred thousand users as with one.
#[derive(Debug, Default)]
pub(super) struct Assignments {
    users: HashMap<Box<str>, Places>,
    certificates: HashMap<Box<str>, Places>,
    client_ids: HashMap<Box<str>, Places>,
    client_id_prefixes: Vec<(Box<str>, Places)>,
    anonymous: Places,
    everyone: Places,
}

impl Assignments {
    pub(super) fn of(assignments: Vec<Assignment>) -> Self {
        let mut index = Self::default();
        for Assignment { holders, roles, .. } in assignments {
            holders.into_iter().for_each(|holder| index.add(holder, &roles));
        }
        index
    }

    fn add(&mut self, holder: Holder, roles: &[usize]) {
        match holder {
            Holder::User(name) => self.users.entry(name).or_default().extend(roles),
            Holder::Certificate(name) => self.certificates.entry(name).or_default().extend(roles),
            Holder::ClientId(id) => self.client_ids.entry(id).or_default().extend(roles),
            Holder::ClientIdPrefix(start) => self.client_id_prefixes.push((start, roles.to_vec())),
            Holder::Anonymous => self.anonymous.extend(roles),
            Holder::Everyone => self.everyone.extend(roles),
        }
    }

    /// The places of the roles that `subject` holds, each once, in the order of the file.
    pub(super) fn roles_of(&self, subject: &Subject<'_>) -> Places {
        let by_principal = match subject.principal {
            Principal::Anonymous => Some(&self.anonymous),
            Principal::User(name) => self.users.get(&**name),
            Principal::Certificate(name) => self.certificates.get(&**name),
        };
        let client_id = subject.client_id.as_str();
        let by_prefix =
            self.client_id_prefixes.iter().filter(|(start, _)| client_id.starts_with(&**start));
        let held = by_principal
            .into_iter()
            .chain(self.client_ids.get(client_id))
            .chain(by_prefix.map(|(_, places)| places))
            .chain([&self.everyone]);
        let mut places: Places = held.flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}
