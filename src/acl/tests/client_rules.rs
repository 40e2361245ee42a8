//! Rules that one client has beside the policy.

use serde_json::json;

use super::*;

fn own(json: &str) -> Result<ClientRules, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The permit of `u` under a policy of `policy`, with the rules `json` of its own.
fn permit_of(policy: &str, json: &str) -> Permit {
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let own = own(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    rules(policy).permit(&subject).with_rules(&own, &subject)
}

const NO_RULES: &str = r#"{ deny = ["publish"], topics = ["none"] },"#;

#[test]
fn what_a_client_has_to_itself_adds_to_the_policy_and_a_deny_of_either_decides() {
    let permit = permit_of(
        r#"{ allow = ["publish"], topics = ["shared/#"] }, { deny = ["publish"], topics = ["+/no"] },"#,
        r#"[{"allow": ["publish", "subscribe"], "topics": ["own/${username}/${client_id}/#", "own/no"]},
            {"deny": ["publish"], "topics": ["shared/secret"]}]"#,
    );
    for (topic, allowed) in [
        ("shared/a", true),
        ("own/u/c/a", true),
        ("own/u/d/a", false),
        ("own/no", false),
        ("shared/secret", false),
        ("other", false),
        ("$SYS/a", false),
    ] {
        assert_eq!(publishes(&permit, topic), allowed, "{topic}");
    }
    assert!(receives(&permit, "own/u/c") && !receives(&permit, "shared/a"));
    let said =
        |topic| permit.describe(permit.publish(name(topic), AtMostOnce, false, 0).rule).to_string();
    assert_eq!(
        said("shared/secret"),
        r#"rule 2 of those that came with its login: { deny = ["publish"], topics = ["shared/secret"] }"#
    );
    assert_eq!(said("own/no"), r#"line 4, role "r": { deny = ["publish"], topics = ["+/no"] }"#);
    assert!(said("$SYS/a").contains("reserved-topics"));
}

#[test]
fn rules_of_a_client_limit_what_rules_of_a_policy_do() {
    let permit = permit_of(
        NO_RULES,
        r#"[{"allow": ["publish"], "topics": ["a"], "max_qos": 1, "retain": false, "max_payload_bytes": 10},
            {"deny": ["publish"], "topics": ["b"], "retain": true},
            {"allow": ["publish", "subscribe"], "topics": ["b", "c"]},
            {"allow": ["receive"], "topics": ["c"]}]"#,
    );
    let may = |topic, qos, retain, bytes| permit.publish(name(topic), qos, retain, bytes).allowed;
    assert!(may("a", AtLeastOnce, false, 10));
    assert!(!may("a", ExactlyOnce, false, 10) && !may("a", AtMostOnce, true, 10));
    assert!(!may("a", AtMostOnce, false, 11));
    assert!(may("b", ExactlyOnce, false, 0) && !may("b", AtMostOnce, true, 0));
    assert!(receives(&permit, "c") && !receives(&permit, "b"));
}

#[test]
fn an_unsafe_name_closes_what_a_rule_of_the_client_denies_by_it() {
    let (principal, client_id) = (user("#"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let json = r#"[{"allow": ["publish"], "topics": ["a", "${username}"]},
                   {"deny": ["publish"], "topics": ["x/${username}"]}]"#;
    let open = rules(r##"{ allow = ["publish"], topics = ["#"] },"##);
    let permit = open.permit(&subject).with_rules(&own(json).expect("rules"), &subject);
    assert!(!publishes(&permit, "a") && !publishes(&permit, "b"));
}

#[test]
fn what_is_no_rule_is_refused_with_all_of_them() {
    let levels = format!(r#"[{{"allow": ["publish"], "topics": ["{}"]}}]"#, "/".repeat(2_048));
    let rule = r#"{"allow": ["publish"], "topics": ["a"]}"#;
    let many = format!("[{}]", vec![rule; 257].join(","));
    for (json, fault) in [
        (r#"[{"topics": ["a"]}]"#, "rule 1: it either allows or denies"),
        (r#"[{"allow": ["publish"], "deny": ["publish"], "topics": ["a"]}]"#, "rule 1: it either"),
        (r#"[{"allow": [], "topics": ["a"]}]"#, "rule 1: an empty list"),
        (r#"[{"allow": ["publish"], "topics": []}]"#, "rule 1: an empty list"),
        (r#"[{"allow": ["publish"]}]"#, "missing field `topics`"),
        (r#"[{"allow": ["read"], "topics": ["a"]}]"#, "unknown variant `read`"),
        (r#"[{"allow": ["publish"], "topics": ["a"], "qos": 1}]"#, "unknown field `qos`"),
        (r##"[{"allow": ["publish"], "topics": ["#/a"]}]"##, "rule 1: topic \"#/a\""),
        (r#"[{"allow": ["publish"], "topics": ["$share/g/a"]}]"#, "a share is judged"),
        (r#"[{"allow": ["publish"], "topics": ["${user}"]}]"#, "there is no ${user}"),
        (r#"[{"allow": ["publish"], "topics": ["a"], "max_qos": 3}]"#, "max_qos is 0, 1 or 2"),
        (r#"[{"deny": ["publish"], "topics": ["a"], "max_qos": 1}]"#, "what a rule allows"),
        (r#"[{"deny": ["publish"], "topics": ["a"], "retain": false}]"#, "takes \"retain\": true"),
        (r#"[{"allow": ["subscribe"], "topics": ["a"], "retain": true}]"#, "about publishing"),
        (r#"[{"deny": ["publish"], "topics": ["a"], "max_payload_bytes": 1}]"#, "to publish"),
        (&levels, "at most 2,048 levels"),
        (&many, "at most 256 rules"),
        (r#"{"allow": ["publish"]}"#, "invalid type: map"),
    ] {
        let said = own(json).err().unwrap_or_default();
        assert!(said.contains(fault), "{said:?} is not {fault:?}");
    }
    assert!(own("[]").is_ok());
}

/// Effect, topic, highest QoS and largest payload of one rule.
type Random = (bool, String, u8, Option<u32>);

fn random() -> impl Strategy<Value = Vec<Random>> {
    let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just("${username}")];
    let topic =
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, hash)| {
            levels.extend(hash.then_some("#"));
            levels.join("/")
        });
    let payload = prop_oneof![2 => Just(None), 1 => Just(Some(10))];
    prop::collection::vec((prop::bool::weighted(0.8), topic, 0..3_u8, payload), 0..5)
}

fn in_toml(rules: &[Random]) -> String {
    let rule = |(allow, topic, qos, bytes): &Random| match (allow, bytes) {
        (false, _) => format!("{{ deny = [\"publish\", \"subscribe\"], topics = [{topic:?}] }},\n"),
        (true, bytes) => format!(
            "{{ allow = [\"publish\", \"subscribe\"], topics = [{topic:?}], max_qos = {qos}{} }},\n",
            bytes.map(|bytes| format!(", max_payload_bytes = {bytes}")).unwrap_or_default()
        ),
    };
    rules.iter().map(rule).collect()
}

fn in_json(rules: &[Random]) -> String {
    let rule = |(allow, topic, qos, bytes): &Random| {
        let actions = ["publish", "subscribe"];
        match allow {
            false => json!({"deny": actions, "topics": [topic]}),
            true => json!({
                "allow": actions, "topics": [topic], "max_qos": qos, "max_payload_bytes": bytes,
            }),
        }
    };
    serde_json::Value::from_iter(rules.iter().map(rule)).to_string()
}

proptest! {
    #[test]
    fn a_client_with_rules_of_its_own_is_as_one_that_holds_them_by_a_role(
        of_policy in random(), of_client in random(), asked in "[ab+]/[ab]|[ab]|a/#|#|[ab]/[ab+]/u",
        qos in 0..3_u8, bytes in 0..20_usize,
    ) {
        let base = format!("{NO_RULES}{}", in_toml(&of_policy));
        let apart = permit_of(&base, &in_json(&of_client));
        let role = |name: &str, rules: &str| format!(
            "[[role]]\nname = \"{name}\"\nrules = [\n{NO_RULES}\n{rules}]\n"
        );
        let text = format!(
            "{}{}[[assign]]\neveryone = true\nroles = [\"a\", \"b\"]\n",
            role("a", &in_toml(&of_policy)), role("b", &in_toml(&of_client)),
        );
        let together = permit(&policy(&text), &user("u"), "c");
        prop_assert_eq!(granted(&apart, &asked), granted(&together, &asked));
        let topic = asked.replace('+', "a").replace('#', "b");
        let qos = crate::message::QoS::from_bits(qos).expect("a QoS");
        let publishes = |permit: &Permit| permit.publish(name(&topic), qos, false, bytes).allowed;
        prop_assert_eq!(publishes(&apart), publishes(&together));
        prop_assert_eq!(receives(&apart, &topic), receives(&together, &topic));
        prop_assert_eq!(
            apart.largest_payload(name(&topic), qos, false),
            together.largest_payload(name(&topic), qos, false)
        );
    }
}

#[test]
fn rules_are_written_as_they_were_read() {
    let written = r#"[{"allow":["publish","receive"],"topics":["a/${username}/#"],"max_qos":1,"retain":false,"max_payload_bytes":10},{"deny":["publish"],"topics":["b","c"],"retain":true},{"allow":["subscribe","open"],"topics":["+/c"]}]"#;
    let rules = own(written).unwrap();
    assert_eq!(serde_json::to_string(&rules).unwrap(), written);
}
