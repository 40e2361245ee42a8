//! What a policy allows and denies.

use super::*;

#[test]
fn what_no_rule_allows_is_denied() {
    let policy = rules(r#"{ allow = ["publish"], topics = ["a"] },"#);
    let permit = permit(&policy, &Principal::Anonymous, "c");
    assert!(publishes(&permit, "a"));
    let denied = Decision { allowed: false, rule: None };
    assert_eq!(permit.publish(name("b"), AtMostOnce, false, 0), denied);
    assert_eq!(permit.receive(name("a")), denied);
    assert_eq!(permit.subscribe(filter("a")), SubscribeDecision::Refused { rule: None });
    assert_eq!(permit.describe(denied.rule).to_string(), "no rule allows it");
}

#[test]
fn a_client_without_a_role_may_do_nothing() {
    let policy = policy(include_str!("../../../acl/policy.toml"));
    for principal in [Principal::Anonymous, user("other"), Principal::Certificate("admin".into())] {
        let permit = permit(&policy, &principal, "admin");
        assert!(!publishes(&permit, "a") && !receives(&permit, "a"));
        assert_eq!(granted(&permit, "#"), None);
    }
}

#[test]
fn deny_wins_whatever_the_order_and_the_role() {
    for text in [
        r##"{ allow = ["publish"], topics = ["#"] }, { deny = ["publish"], topics = ["a/#"] },"##,
        r##"{ deny = ["publish"], topics = ["a/#"] }, { allow = ["publish"], topics = ["#"] },"##,
    ] {
        let permit = permit(&rules(text), &user("u"), "c");
        assert!(publishes(&permit, "b") && !publishes(&permit, "a") && !publishes(&permit, "a/b"));
    }
    let fleet = policy(include_str!("../../../acl/fleet.toml"));
    let operator = permit(&fleet, &user("olga"), "c");
    assert!(receives(&operator, "devices/x/state") && !receives(&operator, "devices/x/secret/1"));
}

#[test]
fn a_decision_names_its_rule_with_role_and_line() {
    let text = "{ allow = [\"publish\"], topics = [\"#\"], max_qos = 1, retain = false },\n\
                { deny = [\"publish\", \"subscribe\"], topics = [\"a\"] },";
    let permit = permit(&rules(text), &user("u"), "c");
    let describe = |topic| {
        let decision = permit.publish(name(topic), AtMostOnce, false, 0);
        permit.describe(decision.rule).to_string()
    };
    assert_eq!(
        describe("b"),
        r##"line 4, role "r": { allow = ["publish"], topics = ["#"], max_qos = 1, retain = false }"##
    );
    assert_eq!(
        describe("a"),
        r#"line 5, role "r": { deny = ["publish", "subscribe"], topics = ["a"] }"#
    );
}

#[test]
fn qos_and_retain_limit_what_an_allow_rule_allows() {
    let policy = rules(r#"{ allow = ["publish"], topics = ["a"], max_qos = 1, retain = false },"#);
    let permit = permit(&policy, &user("u"), "c");
    assert!(permit.publish(name("a"), AtLeastOnce, false, 0).allowed);
    assert!(!permit.publish(name("a"), ExactlyOnce, false, 0).allowed);
    assert!(!permit.publish(name("a"), AtMostOnce, true, 0).allowed);
}

#[test]
fn a_deny_rule_may_be_about_retained_messages_alone() {
    let policy = rules(
        r##"{ allow = ["publish"], topics = ["#"] },
            { deny = ["publish"], topics = ["a/#"], retain = true },"##,
    );
    let permit = permit(&policy, &user("u"), "c");
    assert!(permit.publish(name("a/b"), ExactlyOnce, false, 0).allowed);
    assert!(!permit.publish(name("a/b"), AtMostOnce, true, 0).allowed);
    assert!(permit.publish(name("b"), AtMostOnce, true, 0).allowed);
}

#[test]
fn roles_come_from_every_assignment_that_names_the_client_in_any_way() {
    let policy = policy(
        r#"
        role = [
          { name = "a", rules = [{ allow = ["publish"], topics = ["a"] }] },
          { name = "b", rules = [{ allow = ["publish"], topics = ["b"] }] },
          { name = "c", rules = [{ allow = ["publish"], topics = ["c"] }] },
          { name = "d", rules = [{ allow = ["publish"], topics = ["d"] }] },
        ]
        assign = [
          { users = ["u"], client_ids = ["gw-*", "hub"], roles = ["a"] },
          { certificates = ["u"], roles = ["b"] },
          { anonymous = true, roles = ["c"] },
          { everyone = true, roles = ["d"] },
        ]"#,
    );
    let may = |principal: &Principal, client_id: &str| {
        let permit = permit(&policy, principal, client_id);
        ["a", "b", "c", "d"]
            .into_iter()
            .filter(|topic| publishes(&permit, topic))
            .collect::<String>()
    };
    assert_eq!(may(&user("u"), "x"), "ad");
    assert_eq!(may(&user("v"), "gw-1"), "ad");
    assert_eq!(may(&user("v"), "hub"), "ad");
    assert_eq!(may(&user("v"), "hub2"), "d");
    assert_eq!(may(&user("v"), "xgw-1"), "d");
    assert_eq!(may(&Principal::Certificate("u".into()), "x"), "bd");
    assert_eq!(may(&Principal::Certificate("u".into()), "gw-"), "abd");
    assert_eq!(may(&Principal::Anonymous, "u"), "cd");
}
