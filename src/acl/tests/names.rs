//! Names of clients in topics never widen what is allowed, nor narrow what is denied.

use super::*;

const OWN: &str = r##"{ allow = ["publish", "subscribe"], topics = ["d/${username}/#"] },"##;
const ALL_BUT_OWN: &str = r##"{ allow = ["publish", "subscribe"], topics = ["#", "$SYS/#"] },
    { deny = ["subscribe"], topics = ["d/${username}/#"] },"##;

#[test]
fn an_unsafe_name_makes_a_deny_rule_deny_its_whole_action() {
    let policy = rules(ALL_BUT_OWN);
    for principal in [user("a/b"), user("#"), user("$x"), user(""), Principal::Anonymous] {
        let permit = permit(&policy, &principal, "c");
        assert!(!receives(&permit, "z") && !receives(&permit, "$SYS/x"), "{principal}");
        assert_eq!(granted(&permit, "$SYS/#"), None, "{principal}");
        assert!(publishes(&permit, "z"), "another action is not concerned: {principal}");
    }
    assert!(receives(&permit(&policy, &user("lamp"), "c"), "z"));
}

proptest! {
    #[test]
    fn r01_no_name_reaches_more_than_one_level_of_its_own(
        user_name in "[ab/+#$\0 ]{0,4}",
        topic in prop::collection::vec("[ab$ ]{0,2}", 1..4).prop_map(|levels| levels.join("/")),
    ) {
        prop_assume!(!topic.is_empty());
        let permit = permit(&rules(OWN), &user(&user_name), "c");
        let own = {
            let mut levels = topic.split('/');
            levels.next() == Some("d") && levels.next() == Some(&*user_name)
        };
        prop_assert!(!publishes(&permit, &topic) || own);
        prop_assert!(!receives(&permit, &topic) || own);
        let below = format!("d/{topic}");
        let own = topic.split('/').next() == Some(&*user_name);
        prop_assert!(!receives(&permit, &below) || own);
    }

    #[test]
    fn r01_no_name_escapes_a_deny_rule(user_name in "[ab/+#$\0 ]{0,4}") {
        let permit = permit(&rules(ALL_BUT_OWN), &user(&user_name), "c");
        for topic in [format!("d/{user_name}"), format!("d/{user_name}/x")] {
            if let Ok(topic) = TopicNameRef::parse(&topic) {
                prop_assert!(!permit.receive(topic).allowed, "{topic}");
            }
        }
        if let Ok(filter) = TopicFilterRef::parse(&format!("d/{user_name}/#")) {
            let refused = matches!(permit.subscribe(filter), SubscribeDecision::Refused { .. });
            prop_assert!(refused, "{filter}");
        }
    }
}
