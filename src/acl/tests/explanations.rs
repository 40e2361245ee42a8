//! The reasons that an operator is given.

use super::*;

#[test]
fn the_others_say_why_they_did_not_decide() {
    let policy = rules(
        r##"{ allow = ["subscribe"], topics = ["a"] },
            { allow = ["publish"], topics = ["b"] },
            { allow = ["publish"], topics = ["b", "a"], max_qos = 0 },
            { allow = ["publish"], topics = ["a"], retain = false },
            { allow = ["publish"], topics = ["${client_id}"] },"##,
    );
    let (principal, client_id) = (user("u"), ClientId::new("x/y"));
    let subject = Subject::named(&principal, &client_id);
    let request = Request::Publish { topic: name("a"), qos: AtLeastOnce, retain: true, bytes: 0 };
    let explanation = policy.explain(&subject, &request);
    assert!(!explanation.allowed);
    assert_eq!((explanation.by, explanation.roles), (Description::NoRule, vec!["r"]));
    let why: Vec<String> = explanation.others.iter().map(|other| other.why.to_string()).collect();
    assert_eq!(
        why,
        [
            "about another action",
            "about other topics",
            "only up to QoS 0",
            "does not fit the retain flag",
            "not used for this client: ${client_id} holds '/', '+', '#' or a control character",
        ]
    );
}

#[test]
fn a_deny_rule_that_closes_everything_says_which_name_made_it() {
    let policy = rules(r#"{ deny = ["publish"], topics = ["d/${username}"] },"#);
    let explain = |principal: &Principal| {
        let client_id = ClientId::new("c");
        let subject = Subject::named(principal, &client_id);
        let topic = name("z");
        let request = Request::Publish { topic, qos: AtMostOnce, retain: false, bytes: 0 };
        policy.explain(&subject, &request).unsafe_name
    };
    let reason = "${username} holds '/', '+', '#' or a control character";
    assert_eq!(explain(&user("#")).as_deref(), Some(reason));
    assert_eq!(explain(&user("lamp")), None);
}

#[test]
fn a_subscription_that_is_partly_denied_says_so() {
    let policy = rules(
        r##"{ allow = ["subscribe"], topics = ["#"], max_qos = 1 },
            { deny = ["subscribe"], topics = ["a/#"] },"##,
    );
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let explain = |text| policy.explain(&subject, &Request::Subscribe { filter: filter(text) });
    let explanation = explain("#");
    assert_eq!((explanation.allowed, explanation.max_qos), (true, Some(AtLeastOnce)));
    assert_eq!(explanation.others[0].why, Aside::Part);
    let explanation = explain("a/+");
    assert!(!explanation.allowed);
    assert!(matches!(explanation.by, Description::Rule { line: 5, .. }));
    assert_eq!(explanation.others[0].why, Aside::Outranked);
}
