//! What stands for a client in a log that is masked.

use super::*;

/// Whatever tells of one address.
fn all_about(address: &str) -> Vec<Event> {
    let who = |port: &str| Subject { address: port.to_owned(), ..subject(1) };
    let kind = "address";
    let (by, why) = ("operator:ann".to_owned(), "noise".to_owned());
    vec![
        Event::Connected { who: who(&format!("{address}:1883")), resumed: false },
        Event::Connected { who: who(&format!("{address}:50112")), resumed: false },
        Event::Connected { who: who(&format!("[::ffff:{address}]:9")), resumed: false },
        Event::LoginRefused {
            user: None,
            client_id: String::new(),
            address: format!("{address}:4"),
            listener: String::new(),
            authenticator: None,
            reason: String::new(),
            why: String::new(),
        },
        Event::Banned { kind, subject: address.to_owned(), by, why, seconds: None },
        Event::BanRefused { kind, subject: address.to_owned(), count: 1 },
        Event::Limited { limit: String::new(), count: 1, address: Some(address.to_owned()) },
        Event::LockedOut { user: None, address: address.to_owned(), failures: 5, seconds: 60 },
        Event::Alert {
            rule: "r".to_owned(),
            severity: "warning",
            key: [("address", address.to_owned())].into(),
            value: 1.0,
            threshold: 1.0,
            what: "denied".to_owned(),
            principal: None,
            client_id: None,
            address: Some(address.to_owned()),
            responses: Vec::new(),
            dry_run: false,
            untold: 0,
        },
    ]
}

#[test]
fn a_masked_address_has_one_name_from_every_port_and_in_records_of_all_kinds() {
    let place = Place::new();
    let log = place.open(&Settings { mask: true, ..Settings::default() });
    let events = all_about("192.0.2.7");
    let count = events.len();
    for event in events {
        log.record(Now::read(), event);
    }
    log.close();
    let keys = place.keys();
    let name = keys.masked_address("192.0.2.7");
    assert_ne!(name, keys.masked_address("192.0.2.8"));
    let lines = place.lines(1);
    for line in &lines[1..=count] {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let named = [&record["address"], &record["subject"], &record["key"]["address"]];
        assert!(named.contains(&&name.as_str().into()), "{line}");
        assert!(!line.contains("192.0.2.7"), "{line}");
    }
    assert_eq!(lines[count].matches(&name).count(), 2, "address and key of the alert");
}

#[test]
fn the_other_end_of_a_unix_socket_has_one_name_whatever_its_process() {
    let place = Place::new();
    let log = place.open(&Settings { mask: true, ..Settings::default() });
    for address in ["unix:uid=5,gid=6,pid=7", "unix:uid=5,gid=6,pid=8"] {
        let who = Subject { address: address.to_owned(), ..subject(1) };
        log.record(Now::read(), Event::Connected { who, resumed: false });
    }
    log.close();
    let name = place.keys().masked_address("unix:uid=5,gid=6");
    assert!(place.lines(1)[1..=2].iter().all(|line| line.contains(&name)));
}
