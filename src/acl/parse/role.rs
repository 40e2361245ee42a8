//! `[[role]]` and its rules.

use super::Reader;
use crate::acl::document::{Item, Text};
use crate::acl::rule::{Actions, Effect, Retain, Role, Rule};
use crate::acl::template::Template;
use crate::message::QoS;

impl Reader<'_> {
    pub(super) fn role(&mut self, item: &Item<'_>) {
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
}
