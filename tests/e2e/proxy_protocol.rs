//! Behind a proxy: who is told where clients come from, by whom, and what is believed.

use std::net::Ipv4Addr;

use crate::harness::http::series;
use crate::harness::raw::{CONNACK, Connect, PUBACK, RawClient, publish_with};
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{ADMIN, Broker, Login, Site, Stream};

const NOT_AUTHORIZED: u8 = 0x87;
const BAD_CREDENTIALS: u8 = 0x86;
const LOCKED_OUT: u8 = 0x9F;

/// A header of version 1.
fn line(address: &str, port: u16) -> Vec<u8> {
    format!("PROXY TCP4 {address} 198.51.100.1 {port} 8883\r\n").into_bytes()
}

/// A header of version 2, from 192.0.2.9 and this port, with these parts behind the addresses.
fn binary(port: u16, parts: &[u8]) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let addresses = [192, 0, 2, 9, 198, 51, 100, 1, high, low, 0x22, 0xB3];
    let length = u16::try_from(addresses.len() + parts.len()).expect("small").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &addresses, parts].concat()
}

fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("small").to_be_bytes();
    [&[kind][..], &length, value].concat()
}

/// What a proxy says of the TLS of its client: PP2_CLIENT_SSL and PP2_CLIENT_CERT_CONN.
fn certificate(verify: u32, name: &[u8]) -> Vec<u8> {
    part(0x20, &[&[0x03][..], &verify.to_be_bytes(), &part(0x22, name)].concat())
}

fn refused(broker: &Broker, reason: &str) -> f64 {
    let name = format!("bastionmq_connections_refused_total{{reason=\"{reason}\"}}");
    series(broker.admin_port(), &name)
}

/// Waits until the log says that `client_id` has connected from `address`.
fn expect_connected(broker: &Broker, client_id: &str, address: &str) -> String {
    broker.process().wait_for(Stream::Err, |line| {
        let is_it = [r#""connected""#, &format!("\"{client_id}\""), &format!("\"{address}\"")]
            .iter()
            .all(|text| line.contains(text));
        is_it.then(|| line.to_owned())
    })
}

fn knock(mut stream: RawClient, login: Option<Login>) -> u8 {
    stream.send(&Connect { login, ..Connect::new(5, "knocks") }.encode());
    stream.expect(CONNACK).reason()
}

fn behind(port: u16, header: &[u8]) -> RawClient {
    let mut stream = RawClient::plain(port);
    stream.send(header);
    stream
}

#[test]
fn r16_the_address_in_the_header_is_that_of_the_client_on_every_transport() {
    let broker = Broker::behind_proxy(&[]);
    let tls = || Site::shared().tls();
    let connect = |client_id: &str| Connect::new(5, client_id).login(ADMIN).encode();
    for (scheme, name) in [("mqtt", "one"), ("mqtts", "two")] {
        for (version, header, address) in [
            (1, line("192.0.2.7", 4_711), "192.0.2.7:4711"),
            (2, binary(4_712, &part(0x04, &[0; 300])), "192.0.2.9:4712"),
        ] {
            let port = broker.port(scheme);
            let mut client = match scheme {
                "mqtt" => behind(port, &header),
                _ => RawClient::tls_behind(port, tls(), &header),
            };
            let id = format!("{name}{version}");
            client.send(&connect(&id));
            assert_eq!(client.expect(CONNACK).reason(), 0, "{scheme} {version}");
            expect_connected(&broker, &id, address);
        }
    }
    for (scheme, id) in [("ws", "three"), ("wss", "four")] {
        let port = broker.port(scheme);
        let header = line("192.0.2.8", 1);
        let stream = match scheme {
            "ws" => behind(port, &header),
            _ => RawClient::tls_behind(port, tls(), &header),
        };
        let mut client = WsClient::open(stream);
        client.send(BINARY, &connect(id));
        let answer = client.read_packet();
        assert_eq!((answer[0], answer[3]), (CONNACK, 0), "{scheme}");
        expect_connected(&broker, id, "192.0.2.8:1");
    }
}

#[test]
fn r16_a_header_may_come_in_any_pieces_and_what_follows_it_is_not_its() {
    let broker = Broker::behind_proxy(&[]);
    let connect = Connect::new(5, "pieces").login(ADMIN).encode();
    for header in [line("192.0.2.7", 1), binary(1, &certificate(0, b"device1"))] {
        let mut client = RawClient::plain(broker.plain_port());
        for byte in &header {
            client.send(&[*byte]);
        }
        client.send(&connect);
        assert_eq!(client.expect(CONNACK).reason(), 0);

        let mut client = RawClient::plain(broker.plain_port());
        client.send(&[&header[..], &connect].concat());
        assert_eq!(client.expect(CONNACK).reason(), 0);

        let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
        for byte in &header {
            client.send_below_tls(&[*byte]);
        }
        client.send(&connect);
        assert_eq!(client.expect(CONNACK).reason(), 0);
    }
}

#[test]
fn r16_what_is_no_header_ends_the_connection_unheard() {
    let broker = Broker::behind_proxy(&[]);
    let connect = Connect::new(5, "rude").login(ADMIN).encode();
    let short = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0B"[..], &[1; 11]].concat();
    let too_long = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF"[..], &[1; 4_096]].concat();
    let bad = [
        connect.clone(),
        b"\x16\x03\x01\x02\0\x01".to_vec(),
        b"GET /mqtt HTTP/1.1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b' '; 200]].concat(),
        short,
        too_long,
        binary(1, &[0x20, 0, 9, 1]),
        binary(1, &part(0x03, b"\0\0\0\0")),
        binary(1, &[certificate(0, b"a"), certificate(0, b"b")].concat()),
    ];
    for (number, header) in (1_u16..).zip(&bad) {
        let mut client = behind(broker.plain_port(), &[&header[..], &connect].concat());
        client.expect_end();
        crate::budgets::until("it is counted", || {
            refused(&broker, "proxy_header") >= f64::from(number)
        });
    }
    assert_eq!(knock(behind(broker.plain_port(), &line("192.0.2.7", 1)), Some(ADMIN)), 0);
}

#[test]
fn r16_who_is_not_on_the_list_is_refused_whatever_it_sends() {
    let broker = Broker::behind_proxy(&[("PROXY_FROM", "127.0.0.2, 10.0.0.0/8")]);
    for header in [line("10.1.2.3", 1), Vec::new()] {
        let mut client = behind(broker.plain_port(), &header);
        client.send(&Connect::new(5, "forger").login(ADMIN).encode());
        client.expect_end();
    }
    assert!(refused(&broker, "proxy_address") > 1.5);
    let said = broker.process().wait_for_text(Stream::Err, "connection refused");
    assert!(said.contains("proxy_address") && said.contains("127.0.0.1"), "{said}");
    let mut proxy = RawClient::plain_from(Ipv4Addr::new(127, 0, 0, 2), broker.plain_port());
    proxy.send(&line("10.1.2.3", 1));
    assert_eq!(knock(proxy, Some(ADMIN)), 0);
    expect_connected(&broker, "knocks", "10.1.2.3:1");
}

#[test]
fn r16_a_proxy_that_names_nobody_stands_for_itself() {
    let broker = Broker::behind_proxy(&[]);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (id, header) in [("unknown", &b"PROXY UNKNOWN\r\n"[..]), ("local", local)] {
        let mut client = behind(broker.plain_port(), header);
        client.send(&Connect::new(5, id).login(ADMIN).encode());
        assert_eq!(client.expect(CONNACK).reason(), 0);
        broker.process().wait_for(Stream::Err, |line| {
            let of_itself = line.contains("\"address\":\"127.0.0.1:");
            (line.contains(&format!("\"{id}\"")) && of_itself).then_some(())
        });
    }
}

#[test]
fn r16_a_header_is_awaited_no_longer_than_a_connect() {
    let broker = Broker::behind_proxy(&[("NETWORK_CONNECT_TIMEOUT_SECONDS", "1")]);
    for beginning in [&b""[..], b"PROXY TCP4 192.0.2.7 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0"]
    {
        behind(broker.plain_port(), beginning).expect_end();
    }
    assert!(refused(&broker, "handshake_timeout") > 2.5);
}

#[test]
fn r16_a_certificate_that_the_proxy_has_verified_names_the_client() {
    let broker = Broker::behind_proxy(&[("PROXY_CERTIFICATES", "true")]);
    let port = broker.plain_port();
    let mut device = behind(port, &binary(7, &certificate(0, b"device1")));
    device.send(&Connect::new(5, "d").encode());
    assert_eq!(device.expect(CONNACK).reason(), 0);
    let said = expect_connected(&broker, "d", "192.0.2.9:7");
    assert!(said.contains("\"certificate:device1\""), "{said}");
    for (topic, reason) in [("devices/device1/x", 0x10), ("devices/device2/x", NOT_AUTHORIZED)] {
        device.send(&publish_with(5, 0x32, topic, Some(1), &[], b""));
        assert_eq!(device.expect(PUBACK).acknowledged(), (1, reason), "{topic}");
    }
    let not_verified = binary(7, &certificate(18, b"device1"));
    let not_of_tls = binary(7, &part(0x22, b"device1"));
    for header in [not_verified, not_of_tls, line("192.0.2.7", 1)] {
        assert_eq!(knock(behind(port, &header), None), NOT_AUTHORIZED);
    }
    behind(port, &binary(7, &certificate(0, b"device1\nroot"))).expect_end();
}

#[test]
fn r16_a_certificate_that_a_proxy_claims_names_nobody_by_default() {
    let broker = Broker::behind_proxy(&[]);
    let header = binary(7, &certificate(0, b"device1"));
    assert_eq!(knock(behind(broker.plain_port(), &header), None), NOT_AUTHORIZED);
}

#[test]
fn who_fails_to_log_in_is_locked_out_by_the_address_in_the_header() {
    let settings = [("AUTH_LOCKOUT_SECONDS", "600"), ("AUTH_LOCKOUT_MAX_SECONDS", "900")];
    let broker = Broker::behind_proxy(&settings);
    let from = |address| behind(broker.plain_port(), &line(address, 1));
    for _ in 0..5 {
        let guess = Some((ADMIN.0, "a guess"));
        assert_eq!(knock(from("192.0.2.7"), guess), BAD_CREDENTIALS);
    }
    assert_eq!(knock(from("192.0.2.7"), Some(ADMIN)), LOCKED_OUT);
    assert_eq!(knock(from("192.0.2.8"), Some(ADMIN)), 0);
}
