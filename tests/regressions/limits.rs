//! What a client may make the broker spend: the same whatever it sends.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};

use crate::harness::http::metric;
use crate::harness::raw::{
    CONNACK, CONNECT, Connect, PINGREQ, PINGRESP, RawClient, Will, data, packet, properties,
};
use crate::harness::{ADMIN, Broker, PATIENCE, Site};

/// Bytes of one user property section: as much as a CONNECT has room for.
const LARGE: usize = 60_000;

/// User properties of some `LARGE` bytes.
fn large() -> Vec<u8> {
    let pair = [&[0x26][..], &data("name"), &data([b'v'; 500])].concat();
    pair.repeat(LARGE / pair.len())
}

/// A CONNECT with a will that has its own properties.
fn connect_with(of_connect: &[u8], of_will: &[u8]) -> Vec<u8> {
    let will = Will { properties: of_will.to_vec(), ..Will::new("will", b"") };
    let properties = of_connect.to_vec();
    Connect { properties, will: Some(will), ..Connect::new(5, "crafted") }.encode()
}

/// CONNECTs with as many properties as there is room for, right and wrong in every way; whether they
/// are let in.
fn crafted() -> Vec<(Vec<u8>, bool)> {
    let large = large();
    let and = |more: &[u8]| [&large[..], more].concat();
    let twice = [0x21, 0, 1, 0x21, 0, 1];
    let delay_twice = [0x18, 0, 0, 0, 0, 0x18, 0, 0, 0, 0];
    let content_type = [&[0x03][..], &data("text")].concat();
    let no_utf_8 = [&[0x26][..], &data("n"), &data([0xFF])].concat();
    vec![
        (connect_with(&large, &[]), true),
        (connect_with(&[], &large), true),
        (connect_with(&[], &and(&content_type)), true),
        (connect_with(&and(&twice), &[]), false),
        (connect_with(&and(&[0x7F, 0]), &[]), false),
        (connect_with(&and(&no_utf_8), &[]), false),
        (connect_with(&[], &and(&delay_twice)), false),
        (connect_with(&[], &and(&content_type.repeat(2))), false),
        (connect_with(&[], &and(&[0x01, 2])), false),
        (connect_with(&[], &and(&no_utf_8)), false),
        // A will topic of length 0, behind all of its properties.
        (without_will_topic(&large), false),
    ]
}

fn without_will_topic(of_will: &[u8]) -> Vec<u8> {
    let mut body = data("MQTT");
    body.extend([5, 0x06, 0, 0, 0]);
    body.extend(data("crafted"));
    body.extend(properties(5, of_will));
    body.extend(data(""));
    body.extend(data("payload"));
    packet(CONNECT, &body)
}

/// Sends each of them, and goes away without DISCONNECT: the will is sent, the session ends.
fn feed(port: u16, crafted: &[(Vec<u8>, bool)]) {
    for (connect, is_let_in) in crafted {
        let mut client = RawClient::plain(port);
        client.send(connect);
        let reason = client.expect(CONNACK).reason();
        assert_eq!(reason == 0, *is_let_in, "{reason:#04x}");
        client.break_off();
    }
}

#[test]
fn r11_memory_is_back_at_its_base_after_crafted_connects_and_wills() {
    const ROUNDS: usize = 200;
    let broker = Broker::open();
    let resident = || {
        metric(broker.admin_port(), "process_resident_memory_bytes").expect("the process has it")
    };
    let crafted = crafted();
    // What is kept ready is ready afterwards.
    for _ in 0..ROUNDS / 8 {
        feed(broker.plain_port(), &crafted);
    }
    let base = resident();
    for _ in 0..ROUNDS {
        feed(broker.plain_port(), &crafted);
    }
    RawClient::connected(broker.plain_port(), &Connect::new(5, "after")).expect_silence();
    let fed = (ROUNDS * crafted.len() * LARGE) as f64;
    let grown = resident() - base;
    assert!(grown < fed / 4.0, "{grown} bytes more, of {fed} that it was fed");
}

/// The first byte of the next packet, which has fewer than 128.
fn first_of_packet(tls: &mut ClientConnection, socket: &mut TcpStream) -> u8 {
    let mut stream = rustls::Stream::new(tls, socket);
    let mut header = [0; 2];
    stream.read_exact(&mut header).expect("an answer");
    let mut body = vec![0; header[1].into()];
    stream.read_exact(&mut body).expect("the rest of the answer");
    header[0]
}

/// One TLS 1.3 record with a KeyUpdate in it costs the client little and the broker two derivations of
/// keys. rustls takes 32 without data between them.
#[test]
fn r27_a_flood_of_key_updates_ends_its_connection_and_no_other() {
    let broker = Broker::secure();
    let mut bystander = RawClient::tls(broker.tls_port(), Site::shared().tls());
    bystander.send(&Connect::new(5, "bystander").login(ADMIN).encode());
    assert_eq!(bystander.expect(CONNACK).reason(), 0);

    let mut socket = TcpStream::connect(("127.0.0.1", broker.tls_port())).expect("it is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket.set_write_timeout(Some(PATIENCE)).expect("a time limit");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut tls = ClientConnection::new(Site::shared().tls(), name).expect("a TLS client");
    let connect = Connect::new(5, "flood").login(ADMIN).encode();
    rustls::Stream::new(&mut tls, &mut socket).write_all(&connect).expect("a handshake");
    assert_eq!(first_of_packet(&mut tls, &mut socket), CONNACK);
    assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));

    // Who renews its keys now and then, and goes on, is welcome.
    for _ in 0..40 {
        tls.refresh_traffic_keys().expect("TLS 1.3");
        rustls::Stream::new(&mut tls, &mut socket).write_all(&[PINGREQ, 0]).expect("it reads");
        assert_eq!(first_of_packet(&mut tls, &mut socket), PINGRESP);
    }

    // Far more than any client needs; the broker hangs up while they come.
    let flood = (0..1_000).try_for_each(|_| {
        tls.refresh_traffic_keys().expect("TLS 1.3");
        tls.write_tls(&mut socket).map(drop)
    });
    let mut rest = Vec::new();
    let end = rustls::Stream::new(&mut tls, &mut socket).read_to_end(&mut rest);
    assert!(flood.is_err() || end.is_err(), "the connection goes on");
    let timed_out = |error: std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    assert!(!end.is_err_and(timed_out), "neither an alert nor the end");
    bystander.expect_silence();
}
