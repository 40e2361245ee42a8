//! What a Mosquitto ACL file says, line by line, and what it must not say.

use proptest::prelude::*;

use crate::acl::{Policy, Subject, SubscribeDecision};
use crate::identity::{ClientId, Principal};
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

fn policy(text: &str) -> Policy {
    Policy::parse_mosquitto(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = Policy::parse_mosquitto(text).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn user(name: &str) -> Principal {
    Principal::User(name.into())
}

/// Whether it may write to `topic`, and read from it.
fn access(policy: &Policy, principal: &Principal, client_id: &str, topic: &str) -> (bool, bool) {
    let client_id = ClientId::new(client_id);
    let permit = policy.permit(&Subject::named(principal, &client_id));
    let topic = TopicNameRef::parse(topic).expect("a topic name");
    (permit.publish(topic, QoS::ExactlyOnce, true, 0).allowed, permit.receive(topic).allowed)
}

const NOTHING: (bool, bool) = (false, false);
const WRITE: (bool, bool) = (true, false);
const READ: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

#[test]
fn sections_are_for_those_without_a_name_and_for_users_however_they_prove_it() {
    let policy = policy(
        "topic read news\n# of ann\nuser ann\ntopic write up\nuser  Bob Builder \ntopic both\n\
         user ann\ntopic read down\n",
    );
    let certificate = Principal::Certificate("ann".into());
    for (principal, topic, expected) in [
        (&Principal::Anonymous, "news", READ),
        (&user("ann"), "news", NOTHING),
        (&user("ann"), "up", WRITE),
        (&user("ann"), "down", READ),
        (&certificate, "up", WRITE),
        (&user("Bob Builder"), "both", BOTH),
        (&user("bob builder"), "both", NOTHING),
        (&Principal::Anonymous, "up", NOTHING),
    ] {
        assert_eq!(access(&policy, principal, "c", topic), expected, "{principal} {topic}");
    }
}

#[test]
fn patterns_are_for_everybody_wherever_they_stand() {
    let policy =
        policy("user ann\npattern read %u/down/%c\ntopic write up\npattern write in/%c/#\n");
    assert_eq!(access(&policy, &user("bob"), "c", "bob/down/c"), READ);
    assert_eq!(access(&policy, &user("bob"), "c", "bob/down/d"), NOTHING);
    assert_eq!(access(&policy, &user("bob"), "c", "up"), NOTHING);
    assert_eq!(access(&policy, &Principal::Anonymous, "c", "in/c/x"), WRITE);
    assert_eq!(access(&policy, &Principal::Anonymous, "c", "%u/down/c"), NOTHING);
}

#[test]
fn topic_lines_decide_before_patterns_and_a_deny_first_among_its_own() {
    let policy = policy(
        "user ann\ntopic read kept/x\ntopic readwrite own/#\ntopic deny own/x\n\
         pattern deny kept/#\npattern readwrite own/#\npattern deny own/%u\n",
    );
    for (topic, ann, bob) in [
        ("kept/x", READ, NOTHING),
        ("kept/y", NOTHING, NOTHING),
        ("own/x", NOTHING, BOTH),
        ("own/ann", BOTH, BOTH),
        ("own/bob", BOTH, NOTHING),
    ] {
        assert_eq!(access(&policy, &user("ann"), "c", topic), ann, "{topic}");
        assert_eq!(access(&policy, &user("bob"), "c", topic), bob, "{topic}");
    }
}

#[test]
fn a_topic_line_takes_its_topic_as_it_is() {
    let policy = policy("user ann\ntopic a/%u\ntopic read b c  d \ntopic x/${username}\n");
    assert_eq!(access(&policy, &user("ann"), "c", "a/%u"), BOTH);
    assert_eq!(access(&policy, &user("ann"), "c", "a/ann"), NOTHING);
    assert_eq!(access(&policy, &user("ann"), "c", "b c  d"), READ);
    assert_eq!(access(&policy, &user("ann"), "c", "x/${username}"), BOTH);
    assert_eq!(access(&policy, &user("ann"), "c", "x/ann"), NOTHING);
    assert_eq!(policy.warnings().len(), 1);
}

#[test]
fn a_subscription_is_granted_where_something_can_be_delivered() {
    let policy = policy("user ann\ntopic read a/+\ntopic deny a/secret\ntopic write w\n");
    let (principal, client_id) = (user("ann"), ClientId::new("c"));
    let permit = policy.permit(&Subject::named(&principal, &client_id));
    for (filter, granted) in [
        ("#", true),
        ("a/#", true),
        ("a/b", true),
        ("a/secret", false),
        ("w", false),
        ("b/#", false),
    ] {
        let decision = permit.subscribe(TopicFilterRef::parse(filter).expect("a filter"));
        let is_granted = matches!(decision, SubscribeDecision::Granted { .. });
        assert_eq!(is_granted, granted, "{filter}");
    }
}

#[test]
fn r01_a_name_with_a_meaning_in_topics_is_never_put_into_a_pattern() {
    let policy = policy("pattern readwrite %u/#\npattern readwrite by-id/%c\nuser a+\ntopic own\n");
    for name in ["#", "+", "a/b", "$SYS", "a#", "/"] {
        for topic in ["a", "a/b", "x", "$SYS/x"] {
            assert_eq!(access(&policy, &user(name), "c", topic), NOTHING, "{name} {topic}");
            let topic = format!("by-id/{topic}");
            assert_eq!(access(&policy, &user("u"), name, &topic), NOTHING, "{name} {topic}");
        }
    }
    assert_eq!(access(&policy, &user("a+"), "c", "own"), BOTH);
}

#[test]
fn r01_a_deny_that_cannot_be_narrowed_closes_what_the_patterns_open() {
    let policy = policy("pattern deny private/%u/#\npattern readwrite public/#\n");
    assert_eq!(access(&policy, &user("ann"), "c", "public/x"), BOTH);
    assert_eq!(access(&policy, &user("a/b"), "c", "public/x"), NOTHING);
    assert_eq!(access(&policy, &Principal::Anonymous, "c", "public/x"), NOTHING);
}

#[test]
fn r06_a_file_without_a_rule_is_an_error_with_its_line() {
    let nothing =
        "there is no rule, so everybody is shut out: add `topic` or `pattern` lines".to_owned();
    for (text, place) in [
        ("", "line 1, column 1"),
        ("\u{feff}", "line 1, column 1"),
        ("\r\n\r\n", "line 1, column 1"),
        ("# a\n# b\n", "line 2, column 4"),
        ("user ann\n", "line 1, column 9"),
    ] {
        assert_eq!(errors(text), [format!("{place}: {nothing}")], "{text:?}");
    }
}

#[test]
fn r06_crlf_and_a_byte_order_mark_change_nothing() {
    let plain = "topic read a\nuser ann\ntopic deny b/c\npattern %u/#\n";
    let dressed = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    let (plain, dressed) = (policy(plain), policy(&dressed));
    assert_eq!(plain.size(), dressed.size());
    for topic in ["a", "b/c", "ann/x"] {
        for principal in [Principal::Anonymous, user("ann")] {
            let answers = [&plain, &dressed].map(|policy| access(policy, &principal, "c", topic));
            assert_eq!(answers[0], answers[1], "{topic}");
        }
    }
}

#[test]
fn r06_a_file_pasted_twice_is_an_error_that_names_both_lines() {
    let text = "topic read a\nuser ann\ntopic readwrite #\npattern read %u\n";
    let found = errors(&text.repeat(2));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("line 7, column 17: user ann has this rule already, on line 3"));
    assert!(found[1].starts_with("line 8, column 14: patterns has this rule already, on line 4"));
}

#[test]
fn r06_a_file_cut_within_a_line_is_an_error() {
    let text = "topic read a/b\nuser ann\ntopic deny b/secret\ntopic readwrite b/#\n# end\n";
    for cut in 1..text.len() {
        let whole_lines = text[..cut].ends_with('\n');
        let found = errors(&text[..cut]);
        assert_eq!(found.is_empty(), whole_lines, "{:?} {found:?}", &text[..cut]);
    }
}

#[test]
fn what_is_not_understood_is_an_error_with_its_place_and_remedy() {
    let text = "topics a\n\
        topic\n\
        topic read\n\
        topic subscribe a\n\
        \x20 # indented\n\
        topic\tread a\n\
        user\n\
        topic a/#/b\n\
        pattern %u%c/x\n\
        pattern read $SYS%u\n\
        topic read a+\n\
        topic read nul\0\n";
    let nothing = "is nothing that a line begins with: write user, topic or pattern; the # of a \
                   comment stands in the first column";
    let missing = "the topic is missing; where it is really called so, write readwrite before it";
    let control = "a tab or another control character: write spaces";
    let wildcard = "'#' stands alone in the last level, '+' alone in its level";
    assert_eq!(
        errors(text),
        [
            format!("line 1, column 1: \"topics\" {nothing}"),
            format!("line 2, column 6: {missing}"),
            format!("line 3, column 11: {missing}"),
            "line 4, column 7: \"subscribe\" is no access: write read, write, readwrite or deny, \
             and then the topic"
                .to_owned(),
            format!("line 5, column 3: \"#\" {nothing}"),
            format!("line 6, column 6: {control}"),
            "line 7, column 5: a name is missing: write it behind `user`".to_owned(),
            format!("line 8, column 7: topic \"a/#/b\": {wildcard}"),
            "line 9, column 9: topic \"%u%c/x\": two variables in one level could be taken for \
             each other: put '/' between them"
                .to_owned(),
            "line 10, column 14: topic \"$SYS%u\": a name is not part of a first level that begins \
             with '$': put '/' before it"
                .to_owned(),
            format!("line 11, column 12: topic \"a+\": {wildcard}"),
            format!("line 12, column 15: {control}"),
        ]
    );
}

#[test]
fn what_probably_is_a_mistake_is_a_warning() {
    let policy = policy(
        "user ann\ntopic read $share/g/a\ntopic write $x\npattern read all/#\npattern read %c\n",
    );
    let lines: Vec<_> = policy.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
}

proptest! {
    #[test]
    fn no_text_whatever_breaks_the_reader(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "user", "topic", "pattern", "read", "deny", "readwrite", " ", " ", "\n", "\r\n", "#",
                "%u", "%c", "%", "+", "/", "$SYS", "$share", "é", "\0", "\t", "a", "\u{feff}",
            ]),
            0..40,
        ),
        name in "[a#+/$%é]{0,3}",
    ) {
        let text: String = words.concat();
        match Policy::parse_mosquitto(&text) {
            Ok(policy) => {
                access(&policy, &user(&name), &name, "a/b");
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                let lines = text.split('\n').count();
                prop_assert!(errors.iter().all(|e| (1..=lines).contains(&(e.line as usize))));
            }
        }
    }
}
