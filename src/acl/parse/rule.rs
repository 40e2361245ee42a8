//! One rule of a role.

use super::Reader;
use crate::acl::document::Item;
use crate::acl::rule::{Actions, Effect, Retain, Rule};
use crate::acl::template::Template;
use crate::message::QoS;

const KEYS: [&str; 11] = [
    "allow",
    "deny",
    "topics",
    "priority",
    "max_qos",
    "retain",
    "max_payload_bytes",
    "envelope",
    "listeners",
    "transport",
    "time",
];

/// Priorities go from its negative to it.
const MAX_PRIORITY: i64 = 1_000_000;
/// Bytes: no packet holds more.
const MAX_PAYLOAD: i64 = 268_435_455;

impl Reader<'_> {
    pub(super) fn rule(&mut self, item: &Item<'_>, role: usize) {
        item.only(&KEYS, &mut self.faults);
        item.require("topics", "topics, like topics = [\"a/#\"]", &mut self.faults);
        let Some(effect) = self.effect(item) else { return };
        let actions = self.actions(item, effect);
        let rule = Rule {
            role,
            line: self.faults.line(item.span.start),
            effect,
            actions,
            topics: self.topics(item),
            priority: self.priority(item),
            max_qos: self.max_qos(item, effect),
            retain: self.retain(item, effect, actions),
            max_payload: self.max_payload(item, effect, actions),
            needs_envelope: self.needs_envelope(item, effect, actions),
            conditions: self.conditions(item),
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
                "receive" => actions.receive = true,
                "open" => actions.open = true,
                other => {
                    let message = format!(
                        "{other:?} is no action: write publish, subscribe, receive or open"
                    );
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

    fn priority(&mut self, item: &Item<'_>) -> i32 {
        let range = -MAX_PRIORITY..=MAX_PRIORITY;
        let priority = item.integer("priority", range, &mut self.faults);
        priority.and_then(|priority| i32::try_from(priority).ok()).unwrap_or_default()
    }

    fn max_payload(&mut self, item: &Item<'_>, effect: Effect, actions: Actions) -> Option<u32> {
        let value = item.value("max_payload_bytes")?;
        let bytes = item.integer("max_payload_bytes", 0..=MAX_PAYLOAD, &mut self.faults)?;
        if effect == Effect::Deny {
            let message = "max_payload_bytes limits what a rule allows: put it there, or leave it \
                           out here";
            self.faults.add(&value.span(), message);
        } else if !actions.publish {
            let message = "max_payload_bytes is about publishing: leave it out here";
            self.faults.add(&value.span(), message);
        }
        u32::try_from(bytes).ok()
    }

    fn needs_envelope(&mut self, item: &Item<'_>, effect: Effect, actions: Actions) -> bool {
        let Some(text) = item.string("envelope", &mut self.faults) else { return false };
        if text.text != "required" {
            let message = "envelope is \"required\", or left out";
            self.faults.add(&text.span, message);
        }
        if effect == Effect::Deny || !actions.publish {
            let message = "envelope = \"required\" limits what a rule allows to publish: leave it out \
                           here";
            self.faults.add(&text.span, message);
        }
        true
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
