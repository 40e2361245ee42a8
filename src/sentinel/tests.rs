//! Rules on streams of events, as they would come.

use std::time::Duration;

use super::*;
use crate::identity::{ClientId, Principal};

fn rules(text: &str) -> Vec<Rule> {
    #[derive(serde::Deserialize)]
    struct Written {
        rule: Vec<RuleSettings>,
    }
    let written: Written = toml::from_str(text).expect("rules");
    let settings = Settings { default_rules: false, ..Settings::default() };
    RuleSet::of(&settings, &written.rule).expect("rules that can be gone by").rules
}

fn sentinel(rules: Vec<Rule>, max_keys: usize) -> Sentinel {
    Sentinel::new(set_of(rules, max_keys), 1)
}

fn set_of(rules: Vec<Rule>, max_keys: usize) -> RuleSet {
    RuleSet { rules, max_keys, max_learned_keys: max_keys, ..RuleSet::default() }
}

/// An event from a line such as `login_refused.credentials principal=user:ann address=192.0.2.1`.
fn event(line: &str) -> Event {
    let mut words = line.split_whitespace();
    let what = words.next().expect("what has happened");
    let (kind, reason) = what.split_once('.').unwrap_or((what, ""));
    let kind = Kind::named(kind).expect("a kind of event");
    let reason = kind.reasons().iter().find(|it| **it == reason).copied().unwrap_or_default();
    let mut event = Event::new(kind, reason);
    for (name, value) in words.map(|word| word.split_once('=').expect("name=value")) {
        match name {
            "principal" => event.principal = Principal::parse(value),
            "client" => event.client = Some(ClientId::new(value)),
            "address" => event.address = value.parse().ok(),
            "listener" => event.listener = Some(value.into()),
            "topic" => event.topic = Some(value.into()),
            "times" => event.times = value.parse().expect("a number"),
            "number" => event.number = value.parse().expect("a number"),
            _ => panic!("{name}"),
        }
    }
    event
}

/// What is found in lines such as `12.5 connected client=a`, of which `12.5 x3 ...` stands for three.
fn findings(rules: Vec<Rule>, stream: &str) -> Vec<Finding> {
    let (mut sentinel, mut findings) = (sentinel(rules, 64), Vec::new());
    for line in stream.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (seconds, rest) = line.split_once(' ').expect("when and what");
        let at = Duration::from_secs_f64(seconds.parse().expect("seconds"));
        let (times, rest) = match rest.strip_prefix('x').and_then(|it| it.split_once(' ')) {
            Some((times, rest)) => (times.parse().expect("how often"), rest),
            None => (1, rest),
        };
        for _ in 0..times {
            sentinel.observe(at, &event(rest), &mut findings);
        }
    }
    findings
}

/// `value key`, of each.
fn said(findings: &[Finding]) -> Vec<String> {
    fn key(finding: &Finding) -> String {
        let values: Vec<_> = finding.key.iter().map(|(_, value)| value.as_str()).collect();
        values.join(" ")
    }
    findings.iter().map(|it| format!("{} {}", it.value, key(it))).collect()
}

const GUESSING: &str = r#"
    [[rule]]
    name = "guessing"
    events = ["login_refused.credentials"]
    per = ["address"]
    seconds = 60
    threshold = 3
    cool_down_seconds = 100
"#;

#[test]
fn a_rule_is_broken_by_who_does_it_often_enough_in_its_window() {
    let found = findings(
        rules(GUESSING),
        "0 x2 login_refused.credentials address=192.0.2.1
         1 x2 login_refused.credentials address=192.0.2.2
         2 x9 login_refused.busy address=192.0.2.1
         3 login_refused.credentials
         50 login_refused.credentials address=192.0.2.1
         90 login_refused.credentials address=192.0.2.2",
    );
    assert_eq!(said(&found), ["3 192.0.2.1"]);
}

#[test]
fn about_a_key_nothing_more_is_said_for_a_while() {
    let found = findings(
        rules(GUESSING),
        "0 x30 login_refused.credentials address=192.0.2.1
         99 x30 login_refused.credentials address=192.0.2.1
         99 x3 login_refused.credentials address=192.0.2.2
         100 login_refused.credentials address=192.0.2.1",
    );
    assert_eq!(said(&found), ["3 192.0.2.1", "3 192.0.2.2", "31 192.0.2.1"]);
}

#[test]
fn of_a_rule_that_is_broken_by_everybody_people_are_told_some_findings_and_their_number() {
    let (mut sentinel, mut findings) = (sentinel(rules(GUESSING), 64), Vec::new());
    for minute in [0, 60] {
        for address in 0..40 {
            let event = event(&format!("login_refused.credentials address=192.0.2.{address}"));
            let at = Duration::from_secs(minute + 100 * minute);
            (0..3).for_each(|_| sentinel.observe(at, &event, &mut findings));
        }
    }
    let untold: Vec<_> = findings.iter().map(|it| it.untold).collect();
    assert_eq!(untold.len(), 80);
    assert_eq!(untold.iter().flatten().count(), 60);
    assert_eq!(untold[40], Some(10));
}

#[test]
fn different_ones_are_counted_once_each() {
    let rules = rules(
        r#"
        [[rule]]
        name = "spraying"
        events = ["login_refused"]
        per = ["prefix"]
        measure = "distinct"
        of = "principal"
        threshold = 3
        "#,
    );
    let found = findings(
        rules,
        "0 x9 login_refused.credentials address=192.0.2.1 principal=user:a
         1 x9 login_refused.credentials address=192.0.2.2 principal=user:b
         2 login_refused.credentials address=192.0.3.2 principal=user:c
         70 login_refused.credentials address=192.0.2.2 principal=user:c
         71 login_refused.credentials address=192.0.2.2 principal=user:b
         72 login_refused.credentials address=192.0.2.2 principal=user:a",
    );
    assert_eq!(said(&found), ["3 192.0.2.0/24"]);
    assert_eq!(found[0].event.principal, Principal::parse("user:a"));
}

#[test]
fn a_sequence_is_what_came_before_and_then_what_counts() {
    let rules = rules(
        r#"
        [[rule]]
        name = "guessed"
        after = ["login_refused"]
        after_count = 3
        events = ["connected"]
        per = ["principal"]
        threshold = 1
        "#,
    );
    let found = findings(
        rules,
        "0 connected principal=user:a
         1 x2 login_refused.credentials principal=user:a
         2 connected principal=user:a
         3 x3 login_refused.credentials principal=user:b
         4 connected principal=user:c
         5 connected principal=user:b
         6 x5 login_refused.credentials principal=user:d
         90 connected principal=user:d",
    );
    assert_eq!(said(&found), ["1 user:b"]);
}

#[test]
fn numbers_are_summed_averaged_and_compared() {
    let of = |measure: &str| {
        let rules = rules(&format!(
            "[[rule]]\nname = \"r\"\nevents = [\"denied\"]\nthreshold = 30\ncool_down_seconds = 0\n{measure}"
        ));
        let stream = "0 x9 denied number=10\n1 denied number=20\n2 x9 denied number=32\n3 denied number=1000";
        said(&findings(rules, stream)).first().cloned()
    };
    assert_eq!(of("measure = \"sum\"").as_deref(), Some("30 "));
    assert_eq!(of("measure = \"count\""), None);
    assert_eq!(of("measure = \"rate\"\nseconds = 1"), None);
    assert!(of("measure = \"mean\"").is_some_and(|it| it.starts_with("69.9")));
    let most = of("measure = \"quantile\"\nquantile = 0.6").expect("found");
    let most: f64 = most.trim().parse().expect("a number");
    assert!((30.0..36.0).contains(&most), "{most}");
}

#[test]
fn one_event_may_stand_for_many_alike() {
    let stream = "0 login_refused.credentials address=192.0.2.1 times=3";
    assert_eq!(said(&findings(rules(GUESSING), stream)), ["3 192.0.2.1"]);
}

#[test]
fn what_is_far_above_what_is_usual_for_its_key_is_told_of() {
    let rules = rules(
        r#"
        [[rule]]
        name = "r"
        events = ["published"]
        per = ["principal", "topic_class"]
        measure = "deviation"
        warm_up = 20
        threshold = 6
        "#,
    );
    let found = findings(
        rules,
        "0 x30 published principal=user:a topic=a/b/c number=100
         0 x30 published principal=user:b topic=a/b/c number=900
         1 published principal=user:a topic=a/b/d number=120
         2 published principal=user:b topic=a/b/c number=900
         3 published principal=user:a topic=a/c number=900
         4 published principal=user:a topic=a/b number=900",
    );
    assert_eq!(found.iter().map(|it| it.key[0].1.as_str()).collect::<Vec<_>>(), ["user:a"]);
    assert_eq!(found[0].event.topic.as_deref(), Some("a/b"));
    assert!(found[0].value > 70.0, "{}", found[0].value);
}

#[test]
fn what_was_never_seen_before_is_told_of_who_is_always_the_same() {
    let rules = rules(
        r#"
        [[rule]]
        name = "new"
        events = ["connected"]
        per = ["principal"]
        measure = "new"
        of = "address"
        warm_up = 5
        seconds = 1000
        threshold = 1
        cool_down_seconds = 0
        "#,
    );
    let found = findings(
        rules,
        "0 x4 connected principal=user:a address=192.0.2.1
         1 connected principal=user:a address=192.0.2.2
         2 connected principal=user:a address=192.0.2.1
         3 connected principal=user:a address=192.0.2.3
         4 connected principal=user:a address=192.0.2.3",
    );
    assert_eq!(said(&found), ["1 user:a"]);
}

#[test]
fn who_was_away_for_long_and_comes_again_is_told_of() {
    let rules = rules(
        "[[rule]]\nname = \"r\"\nevents = [\"connected\"]\nper = [\"client\"]\nmeasure = \"silence\"\nthreshold = 1000",
    );
    let stream = "0 connected client=a\n900 connected client=a\n2000 connected client=b\n2001 connected client=a";
    assert_eq!(said(&findings(rules, stream)), ["1101 a"]);
}

#[test]
fn only_events_on_the_topics_of_a_rule_count() {
    let rules =
        rules("[[rule]]\nname = \"r\"\nevents = [\"denied\"]\ntopics = \"plant/#\"\nthreshold = 2");
    let stream = "0 denied topic=a\n0 denied\n0 denied topic=plant/a\n0 denied topic=plant/b";
    assert_eq!(said(&findings(rules.clone(), stream)), ["2 "]);
    // A subscription counts that would bring some of them.
    let stream = "0 denied topic=a/#\n0 denied topic=plant/+/x\n0 denied topic=$share/g/+/b";
    assert_eq!(said(&findings(rules, stream)), ["2 "]);
}

#[test]
fn rules_that_stay_remember_when_others_change() {
    let mut sentinel = sentinel(rules(GUESSING), 64);
    let mut found = Vec::new();
    let refused = event("login_refused.credentials address=192.0.2.1");
    (0..2).for_each(|_| sentinel.observe(Duration::ZERO, &refused, &mut found));
    let other = GUESSING.replace("\"guessing\"", "\"other\"");
    let rules = rules(&format!("{GUESSING}{other}"));
    sentinel.follow(set_of(rules, 64));
    sentinel.observe(Duration::ZERO, &refused, &mut found);
    assert_eq!(found.iter().map(|it| &*it.rule.name).collect::<Vec<_>>(), ["guessing"]);
    assert_eq!(sentinel.keys(), 2);
}

#[test]
fn a_million_keys_take_no_more_room_than_allowed() {
    let mut sentinel = sentinel(rules(GUESSING), 1_000);
    let mut found = Vec::new();
    for address in 0..1_000_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(address).into();
        let one = event("login_refused.credentials");
        sentinel.observe(Duration::ZERO, &Event { address: Some(address), ..one }, &mut found);
    }
    assert!(found.is_empty() && sentinel.keys() <= 1_000);
}

#[test]
fn the_rules_that_come_with_the_broker_can_all_be_gone_by() {
    let written = default_rules();
    assert!(written.len() >= 9);
    assert!(written.iter().all(|it| it.about.is_some() && it.severity.is_some()));
    let all = RuleSet::of(&Settings::default(), &[]).expect("rules");
    assert_eq!(all.rules.len(), written.len());
    let off = Settings { enabled: false, ..Settings::default() };
    assert_eq!(RuleSet::of(&off, &[]), Ok(RuleSet::default()));
}

#[test]
fn a_default_rule_is_changed_or_turned_off_by_its_name() {
    let of = |text: &str| {
        let written: RuleSettings = toml::from_str(text).expect("settings");
        let rules = RuleSet::of(&Settings::default(), &[written]).expect("rules").rules;
        let found = rules.iter().find(|it| &*it.name == "password-guessing").cloned();
        (rules.len(), found)
    };
    let all = default_rules().len();
    let (count, rule) = of("name = \"password-guessing\"\nthreshold = 7");
    assert_eq!(
        (count, rule.map(|it| (it.threshold, it.per))),
        (all, Some((7.0, vec![Attribute::Address])))
    );
    assert_eq!(of("name = \"password-guessing\"\nenabled = false"), (all - 1, None));
}

#[test]
fn what_does_not_go_together_is_an_error() {
    let fault = |text: &str| {
        let written: RuleSettings = toml::from_str(text).expect("settings");
        let mut faults = RuleSet::of(&Settings::default(), &[written]).expect_err("a fault");
        faults.pop().expect("one").1
    };
    let name = || "r".to_owned();
    let of =
        |rest: &str| fault(&format!("name = \"r\"\nevents = [\"denied\"]\nthreshold = 1\n{rest}"));
    assert_eq!(fault("threshold = 1"), RuleError::Name);
    assert_eq!(fault("name = \"a/b\""), RuleError::Name);
    assert_eq!(fault("name = \"r\"\nthreshold = 1"), RuleError::NoEvents(name()));
    assert_eq!(fault("name = \"r\"\nevents = [\"denied\"]"), RuleError::Threshold(name()));
    assert_eq!(of("topics = \"$share/g/a\""), RuleError::Topics(name()));
    assert_eq!(of("measure = \"distinct\""), RuleError::Of(name()));
    assert_eq!(of("measure = \"quantile\"\nquantile = 1.5"), RuleError::Quantile(name()));
    assert_eq!(of("seconds = 10_000_000"), RuleError::TooLong(name()));
    for events in ["denied.delete", "deny", "denied.publish.x"] {
        let said = fault(&format!("name = \"r\"\nthreshold = 1\nevents = [\"{events}\"]"));
        assert!(said.to_string().contains("there are "), "{said}");
    }
}

#[test]
fn nobody_has_others_locked_out_by_claiming_to_be_them() {
    let rule = |text: &str| {
        let text = format!("name = \"r\"\nthreshold = 1\n{text}");
        let written: RuleSettings = toml::from_str(&text).expect("settings");
        RuleSet::of(&Settings::default(), &[written]).map(drop).map_err(|mut faults| faults.pop())
    };
    let by = |events: &str, per: &str, responses: &str| {
        rule(&format!("events = [{events}]\nper = [{per}]\nresponses = [{responses}]"))
    };
    let refused = r#""denied", "login_refused.credentials""#;
    let led = |per: &str| {
        rule(&format!(
            "events = [\"connected\"]\nafter = [\"login_refused\"]\nper = [{per}]\n\
             responses = [{{ quarantine = \"principal\" }}]"
        ))
    };
    for what in ["ban", "quarantine", "disconnect"] {
        for target in ["principal", "client", "certificate"] {
            let response = format!("{{ {what} = \"{target}\" }}");
            let said = by(refused, r#""principal", "client", "address""#, &response);
            let is_claimed = matches!(said, Err(Some((0, RuleError::Claimed { .. }))));
            assert!(is_claimed, "{response}");
            assert_eq!(by(r#""denied""#, r#""principal", "client""#, &response), Ok(()));
        }
        for target in ["address", "prefix"] {
            let response = format!("{{ {what} = \"{target}\" }}");
            assert_eq!(by(refused, r#""address""#, &response), Ok(()), "{response}");
        }
    }
    assert!(matches!(led(r#""principal""#), Err(Some((0, RuleError::Claimed { .. })))));
    assert_eq!(led(r#""address", "principal""#), Ok(()));
}

#[test]
fn what_is_done_at_the_page_of_operators_is_told_and_locks_nobody_out_on_this_machine() {
    let of = |kinds: &str, response: &str| {
        let text = format!(
            "name = \"r\"\n{kinds}\nthreshold = 1\nper = [\"address\"]\nresponses = [{response}]"
        );
        let written: RuleSettings = toml::from_str(&text).expect("settings");
        RuleSet::of(&Settings::default(), &[written]).map(drop).map_err(|mut faults| faults.pop())
    };
    let kinds = [
        r#"events = ["operator_refused"]"#,
        r#"events = ["login_refused", "operator_refused.credentials"]"#,
        "events = [\"connected\"]\nafter = [\"operator_refused\"]",
    ];
    for kinds in kinds {
        for response in ["ban", "disconnect", "tighten", "quarantine"] {
            let rate = if response == "tighten" { ", rate = 1" } else { "" };
            let said = of(kinds, &format!("{{ {response} = \"address\"{rate} }}"));
            let is_refused = matches!(said, Err(Some((0, RuleError::OfThisMachine { .. }))));
            assert!(is_refused, "{kinds}: {response}");
        }
        assert_eq!(of(kinds, r#""log", "alert", "webhook""#), Ok(()));
    }
}

#[test]
fn what_is_done_is_done_to_what_all_events_of_the_key_have() {
    let of = |per: &str, target: &str| {
        let text = format!(
            "name = \"r\"\nevents = [\"denied\"]\nthreshold = 1\nper = [{per}]\n\
             responses = [{{ ban = \"{target}\" }}]"
        );
        let written: RuleSettings = toml::from_str(&text).expect("settings");
        RuleSet::of(&Settings::default(), &[written]).is_ok()
    };
    for (per, target, goes) in [
        ("", "address", false),
        (r#""listener""#, "principal", false),
        (r#""prefix""#, "address", false),
        (r#""prefix""#, "prefix", true),
        (r#""address", "topic""#, "prefix", true),
        (r#""client""#, "principal", false),
        (r#""client""#, "client", true),
        (r#""principal""#, "address", false),
    ] {
        assert_eq!(of(per, target), goes, "{target} of {per}");
    }
}

#[test]
fn whoever_goes_on_once_a_response_is_over_is_answered_again() {
    let cool_down = |rest: &str| {
        let text = format!(
            "name = \"r\"\nevents = [\"denied\"]\nthreshold = 1\nper = [\"address\"]\n{rest}"
        );
        let written: RuleSettings = toml::from_str(&text).expect("settings");
        let all = RuleSet::of(&Settings::default(), &[written]).expect("rules").rules;
        all.first().map(|rule| rule.cool_down.as_secs())
    };
    assert_eq!(cool_down(""), Some(300));
    assert_eq!(cool_down("responses = [{ ban = \"address\", seconds = 20 }]"), Some(20));
    assert_eq!(cool_down("responses = [{ ban = \"address\", seconds = 900 }]"), Some(300));
    let both = "responses = [{ ban = \"address\", seconds = 20 }]\ncool_down_seconds = 40";
    assert_eq!(cool_down(both), Some(40));
}

#[test]
fn a_rule_tells_how_it_is_getting_on_and_is_tried_without_forgetting() {
    let mut sentinel = sentinel(rules(GUESSING), 64);
    let mut found = Vec::new();
    let refused = event("login_refused.credentials address=192.0.2.1");
    let at = Duration::from_secs(7);
    (0..2).for_each(|_| sentinel.observe(at, &refused, &mut found));
    assert!(sentinel.set_dry_run("guessing", true).is_some_and(|it| it.rule.dry_run));
    assert_eq!(sentinel.set_dry_run("other", true), None);
    sentinel.observe(at, &refused, &mut found);
    assert!(found.iter().all(|it| it.rule.dry_run) && found.len() == 1);
    let report = sentinel.report();
    let [watched] = &report[..] else { panic!("one") };
    assert_eq!((watched.found, watched.last, watched.keys), (1, Some(at), 1));
    sentinel.follow(set_of(rules(GUESSING), 64));
    assert!(sentinel.report().iter().all(|it| !it.rule.dry_run));
}

#[test]
fn a_rule_that_was_only_tried_forgets_nothing_when_the_configuration_is_read_anew() {
    let (mut sentinel, mut found) = (sentinel(rules(GUESSING), 64), Vec::new());
    let refused = event("login_refused.credentials address=192.0.2.1");
    let mut observe = |sentinel: &mut Sentinel| {
        sentinel.observe(Duration::ZERO, &refused, &mut found);
        found.iter().map(|it| it.rule.dry_run).collect::<Vec<_>>()
    };
    observe(&mut sentinel);
    assert!(sentinel.set_dry_run("guessing", true).is_some());
    observe(&mut sentinel);
    // The file has left the rule alone.
    sentinel.follow(set_of(rules(GUESSING), 64));
    assert_eq!(observe(&mut sentinel), [false], "the third one");
    // Nor does it forget when the file itself has it only tried.
    sentinel.follow(set_of(rules(&format!("{GUESSING}dry_run = true")), 64));
    let report = sentinel.report();
    let [watched] = &report[..] else { panic!("one") };
    assert_eq!((watched.rule.dry_run, watched.found, watched.keys), (true, 1, 1));
}

#[test]
fn rules_that_learn_have_room_of_their_own_and_what_they_forget_is_counted() {
    let learning = "[[rule]]\nname = \"away\"\nevents = [\"connected\"]\nper = [\"client\"]\n\
                    measure = \"silence\"\nthreshold = 10\n";
    let counting =
        "[[rule]]\nname = \"often\"\nevents = [\"connected\"]\nper = [\"client\"]\nthreshold = 9\n";
    let set = |max_keys, max_learned_keys| RuleSet {
        max_learned_keys,
        ..set_of(rules(&format!("{learning}{counting}")), max_keys)
    };
    let (mut sentinel, mut found) = (Sentinel::new(set(10, 100), 1), Vec::new());
    let mut all_come = |sentinel: &mut Sentinel, at| {
        for client in 0..50 {
            let connected = event(&format!("connected client={client}"));
            sentinel.observe(Duration::from_secs(at), &connected, &mut found);
        }
        std::mem::take(&mut found).len()
    };
    assert_eq!(all_come(&mut sentinel, 0), 0);
    let forgotten = Forgotten { counting: 40, learning: 0 };
    assert_eq!((sentinel.take_forgotten(), sentinel.keys()), (forgotten, 10 + 50));
    // More room forgets nothing, and of everybody it is known how long it was away.
    sentinel.follow(set(10, 200));
    assert_eq!(all_come(&mut sentinel, 20), 50);
    sentinel.follow(set(10, 20));
    assert_eq!(all_come(&mut sentinel, 40), 0);
    assert_eq!(sentinel.take_forgotten().learning, 30);
}
