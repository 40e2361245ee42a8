//! The index answers as a scan of all rules does.

use super::*;

/// One rule as the test has it.
#[derive(Clone, Debug)]
struct Written {
    role: usize,
    allow: bool,
    /// Publish, subscribe.
    actions: (bool, bool),
    topic: String,
    priority: i32,
    max_qos: u8,
    retain: bool,
    max_payload: Option<u32>,
}

fn topic() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        4 => Just("a"), 3 => Just("b"), 1 => Just(""), 3 => Just("+"), 2 => Just("${username}"),
        1 => Just("x${username}y"), 1 => Just("${client_id}"), 1 => Just("$x"),
    ];
    (prop::collection::vec(level, 1..4), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            levels.extend(hash.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a topic", |topic| !topic.is_empty())
}

fn written() -> impl Strategy<Value = Written> {
    let actions = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    let payload = prop_oneof![3 => Just(None), 1 => Just(Some(10)), 1 => Just(Some(20))];
    let rule =
        (0..4_usize, any::<bool>(), actions, topic(), -1..2, 0..3_u8, any::<bool>(), payload);
    rule.prop_map(|(role, allow, actions, topic, priority, max_qos, retain, max_payload)| Written {
        role,
        allow,
        actions,
        topic,
        priority,
        max_qos: if allow { max_qos } else { 2 },
        retain: retain || !actions.0,
        max_payload: max_payload.filter(|_| allow && actions.0),
    })
}

impl Written {
    fn text(&self) -> String {
        let actions = [(self.actions.0, "publish"), (self.actions.1, "subscribe")];
        let actions: Vec<_> = actions.iter().filter(|(has, _)| *has).map(|(_, it)| it).collect();
        let effect = if self.allow { "allow" } else { "deny" };
        let mut text = format!(
            "{{ {effect} = {actions:?}, topics = [{:?}], priority = {}",
            self.topic, self.priority
        );
        if self.allow {
            text += &format!(", max_qos = {}", self.max_qos);
        }
        if !self.retain {
            text += if self.allow { ", retain = false" } else { ", retain = true" };
        }
        if let Some(bytes) = self.max_payload {
            text += &format!(", max_payload_bytes = {bytes}");
        }
        text + " },\n"
    }

    fn filter(&self, user: &str) -> String {
        self.topic.replace("${username}", user).replace("${client_id}", "c")
    }

    fn admits(&self, qos: u8, retain: bool, bytes: u32) -> bool {
        let fits_retain = self.retain || retain != self.allow;
        qos <= self.max_qos && fits_retain && self.max_payload.is_none_or(|most| bytes <= most)
    }
}

/// The slow and obvious way: of those that apply, the highest priority, and there a deny.
fn decide<'w>(applying: impl Iterator<Item = &'w Written>) -> bool {
    let best = applying.max_by_key(|rule| (rule.priority, !rule.allow));
    best.is_some_and(|rule| rule.allow)
}

fn random_policy(rules: &[Written]) -> Policy {
    let mut text = String::new();
    for role in 0..4 {
        let own = rules.iter().filter(|rule| rule.role == role).map(Written::text);
        text += &format!("[[role]]\nname = \"r{role}\"\nrules = [\n{}]\n", own.collect::<String>());
    }
    // `held` is one bit for each role.
    for held in 0..16 {
        let roles: Vec<_> =
            (0..4).filter(|role| held >> role & 1 == 1).map(|it| format!("r{it}")).collect();
        if !roles.is_empty() {
            text += &format!("[[assign]]\nusers = [\"u{held}\"]\nroles = {roles:?}\n");
        }
    }
    policy(&text)
}

proptest! {
    #[test]
    fn every_answer_is_that_of_a_scan_of_all_rules(
        rules in prop::collection::vec(written(), 1..40), held in 1..16_usize,
        asked in topic(), qos in 0..3_u8, retain in any::<bool>(), bytes in 0..25_u32,
    ) {
        let user_name = format!("u{held}");
        let permit = permit(&random_policy(&rules), &user(&user_name), "c");
        let own = || rules.iter().filter(|rule| held >> rule.role & 1 == 1);
        let asked = asked.replace("${username}", &user_name).replace("${client_id}", "c");

        let wanted = filter(&asked);
        let subscribing = || own().filter(|rule| rule.actions.1);
        let covers = |rule: &Written| topic::covers(filter(&rule.filter(&user_name)), wanted);
        let overlaps = |rule: &Written| topic::overlaps(filter(&rule.filter(&user_name)), wanted);
        let closed = subscribing().filter(|rule| !rule.allow && covers(rule)).map(|it| it.priority).max();
        let open = || subscribing().filter(|rule| rule.allow && closed.is_none_or(|it| rule.priority > it));
        let best = open().filter(|rule| covers(rule)).map(|rule| rule.max_qos).max();
        let best = best.or_else(|| open().filter(|rule| overlaps(rule)).map(|rule| rule.max_qos).min());
        prop_assert_eq!(granted(&permit, &asked).map(|qos| qos as u8), best, "{}", &asked);

        let topic_asked = asked.replace('+', "b").replace('#', "a");
        let about = name(&topic_asked);
        let matching = |rule: &&Written| topic::matches(filter(&rule.filter(&user_name)), about);
        let receiving = subscribing().filter(matching);
        prop_assert_eq!(permit.receive(about).allowed, decide(receiving), "{}", &topic_asked);

        let publishing = || own().filter(|rule| rule.actions.0).filter(matching);
        let at = |bytes: u32| !about.is_reserved()
            && decide(publishing().filter(|rule| rule.admits(qos, retain, bytes)));
        let quality = crate::message::QoS::from_bits(qos).expect("a QoS");
        let decision = permit.publish(about, quality, retain, bytes as usize);
        prop_assert_eq!(decision.allowed, at(bytes), "{}", &topic_asked);
        let largest = permit.largest_payload(about, quality, retain);
        prop_assert_eq!(largest.is_some_and(|largest| bytes <= largest), at(bytes));
    }
}

#[test]
fn a_node_with_the_rules_of_many_roles_answers_for_one_of_them() {
    let mut text = String::new();
    for role in 0..100 {
        let effect = if role % 2 == 0 { "allow" } else { "deny" };
        text += &format!(
            "[[role]]\nname = \"r{role}\"\nrules = [{{ {effect} = [\"publish\"], topics = [\"a/+\"] }}]\n\
             [[assign]]\nusers = [\"u{role}\"]\nroles = [\"r{role}\"]\n"
        );
    }
    let policy = policy(&text);
    for role in 0..100 {
        let permit = permit(&policy, &user(&format!("u{role}")), "c");
        assert_eq!(publishes(&permit, "a/b"), role % 2 == 0, "{role}");
        assert!(!publishes(&permit, "a/b/c"));
    }
}

#[test]
fn r08_a_topic_of_all_levels_there_can_be_is_decided() {
    let deep = "/".repeat(65_535);
    let policy =
        rules(&format!("{{ allow = [\"publish\", \"subscribe\"], topics = [{deep:?}, \"#\"] }},"));
    let permit = permit(&policy, &user("u"), "c");
    assert!(publishes(&permit, &deep) && receives(&permit, &deep));
    assert!(granted(&permit, &deep).is_some());
}
