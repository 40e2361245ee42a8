//! r12: after a policy is replaced, nothing passes that it does not allow, by whatever path.

use futures::FutureExt;

use super::driver::{CLOSED, Driver, NO_SECRETS, OPEN, Visit, broker, policy};
use crate::codec::ReasonCode;
use crate::message::QoS;

#[test]
fn r12_a_remembered_publish_is_decided_anew() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    assert_eq!(publisher.publish("secret/a", false), ReasonCode::Success);
    assert_eq!(reader.topics(), ["secret/a"]);
    broker.replace_policy(policy(NO_SECRETS));
    assert_eq!(publisher.publish("secret/a", false), ReasonCode::NotAuthorized);
    assert_eq!(publisher.publish("open", false), ReasonCode::Success);
    assert_eq!(reader.topics(), ["open"]);
    broker.replace_policy(policy(OPEN));
    assert_eq!(publisher.publish("secret/a", false), ReasonCode::Success);
    assert_eq!(reader.topics(), ["secret/a"]);
}

#[test]
fn r12_what_waits_in_a_mailbox_is_not_delivered_any_more() {
    for filter in ["secret/a", "secret/+", "#", "$share/group/secret/a"] {
        let broker = broker();
        let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
        let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
        reader.subscribe(filter, QoS::ExactlyOnce);
        publisher.publish("secret/a", false);
        broker.replace_policy(policy(NO_SECRETS));
        assert_eq!(reader.topics(), [""; 0], "{filter}");
    }
}

#[test]
fn r12_a_message_that_was_queued_while_its_client_was_away_is_not_delivered_any_more() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    reader.client.on_lost(reader.now);
    publisher.publish("secret/a", false);
    publisher.publish("open", false);
    broker.replace_policy(policy(NO_SECRETS));
    let (mut reader, is_resumed) = Driver::enter(&broker, Visit::of("r"));
    assert!(is_resumed);
    assert_eq!(reader.topics(), ["open"]);
}

#[test]
fn r12_a_subscription_that_is_no_longer_allowed_is_not_resumed() {
    let broker = broker();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("secret/a", QoS::AtLeastOnce);
    reader.subscribe("open", QoS::AtLeastOnce);
    reader.client.on_lost(reader.now);
    assert_eq!(broker.routes.len(), 2);
    broker.replace_policy(policy(NO_SECRETS));
    let (_reader, _) = Driver::enter(&broker, Visit::of("r"));
    assert_eq!(broker.routes.len(), 1);
}

#[test]
fn r12_what_is_in_flight_is_not_sent_again_when_its_client_returns() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    publisher.publish("secret/a", false);
    publisher.publish("open", false);
    assert_eq!(reader.topics(), ["secret/a", "open"]);
    reader.client.on_lost(reader.now);
    broker.replace_policy(policy(NO_SECRETS));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    assert_eq!(reader.topics(), ["open"]);
}

#[test]
fn r12_what_waits_to_be_sent_again_is_not_once_its_client_may_not_have_it() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    reader.subscribe("#", QoS::AtLeastOnce);
    for topic in ["first", "secret/a", "last"] {
        publisher.publish(topic, false);
    }
    assert_eq!(reader.topics().len(), 3);
    reader.client.on_lost(reader.now);
    // It takes one message at a time, so that two wait to be sent again.
    let narrow = Visit { receive_maximum: 1, ..Visit::of("r") };
    let (mut reader, _) = Driver::enter(&broker, narrow);
    assert_eq!(reader.topics(), ["first"]);
    broker.replace_policy(policy(NO_SECRETS));
    reader.acknowledge(1);
    assert_eq!(reader.topics(), ["last"]);
}

#[test]
fn r12_a_retained_message_is_not_shown_to_who_subscribed_before() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    publisher.publish("secret/a", true);
    publisher.publish("open", true);
    // One at a time, so that the policy changes between the two.
    let narrow = Visit { receive_maximum: 1, ..Visit::of("r") };
    let (mut reader, _) = Driver::enter(&broker, narrow);
    reader.subscribe("#", QoS::AtLeastOnce);
    broker.replace_policy(policy(NO_SECRETS));
    reader.acknowledge(1);
    assert_eq!(reader.topics(), [""; 0]);
}

#[test]
fn r12_retained_messages_are_not_owed_to_a_subscription_that_is_not_resumed() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    publisher.publish("secret/a", true);
    publisher.publish("open", true);
    let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
    for filter in ["secret/a", "open"] {
        reader.say_subscribe(filter, QoS::AtLeastOnce);
    }
    reader.client.on_lost(reader.now);
    broker.replace_policy(policy(NO_SECRETS));
    let mut reader = Driver::knock(&broker, Visit::of("r"));
    reader.log_in().now_or_never().expect("nobody to wait for");
    broker.replace_policy(policy(OPEN));
    assert_eq!(reader.topics(), ["open"]);
}

#[test]
fn r12_r26_a_will_is_published_under_the_policy_of_when_it_is_sent() {
    for delay in [0, 10] {
        for text in [OPEN, NO_SECRETS, CLOSED] {
            let broker = broker();
            let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
            reader.subscribe("#", QoS::AtMostOnce);
            let visit = Visit { will: Some(("secret/will", delay)), ..Visit::of("w") };
            let (mut leaving, _) = Driver::enter(&broker, visit);
            broker.replace_policy(policy(text));
            leaving.client.on_lost(leaving.now);
            broker.run_timers(leaving.now.after(std::time::Duration::from_secs(11)).instant);
            // What the reader may not read tells nothing: it is the one that sends that counts.
            broker.replace_policy(policy(OPEN));
            let expected: &[_] = if text == OPEN { &["secret/will"] } else { &[] };
            assert_eq!(reader.topics(), expected, "after {delay} s");
        }
    }
}

#[test]
fn every_refusal_is_counted_also_of_a_topic_that_is_known_to_be_refused() {
    let broker = broker();
    broker.replace_policy(policy(NO_SECRETS));
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    for _ in 0..3 {
        assert_eq!(publisher.publish("secret/a", false), ReasonCode::NotAuthorized);
    }
    let metrics = broker.counts.metrics.render();
    assert!(
        metrics.contains(
            "\nbastionmq_acl_decisions_total{action=\"publish\",decision=\"denied\"} 3\n"
        ),
        "{metrics}"
    );
}
