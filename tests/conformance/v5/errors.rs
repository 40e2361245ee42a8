//! Handling errors (4.13).

use super::scene::{MALFORMED, PROTOCOL_ERROR, text_property};
use super::stage::{Stage, Version5, publish, subscribe};
use crate::harness::Broker;
use crate::harness::raw::{
    AUTH, CONNACK, CONNECT, Connect, DISCONNECT, PINGREQ, PUBACK, PUBLISH, PUBREL, RawClient,
    SUBACK, SUBSCRIBE, data, packet,
};

#[test]
fn v5_4_13_1_1_malformed_packets_and_protocol_errors_end_the_connection() {
    let stage = Stage::open();
    let malformed = [
        vec![0x00, 0],
        vec![PINGREQ, 0x80, 0x80, 0x80, 0x80, 0],
        packet(PINGREQ | 4, &[]),
        packet(PUBREL & 0xF0, &[0, 1]),
        packet(PUBACK, &[0]),
        packet(PUBLISH, &[0, 9, b'a']),
        packet(PUBLISH, &[0, 1, b'a', 5, 0x01]),
        packet(SUBSCRIBE, &[0, 1, 0, 0, 1, b'a']),
        subscribe(1, &[], &[("a", 0xC0)]),
    ];
    for bytes in malformed {
        stage.client("clumsy").provokes(&bytes, &[MALFORMED]);
    }
    let protocol_errors = [
        packet(SUBACK, &[0, 1, 0, 0]),
        Connect::new(5, "clumsy").encode(),
        packet(AUTH, &[0x18, 0]),
        packet(SUBSCRIBE, &[0, 1, 0]),
        subscribe(1, &[], &[("a", 0x30)]),
        subscribe(1, &[0x0B, 0], &[("a", 0)]),
        publish(0, "", None, &[], ""),
        publish(0, "a", None, &[0x01, 0, 0x01, 0], ""),
        packet(DISCONNECT, &[0, 5, 0x11, 0, 0, 0, 1]),
    ];
    for bytes in protocol_errors {
        stage.client("clumsy").provokes(&bytes, &[PROTOCOL_ERROR]);
    }
}

#[test]
fn v5_4_13_2_1_an_error_code_in_connack_or_disconnect_is_followed_by_the_end() {
    let stage = Stage::open();
    let refused = [
        packet(CONNECT, &[&data("MQTT")[..], &[6, 2, 0, 0, 0, 0, 1, b'x']].concat()),
        Connect { properties: text_property(0x15, "NONE"), ..Connect::new(5, "x") }.encode(),
    ];
    for bytes in refused {
        let mut client = stage.stranger();
        client.send(&bytes);
        let answer = client.expect(CONNACK);
        assert!(answer.reason() >= 0x80, "{answer:?}");
        client.expect_end();
    }
    let secure = Stage::secure();
    let mut client = secure.stranger();
    client.send(&Connect::new(5, "x").login(("admin", "wrong")).encode());
    assert!(client.expect(CONNACK).reason() >= 0x80);
    client.expect_end();

    // A client's DISCONNECT.
    for reason in [0x80, 0x81, 0x82, 0x83, 0x93, 0x95] {
        let mut client = stage.client("client");
        client.send(&packet(DISCONNECT, &[reason]));
        client.expect_end();
    }
    // The broker's.
    stage.client("clumsy").provokes(&packet(PINGREQ | 1, &[]), &[MALFORMED]);
    let mut broker = Broker::open();
    let mut client = RawClient::connected(broker.plain_port(), &Connect::new(5, "client"));
    broker.terminate();
    let answer = client.expect(DISCONNECT);
    assert!(answer.reason() >= 0x80, "{answer:?}");
    client.expect_end();
    assert!(broker.wait().success());
}
