//! The end behind the reason code: in order over every transport, also for a client that has not
//! stopped sending and so has not read yet. Bytes that nobody reads would reset the connection, and
//! the reset may overtake the reason code.

use std::time::Duration;

use super::{broker, client, expect_disconnect};
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PINGREQ, RawClient, packet, publish, subscribe,
};
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{ADMIN, Broker, Site, let_pass};

/// Violations, each with its reason code.
fn violations() -> [(Vec<u8>, u8); 4] {
    [
        (packet(PINGREQ | 1, &[]), 0x81),
        (subscribe(5, 0, "a", 0), 0x82),
        (publish(5, "a/#", b""), 0x90),
        (packet(CONNACK, &[0, 0, 0]), 0x82),
    ]
}

/// A megabyte of good packets.
fn megabyte() -> Vec<u8> {
    publish(5, "a", &[b'x'; 1_017]).repeat(1_024)
}

#[test]
fn over_tcp_the_reason_reaches_a_client_that_has_sent_a_megabyte_more() {
    let broker = broker();
    for (violation, reason) in violations() {
        let mut client = client(&broker, 5);
        client.send(&[violation, megabyte()].concat());
        expect_disconnect(&mut client, reason, "a megabyte follows");
    }
}

#[tokio::test]
async fn over_tcp_the_reason_reaches_a_client_that_sends_on_for_seconds() {
    let broker = broker();
    let mut client = client(&broker, 5);
    client.send(&packet(PINGREQ | 1, &[]));
    for piece in megabyte().chunks(64 << 10) {
        client.try_send(piece).expect("the broker listens to the end");
        let_pass(Duration::from_millis(100)).await;
    }
    expect_disconnect(&mut client, 0x81, "a megabyte follows, little by little");
}

#[test]
fn a_refused_connect_is_answered_before_a_megabyte_that_follows_it_is_dropped() {
    let broker = Broker::secure();
    let connect = Connect::new(5, "x").login(("admin", "wrong")).encode();
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&[connect, megabyte()].concat());
    assert_eq!(client.expect(CONNACK).reason(), 0x86);
    client.expect_orderly_end();
}

#[test]
fn in_3_x_the_end_is_orderly_too() {
    let broker = broker();
    for version in [3, 4] {
        let mut client = client(&broker, version);
        client.send(&[packet(PINGREQ | 1, &[]), megabyte()].concat());
        client.expect_orderly_end();
    }
}

#[test]
fn over_tls_the_end_is_a_close_notify_behind_the_reason() {
    let broker = Broker::secure();
    for (violation, reason) in violations() {
        for more in [Vec::new(), megabyte()] {
            let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
            client.send(&Connect::new(5, "clumsy").login(ADMIN).encode());
            assert_eq!(client.expect(CONNACK).reason(), 0);
            client.send(&[&violation[..], &more].concat());
            expect_disconnect(&mut client, reason, "over TLS");
        }
    }
}

#[test]
fn over_websocket_the_end_is_a_close_frame_behind_the_reason() {
    let broker = Broker::secure_websocket();
    let over_tls = || RawClient::tls(broker.wss_port(), Site::shared().tls());
    let over_tcp = || RawClient::plain(broker.ws_port());
    for open in [&over_tcp as &dyn Fn() -> RawClient, &over_tls] {
        for (violation, reason) in violations() {
            for more in [Vec::new(), megabyte()] {
                let mut client = WsClient::open(open());
                client.send(BINARY, &Connect::new(5, "clumsy").login(ADMIN).encode());
                assert_eq!(client.read_packet()[3], 0);
                client.send(BINARY, &[&violation[..], &more].concat());
                let farewell = client.read_packet();
                assert_eq!((farewell[0], farewell[2]), (DISCONNECT, reason), "{farewell:02x?}");
                client.expect_orderly_end();
            }
        }
    }
}
