//! `[[assign]]`: whom it names, and what it gives them.

use super::Reader;
use crate::acl::assign::{Assignment, Demand, Holder};
use crate::acl::document::{Item, Text};
use crate::identity::AttributeSource;

/// What names whom.
const HOLDERS: [&str; 10] = [
    "users",
    "groups",
    "certificates",
    "client_ids",
    "anonymous",
    "everyone",
    "certificate",
    "unix",
    "claims",
    "http",
];

/// What certificates say.
const CERTIFICATE: [&str; 8] =
    ["cn", "ou", "o", "san-dns", "san-uri", "san-email", "serial", "fingerprint"];
/// What sockets say.
const UNIX: [&str; 6] = ["user", "uid", "group", "gid", "pid", "executable"];
/// What the HTTP service says.
const HTTP: [&str; 3] = ["user", "roles", "groups"];

impl Reader<'_> {
    pub(super) fn assign(&mut self, item: &Item<'_>) {
        let known = [&HOLDERS[..], &["listeners", "transport", "roles"]].concat();
        item.only(&known, &mut self.faults);
        item.require("roles", "roles, like roles = [\"device\"]", &mut self.faults);
        if !HOLDERS.iter().any(|key| item.has(key)) {
            let message = "nobody is named: add users, groups, certificates, client_ids, certificate, unix, \
                           claims, http, anonymous = true or everyone = true";
            self.faults.add(&item.span, message);
        }
        let assignment = Assignment {
            line: self.faults.line(item.span.start),
            holders: self.holders(item),
            roles: self.roles_named(item, "roles"),
            origin: self.origin(item),
        };
        self.assignments.push(assignment);
    }

    fn holders(&mut self, item: &Item<'_>) -> Vec<Holder> {
        let mut holders = Vec::new();
        for user in item.strings("users", &mut self.faults) {
            holders.extend(self.exact_name(&user).map(Holder::User));
        }
        for group in item.strings("groups", &mut self.faults) {
            holders.extend(self.members(&group).into_iter().map(Holder::User));
        }
        for certificate in item.strings("certificates", &mut self.faults) {
            holders.extend(self.exact_name(&certificate).map(Holder::Certificate));
        }
        for client_id in item.strings("client_ids", &mut self.faults) {
            holders.extend(self.client_id(&client_id));
        }
        for (key, source, names) in [
            ("certificate", AttributeSource::Certificate, Some(&CERTIFICATE[..])),
            ("unix", AttributeSource::Unix, Some(&UNIX)),
            ("claims", AttributeSource::Token, None),
            ("http", AttributeSource::Http, Some(&HTTP)),
        ] {
            holders.extend(self.demand(item, key, source, names).map(Holder::Attributes));
        }
        holders.extend(self.flag(item, "anonymous", Holder::Anonymous));
        holders.extend(self.flag(item, "everyone", Holder::Everyone));
        holders
    }

    fn members(&mut self, group: &Text<'_>) -> Vec<Box<str>> {
        let members = self.groups.get(group.text).cloned();
        if members.is_none() {
            let message = format!(
                "there is no group {:?}: correct its name, or add a [[group]] of that name",
                group.text
            );
            self.faults.add(&group.span, message);
        }
        members.unwrap_or_default()
    }

    pub(super) fn exact_name(&mut self, name: &Text<'_>) -> Option<Box<str>> {
        if name.text.is_empty() {
            self.faults.add(&name.span, "a name is not empty");
            return None;
        }
        if name.text.contains('*') {
            let message = "names are exact, without '*': name each, or write everyone = true";
            self.faults.add(&name.span, message);
            return None;
        }
        Some(name.text.into())
    }

    fn client_id(&mut self, id: &Text<'_>) -> Option<Holder> {
        let (start, is_prefix) =
            id.text.strip_suffix('*').map_or((id.text, false), |start| (start, true));
        let message = match start {
            "" if is_prefix => "'*' alone is everybody: write everyone = true",
            "" => "a client identifier is not empty",
            start if start.contains('*') => "'*' stands only at the end: write \"gw-*\"",
            start if is_prefix => return Some(Holder::ClientIdPrefix(start.into())),
            start => return Some(Holder::ClientId(start.into())),
        };
        self.faults.add(&id.span, message);
        None
    }

    /// What a proof must say, as `key = { name = ["value"] }`; every name where none are `known`.
    fn demand(
        &mut self,
        item: &Item<'_>,
        key: &'static str,
        source: AttributeSource,
        known: Option<&[&str]>,
    ) -> Option<Demand> {
        let table = item.table(key, &mut self.faults)?;
        if let Some(known) = known {
            table.only(known, &mut self.faults);
        }
        let mut names = Vec::new();
        for name in table.keys() {
            let values = table.strings(name, &mut self.faults);
            let values: Vec<_> = values.iter().filter_map(|text| self.exact_name(text)).collect();
            names.push((name.into(), values));
        }
        if names.is_empty() {
            self.faults.add(&table.span, format!("{key} is empty: fill it or leave it out"));
            return None;
        }
        Some(Demand { source, names })
    }

    fn flag(&mut self, item: &Item<'_>, key: &str, holder: Holder) -> Option<Holder> {
        let value = item.value(key)?;
        if item.boolean(key, &mut self.faults)? {
            return Some(holder);
        }
        self.faults.add(&value.span(), format!("{key} is true, or is left out"));
        None
    }

    pub(super) fn roles_named(&mut self, item: &Item<'_>, key: &str) -> Vec<usize> {
        let mut roles = Vec::new();
        for role in item.strings(key, &mut self.faults) {
            match self.places.get(role.text) {
                Some(place) => roles.push(*place),
                None => {
                    let message = format!(
                        "there is no role {:?}: correct its name, or add a [[role]] of that name",
                        role.text
                    );
                    self.faults.add(&role.span, message);
                }
            }
        }
        roles
    }
}
