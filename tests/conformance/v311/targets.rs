//! Section 7: the conformance targets.

use super::scene::{Client, QOS_1, Scene, UNSUBACK, V311, connect_with, publish};
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PINGREQ, PINGRESP, PUBACK, PUBLISH, RawClient, SUBACK, packet,
};
use crate::harness::{ADMIN, Site};

#[test]
fn v311_7_0_0_2_a_client_that_knows_the_standard_and_nothing_else_is_served() {
    let scene = Scene::open();
    let mut client = scene.stranger();
    for (sent, first, body) in [
        (&b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c"[..], CONNACK, &[0, 0][..]),
        (b"\x82\x06\0\x01\0\x01t\x01", SUBACK, &[0, 1, 1]),
        (b"\xa2\x05\0\x02\0\x01u", UNSUBACK, &[0, 2]),
        (b"\x32\x06\0\x01u\0\x03x", PUBACK, &[0, 3]),
        (b"\x30\x04\0\x01tx", PUBLISH, b"\0\x01tx"),
        (b"\xc0\0", PINGRESP, &[]),
    ] {
        client.send(sent);
        client.expect_packet(first, body);
    }
    client.send(&packet(DISCONNECT, &[]));
    client.expect_end();
}

#[test]
fn v311_7_1_1_1_tcp_and_tls_carry_the_same_protocol() {
    let mut scene = Scene::secure("");
    let connect = Connect::new(V311, "client").login(ADMIN);
    let port = scene.broker().tls_port();
    let mut tls = Client::from(RawClient::tls(port, Site::shared().tls()));
    tls.send(&connect.encode());
    assert!(!tls.expect_accepted());
    tls.subscribe("from/tcp", 1);
    let mut tcp = scene.user("other", ADMIN);
    tcp.subscribe("from/tls", 1);
    scene.publish(QOS_1, "from/tcp", b"over TCP");
    assert_eq!(tls.take().payload, b"over TCP");
    tls.publish(QOS_1, "from/tls", b"over TLS");
    assert_eq!(tcp.take().payload, b"over TLS");
    // In order and reliably, byte by byte as well as all at once.
    let mut slow = scene.stranger();
    for byte in connect_with(0x82, &[b"slow", b"admin"]) {
        slow.send(&[byte]);
    }
    assert_eq!(slow.read().first, CONNACK);
    let many = (1..=100).flat_map(|id| publish(QOS_1, id, "from/tcp", &[id as u8]));
    tcp.send(&many.collect::<Vec<_>>());
    for id in 1..=100_u16 {
        tcp.expect_packet(PUBACK, &id.to_be_bytes());
        assert_eq!(tls.take().payload, [id as u8]);
    }
    tls.send(&packet(PINGREQ, &[]));
    tls.expect_packet(PINGRESP, &[]);
}
