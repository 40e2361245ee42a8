//! From the text of a policy file to a policy, or to all that is wrong with it.

use std::collections::HashMap;
use std::sync::Arc;

use toml::de::DeTable;

use super::assign::{Assignment, Assignments, Holder};
use super::document::{Item, Text};
use super::error::{Faults, PolicyError};
use super::policy::Policy;
use super::rule::{Actions, Effect, Retain, Role, Rule, Rulebook};
use super::template::Template;
use super::warnings;
use crate::message::QoS;

/// The largest policy file that is read: some 150,000 rules.
pub const MAX_POLICY_BYTES: usize = 16 << 20;

impl Policy {
    /// Reads the text of a policy file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text: see the module for the format. A
    /// policy with an error is not used in part.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_POLICY_BYTES {
            let message = "a policy file has at most 16 MiB: let clients share roles".to_owned();
            return Err(vec![PolicyError { line: 1, column: 1, message }]);
        }
        let mut reader = Reader::of(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            reader.faults.add(&span, format!("this is not TOML: {}", error.message()));
        }
        // What could be made out of a broken text would only raise errors that are not there.
        if errors.is_empty() {
            reader.document(&Item::document(document.get_ref()));
        }
        reader.finish()
    }

    /// Reads the bytes of a policy file: UTF-8, with LF or CRLF, with a byte order mark or without.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        text_of(bytes).and_then(Self::parse)
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Vec<PolicyError>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let mut faults = Faults::of(&valid);
        let end = valid.len();
        faults.add(&(end..end), "this is not UTF-8: save the file in that encoding");
        faults.into_errors()
    })
}

/// Reads table after table, whatever is wrong with the ones before.
struct Reader<'t> {
    faults: Faults<'t>,
    rulebook: Rulebook,
    /// Where in the rulebook each role is.
    places: HashMap<Box<str>, usize>,
    assignments: Vec<Assignment>,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            faults: Faults::of(text),
            rulebook: Rulebook::default(),
            places: HashMap::new(),
            assignments: Vec::new(),
        }
    }

    fn finish(self) -> Result<Policy, Vec<PolicyError>> {
        if !self.faults.is_empty() {
            return Err(self.faults.into_errors());
        }
        Ok(Policy {
            warnings: warnings::of(&self.rulebook, &self.assignments),
            assignment_count: self.assignments.len(),
            assignments: Assignments::of(self.assignments),
            rulebook: Arc::new(self.rulebook),
        })
    }

    fn document(&mut self, document: &Item<'_>) {
        document.only(&["role", "assign"], &mut self.faults);
        for role in document.tables("role", "a [[role]] table", &mut self.faults) {
            self.role(&role);
        }
        let assigns = document.tables("assign", "an [[assign]] table", &mut self.faults);
        for assign in &assigns {
            self.assign(assign);
        }
        if assigns.is_empty() {
            self.faults.add_at_end(
                "no role is assigned, so everybody is shut out: add an [[assign]] table",
            );
        }
    }

    fn role(&mut self, item: &Item<'_>) {
        item.only(&["name", "description", "rules"], &mut self.faults);
        item.require("name", "a name, like name = \"device\"", &mut self.faults);
        item.require("rules", "rules = [ … ]", &mut self.faults);
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
        self.rulebook.roles.push(Role {
            name: name.map_or("", |name| name.text).into(),
            line: self.faults.line(item.span.start),
            rules: start..self.rulebook.rules.len(),
        });
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

    fn rule(&mut self, item: &Item<'_>, role: usize) {
        item.only(&["allow", "deny", "topics", "max_qos", "retain"], &mut self.faults);
        item.require("topics", "topics, like topics = [\"a/#\"]", &mut self.faults);
        let Some(effect) = self.effect(item) else { return };
        let actions = self.actions(item, effect);
        let rule = Rule {
            role,
            line: self.faults.line(item.span.start),
            effect,
            actions,
            topics: self.topics(item),
            max_qos: self.max_qos(item, effect),
            retain: self.retain(item, effect, actions),
        };
        self.rulebook.rules.push(rule);
    }

    fn effect(&mut self, item: &Item<'_>) -> Option<Effect> {
        match (item.has("allow"), item.has("deny")) {
            (true, false) => Some(Effect::Allow),
            (false, true) => Some(Effect::Deny),
            (true, true) => {
                self.faults.add(&item.span, "a rule allows or denies: make two rules of this one");
                None
            }
            (false, false) => {
                let message = "a rule needs what it allows or denies, like allow = [\"publish\"]";
                self.faults.add(&item.span, message);
                None
            }
        }
    }

    fn actions(&mut self, item: &Item<'_>, effect: Effect) -> Actions {
        let key = match effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        let mut actions = Actions::default();
        for action in item.strings(key, &mut self.faults) {
            match action.text {
                "publish" => actions.publish = true,
                "subscribe" => actions.subscribe = true,
                other => {
                    let message = format!("{other:?} is no action: write publish or subscribe");
                    self.faults.add(&action.span, message);
                }
            }
        }
        actions
    }

    fn topics(&mut self, item: &Item<'_>) -> Box<[Template]> {
        let mut templates = Vec::new();
        for topic in item.strings("topics", &mut self.faults) {
            match Template::parse(topic.text) {
                Ok(template) => templates.push(template),
                Err(error) => {
                    self.faults.add(&topic.span, format!("topic {:?}: {error}", topic.text));
                }
            }
        }
        templates.into()
    }

    fn max_qos(&mut self, item: &Item<'_>, effect: Effect) -> QoS {
        if let (Effect::Deny, Some(value)) = (effect, item.value("max_qos")) {
            let message = "max_qos limits what a rule allows: put it there, or leave it out here";
            self.faults.add(&value.span(), message);
        }
        item.qos("max_qos", &mut self.faults).unwrap_or(QoS::ExactlyOnce)
    }

    fn retain(&mut self, item: &Item<'_>, effect: Effect, actions: Actions) -> Retain {
        let Some(value) = item.value("retain") else { return Retain::Any };
        let Some(retain) = item.boolean("retain", &mut self.faults) else { return Retain::Any };
        if !actions.publish {
            self.faults.add(&value.span(), "retain is about publishing: leave it out here");
        }
        match (effect, retain) {
            (Effect::Allow, true) => Retain::Any,
            (Effect::Allow, false) => Retain::Never,
            (Effect::Deny, true) => Retain::Only,
            (Effect::Deny, false) => {
                let message = "a deny rule takes retain = true, to deny retained messages alone: \
                               leave it out to deny all";
                self.faults.add(&value.span(), message);
                Retain::Any
            }
        }
    }

    fn assign(&mut self, item: &Item<'_>) {
        const HOLDERS: [&str; 5] = ["users", "certificates", "client_ids", "anonymous", "everyone"];
        item.only(&[&HOLDERS[..], &["roles"]].concat(), &mut self.faults);
        item.require("roles", "roles, like roles = [\"device\"]", &mut self.faults);
        if !HOLDERS.iter().any(|key| item.has(key)) {
            let message = "nobody is named: add users, certificates, client_ids, \
                           anonymous = true or everyone = true";
            self.faults.add(&item.span, message);
        }
        let assignment = Assignment {
            line: self.faults.line(item.span.start),
            holders: self.holders(item),
            roles: self.roles(item),
        };
        self.assignments.push(assignment);
    }

    fn holders(&mut self, item: &Item<'_>) -> Vec<Holder> {
        let mut holders = Vec::new();
        for user in item.strings("users", &mut self.faults) {
            holders.extend(self.exact_name(&user).map(Holder::User));
        }
        for certificate in item.strings("certificates", &mut self.faults) {
            holders.extend(self.exact_name(&certificate).map(Holder::Certificate));
        }
        for client_id in item.strings("client_ids", &mut self.faults) {
            holders.extend(self.client_id(&client_id));
        }
        holders.extend(self.group(item, "anonymous", Holder::Anonymous));
        holders.extend(self.group(item, "everyone", Holder::Everyone));
        holders
    }

    fn exact_name(&mut self, name: &Text<'_>) -> Option<Box<str>> {
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

    fn group(&mut self, item: &Item<'_>, key: &str, holder: Holder) -> Option<Holder> {
        let value = item.value(key)?;
        if item.boolean(key, &mut self.faults)? {
            return Some(holder);
        }
        self.faults.add(&value.span(), format!("{key} is true, or is left out"));
        None
    }

    fn roles(&mut self, item: &Item<'_>) -> Vec<usize> {
        let mut roles = Vec::new();
        for role in item.strings("roles", &mut self.faults) {
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
