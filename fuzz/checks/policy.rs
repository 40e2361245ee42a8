//! A name in one line, a topic in the next, and a policy below them: no panic, reserved topics stay
//! closed to publishers.

use bastionmq::acl::{Policy, Subject};
use bastionmq::identity::{ClientId, Principal};
use bastionmq::message::QoS;
use bastionmq::topic::{TopicFilterRef, TopicNameRef};

use crate::text::text_of;

pub(crate) fn check(bytes: &[u8]) {
    let text = text_of(bytes);
    let Some((name, rest)) = text.split_once('\n') else { return };
    let Some((topic, text)) = rest.split_once('\n') else { return };
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(errors) => {
            assert!(!errors.is_empty());
            return errors.iter().for_each(|error| drop(error.to_string()));
        }
    };
    policy.warnings().iter().for_each(|warning| drop(warning.to_string()));
    for principal in
        [Principal::Anonymous, Principal::User(name.into()), Principal::Certificate(name.into())]
    {
        let client_id = ClientId::new(name);
        let permit = policy.permit(&Subject::named(&principal, &client_id));
        if let Ok(topic) = TopicNameRef::parse(topic) {
            let decision = permit.publish(topic, QoS::AtLeastOnce, true, 0);
            assert!(!(decision.allowed && topic.is_reserved()));
            let _ = permit.describe(decision.rule).to_string();
            let _ = permit.receive(topic);
        }
        if let Ok(filter) = TopicFilterRef::parse(topic) {
            let _ = permit.subscribe(filter);
        }
    }
}
