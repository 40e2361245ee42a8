//! Where and when a rule holds.

use std::time::Duration;

use super::*;
use crate::identity::TransportSecurity;

/// Monday, 2026-11-23, 00:00 UTC.
const MONDAY: Duration = Duration::from_secs(1_795_392_000);
const HOUR: u64 = 3_600;

#[test]
fn a_rule_holds_for_clients_that_come_its_way_at_its_hours() {
    let policy = rules(
        r##"{ allow = ["publish"], topics = ["a"], transport = ["tls"] },
            { allow = ["publish"], topics = ["b"], listeners = ["mqtts://*"] },
            { allow = ["publish", "subscribe"], topics = ["c"], time = { days = ["mon"], from = "08:00", to = "17:00" } },
            { deny = ["publish"], topics = ["#"], transport = ["plain"] },"##,
    );
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let asks = |listener, security, hour: u64, topic| {
        let time = MONDAY + Duration::from_secs(hour * HOUR);
        let named = Subject::named(&principal, &client_id);
        let permit = policy.permit(&Subject { listener, security, time, ..named });
        (publishes(&permit, topic), granted(&permit, topic).is_some() && receives(&permit, topic))
    };
    let (tls, plain) = (TransportSecurity::Tls, TransportSecurity::Plain);
    assert!(asks("", tls, 0, "a").0 && !asks("", plain, 0, "a").0);
    assert!(
        asks("mqtts://0.0.0.0:8883", tls, 0, "b").0 && !asks("wss://0.0.0.0:8084", tls, 0, "b").0
    );
    assert!(!asks("mqtts://0.0.0.0:8883", plain, 0, "b").0, "the deny rule is met");
    assert_eq!(asks("", tls, 7, "c"), (false, false));
    assert_eq!(asks("", tls, 8, "c"), (true, true));
    assert_eq!(asks("", tls, 17, "c"), (false, false));
    assert_eq!(policy.changes_after(MONDAY), Some(MONDAY + Duration::from_secs(8 * HOUR)));
}

#[test]
fn the_reasons_tell_which_condition_was_not_met() {
    let policy = rules(
        r##"{ allow = ["publish"], topics = ["a"], listeners = ["mqtts://0.0.0.0:8883"] },
            { allow = ["publish"], topics = ["a"], transport = ["mtls"] },
            { allow = ["publish"], topics = ["a"], time = { days = ["sat", "sun"] } },"##,
    );
    let (principal, client_id) = (user("u"), ClientId::new("c"));
    let subject = Subject::named(&principal, &client_id);
    let topic = name("a");
    let request = Request::Publish { topic, qos: AtMostOnce, retain: false, bytes: 0 };
    let others = policy.explain(&subject, &request).others;
    let why: Vec<_> = others.iter().map(|other| other.why.to_string()).collect();
    assert_eq!(
        why,
        ["only by another listener", "only over another transport", "not at this hour"]
    );
    assert!(
        others[2]
            .rule
            .to_string()
            .contains("time = { days = [\"sat\", \"sun\"], from = \"00:00\", to = \"24:00\" }")
    );
}

#[test]
fn a_condition_that_makes_no_sense_is_an_error() {
    for (condition, error) in [
        (
            "priority = 1.5",
            "column 60: priority is a number from -1000000 to 1000000, without quotes",
        ),
        ("time = {}", ""),
        ("time = { from = \"8\" }", "column 65: from is a time of the day in UTC, like \"08:00\""),
        (
            "time = { days = [\"day\"] }",
            "column 66: \"day\" is no day, only mon, tue, wed, thu, fri, sat, sun",
        ),
        (
            "time = { from = \"08:00\", to = \"08:00\" }",
            "column 56: a time begins before 24:00 and ends at another time: leave out both for whole days",
        ),
        (
            "max_payload_bytes = -1",
            "column 69: max_payload_bytes is a number from 0 to 268435455, without quotes",
        ),
    ] {
        let text = format!(
            "[[role]]\nname = \"r\"\nrules = [{{ allow = [\"publish\"], topics = [\"a\"], {condition} }}]\n\
             [[assign]]\neveryone = true\nroles = [\"r\"]\n"
        );
        let wanted: Vec<String> = match error {
            "" => Vec::new(),
            error => vec![format!("line 3, {error}")],
        };
        assert_eq!(errors(&text), wanted, "{condition}");
    }
}

#[test]
fn a_listener_that_does_not_exist_is_warned_of_wherever_it_is_named() {
    let policy = Policy::parse(
        "[[role]]\nname = \"r\"\nrules = [\n\
         { allow = [\"publish\"], topics = [\"a\"], listeners = [\"mqtts://0.0.0.0:8883\", \"ws://*\"] },\n\
         { allow = [\"publish\"], topics = [\"b\"], listeners = [\"mqtts://*\"] },\n]\n\
         [[assign]]\neveryone = true\nlisteners = [\"mqtts://0.0.0.0:8884\"]\nroles = [\"r\"]\n",
    )
    .expect("a policy");
    let urls = ["mqtts://0.0.0.0:8883", "unix:///run/mqtt.sock"].map(str::to_owned);
    let warnings = policy.warnings_of_listeners(&urls);
    let lines: Vec<_> = warnings.iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [4, 7], "{warnings:?}");
    assert!(warnings[0].message.contains("\"ws://*\""), "{warnings:?}");
    assert!(warnings[1].message.contains("unix:///run/mqtt.sock"), "what there is: {warnings:?}");
    let all = ["mqtts://0.0.0.0:8883", "mqtts://0.0.0.0:8884", "ws://[::]:1"].map(str::to_owned);
    assert!(policy.warnings_of_listeners(&all).is_empty());
}
