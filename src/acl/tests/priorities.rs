//! A higher priority decides before a lower one, and within one a deny goes first.

use super::*;

#[test]
fn a_rule_of_a_higher_priority_decides() {
    let policy = rules(
        r##"{ deny = ["publish", "subscribe"], topics = ["a/#"] },
            { allow = ["publish", "subscribe"], topics = ["#"] },
            { allow = ["publish", "subscribe"], topics = ["a/open"], priority = 1 },
            { deny = ["publish"], topics = ["a/open"], retain = true, priority = 2 },
            { allow = ["publish"], topics = ["late"], priority = -1 },
            { deny = ["publish"], topics = ["late"], priority = -2 },"##,
    );
    let permit = permit(&policy, &user("u"), "c");
    assert!(publishes(&permit, "b") && !publishes(&permit, "a/b"));
    assert!(publishes(&permit, "a/open") && receives(&permit, "a/open"));
    assert!(!permit.publish(name("a/open"), AtMostOnce, true, 0).allowed);
    assert!(publishes(&permit, "late"), "lower ones do not decide where a higher one has");
    assert!(granted(&permit, "a/#").is_some(), "a part of it is open");
    assert!(granted(&permit, "a/b/#").is_none());
    assert!(receives(&permit, "a/open") && !receives(&permit, "a/b"));
}

#[test]
fn the_reasons_tell_of_priorities() {
    let policy = rules(
        r##"{ deny = ["publish"], topics = ["a"], priority = 7 },
            { allow = ["publish"], topics = ["a"], max_payload_bytes = 10 },"##,
    );
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let explain = |bytes| {
        let request = Request::Publish { topic: name("a"), qos: AtMostOnce, retain: false, bytes };
        policy.explain(&subject, &request)
    };
    let explanation = explain(10);
    assert_eq!(
        explanation.by.to_string(),
        "line 4, role \"r\": { deny = [\"publish\"], topics = [\"a\"], priority = 7 }"
    );
    assert!(explanation.others[0].why.to_string().contains("a higher priority goes first"));
    assert_eq!(explain(11).others[0].why.to_string(), "only payloads of up to 10 bytes");
}
