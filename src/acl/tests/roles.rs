//! Roles that inherit, and groups of users.

use super::*;

const ROLES: &str = r##"
[[role]]
name = "engineer"
inherits = ["operator"]
rules = [{ allow = ["publish"], topics = ["setup/#"] }]

[[role]]
name = "operator"
inherits = ["guest", "closed"]
rules = [{ allow = ["publish"], topics = ["commands/#"] }]

[[role]]
name = "guest"
rules = [{ allow = ["publish"], topics = ["hello"] }]

[[role]]
name = "closed"
rules = [{ deny = ["publish"], topics = ["commands/stop"] }]

[[group]]
name = "staff"
members = ["stella"]
groups = ["engineers"]

[[group]]
name = "engineers"
members = ["edgar", "eva"]

[[assign]]
groups = ["engineers"]
roles = ["engineer"]

[[assign]]
groups = ["staff"]
users = ["gustav"]
roles = ["guest"]
"##;

#[test]
fn a_role_has_the_rules_of_all_that_it_inherits() {
    let policy = policy(ROLES);
    for (name, topics) in [
        ("edgar", &["setup/x", "commands/x", "hello"][..]),
        ("eva", &["setup/x", "commands/x", "hello"]),
        ("stella", &["hello"]),
        ("gustav", &["hello"]),
        ("staff", &[]),
    ] {
        let permit = permit(&policy, &user(name), "c");
        for topic in ["setup/x", "commands/x", "hello", "commands/stop"] {
            assert_eq!(publishes(&permit, topic), topics.contains(&topic), "{name} {topic}");
        }
    }
    assert_eq!(policy.warnings(), [], "a role that is inherited is not idle");
}

#[test]
fn members_are_users_and_nobody_else_of_that_name() {
    let policy = policy(ROLES);
    for principal in [Principal::Certificate("edgar".into()), Principal::Anonymous] {
        assert!(!publishes(&permit(&policy, &principal, "edgar"), "hello"), "{principal}");
    }
}

#[test]
fn circles_and_unknown_names_are_errors_with_their_lines() {
    let text = r#"[[role]]
name = "a"
inherits = ["b"]
[[role]]
name = "b"
inherits = ["c", "x"]
[[role]]
name = "c"
inherits = ["b"]
[[group]]
name = "g"
groups = ["g", "y"]
[[group]]
name = "g"
[[assign]]
groups = ["z"]
roles = ["a"]
"#;
    assert_eq!(
        errors(text),
        [
            "line 6, column 12: a role does not inherit itself, be it by others: b, c lead back to \
             the first",
            "line 6, column 18: there is no role \"x\": correct its name, or add a [[role]] of that \
             name",
            "line 12, column 16: there is no group \"y\": correct its name, or add a [[group]] of \
             that name",
            "line 13, column 1: a [[group]] table needs members, like members = [\"olga\"]",
            "line 13, column 1: group \"g\" is there already: join the two or rename one",
            "line 16, column 11: there is no group \"z\": correct its name, or add a [[group]] of \
             that name",
        ]
    );
    let circle = "[[role]]\nname = \"r\"\nrules = []\n[[group]]\nname = \"g\"\ngroups = [\"g\"]\n\
                  [[assign]]\neveryone = true\nroles = [\"r\"]\n";
    assert_eq!(
        errors(circle),
        [
            "line 6, column 10: a group is not part of itself, be it by others: g lead back to the first"
        ]
    );
}
