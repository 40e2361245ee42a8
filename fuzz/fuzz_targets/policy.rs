//! Any text as a policy, and any name under it: no panic, no opening of reserved topics.
#![no_main]

use bastionmq::acl::{Policy, Subject};
use bastionmq::identity::{ClientId, Principal};
use bastionmq::message::QoS;
use bastionmq::topic::{TopicFilterRef, TopicNameRef};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, name, topic) = input;
    let Ok(policy) = Policy::parse(text) else { return };
    for principal in
        [Principal::Anonymous, Principal::User(name.into()), Principal::Certificate(name.into())]
    {
        let client_id = ClientId::new(name);
        let permit = policy.permit(&Subject { principal: &principal, client_id: &client_id });
        if let Ok(topic) = TopicNameRef::parse(topic) {
            let decision = permit.publish(topic, QoS::AtLeastOnce, true);
            assert!(!(decision.allowed && topic.is_reserved()));
            let _ = permit.describe(decision.rule).to_string();
            let _ = permit.receive(topic);
        }
        if let Ok(filter) = TopicFilterRef::parse(topic) {
            let _ = permit.subscribe(filter);
        }
    }
});
