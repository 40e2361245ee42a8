//! Random policies against the slow and obvious way to decide.

use super::*;

fn topics() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just("$x"), Just("+")];
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, hash)| {
        levels.extend(hash.then_some("#"));
        levels.join("/")
    })
}

fn random_rules() -> impl Strategy<Value = Vec<(bool, String, u8)>> {
    prop::collection::vec((any::<bool>(), topics(), 0..3_u8), 1..6)
}

proptest! {
    /// What the decisions must add up to, computed the slow and obvious way.
    #[test]
    fn deliveries_and_grants_agree_with_the_rules(
        written in random_rules(), wanted in topics(), topic in topics(),
    ) {
        let topic = topic.replace('+', "b").replace('#', "a");
        let text: String = written.iter().map(|(allow, topic, qos)| if *allow {
            format!("{{ allow = [\"subscribe\"], topics = [\"{topic}\"], max_qos = {qos} }},\n")
        } else {
            format!("{{ deny = [\"subscribe\"], topics = [\"{topic}\"] }},\n")
        }).collect();
        let permit = permit(&rules(&text), &user("u"), "c");
        let matching = |wanted: bool| written.iter().filter(|(allow, text, _)| {
            *allow == wanted && topic::matches(filter(text), name(&topic))
        }).map(|(_, _, qos)| *qos).collect::<Vec<_>>();
        let allowed = matching(false).is_empty() && !matching(true).is_empty();
        prop_assert_eq!(receives(&permit, &topic), allowed);
        if allowed && topic::matches(filter(&wanted), name(&topic)) {
            let granted = granted(&permit, &wanted);
            prop_assert!(granted.is_some(), "something would be delivered");
            let best = matching(true).into_iter().max();
            prop_assert!(granted.map(|qos| qos as u8) <= best, "never above what is allowed");
        }
    }
}
