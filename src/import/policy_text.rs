//! A policy to be written: roles, rules and who holds them, and the text of its file.

use std::fmt::{self, Write as _};

use toml::Value;

use super::finding::Place;

/// The roles and assignments of a policy file, in its order.
#[derive(Debug, Default)]
pub(super) struct PolicyText {
    pub(super) roles: Vec<Role>,
    pub(super) assignments: Vec<Assignment>,
}

#[derive(Debug, Default)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) effect: Effect,
    /// `publish`, `subscribe`, `receive`.
    pub(super) actions: Vec<&'static str>,
    pub(super) topic: String,
    pub(super) priority: i32,
    /// What it was made of.
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Default)]
pub(super) struct Assignment {
    pub(super) holders: Holders,
    pub(super) roles: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) users: Vec<String>,
    pub(super) certificates: Vec<String>,
    pub(super) anonymous: bool,
    pub(super) everyone: bool,
}

impl PolicyText {
    /// The name of a role that is not there yet, and looks like `wanted`.
    pub(super) fn free_name(&self, wanted: &str) -> String {
        let wanted = wanted.replace(char::is_control, "\u{fffd}");
        let is_free = |name: &String| self.roles.iter().all(|role| role.name != *name);
        let names = std::iter::once(wanted.clone());
        let numbered = (2..).map(|number: u32| format!("{wanted} {number}"));
        names.chain(numbered).find(is_free).unwrap_or(wanted)
    }

    /// A role for all that nothing restricts.
    pub(super) fn open(place: &Place) -> Self {
        let rule = |actions: &[&'static str], topic: &str| Rule {
            effect: Effect::Allow,
            actions: actions.to_vec(),
            topic: topic.to_owned(),
            priority: 0,
            place: place.clone(),
        };
        let role = Role {
            name: "everything".to_owned(),
            description: Some("There was no ACL: everybody might do everything.".to_owned()),
            rules: vec![rule(&["publish", "subscribe"], "#"), rule(&["subscribe"], "$SYS/#")],
        };
        let holders = Holders { everyone: true, ..Holders::default() };
        let assignment = Assignment { holders, roles: vec![role.name.clone()] };
        Self { roles: vec![role], assignments: vec![assignment] }
    }

    /// A role that allows nothing, so that the file is valid and everything stays closed.
    pub(super) fn closed() -> Self {
        let name = "nothing".to_owned();
        let description = Some("Nothing could be translated: add what clients may do.".to_owned());
        let holders = Holders { everyone: true, ..Holders::default() };
        let assignment = Assignment { holders, roles: vec![name.clone()] };
        let role = Role { name, description, rules: Vec::new() };
        Self { roles: vec![role], assignments: vec![assignment] }
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.roles.iter().try_for_each(|role| role.fmt(f))?;
        self.assignments.iter().try_for_each(|assignment| assignment.fmt(f))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[[role]]\nname = {}", quoted(&self.name))?;
        if let Some(description) = &self.description {
            writeln!(f, "description = {}", quoted(description))?;
        }
        f.write_str("rules = [\n")?;
        self.rules.iter().try_for_each(|rule| rule.fmt(f))?;
        f.write_str("]\n")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        write!(f, "  {{ {effect} = {}, topics = [{}]", list(&self.actions), quoted(&self.topic))?;
        if self.priority != 0 {
            write!(f, ", priority = {}", self.priority)?;
        }
        writeln!(f, " }},  # line {}", self.place.line)
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holders { users, certificates, anonymous, everyone } = &self.holders;
        f.write_str("\n[[assign]]\n")?;
        for (key, names) in [("users", users), ("certificates", certificates)] {
            if !names.is_empty() {
                writeln!(f, "{key} = {}", list(names))?;
            }
        }
        for (key, is_meant) in [("anonymous", anonymous), ("everyone", everyone)] {
            if *is_meant {
                writeln!(f, "{key} = true")?;
            }
        }
        writeln!(f, "roles = {}", list(&self.roles))
    }
}

impl Holders {
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.certificates.is_empty() && !self.anonymous && !self.everyone
    }
}

/// A text as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn list(texts: &[impl AsRef<str>]) -> String {
    let mut list = String::from("[");
    for (place, text) in texts.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        let _ = write!(list, "{comma}{}", quoted(text.as_ref()));
    }
    list.push(']');
    list
}
