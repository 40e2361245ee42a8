//! The limits of roles.

use std::num::NonZeroU32;

use super::*;

#[test]
fn the_narrowest_of_the_roles_holds_and_what_a_role_says_goes_before_what_it_inherits() {
    let policy = policy(
        r##"
[[role]]
name = "gateway"
inherits = ["base"]
limits = { max_sessions = 50 }
[[role]]
name = "base"
rules = []
[role.limits]
max_sessions = 2
max_inflight = 8
[[role]]
name = "narrow"
limits = { max_sessions = 10, max_subscriptions = 1 }
[[assign]]
users = ["gateway", "both"]
roles = ["gateway"]
[[assign]]
users = ["both"]
roles = ["narrow"]
"##,
    );
    let limits = |name: &str| *permit(&policy, &user(name), "c").limits();
    let some = NonZeroU32::new;
    let mut wanted = Limits { max_sessions: some(50), max_inflight: some(8), ..Limits::default() };
    assert_eq!(limits("gateway"), wanted);
    wanted.max_sessions = some(10);
    wanted.max_subscriptions = some(1);
    assert_eq!(limits("both"), wanted);
    assert_eq!(limits("nobody"), Limits::default());
}

#[test]
fn a_limit_is_a_positive_number_of_something_known() {
    let text = "[[role]]\nname = \"r\"\n[role.limits]\nmax_sessions = 0\nmax_rate = 1\n\
                max_inflight = \"8\"\n[[assign]]\neveryone = true\nroles = [\"r\"]\n";
    assert_eq!(
        errors(text),
        [
            "line 4, column 16: max_sessions is a number from 1 to 4294967295, without quotes",
            "line 5, column 1: limits has no key \"max_rate\", only max_sessions, \
             max_subscriptions, max_inflight, max_queued_messages, max_queued_bytes",
            "line 6, column 16: max_inflight is a number from 1 to 4294967295, without quotes",
        ]
    );
}
