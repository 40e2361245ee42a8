//! Clients that are not let in: the reason code of the CONNACK.

use super::{broker, expect_connack, expect_disconnect};
use crate::harness::raw::{
    AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PUBLISH, RawClient, SUBSCRIBE,
    UNSUBSCRIBE, Will, data, packet, publish, publish_with, subscribe, variable_byte_integer,
};
use crate::harness::scram::Scram;
use crate::harness::{Broker, DEVICE1, DEVICE2, VISITOR};

const METHOD: u8 = 0x15;
const DATA: u8 = 0x16;
const SCRAM: &str = "SCRAM-SHA-256";

/// The properties of a CONNECT or AUTH.
fn authentication(method: &str, message: &[u8]) -> Vec<u8> {
    [&[METHOD][..], &data(method), &[DATA], &data(message)].concat()
}

fn auth(reason: u8, method: &str, message: &[u8]) -> Vec<u8> {
    let properties = authentication(method, message);
    packet(AUTH, &[&[reason][..], &variable_byte_integer(properties.len()), &properties].concat())
}

/// A CONNECT that begins SCRAM, as a user that there is.
fn begin_scram() -> Connect<'static> {
    let first = Scram::new(DEVICE1.0, DEVICE1.1).first();
    Connect { properties: authentication(SCRAM, &first), ..Connect::new(5, "prover") }
}

/// A client that has been asked for its proof.
fn challenged(broker: &Broker) -> RawClient {
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&begin_scram().encode());
    assert_eq!(client.expect(AUTH).reason(), 0x18);
    client
}

/// A client that is in by SCRAM.
fn proven(broker: &Broker) -> RawClient {
    let mut client = RawClient::plain(broker.plain_port());
    let mut scram = Scram::new(DEVICE1.0, DEVICE1.1);
    let properties = authentication(SCRAM, &scram.first());
    client.send(&Connect { properties, ..Connect::new(5, "prover") }.encode());
    let challenge = challenge(&mut client);
    client.send(&auth(0x18, SCRAM, &scram.last(&challenge)));
    assert_eq!(client.expect(CONNACK).reason(), 0);
    client
}

/// What the server asks: the data at the end of its AUTH.
fn challenge(client: &mut RawClient) -> Vec<u8> {
    let body = client.expect(AUTH).body;
    let before = [&[DATA][..], &[0]].concat();
    let at = body.windows(2).rposition(|window| window == before).expect("data");
    body[at + 3..].to_vec()
}

#[test]
fn each_client_that_is_turned_away_is_told_why() {
    let broker = Broker::secure();
    let connect = |id| Connect::new(5, id);
    let long_id = "x".repeat(1_025);
    let mut owner = RawClient::connected(broker.plain_port(), &connect("owned").login(DEVICE2));
    for (source, what, connect, reason) in [
        ("3.1.4", "no credentials", connect("a"), 0x87),
        ("3.1.4", "a wrong password", connect("a").login(("device1", "wrong")), 0x86),
        ("3.1.4", "an unknown user", connect("a").login(("nobody", "wrong")), 0x86),
        ("[MQTT-3.1.3-8]", "a long client identifier", connect(&long_id).login(DEVICE1), 0x85),
        ("[MQTT-3.1.3-8]", "a control character", connect("a\u{1}").login(DEVICE1), 0x85),
        ("[MQTT-3.1.3-8]", "the client identifier of another", connect("owned").login(DEVICE1), {
            0x85
        }),
        (
            "3.1.2.5",
            "a will that is not allowed",
            Connect { will: Some(Will::new("devices/x", b"")), ..connect("a").login(DEVICE1) },
            0x87,
        ),
        (
            "[MQTT-3.3.1-4], 3.2.2.2",
            "a will of a QoS that is not allowed",
            Connect {
                will: Some(Will { qos: 2, ..Will::new("lobby/a/x", b"") }),
                ..connect("a").login(VISITOR)
            },
            0x87,
        ),
        (
            "[MQTT-4.12.0-1]",
            "a method that there is not",
            Connect { properties: authentication("NONE", b""), ..connect("a") },
            0x8C,
        ),
        (
            "[MQTT-4.12.0-4]",
            "a first message that says nothing",
            Connect { properties: authentication(SCRAM, b"?"), ..connect("a") },
            0x87,
        ),
    ] {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&connect.encode());
        expect_connack(&mut client, reason, &format!("{what} ({source})"));
    }
    owner.expect_silence();
}

#[test]
fn a_connect_of_more_than_is_accepted_is_refused_before_it_has_arrived() {
    let broker = broker();
    let mut client = RawClient::plain(broker.plain_port());
    let whole = Connect::new(5, &"x".repeat(3_000)).encode();
    client.send(&whole[..20]);
    expect_connack(&mut client, 0x95, "a large CONNECT (3.2.2.2)");
}

/// The flags are wrong, and still it is a CONNECT, with a version to answer in.
#[test]
fn a_connect_with_reserved_flags_is_refused_as_malformed() {
    let broker = broker();
    for flags in 1..16 {
        let mut connect = Connect::new(5, "flags").encode();
        connect[0] |= flags;
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&connect);
        expect_connack(&mut client, 0x81, "[MQTT-2.1.3-1]");
    }
}

#[test]
fn a_will_topic_of_too_many_levels_is_refused() {
    let broker = broker();
    let topic = "/a".repeat(8);
    let mut client = RawClient::plain(broker.plain_port());
    let will = Some(Will::new(&topic, b""));
    client.send(&Connect { will, ..Connect::new(5, "deep") }.encode());
    expect_connack(&mut client, 0x90, "a deep will topic (3.2.2.2)");
}

#[test]
fn until_connack_a_client_that_proves_who_it_is_says_nothing_else() {
    let broker = Broker::secure();
    for (source, what, bytes) in [
        ("[MQTT-3.1.2-30]", "PUBLISH", publish(5, "devices/device1/x", b"early")),
        ("[MQTT-3.1.2-30]", "SUBSCRIBE", subscribe(5, 1, "devices/device1/x", 0)),
        ("[MQTT-3.1.2-30]", "PINGREQ", packet(PINGREQ, &[])),
        ("[MQTT-3.1.2-30]", "another CONNECT", begin_scram().encode()),
        ("[MQTT-4.12.0-5]", "another method", auth(0x18, "OTHER", b"")),
        ("[MQTT-4.12.0-3]", "a new beginning", auth(0x19, SCRAM, b"")),
        ("[MQTT-4.12.0-3]", "a success of its own", auth(0x00, SCRAM, b"")),
    ] {
        let mut client = challenged(&broker);
        client.send(&bytes);
        expect_connack(&mut client, 0x82, &format!("{what} ({source})"));
    }
    let mut client = challenged(&broker);
    client.send(&auth(0x18, SCRAM, b"no proof"));
    expect_connack(&mut client, 0x87, "no proof ([MQTT-4.12.0-4])");
}

#[test]
fn who_proves_anew_who_it_is_keeps_to_the_method_and_its_turns() {
    let broker = Broker::secure();
    for (source, what, bytes, reason) in [
        ("[MQTT-4.12.1-1]", "another method", auth(0x19, "OTHER", b""), 0x82),
        ("4.12.1", "an answer to nothing", auth(0x18, SCRAM, b""), 0x82),
        ("4.12.1", "a success of its own", auth(0x00, SCRAM, b""), 0x82),
        ("[MQTT-4.12.1-2]", "a first message that says nothing", auth(0x19, SCRAM, b"?"), 0x87),
    ] {
        let mut client = proven(&broker);
        client.send(&bytes);
        expect_disconnect(&mut client, reason, &format!("{what} ({source})"));
    }
}

/// Who has not named a version cannot be told anything in it.
#[test]
fn before_connect_every_other_packet_ends_the_connection_without_a_word() {
    let broker = broker();
    for bytes in [
        publish(5, "a", b"early"),
        publish_with(5, PUBLISH | 1 << 1, "a", Some(1), &[], b"early"),
        packet(0x40, &[0, 1]),
        packet(0x50, &[0, 1]),
        packet(0x62, &[0, 1]),
        packet(0x70, &[0, 1]),
        packet(SUBSCRIBE, &[0, 1, 0, 0, 1, b'a', 0]),
        packet(UNSUBSCRIBE, &[0, 1, 0, 0, 1, b'a']),
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
        packet(AUTH, &[]),
        packet(CONNACK, &[0, 0, 0]),
        packet(0x00, &[]),
        vec![CONNECT, 0x80, 0x80, 0x80, 0x80, 0x00],
    ] {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&bytes);
        assert_eq!(client.read_or_end(), None, "{bytes:02x?}");
    }
}
