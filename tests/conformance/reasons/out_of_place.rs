//! Packets that are well formed, and wrong where they come.

use super::{broker, client, expect_disconnect};
use crate::harness::Broker;
use crate::harness::raw::{
    AUTH, CONNACK, Connect, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL,
    RawClient, SUBACK, UNSUBSCRIBE, acknowledge, data, packet, publish, publish_with, subscribe,
};

const QOS_1: u8 = PUBLISH | 1 << 1;
const QOS_2: u8 = PUBLISH | 2 << 1;
const UNSUBACK: u8 = 0xB0;

/// What a client of 5.0 does wrong.
struct Violation {
    /// Where the standard speaks of it.
    source: &'static str,
    what: &'static str,
    bytes: Vec<u8>,
    reason: u8,
}

/// Packets that a client sends when it has just been let in.
fn violations() -> Vec<Violation> {
    let violation = |source, what, reason, bytes| Violation { source, what, bytes, reason };
    let alias = |topic, alias: u8| publish_with(5, PUBLISH, topic, None, &[0x23, 0, alias], b"");
    let level = "/a".repeat(8);
    vec![
        violation("[MQTT-3.1.0-2]", "a second CONNECT", 0x82, Connect::new(5, "c").encode()),
        violation("2.1.2", "a CONNACK", 0x82, packet(CONNACK, &[0, 0, 0])),
        violation("2.1.2", "a SUBACK", 0x82, packet(SUBACK, &[0, 1, 0, 0])),
        violation("2.1.2", "an UNSUBACK", 0x82, packet(UNSUBACK, &[0, 1, 0, 0])),
        violation("2.1.2", "a PINGRESP", 0x82, packet(PINGRESP, &[])),
        violation("[MQTT-3.2.2-17]", "an alias above the maximum", 0x94, alias("a", 6)),
        violation("3.3.2.3.4", "an alias that stands for nothing", 0x82, alias("", 5)),
        violation(
            "[MQTT-3.3.4-6]",
            "a subscription identifier of a client",
            0x82,
            publish_with(5, PUBLISH, "a", None, &[0x0B, 1], b""),
        ),
        violation("3.14.2.1", "a topic of too many levels", 0x90, publish(5, &level, b"")),
        violation("[MQTT-3.2.2-15]", "a packet that is too large", 0x95, {
            publish(5, "a", &vec![0; 1 << 20])
        }),
        violation("[MQTT-3.3.4-9]", "more of QoS 1 and 2 than the receive maximum", 0x93, {
            let of_qos_2 = |id| publish_with(5, QOS_2, "a", Some(id), &[], b"");
            [of_qos_2(1), of_qos_2(2), publish_with(5, QOS_1, "a", Some(3), &[], b"")].concat()
        }),
        violation("3.14.2.2.2", "a session expiry interval that CONNECT did not have", 0x82, {
            packet(DISCONNECT, &[0, 5, 0x11, 0, 0, 0, 1])
        }),
        violation("[MQTT-4.12.0-7]", "AUTH without a method in CONNECT", 0x82, {
            packet(AUTH, &[&[0x18, 4, 0x15][..], &data("m")].concat())
        }),
        violation("[MQTT-4.12.0-7]", "an AUTH that says nothing", 0x82, packet(AUTH, &[])),
    ]
}

/// The packets that come before DISCONNECT are answers to what was right.
fn expect_disconnect_behind_answers(client: &mut RawClient, reason: u8, why: &str) {
    loop {
        let frame = client.read_or_end().unwrap_or_else(|| panic!("{why}: no DISCONNECT"));
        if ![PUBACK, PUBREC, SUBACK].contains(&frame.first) {
            assert_eq!((frame.first, frame.reason()), (DISCONNECT, reason), "{why}: {frame:02x?}");
            return client.expect_orderly_end();
        }
    }
}

#[test]
fn each_packet_that_is_out_of_place_is_answered_with_its_reason_code() {
    let broker = broker();
    for Violation { source, what, bytes, reason } in violations() {
        let mut client = client(&broker, 5);
        client.send(&bytes);
        expect_disconnect_behind_answers(&mut client, reason, &format!("{what} ({source})"));
    }
}

#[test]
fn what_is_out_of_place_in_3_x_ends_the_connection_without_a_word() {
    let broker = broker();
    for version in [3, 4] {
        for bytes in [
            Connect::new(version, "c").encode(),
            packet(CONNACK, &[0, 0]),
            packet(SUBACK, &[0, 1, 0]),
            packet(UNSUBACK, &[0, 1]),
            packet(PINGRESP, &[]),
            publish(version, &"/a".repeat(8), b""),
            publish(version, "a", &vec![0; 1 << 20]),
        ] {
            let mut client = client(&broker, version);
            client.send(&bytes);
            let end = client.read_or_end();
            assert_eq!(end, None, "version {version}: {:02x?}", &bytes[..8.min(bytes.len())]);
        }
    }
}

/// A client with a message of `qos` in flight, whose packet identifier is 1.
fn with_message_in_flight(broker: &Broker, qos: u8) -> RawClient {
    let mut client = client(broker, 5);
    assert_eq!(client.subscribe(5, "mine", qos), qos);
    client.send(&publish_with(5, PUBLISH | qos << 1, "mine", Some(1), &[], b""));
    let message = client.expect_and_keep(if qos == 1 { PUBACK } else { PUBREC });
    assert_eq!(message.acknowledged(), (1, 0));
    assert_eq!(client.kept_or_next().publish(5).id, Some(1));
    client
}

#[test]
fn an_acknowledgement_of_another_qos_is_a_protocol_error() {
    let broker = broker();
    for (source, what, qos, answer) in [
        ("4.3.2, 4.3.3", "PUBACK for a message of QoS 2", 2, PUBACK),
        ("4.3.2, 4.3.3", "PUBREC for a message of QoS 1", 1, PUBREC),
        ("4.3.3", "PUBCOMP without PUBREC", 2, PUBCOMP),
    ] {
        let mut client = with_message_in_flight(&broker, qos);
        client.send(&acknowledge(answer, 1));
        expect_disconnect(&mut client, 0x82, &format!("{what} ({source})"));
    }
}

/// 3.5.2.1, 3.6.2.1, 3.7.2.1: what is unknown may have been known to an earlier connection. It is
/// answered, where an answer is due, and is no error of the connection.
#[test]
fn an_acknowledgement_of_nothing_is_answered_with_packet_identifier_not_found() {
    let broker = broker();
    let mut client = client(&broker, 5);
    for (sent, answer) in [(PUBREL, PUBCOMP), (PUBREC, PUBREL)] {
        client.send(&acknowledge(sent, 77));
        assert_eq!(client.expect(answer).acknowledged(), (77, 0x92));
    }
    for unanswered in [PUBACK, PUBCOMP] {
        client.send(&acknowledge(unanswered, 77));
        client.expect_silence();
    }
    client.send(&packet(UNSUBSCRIBE, &[&[0, 7, 0][..], &data("never")].concat()));
    assert_eq!(client.expect(UNSUBACK).body, [0, 7, 0, 0x11]);
}

/// 3.9.3: a filter that is not accepted is refused by itself, and the connection goes on.
#[test]
fn a_filter_of_too_many_levels_is_answered_with_topic_filter_invalid() {
    let broker = broker();
    let mut client = client(&broker, 5);
    client.send(&subscribe(5, 1, &"/a".repeat(8), 0));
    assert_eq!(client.expect(SUBACK).body, [0, 1, 0, 0x8F]);
    client.expect_silence();
}

#[test]
fn who_is_silent_for_too_long_is_told_keep_alive_timeout() {
    let broker = broker();
    let connect = Connect { keep_alive: 1, ..Connect::new(5, "sleepy") };
    let mut client = RawClient::connected(broker.plain_port(), &connect);
    expect_disconnect(&mut client, 0x8D, "[MQTT-3.1.2-22]");
}

#[test]
fn whose_session_is_taken_over_is_told_so() {
    let broker = broker();
    let mut first = client(&broker, 5);
    let _second = client(&broker, 5);
    expect_disconnect(&mut first, 0x8E, "[MQTT-3.1.4-3]");
}

#[test]
fn everybody_is_told_that_the_server_is_shutting_down() {
    let mut broker = broker();
    let connect = |id: &str| RawClient::connected(broker.plain_port(), &Connect::new(5, id));
    let mut clients = ["a", "b", "c"].map(connect);
    broker.terminate();
    for client in &mut clients {
        expect_disconnect(client, 0x8B, "3.14.2.1");
    }
    assert!(broker.wait().success());
}
