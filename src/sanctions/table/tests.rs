//! Sanctions found, kept, refused and forgotten.

use std::num::NonZeroU32;

use super::*;
use crate::identity::{Attribute, AttributeSource, ClientCertificate, ClientId, Principal};

const NOW: Duration = Duration::from_secs(1_000);

fn subject(text: &str) -> Subject {
    text.parse().expect(text)
}

fn sanction(about: &str, seconds: Option<u64>) -> Sanction {
    Sanction {
        subject: subject(about),
        by: Author::Operator("anna".into()),
        why: "a test".into(),
        since: NOW,
        until: seconds.map(|seconds| NOW + Duration::from_secs(seconds)),
    }
}

fn by_rule(about: &str, seconds: Option<u64>) -> Sanction {
    Sanction { by: Author::Rule("flood".into()), ..sanction(about, seconds) }
}

fn settings(allow: &[&str], max_bans: u32) -> Settings {
    let allow = serde_json::from_value(serde_json::json!(allow)).expect("a list");
    Settings { allow, max_bans: NonZeroU32::new(max_bans).expect("some") }
}

fn table(subjects: &[&str], allow: &[&str]) -> Table {
    let mut table = Table::new(&settings(&[], 100));
    for about in subjects {
        table.put(sanction(about, None)).expect("there is room");
    }
    table.follow(&settings(allow, 100));
    table
}

fn found(table: &Table, address: &str) -> Option<String> {
    let found = table.of_address(address.parse().expect(address), NOW);
    found.map(|sanction| sanction.subject.to_string())
}

fn certificate() -> ClientCertificate {
    let attribute = |name: &str, value: &str| Attribute {
        source: AttributeSource::Certificate,
        name: name.into(),
        value: value.into(),
    };
    let attributes = [attribute("fingerprint", &"ab".repeat(32)), attribute("serial", "0a")];
    ClientCertificate {
        name: "pump".into(),
        attributes: attributes.into_iter().collect(),
        evidence: None,
    }
}

/// What keeps anna out, who calls herself `desk`, at 192.0.2.7.
fn keeps_anna_out(table: &Table) -> Option<String> {
    let (principal, client_id) = (Principal::User("anna".into()), ClientId::new("desk"));
    let certificate = certificate();
    let anna = Suspect {
        principal: &principal,
        client_id: &client_id,
        address: Some("192.0.2.7".parse().expect("an address")),
        certificate: Some(&certificate),
    };
    table.of(&anna, NOW).map(|sanction| sanction.subject.to_string())
}

#[test]
fn an_address_is_found_by_the_longest_prefix_that_it_is_in() {
    let table = table(&["192.0.2.0/24", "192.0.2.7", "10.0.0.0/8", "2001:db8::/56"], &[]);
    for (address, wanted) in [
        ("192.0.2.7", Some("192.0.2.7")),
        ("::ffff:192.0.2.7", Some("192.0.2.7")),
        ("192.0.2.8", Some("192.0.2.0/24")),
        ("192.0.3.8", None),
        ("10.9.8.7", Some("10.0.0.0/8")),
        ("2001:db8:0:ff::1", Some("2001:db8::/56")),
        ("2001:db8:0:100::1", None),
    ] {
        assert_eq!(found(&table, address).as_deref(), wanted, "{address}");
    }
}

#[test]
fn prefixes_of_every_length_agree_with_what_they_contain() {
    let address: IpAddr = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
    for length in 1..=128 {
        let network = Network::around(address, length);
        let mut table = Table::new(&settings(&[], 10));
        table.restore(Sanction { subject: Subject::Network(network), ..sanction("::1", None) });
        assert!(table.of_address(address, NOW).is_some(), "{network}");
        assert_eq!(found(&table, "::1").is_some(), network.contains("::1".parse().unwrap()));
        assert!(table.remove(&Subject::Network(network)).is_some());
        assert!(table.is_empty() && table.lengths.is_empty());
    }
}

#[test]
fn a_client_is_meant_by_each_of_its_names() {
    let fingerprint = format!("fingerprint:{}", "ab".repeat(32));
    for about in
        ["user:anna", "client:desk", "192.0.2.0/24", "192.0.2.7", &*fingerprint, "serial:a"]
    {
        let wanted = subject(about).to_string();
        assert_eq!(keeps_anna_out(&table(&[about], &[])), Some(wanted));
    }
    for about in ["user:bert", "certificate:anna", "client:anna", "192.0.3.0/24", "serial:b"] {
        assert_eq!(keeps_anna_out(&table(&[about], &[])), None, "{about}");
    }
}

#[test]
fn the_allow_list_refuses_what_comes_and_overrules_what_is_there() {
    let mut table = table(&["192.0.2.0/24", "client:desk"], &["192.0.2.7", "user:root"]);
    assert_eq!(found(&table, "192.0.2.7"), None);
    assert_eq!(found(&table, "192.0.2.8").as_deref(), Some("192.0.2.0/24"));
    assert_eq!(keeps_anna_out(&table).as_deref(), Some("client:desk"));
    for about in ["192.0.2.7", "192.0.2.0/25", "128.0.0.0/1", "user:root"] {
        let refused = table.put(sanction(about, None)).unwrap_err();
        assert!(matches!(refused, PutError::Allowed(_)), "{about}: {refused}");
    }
    table.follow(&settings(&["client:desk"], 100));
    assert_eq!(keeps_anna_out(&table).as_deref(), Some("192.0.2.0/24"));
}

#[test]
fn a_principal_that_is_allowed_comes_in_whatever_it_is_called_and_shows() {
    for about in ["user:anna", "client:desk", "serial:a", "192.0.2.7"] {
        assert_eq!(keeps_anna_out(&table(&[about], &["user:anna"])), None, "{about}");
    }
    // By its certificate alone it is allowed no more than that.
    let allowed = ["serial:a"];
    let fingerprint = format!("fingerprint:{}", "ab".repeat(32));
    assert_eq!(keeps_anna_out(&table(&[&fingerprint], &allowed)), None);
    assert!(keeps_anna_out(&table(&["client:desk"], &allowed)).is_some());
}

#[test]
fn what_is_over_holds_nobody_up_and_goes() {
    let mut table = Table::new(&settings(&[], 100));
    for (about, seconds) in [("10.0.0.1", Some(5)), ("10.0.0.2", Some(9)), ("10.0.0.3", None)] {
        table.put(sanction(about, seconds)).unwrap();
    }
    let after = |seconds| NOW + Duration::from_secs(seconds);
    let one = "10.0.0.1".parse().unwrap();
    assert!(table.of_address(one, after(4)).is_some());
    assert!(table.of_address(one, after(5)).is_none());
    assert!(table.expire(after(4)).is_empty());
    let gone: Vec<_> = table.expire(after(5)).into_iter().map(|it| it.subject).collect();
    assert_eq!((gone, table.len()), (vec![subject("10.0.0.1")], 2));
    assert_eq!(table.expire(after(1_000_000)).len(), 1);
    assert!(table.expire(Duration::MAX).is_empty());
    assert_eq!(table.len(), 1);
}

#[test]
fn there_is_a_bound_and_what_is_there_may_be_changed_all_the_same() {
    let mut table = Table::new(&settings(&[], 2));
    table.put(sanction("10.0.0.1", None)).unwrap();
    table.put(sanction("10.0.0.2", None)).unwrap();
    assert_eq!(table.put(sanction("10.0.0.3", None)).unwrap_err(), PutError::Full(2));
    let changed = table.put(sanction("10.0.0.2", Some(1))).unwrap();
    assert_eq!(changed.until, Some(NOW + Duration::from_secs(1)));
    assert_eq!((table.len(), table.lengths.values().sum::<usize>()), (2, 2));
}

#[test]
fn a_rule_shortens_nothing_and_an_operator_may() {
    let mut table = Table::new(&settings(&[], 9));
    let until = |it: &Sanction| it.until.map(|until| (until - NOW).as_secs());
    assert_eq!(until(table.put(by_rule("user:a", Some(9))).unwrap()), Some(9));
    assert_eq!(until(table.put(by_rule("user:a", Some(5))).unwrap()), Some(9));
    assert_eq!(until(table.put(by_rule("user:a", Some(60))).unwrap()), Some(60));
    assert_eq!(until(table.put(sanction("user:a", Some(5))).unwrap()), Some(5));
    assert_eq!(until(table.put(sanction("user:a", None)).unwrap()), None);
    let kept = table.put(by_rule("user:a", Some(60))).unwrap();
    assert_eq!((until(kept), kept.by.clone()), (None, Author::Operator("anna".into())));
}

#[test]
fn refusals_are_counted_and_told_once_a_minute() {
    let mut table = table(&["user:a"], &[]);
    let about = subject("user:a");
    let after = |seconds| NOW + Duration::from_secs(seconds);
    assert_eq!(table.note_refusals(&about, 1, NOW), Some(1));
    assert_eq!(table.note_refusals(&about, 1, after(1)), None);
    assert_eq!(table.note_refusals(&about, 1, after(59)), None);
    assert_eq!(table.note_refusals(&about, 1, after(60)), Some(3));
    assert_eq!(table.iter().next().unwrap().refused, 4);
    assert_eq!(table.note_refusals(&about, 1_000, after(61)), None);
    assert_eq!(table.note_refusals(&about, 1, after(120)), Some(1_001));
    assert_eq!(table.iter().next().unwrap().refused, 1_005);
    assert_eq!(table.note_refusals(&subject("user:b"), 1, NOW), None);
}

#[test]
fn a_network_is_banned_by_a_ban_of_all_of_it() {
    let mut table = table(&["10.1.0.0/16", "10.1.0.0", "2001:db8::/32"], &[]);
    table.put(sanction("10.1.9.0/24", Some(5))).unwrap();
    let bans = |network: &str, seconds| {
        table.bans_network(network.parse().unwrap(), NOW + Duration::from_secs(seconds))
    };
    for network in ["10.1.0.0/16", "10.1.0.0", "10.1.2.3", "10.1.9.0/24", "2001:db8:7::/48"] {
        assert!(bans(network, 9), "{network}");
    }
    for network in ["10.0.0.0/15", "10.2.0.0/16", "2001:d00::/24", "a01::/16"] {
        assert!(!bans(network, 0), "{network}");
    }
    table.remove(&subject("10.1.0.0/16"));
    let bans = |seconds| {
        table.bans_network("10.1.9.7".parse().unwrap(), NOW + Duration::from_secs(seconds))
    };
    assert!(bans(4) && !bans(5));
}

#[test]
fn an_author_is_read_as_it_is_shown() {
    for text in ["operator:anna", "rule:a:b", "rule:"] {
        assert_eq!(Author::parse(text).expect(text).to_string(), text);
    }
    assert_eq!(Author::parse("robot:x"), None);
}

#[test]
fn rules_leave_room_for_operators() {
    let mut table = Table::new(&settings(&[], 20));
    for host in 0..18 {
        table.put(by_rule(&format!("10.0.0.{host}"), Some(60))).expect("there is room");
    }
    assert_eq!(table.put(by_rule("10.0.1.1", Some(60))).unwrap_err(), PutError::Full(18));
    table.put(sanction("10.0.1.1", Some(60))).expect("there is room");
    table.put(by_rule("10.0.0.1", Some(90))).expect("it is there already");
}

#[test]
fn a_client_identifier_is_banned_before_any_proof_unless_somebody_may_be_exempt() {
    let found = |allow: &[&str], client_id: &str| {
        let table = table(&["client:pump", "user:anna", "203.0.113.7"], allow);
        table.of_claimed(client_id, NOW).map(|ban| ban.subject.to_string())
    };
    assert_eq!(found(&[], "pump").as_deref(), Some("client:pump"));
    assert_eq!(found(&["10.0.0.0/8"], "pump").as_deref(), Some("client:pump"));
    for allow in ["client:pump", "user:admin"] {
        assert_eq!(found(&[allow], "pump"), None, "{allow}");
    }
    assert_eq!(found(&[], "anna"), None);
    let mut over = Table::new(&settings(&[], 10));
    over.put(sanction("client:pump", Some(0))).expect("there is room");
    assert_eq!(over.of_claimed("pump", NOW), None);
}
