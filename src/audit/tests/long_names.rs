//! Names that are as long as MQTT lets them be.

use super::*;

/// As a CONNECT may have it, and as long as JSON makes it.
fn long(last: &str) -> String {
    "\u{1}".repeat(65_000) + last
}

fn long_subject(last: &str) -> Subject {
    Subject { principal: format!("user:{}", long(last)), client_id: long(last), ..subject(1) }
}

fn sanction(last: &str) -> (&'static str, String, String, String) {
    ("client_id", format!("client:{}", long(last)), "operator:ann".to_owned(), long(last))
}

/// One of each kind in which something of the outside stands, about the client whose name ends so.
fn all_about(last: &str) -> Vec<Event> {
    let who = || long_subject(last);
    let name = || Some(long(last));
    let ((kind, subject, by, why), seconds) = (sanction(last), None);
    let again = || (subject.clone(), by.clone(), why.clone());
    let responded = Responded {
        response: "ban",
        target: "client",
        subject: Some(subject.clone()),
        seconds,
        outcome: "done",
        connections: 0,
    };
    let mut events = vec![
        Event::Connected { who: who(), resumed: false },
        Event::Admitted { who: who() },
        Event::Disconnected { who: who(), why: long(last) },
        Event::Revoked { who: who(), why: long(last) },
        Event::Denied { who: who(), action: "publish", topic: long(last), rule: long(last) },
        Event::LoginRefused {
            user: name(),
            client_id: long(last),
            address: long(last),
            listener: long(last),
            authenticator: None,
            reason: long(last),
            why: long(last),
        },
        Event::BanExpired { kind, subject: subject.clone() },
        Event::BanRefused { kind, subject: subject.clone(), count: 1 },
        Event::Responding {
            rule: long(last),
            response: "ban",
            kind: "client",
            subject: subject.clone(),
        },
        Event::Limited { limit: long(last), count: 1, address: name() },
        Event::Throttled { rule: long(last), count: 1, principal: name(), client_id: name() },
        Event::LockedOut { user: name(), address: long(last), failures: 5, seconds: 60 },
        Event::OperatorLogin { user: long(last), address: long(last) },
        Event::OperatorRefused { user: long(last), address: long(last) },
        Event::Reloaded { what: "config", in_force: false, said: vec![long(last); 1_000] },
        Event::Alert {
            rule: long(last),
            severity: "warning",
            key: [("client", long(last))].into(),
            value: 1.0,
            threshold: 1.0,
            what: long(last),
            principal: name(),
            client_id: name(),
            address: name(),
            responses: vec![responded],
            dry_run: false,
            untold: 0,
        },
    ];
    let (subject, by, why) = again();
    events.push(Event::Banned { kind, subject, by, why, seconds });
    let (subject, by, why) = again();
    events.push(Event::Quarantined { kind, subject, by, why, seconds });
    let (subject, by, why) = again();
    events.push(Event::SlowedDown { kind, subject, by, why, seconds });
    let (subject, by, _) = again();
    events.push(Event::BanLifted { kind, subject, by });
    let (subject, by, _) = again();
    events.push(Event::QuarantineEnded { kind, subject, by });
    let (subject, by, _) = again();
    events.push(Event::SlowedDownEnded { kind, subject, by });
    events
}

#[test]
fn no_name_of_a_client_makes_a_record_long() {
    let place = Place::new();
    let log = place.open(&Settings { strict: true, ..Settings::default() });
    let last = all_about("1").into_iter().map(|event| log.record(Now::read(), event)).last();
    assert!(log.is_written_within(last.unwrap().unwrap(), Duration::from_secs(60)));
    log.close();
    for line in place.lines(1) {
        let is_reload = line.contains("\"event\":\"reloaded\"");
        let most = if is_reload { bounds::MOST_LINE_BYTES } else { 32 << 10 };
        assert!(line.len() < most, "{} bytes: {}", line.len(), &line[..200]);
    }
    assert_eq!(place.verify().findings, []);
}

#[test]
fn clients_with_long_names_are_told_apart_and_found_by_all_of_their_name_masked_or_not() {
    for mask in [false, true] {
        let place = Place::new();
        let log = place.open(&Settings { mask, ..Settings::default() });
        for last in ["1", "2"] {
            log.record(Now::read(), Event::Connected { who: long_subject(last), resumed: false });
            log.record(Now::read(), Event::Admitted { who: long_subject(last) });
        }
        log.close();
        let names: Vec<_> = place.lines(1)[1..5]
            .iter()
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                record["client_id"].as_str().unwrap().to_owned()
            })
            .collect();
        let keys = place.keys();
        for (at, last) in [(0, "1"), (1, "1"), (2, "2"), (3, "2")] {
            let asked =
                if mask { keys.masked(&long(last)) } else { as_recorded(&long(last)).into() };
            assert_eq!(names[at], asked);
        }
        assert_ne!(names[0], names[2]);
    }
}

#[test]
fn what_would_make_a_line_that_nobody_reads_is_told_of_by_its_length() {
    let place = Place::new();
    let mut writer = place.writer(&Settings::default());
    let request = serde_json::Value::String("x".repeat(2 << 20));
    let event =
        Event::Operator { user: "ann".to_owned(), uid: 1, pid: None, command: "bans", request };
    writer.add(Entry { at: Now::read().unix, event });
    writer.add(Entry { at: Now::read().unix, event: denied(1) });
    writer.flush();
    assert!(place.lines(1)[1].contains("\"event\":\"operator\",\"too_long\":2097"));
    assert_eq!(place.verify().findings, []);
}
