//! `[[role]]`: its name, what it inherits, its rules and its limits.

use super::Reader;
use crate::acl::document::{Item, Text};
use crate::acl::hierarchy;
use crate::acl::rule::Role;

impl Reader<'_> {
    pub(super) fn role(&mut self, item: &Item<'_>) {
        let known = ["name", "description", "inherits", "rules", "limits"];
        item.only(&known, &mut self.faults);
        item.require("name", "a name, like name = \"device\"", &mut self.faults);
        if !item.has("inherits") && !item.has("limits") {
            item.require("rules", "rules = [ … ]", &mut self.faults);
        }
        item.string("description", &mut self.faults);
        let place = self.rulebook.roles.len();
        let name = item.string("name", &mut self.faults);
        if let Some(name) = &name {
            self.name_role(name, place);
        }
        let start = self.rulebook.rules.len();
        for rule in item.tables("rules", "a rule in braces", &mut self.faults) {
            self.rule(&rule, place);
        }
        let limits = self.limits(item);
        self.rulebook.roles.push(Role {
            name: name.map_or("", |name| name.text).into(),
            line: self.faults.line(item.span.start),
            rules: start..self.rulebook.rules.len(),
            limits,
            ..Role::default()
        });
    }

    /// What each of `roles` inherits, now that all of them are known.
    pub(super) fn inheritance(&mut self, roles: &[Item<'_>]) {
        let mut inherits = Vec::with_capacity(roles.len());
        for role in roles {
            inherits.push(self.roles_named(role, "inherits"));
        }
        match hierarchy::order(&inherits) {
            Ok(order) => self.order = order,
            Err(circle) => self.circle(roles, &circle),
        }
        for (role, inherits) in self.rulebook.roles.iter_mut().zip(inherits) {
            role.inherits = inherits;
        }
    }

    fn circle(&mut self, roles: &[Item<'_>], circle: &[usize]) {
        let names: Vec<&str> = self.rulebook.roles_at(circle).map(|role| &*role.name).collect();
        let message = format!(
            "a role does not inherit itself, be it by others: {} lead back to the first",
            names.join(", ")
        );
        let first = circle.first().and_then(|place| roles.get(*place));
        if let Some(value) = first.and_then(|role| role.value("inherits")) {
            self.faults.add(&value.span(), message);
        }
    }

    fn name_role(&mut self, name: &Text<'_>, place: usize) {
        if name.text.is_empty() || name.text.contains(char::is_control) {
            self.faults.add(&name.span, "a role's name is text without control characters");
        }
        let Some(first) = self.places.insert(name.text.into(), place) else { return };
        let line = self.rulebook.roles.get(first).map_or(0, |role| role.line);
        let message = format!(
            "role {:?} is there already, on line {line}: join the two or rename one",
            name.text
        );
        self.faults.add(&name.span, message);
    }
}
