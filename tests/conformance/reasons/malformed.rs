//! Packets that are wrong by themselves: every one of `tests/packets/bad.toml`, to a broker.

use bastionmq::codec::Version;

use super::{broker, client, expect_connack, expect_disconnect};
use crate::harness::raw::{CONNECT, RawClient};
use crate::packet_file::{Entry, bad};

/// What `bad.toml` calls a fault; the reason code of 5.0 for it; and where the standard says so. Where
/// it names a fault and no code, 4.13.1 has one: 0x81 for what cannot be parsed, 0x82 for what may not
/// be said, unless 3.14.2.1 has one of its own for it.
const FAULTS: [(&str, u8, &str); 43] = [
    ("malformed packet: a field runs past its end", 0x81, "1.2, 4.13.1"),
    ("malformed packet: bytes follow the last field", 0x81, "1.2, 4.13.1"),
    ("malformed packet: a string is not UTF-8", 0x81, "[MQTT-1.5.4-1]"),
    ("malformed packet: a string holds a null character", 0x81, "[MQTT-1.5.4-2]"),
    ("malformed packet: a variable byte integer uses as few", 0x81, "[MQTT-1.5.5-1]"),
    ("malformed packet: a variable byte integer has at most", 0x81, "1.5.5"),
    ("malformed packet: a reserved packet type", 0x81, "2.1.2"),
    ("malformed packet: reserved flags of the fixed header", 0x81, "[MQTT-2.1.3-1]"),
    ("malformed packet: a property that this packet does not", 0x81, "2.2.2.2"),
    ("malformed packet: the reserved flag of a CONNECT", 0x81, "[MQTT-3.1.2-3]"),
    ("malformed packet: will flags without a will", 0x81, "[MQTT-3.1.2-11], [MQTT-3.1.2-13]"),
    ("malformed packet: a password without a user name", 0x81, "3.1.1 [MQTT-3.1.2-22]"),
    ("malformed packet: reserved flags of a CONNACK", 0x81, "[MQTT-3.2.2-1]"),
    ("malformed packet: DUP is 0 in a PUBLISH of QoS 0", 0x81, "[MQTT-3.3.1-2]"),
    ("malformed packet: reserved bits of the subscription", 0x81, "[MQTT-3.8.3-5]"),
    ("a QoS is 0, 1 or 2", 0x81, "[MQTT-3.1.2-12], [MQTT-3.3.1-4]"),
    ("protocol error: a packet identifier is not 0", 0x82, "[MQTT-2.2.1-3]"),
    ("protocol error: a property is given twice", 0x82, "2.2.2.2, 3.1.2.11.2 and others"),
    ("protocol error: a byte that says yes or no is 0 or 1", 0x82, "3.1.2.11.6, 3.1.2.11.7"),
    ("protocol error: a receive maximum is not 0", 0x82, "3.1.2.11.3"),
    ("protocol error: a maximum packet size is not 0", 0x82, "3.1.2.11.4"),
    ("protocol error: authentication data without a method", 0x82, "3.1.2.11.10"),
    ("protocol error: a refusal has no session", 0x82, "[MQTT-3.2.2-6]"),
    ("protocol error: a return code that CONNACK does not", 0x82, "[MQTT-3.2.2-8]"),
    ("protocol error: a maximum QoS is 0 or 1", 0x82, "3.2.2.3.4"),
    ("protocol error: a PUBLISH has a topic or a topic alias", 0x82, "3.3.2.1"),
    ("protocol error: a response topic is a topic name", 0x82, "[MQTT-3.3.2-14]"),
    ("protocol error: a subscription identifier is not 0", 0x82, "3.3.2.3.8, 3.8.2.1.2"),
    ("protocol error: a reason code that this packet does not", 0x82, "[MQTT-3.4.2-1] and others"),
    ("protocol error: a SUBSCRIBE has a topic filter or more", 0x82, "[MQTT-3.8.3-2]"),
    ("protocol error: a subscription has QoS 0, 1 or 2", 0x82, "3.8.3.1"),
    ("protocol error: retain handling is 0, 1 or 2", 0x82, "3.8.3.1"),
    ("protocol error: a shared subscription is not No Local", 0x82, "[MQTT-3.8.3-4]"),
    ("protocol error: an acknowledgement of filters has", 0x82, "3.9.3, 3.11.3"),
    ("protocol error: an UNSUBSCRIBE has a topic filter or more", 0x82, "[MQTT-3.10.3-2]"),
    ("protocol error: an AUTH names its authentication method", 0x82, "3.15.2.2.2"),
    ("unsupported protocol version", 0x84, "[MQTT-3.1.2-1], [MQTT-3.1.2-2]"),
    ("client identifier not valid", 0x85, "3.1 and 3.1.1 alone"),
    ("invalid topic filter: a shared subscription is", 0x8F, "[MQTT-4.8.2-1], [MQTT-4.8.2-2]"),
    ("invalid topic filter", 0x8F, "[MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]"),
    ("invalid topic name", 0x90, "[MQTT-3.3.2-2], [MQTT-4.7.3-1]"),
    ("a topic alias is not 0", 0x94, "[MQTT-3.3.2-8]"),
    ("packet of", 0x95, "[MQTT-3.2.2-15]"),
];

/// The reason code for `entry`, and why.
fn reason(entry: &Entry) -> (u8, String) {
    let error = entry.error.as_deref().expect("a bad packet has an error");
    let fault = FAULTS.iter().find(|(fault, _, _)| error.starts_with(fault));
    let (_, reason, source) = fault.unwrap_or_else(|| panic!("no reason code for: {error}"));
    (*reason, format!("{} ({source})", entry.name))
}

fn is_connect(bytes: &[u8]) -> bool {
    bytes[0] & 0xF0 == CONNECT
}

/// Bad packets for a connection of `version`, but for CONNECT.
fn of_version(version: Version) -> impl Iterator<Item = Entry> {
    bad().into_iter().filter(move |entry| {
        !is_connect(&entry.bytes()) && entry.versions().any(|its| its == version)
    })
}

#[test]
fn every_fault_of_the_table_is_one_that_a_packet_has() {
    let bad = bad();
    for (fault, _, _) in FAULTS {
        let has_it = |entry: &Entry| entry.error.as_deref().is_some_and(|it| it.starts_with(fault));
        assert!(bad.iter().any(has_it), "{fault}");
    }
}

#[test]
fn each_malformed_packet_of_5_0_is_answered_with_its_reason_code() {
    let broker = broker();
    let mut sent = 0;
    for entry in of_version(Version::V5) {
        let (reason, why) = reason(&entry);
        let mut client = client(&broker, 5);
        client.send(&entry.bytes());
        expect_disconnect(&mut client, reason, &why);
        sent += 1;
    }
    assert!(sent > 150, "{sent}");
}

#[test]
fn each_malformed_packet_of_3_x_ends_the_connection_without_a_word() {
    let broker = broker();
    let mut sent = 0;
    for (version, level) in [(Version::V31, 3), (Version::V311, 4)] {
        for entry in of_version(version) {
            let mut client = client(&broker, level);
            client.send(&entry.bytes());
            assert_eq!(client.read_or_end(), None, "{} {version:?}", entry.name);
            sent += 1;
        }
    }
    assert!(sent > 100, "{sent}");
}

#[test]
fn each_malformed_connect_is_refused_with_the_reason_code_that_its_version_has() {
    let broker = broker();
    let mut sent = 0;
    for entry in bad().into_iter().filter(|entry| is_connect(&entry.bytes())) {
        let (reason, why) = reason(&entry);
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&entry.bytes());
        match (level(&entry.bytes()), reason) {
            (Some(5..=0x7F), reason) => expect_connack(&mut client, reason, &why),
            (Some(_), 0x84) => expect_connack(&mut client, 1, &why),
            (Some(_), 0x85) => expect_connack(&mut client, 2, &why),
            // 3.x has no word for it (3.1.1 section 4.8), and who names no version cannot be told.
            _ => assert_eq!(client.read_or_end(), None, "{why}"),
        }
        sent += 1;
    }
    assert!(sent > 80, "{sent}");
}

/// The protocol level of a CONNECT, where it comes so far.
fn level(connect: &[u8]) -> Option<u8> {
    let length = connect.get(1..5)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let body = connect.get(1 + length..)?;
    let name = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    body.get(2 + name).copied()
}
