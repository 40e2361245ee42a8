//! What a policy file may be, and what it may not.

use super::*;

const SAMPLES: [&str; 3] = [
    include_str!("../../../acl/policy.toml"),
    include_str!("../../../acl/open.toml"),
    include_str!("../../../acl/fleet.toml"),
];

#[test]
fn r06_a_policy_without_content_is_an_error_with_its_line() {
    let nothing = "no role is assigned, so everybody is shut out: add an [[assign]] table";
    for (text, place) in [
        ("", "line 1, column 1"),
        ("\u{feff}", "line 1, column 1"),
        ("\r\n\r\n", "line 1, column 1"),
        ("# a\n# b\n", "line 2, column 4"),
        ("[[role]]\nname = \"a\"\nrules = []\n", "line 3, column 11"),
    ] {
        assert_eq!(errors(text), [format!("{place}: {nothing}")], "{text:?}");
    }
    assert!(!errors("\0").is_empty() && !errors("\u{feff}\u{feff}[[role]]").is_empty());
    assert!(!errors("user device1\ntopic readwrite #\n").is_empty());
}

#[test]
fn r06_crlf_and_a_byte_order_mark_change_nothing() {
    for sample in SAMPLES {
        let dressed = format!("\u{feff}{}", sample.replace('\n', "\r\n"));
        let (plain, dressed) = (policy(sample), policy(&dressed));
        assert_eq!(plain.size(), dressed.size());
        for id in (0..plain.size().rules).map(RuleId::of_index) {
            assert_eq!(plain.describe(id), dressed.describe(id));
        }
    }
    let bad = "\u{feff}[[role]]\r\nname = 1\r\nrules = []\r\n[[assign]]\r\nusers = [\"u\"]\r\nroles = [\"x\"]";
    assert_eq!(
        errors(bad),
        [
            "line 2, column 8: name takes text in quotes, not this integer",
            "line 6, column 10: there is no role \"x\": correct its name, or add a [[role]] of \
                 that name",
        ]
    );
}

#[test]
fn r06_a_doubled_file_is_an_error_that_names_both_lines() {
    for sample in SAMPLES {
        let errors = errors(&format!("{sample}{sample}"));
        assert!(
            errors.iter().any(|error| error.contains("is there already, on line")),
            "{errors:?}"
        );
    }
}

#[test]
fn r06_a_file_cut_short_anywhere_is_an_error_or_opens_nothing_more() {
    let principals = [
        Principal::Anonymous,
        user("admin"),
        user("device1"),
        user("olga"),
        Principal::Certificate("lamp-1".into()),
        Principal::Certificate("gateway-7".into()),
    ];
    let topics = [
        "a",
        "devices/device1/x",
        "devices/lamp-1/state",
        "devices/a/secret",
        "broadcast/x",
        "$SYS/x",
    ];
    for sample in SAMPLES {
        let whole = policy(sample);
        for cut in (0..sample.len()).filter(|cut| sample.is_char_boundary(*cut)) {
            let Ok(part) = Policy::parse(&sample[..cut]) else { continue };
            for (principal, topic) in principals.iter().flat_map(|p| topics.map(|t| (p, t))) {
                let (part, whole) = (permit(&part, principal, "c"), permit(&whole, principal, "c"));
                assert!(!publishes(&part, topic) || publishes(&whole, topic), "{cut} {topic}");
                assert!(!receives(&part, topic) || receives(&whole, topic), "{cut} {topic}");
            }
        }
    }
}

#[test]
fn every_error_is_reported_with_its_place_and_its_remedy() {
    let text = r##"
[[role]]
name = "a"
colour = "red"
rules = [
  { allow = ["publish", "write"], topics = ["a/#/b", "a/${user}"], max_qos = 3 },
  { allow = ["publish"], deny = ["publish"], topics = ["a"] },
  { topics = ["a"] },
  { deny = ["publish"], max_qos = 1, retain = false },
  { allow = ["subscribe"], topics = [], retain = true },
  "publish #",
]
[[role]]
name = "a"
[[assign]]
users = ["gw-*", ""]
client_ids = ["*", "a*b"]
anonymous = false
roles = ["b"]
[[assign]]
roles = "a"
[general]
"##;
    let found = errors(text);
    let expected = [
        "line 4, column 1: a [[role]] table has no key \"colour\", only name, description, inherits, rules, limits",
        "line 6, column 25: \"write\" is no action: write publish, subscribe, receive or open",
        "line 6, column 45: topic \"a/#/b\": '#' stands alone in the last level, '+' alone in its level",
        "line 6, column 54: topic \"a/${user}\": there is no ${user}: write ${username} or ${client_id}",
        "line 6, column 78: max_qos is 0, 1 or 2, without quotes",
        "line 7, column 3: a rule allows or denies: make two rules of this one",
        "line 8, column 3: a rule needs what it allows or denies, like allow = [\"publish\"]",
        "line 9, column 3: a rule in braces needs topics, like topics = [\"a/#\"]",
        "line 9, column 35: max_qos limits what a rule allows: put it there, or leave it out here",
        "line 9, column 47: a deny rule takes retain = true, to deny retained messages alone: leave it out to deny all",
        "line 10, column 37: topics is an empty list: fill it or leave it out",
        "line 10, column 50: retain is about publishing: leave it out here",
        "line 11, column 3: rules takes a rule in braces, not this string",
        "line 13, column 1: a [[role]] table needs rules = [ … ]",
        "line 14, column 8: role \"a\" is there already, on line 2: join the two or rename one",
        "line 16, column 10: names are exact, without '*': name each, or write everyone = true",
        "line 16, column 18: a name is not empty",
        "line 17, column 15: '*' alone is everybody: write everyone = true",
        "line 17, column 20: '*' stands only at the end: write \"gw-*\"",
        "line 18, column 13: anonymous is true, or is left out",
        "line 19, column 10: there is no role \"b\": correct its name, or add a [[role]] of that name",
        "line 20, column 1: nobody is named: add users, groups, certificates, client_ids, certificate, unix, claims, http, anonymous = true or everyone = true",
        "line 21, column 9: roles takes a list of strings, in brackets, not this string",
        "line 22, column 2: a policy has no key \"general\", only role, group, assign, envelope",
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_error_of_syntax_is_reported_too() {
    let found =
        errors("[[role]]\nname = \nrules = [\n]\n[[assign]]\nusers = [\"a\" \"b\"]\nroles = x\n");
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().all(|error| error.contains("this is not TOML")), "{found:?}");
    assert!(found[0].starts_with("line 2,"), "{found:?}");
}

#[test]
fn a_file_beyond_all_measure_is_refused_unread() {
    let text = "#".repeat(MAX_POLICY_BYTES + 1);
    assert_eq!(errors(&text).len(), 1);
}

#[test]
fn what_probably_is_a_mistake_is_a_warning() {
    assert!(SAMPLES.iter().all(|sample| policy(sample).warnings().is_empty()));
    let policy = policy(
        r#"[[role]]
name = "idle"
rules = []
[[role]]
name = "own"
rules = [
  { allow = ["publish"], topics = ["d/${client_id}"] },
  { deny = ["publish"], topics = ["d/${username}/x"] },
]
[[assign]]
client_ids = ["gw-*"]
roles = ["own"]
[[assign]]
anonymous = true
roles = ["own"]"#,
    );
    let lines: Vec<u32> = policy.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [1, 7, 10, 13]);
    assert_eq!(
        policy.warnings()[0].to_string(),
        "line 1: role \"idle\" is assigned to nobody: assign it or remove it"
    );
}

proptest! {
    #[test]
    fn no_text_whatever_breaks_the_reader(text in "([\\[\\]{}=\",a\n#$ ]|role|assign|rules|allow|topics|name){0,40}") {
        if let Err(errors) = Policy::parse(&text) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.iter().all(|error| error.line >= 1 && error.column >= 1));
        }
    }
}
