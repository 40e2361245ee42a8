//! On which topics payloads are sealed, and what rules say of those.

use std::time::Duration;

use super::*;

const EVERYBODY: &str = "[[assign]]\neveryone = true\nroles = [\"r\"]\n";

fn with(envelopes: &str, rules: &str) -> String {
    format!("[[role]]\nname = \"r\"\nrules = [\n{rules}\n]\n{EVERYBODY}{envelopes}")
}

fn everything(envelopes: &str) -> Policy {
    policy(&with(envelopes, r##"{ allow = ["publish", "subscribe"], topics = ["#"] }"##))
}

fn mode(permit: &Permit, topic: &str) -> Option<EnvelopeMode> {
    permit.envelope(name(topic)).map(|terms| terms.mode)
}

#[test]
fn the_first_table_that_names_a_topic_holds_and_none_is_plain() {
    let policy = everything(
        r##"[[envelope]]
            topics = ["plant/+/status"]
            mode = "plain"
            [[envelope]]
            topics = ["plant/#", "mill/#"]
            mode = "verify"
            [[envelope]]
            topics = ["#"]
            mode = "seal""##,
    );
    let permit = permit(&policy, &user("u"), "c");
    assert_eq!(mode(&permit, "plant/1/status"), None);
    assert_eq!(mode(&permit, "plant/1/speed"), Some(EnvelopeMode::Verify));
    assert_eq!(mode(&permit, "mill"), Some(EnvelopeMode::Verify));
    assert_eq!(mode(&permit, "office"), Some(EnvelopeMode::Seal));
    assert_eq!(mode(&permit, "$SYS/broker/uptime"), None, "the broker's own");
    assert!(policy.needs_keys());
    assert!(!everything("").needs_keys());
    assert!(!everything("[[envelope]]\ntopics = [\"a\"]\nmode = \"plain\"").needs_keys());
}

#[test]
fn what_is_asked_of_envelopes_is_as_written_or_strict() {
    let policy = everything(
        r#"[[envelope]]
           topics = ["a"]
           mode = "verify"
           [[envelope]]
           topics = ["b"]
           mode = "verify"
           encrypted_only = false
           max_age_seconds = 10
           max_skew_seconds = 0
           require_signature = true"#,
    );
    let permit = permit(&policy, &user("u"), "c");
    let terms = permit.envelope(name("a")).expect("terms");
    assert!(terms.encrypted_only);
    assert_eq!((terms.max_age.as_secs(), terms.max_skew.as_secs()), (300, 60));
    assert!(!terms.require_signature);
    let terms = permit.envelope(name("b")).expect("terms");
    assert!(!terms.encrypted_only);
    assert_eq!((terms.max_age, terms.max_skew), (Duration::from_secs(10), Duration::ZERO));
    assert_eq!(terms.to_string(), "mode \"verify\", signed, 10 s old at most and 0 s ahead");
}

#[test]
fn a_rule_that_requires_envelopes_holds_only_where_they_are_verified() {
    let rules = r##"{ allow = ["publish"], topics = ["#"], envelope = "required" }"##;
    let tables = "[[envelope]]\ntopics = [\"a/#\"]\nmode = \"verify\"\n\
                  [[envelope]]\ntopics = [\"b/#\"]\nmode = \"seal\"\n";
    let policy = policy(&with(tables, rules));
    let permit = permit(&policy, &user("u"), "c");
    assert!(publishes(&permit, "a/x"));
    assert!(!publishes(&permit, "b/x") && !publishes(&permit, "c/x"));
    assert_eq!(permit.largest_payload(name("a/x"), AtMostOnce, false), Some(u32::MAX));
    assert_eq!(permit.largest_payload(name("c/x"), AtMostOnce, false), None);
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let asked = |topic| {
        let topic = name(topic);
        let request = Request::Publish { topic, qos: AtMostOnce, retain: false, bytes: 0 };
        policy.explain(&subject, &request)
    };
    assert!(asked("a/x").allowed);
    assert_eq!(asked("a/x").envelope.map(|terms| terms.line), Some(9));
    assert_eq!(asked("c/x").others[0].why, Aside::Envelope);
    let Description::Rule { text, .. } = asked("a/x").by else { panic!("a rule") };
    assert!(text.ends_with("envelope = \"required\" }"), "{text}");
}

#[test]
fn opening_is_a_permission_of_its_own_that_can_be_denied() {
    let tables = "[[envelope]]\ntopics = [\"#\"]\nmode = \"seal\"\n";
    let policy = policy(&with(
        tables,
        r##"{ allow = ["subscribe"], topics = ["#"] },
            { allow = ["open"], topics = ["a/#", "own/${username}"] },
            { deny = ["open"], topics = ["a/secret"] }"##,
    ));
    let permit = permit(&policy, &user("u"), "c");
    let opens = |topic| permit.open(name(topic)).allowed;
    assert!(opens("a/x") && opens("own/u"));
    assert!(!opens("a/secret") && !opens("own/other") && !opens("b"));
    assert!(receives(&permit, "a/secret"), "sealed");
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
}

#[test]
fn what_a_table_cannot_mean_is_an_error_with_its_place() {
    for (table, error) in [
        ("topics = [\"a\"]", "an [[envelope]] table needs a mode, like mode = \"verify\""),
        ("mode = \"seal\"", "an [[envelope]] table needs topics"),
        ("topics = [\"a\"]\nmode = \"open\"", "\"open\" is no mode, only plain, verify, seal"),
        ("topics = [\"$SYS/#\"]\nmode = \"seal\"", "the broker's own, which it never seals"),
        ("topics = [\"a/${username}\"]\nmode = \"seal\"", "write + in place of a name"),
        ("topics = [\"a/#/b\"]\nmode = \"seal\"", "'#' stands alone in the last level"),
        ("topics = [\"a\"]\nmode = \"seal\"\nencrypted_only = true", "only of mode \"verify\""),
        ("topics = [\"a\"]\nmode = \"verify\"\nencrypted_only = 1", "true or false"),
        ("topics = [\"a\"]\nmode = \"verify\"\nmax_age_seconds = 0", "a number from 1 to"),
        ("topics = [\"a\"]\nmode = \"verify\"\nkey = \"x\"", "has no key \"key\""),
    ] {
        let found = errors(&with(&format!("[[envelope]]\n{table}\n"), ""));
        assert!(found.iter().any(|it| it.contains(error)), "{table}: {found:?}");
    }
    for (rule, error) in [
        (r#"{ deny = ["publish"], topics = ["a"], envelope = "required" }"#, "leave it out here"),
        (r#"{ allow = ["open"], topics = ["a"], envelope = "required" }"#, "leave it out here"),
        (r#"{ allow = ["publish"], topics = ["a"], envelope = "yes" }"#, "is \"required\", or"),
        (r#"{ allow = ["publish"], topics = ["a"], envelope = true }"#, "text in quotes"),
    ] {
        let found = errors(&with("", rule));
        assert!(found.iter().any(|it| it.contains(error)), "{rule}: {found:?}");
    }
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let tables = "[[envelope]]\ntopics = [\"a/#\"]\nmode = \"verify\"\n\
                  [[envelope]]\ntopics = [\"a/b\", \"c\"]\nmode = \"plain\"\n";
    let policy = policy(&with(
        tables,
        r#"{ allow = ["publish"], topics = ["${username}/x"], envelope = "required" },
           { allow = ["publish"], topics = ["c"], envelope = "required" },
           { allow = ["open"], topics = ["a/b"] }"#,
    ));
    let warnings: Vec<_> = policy.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("line 5: the rule allows nothing"), "{warnings:?}");
    assert!(warnings[1].starts_with("line 6: there is nothing to open"), "{warnings:?}");
    assert!(warnings[2].starts_with("line 14: \"a/b\" has no effect here"), "{warnings:?}");
    assert!(warnings[2].ends_with("on line 11"), "{warnings:?}");
}
