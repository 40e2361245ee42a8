//! Which subscriptions are granted, and at which QoS.

use super::*;

const PARTLY: &str = r#"{ allow = ["subscribe"], topics = ["a/#"], max_qos = 1 },
    { allow = ["subscribe"], topics = ["b/+"], max_qos = 2 },
    { deny = ["subscribe"], topics = ["a/secret/#"] },"#;

#[test]
fn a_filter_is_granted_when_something_of_it_is_allowed_and_not_all_denied() {
    let permit = permit(&rules(PARTLY), &user("u"), "c");
    for text in ["a/b", "a/#", "+/x", "#", "$share/g/a/+", "b/x"] {
        assert!(granted(&permit, text).is_some(), "{text}");
    }
    for text in ["c/#", "b", "b/x/y", "a/secret", "a/secret/+", "$share/g/a/secret/#", "$SYS/#"] {
        assert!(granted(&permit, text).is_none(), "{text}");
    }
    assert!(receives(&permit, "a/b") && receives(&permit, "b/x"));
    assert!(!receives(&permit, "a/secret/x") && !receives(&permit, "c"));
}

#[test]
fn the_granted_qos_is_allowed_for_every_topic_of_the_filter() {
    let permit = permit(&rules(PARTLY), &user("u"), "c");
    assert_eq!(granted(&permit, "a/b"), Some(AtLeastOnce));
    assert_eq!(granted(&permit, "b/x"), Some(ExactlyOnce));
    assert_eq!(granted(&permit, "#"), Some(AtLeastOnce));
    let both = rules(
        r#"{ allow = ["subscribe"], topics = ["a/#"], max_qos = 0 },
           { allow = ["subscribe"], topics = ["a/b"], max_qos = 2 },"#,
    );
    let permit = super::permit(&both, &user("u"), "c");
    assert_eq!(granted(&permit, "a/b"), Some(ExactlyOnce));
    assert_eq!(granted(&permit, "a/+"), Some(AtMostOnce));
}

#[test]
fn reserved_topics_are_subscribed_to_where_a_rule_names_them() {
    let all = rules(r##"{ allow = ["subscribe"], topics = ["#", "+/#"] },"##);
    let permit = permit(&all, &user("u"), "c");
    assert!(!receives(&permit, "$SYS/x") && granted(&permit, "$SYS/#").is_none());
    let named = rules(r#"{ allow = ["subscribe"], topics = ["$SYS/#"] },"#);
    let permit = super::permit(&named, &user("u"), "c");
    assert!(receives(&permit, "$SYS/x") && granted(&permit, "$share/g/$SYS/+").is_some());
}

#[test]
fn a_share_within_a_share_hides_nothing() {
    let policy = rules(r##"{ allow = ["subscribe"], topics = ["x", "#"] },"##);
    let permit = permit(&policy, &user("u"), "c");
    assert_eq!(granted(&permit, "$share/g/$share/h/x"), None);
}
