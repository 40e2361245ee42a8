//! The second opinion of mqttbytes 0.6, and where it is wrong.

use std::collections::BTreeSet;

use bastionmq::codec::{Version, next_frame};
use proptest::prelude::*;

use crate::LIMIT;
use crate::packets::{Entry, bad, good};
use crate::second_opinion::{agree, known_fault, second_opinion};
use crate::strategy::packet;

/// Good packets that mqttbytes refuses: passwords are strings to it, a short DISCONNECT is incomplete,
/// and it has no AUTH.
const REFUSES: [&str; 6] = [
    "connect_311_full",
    "disconnect",
    "disconnect_5_success_spelled_out",
    "disconnect_5_with_will",
    "auth_success",
    "auth_continue",
];

/// Faults that it lets pass in one packet or another, in the words of our errors.
const MISSES: [&str; 31] = [
    "a topic alias is not 0",
    "client identifier not valid: a session that is kept has one of at least one character",
    "invalid topic filter: '#' stands alone in the last level, '+' alone in its level",
    "invalid topic filter: a shared subscription is '$share/name/filter', the name without '/', '+' and '#'",
    "invalid topic filter: a topic has at least one character",
    "invalid topic name: a topic has at least one character",
    "invalid topic name: a topic name holds no wildcard",
    "malformed packet: DUP is 0 in a PUBLISH of QoS 0",
    "malformed packet: a field runs past its end",
    "malformed packet: a password without a user name",
    "malformed packet: a string holds a null character",
    "malformed packet: a variable byte integer uses as few bytes as it can",
    "malformed packet: bytes follow the last field",
    "malformed packet: reserved bits of the subscription options",
    "malformed packet: reserved flags of a CONNACK",
    "malformed packet: reserved flags of the fixed header",
    "malformed packet: the reserved flag of a CONNECT",
    "protocol error: a PUBLISH has a topic or a topic alias",
    "protocol error: a SUBSCRIBE has a topic filter or more",
    "protocol error: a byte that says yes or no is 0 or 1",
    "protocol error: a maximum QoS is 0 or 1",
    "protocol error: a maximum packet size is not 0",
    "protocol error: a packet identifier is not 0",
    "protocol error: a property is given twice",
    "protocol error: a receive maximum is not 0",
    "protocol error: a refusal has no session",
    "protocol error: a response topic is a topic name",
    "protocol error: a shared subscription is not No Local",
    "protocol error: a subscription identifier is not 0",
    "protocol error: an UNSUBSCRIBE has a topic filter or more",
    "protocol error: authentication data without a method",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mqttbytes_reads_3_1_1_as_we_write_it(packet in packet(Version::V311)) {
        prop_assume!(known_fault(Version::V311, &packet).is_none());
        agree(Version::V311, packet);
    }

    #[test]
    fn mqttbytes_reads_5_0_as_we_write_it(packet in packet(Version::V5)) {
        prop_assume!(known_fault(Version::V5, &packet).is_none());
        agree(Version::V5, packet);
    }
}

/// The known packets of the versions that mqttbytes has: their bytes, names and errors.
fn known(entries: Vec<Entry>) -> impl Iterator<Item = (Version, Entry)> {
    entries.into_iter().flat_map(|entry| {
        let versions = entry.versions().filter(|&version| asks_for(version, &entry.bytes()));
        let versions = versions.collect::<Vec<_>>();
        versions.into_iter().map(move |version| (version, entry.clone()))
    })
}

/// It has no 3.1, and its reader of one version takes a CONNECT of the other for its own.
fn asks_for(version: Version, bytes: &[u8]) -> bool {
    let frame = next_frame(bytes, LIMIT).ok().flatten();
    let said = frame.and_then(|frame| frame.connect_version()).unwrap_or(version);
    version != Version::V31 && said == version
}

#[test]
fn mqttbytes_refuses_no_more_good_packets_than_is_known() {
    let refused = known(good())
        .filter(|(version, entry)| second_opinion(&entry.bytes(), *version).is_err())
        .map(|(_, entry)| entry.name)
        .collect::<Vec<_>>();
    assert_eq!(refused, REFUSES);
}

#[test]
fn mqttbytes_misses_no_more_faults_than_is_known() {
    let mut missed = BTreeSet::new();
    let mut agreed = 0;
    for (version, entry) in known(bad()) {
        match second_opinion(&entry.bytes(), version) {
            Ok(_) => drop(missed.insert(entry.error.expect("a bad packet has an error"))),
            Err(_) => agreed += 1,
        }
    }
    assert_eq!(missed.iter().map(String::as_str).collect::<Vec<_>>(), MISSES);
    assert!(agreed > 150, "{agreed}");
}
