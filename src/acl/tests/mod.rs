//! What a policy decides, and what it refuses to be.

mod assignments;
mod client_rules;
mod conditions;
mod consistency;
mod decisions;
mod envelopes;
mod explanations;
mod files;
mod index;
mod limits;
mod names;
mod priorities;
mod receiving;
mod roles;
mod subscriptions;

use proptest::prelude::*;

use super::*;
use crate::identity::{ClientId, Principal};
use crate::message::QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use crate::topic::{self, TopicFilterRef, TopicNameRef};

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn rules(rules: &str) -> Policy {
    policy(&format!(
        "[[role]]\nname = \"r\"\nrules = [\n{rules}\n]\n[[assign]]\neveryone = true\nroles = [\"r\"]\n"
    ))
}

fn errors(text: &str) -> Vec<String> {
    let errors = Policy::parse(text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn user(name: &str) -> Principal {
    Principal::User(name.into())
}

fn permit(policy: &Policy, principal: &Principal, client_id: &str) -> Permit {
    policy.permit(&Subject::named(principal, &ClientId::new(client_id)))
}

fn name(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(text).expect("a topic name")
}

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::parse(text).expect("a topic filter")
}

fn publishes(permit: &Permit, topic: &str) -> bool {
    permit.publish(name(topic), AtMostOnce, false, 0).allowed
}

fn receives(permit: &Permit, topic: &str) -> bool {
    permit.receive(name(topic)).allowed
}

fn granted(permit: &Permit, text: &str) -> Option<crate::message::QoS> {
    match permit.subscribe(filter(text)) {
        SubscribeDecision::Granted { max_qos, .. } => Some(max_qos),
        SubscribeDecision::Refused { .. } => None,
    }
}

#[test]
fn r23_no_policy_lets_a_client_publish_to_reserved_topics() {
    let policy = rules(
        r##"{ allow = ["publish", "subscribe"], topics = ["#", "$SYS/#", "$shared/#", "$x"] },"##,
    );
    let permit = permit(&policy, &user("u"), "c");
    for topic in ["$SYS/x", "$SYS", "$", "$x", "$share/g/a", "$sys/x", "$SYS//", "$shared/x"] {
        let decision = permit.publish(name(topic), AtMostOnce, false, 0);
        let reserved = Decision { allowed: false, rule: Some(RuleId::RESERVED_TOPICS) };
        assert_eq!(decision, reserved, "{topic}");
    }
    let text = permit.describe(RuleId::RESERVED_TOPICS).to_string();
    assert!(text.starts_with("built-in rule \"reserved-topics\""), "{text}");
    assert_eq!(policy.warnings().len(), 1);
}

#[test]
fn a_permit_goes_wherever_its_connection_goes() {
    fn goes_anywhere<T: Send + Sync + 'static>(_: &T) {}
    goes_anywhere(&permit(&policy(include_str!("../../../acl/open.toml")), &user("u"), "c"));
}
