//! What may be received where it is not said, and where it is.

use super::*;

#[test]
fn who_may_subscribe_receives_unless_its_role_says_itself_what() {
    let implied = rules(r##"{ allow = ["subscribe"], topics = ["a/#"] },"##);
    assert!(receives(&permit(&implied, &user("u"), "c"), "a/b"));
    let said = rules(
        r##"{ allow = ["subscribe"], topics = ["#"] },
            { allow = ["receive"], topics = ["a/#"] },"##,
    );
    let permit = permit(&said, &user("u"), "c");
    assert!(granted(&permit, "#").is_some());
    assert!(receives(&permit, "a/b") && !receives(&permit, "b"));
}

#[test]
fn a_role_that_speaks_of_receiving_speaks_for_itself_alone() {
    let policy = policy(
        r##"
[[role]]
name = "explicit"
rules = [{ allow = ["subscribe"], topics = ["#"] }, { allow = ["receive"], topics = ["a"] }]
[[role]]
name = "implied"
rules = [{ allow = ["subscribe"], topics = ["b"] }]
[[assign]]
everyone = true
roles = ["explicit", "implied"]
"##,
    );
    let permit = permit(&policy, &user("u"), "c");
    assert!(receives(&permit, "a") && receives(&permit, "b") && !receives(&permit, "z"));
}

#[test]
fn who_may_not_subscribe_does_not_receive_by_a_wider_filter_either() {
    let policy = rules(
        r##"{ allow = ["subscribe", "receive"], topics = ["#"] },
            { deny = ["subscribe"], topics = ["a/#"] },
            { deny = ["receive"], topics = ["b"] },"##,
    );
    let permit = permit(&policy, &user("u"), "c");
    assert!(receives(&permit, "z") && !receives(&permit, "a/b") && !receives(&permit, "b"));
    assert!(granted(&permit, "b").is_some(), "subscribing to it is not denied");
    assert!(granted(&permit, "a/b").is_none());
}
