//! MQTT over WebSocket: requests and frames that no client would send.

use std::sync::Arc;

use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PINGREQ, PINGRESP, RawClient, packet, publish,
};
use crate::harness::websocket::{
    BINARY, CLOSE, CONTINUATION, MQTT, PING, PONG, REQUEST, TEXT, WsClient, WsFrame, answer_to,
    fragment, frame,
};
use crate::harness::{ADMIN, Broker, Site, Stream, http};

const V5: u8 = 5;

/// A WebSocket to `broker`, with a CONNECT sent and accepted.
fn connected(broker: &Broker, client_id: &str) -> WsClient {
    let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
    client.send(BINARY, &Connect::new(V5, client_id).encode());
    is_accepted(&mut client);
    client
}

fn is_accepted(client: &mut WsClient) {
    let answer = client.read_packet();
    assert_eq!((answer[0], answer[3]), (CONNACK, 0), "{answer:02x?}");
}

fn is_alive(client: &mut WsClient) {
    client.send(BINARY, &packet(PINGREQ, &[]));
    assert_eq!(client.read_packet(), [PINGRESP, 0]);
}

#[test]
fn a_client_certificate_is_a_login_over_wss() {
    let broker = Broker::secure_websocket();
    let stream = RawClient::tls(broker.wss_port(), Site::shared().tls_as("device1"));
    let mut client = WsClient::open(stream);
    client.send(BINARY, &Connect::new(V5, "device1").encode());
    is_accepted(&mut client);
    let mut unknown = WsClient::open(RawClient::tls(broker.wss_port(), Site::shared().tls()));
    unknown.send(BINARY, &Connect::new(V5, "device1").encode());
    assert_ne!(unknown.read_packet()[3], 0, "let in without login");
}

#[test]
fn who_names_http_in_alpn_as_browsers_do_is_served_over_wss() {
    let broker = Broker::secure_websocket();
    let mut tls = (*Site::shared().tls()).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = RawClient::tls(broker.wss_port(), Arc::new(tls));
    let mut client = WsClient::open(stream);
    client.send(BINARY, &Connect::new(V5, "browser").login(ADMIN).encode());
    is_accepted(&mut client);
}

#[test]
fn r20_packets_are_split_over_and_packed_within_frames_at_every_byte() {
    let broker = Broker::open_websocket(&[]);
    let connect = Connect::new(V5, "split").encode();
    let packets = [&connect[..], &packet(PINGREQ, &[])].concat();
    for at in 1..packets.len() {
        let (head, tail) = packets.split_at(at);
        let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
        // In two messages, and in two fragments of one.
        if at % 2 == 0 {
            client.send_raw(&[frame(BINARY, head), frame(BINARY, tail)].concat());
        } else {
            client.send_raw(&[fragment(BINARY, head), frame(CONTINUATION, tail)].concat());
        }
        is_accepted(&mut client);
        assert_eq!(client.read_packet(), [PINGRESP, 0], "cut at {at}");
    }
}

#[test]
fn frames_are_split_over_segments_at_every_byte() {
    let broker = Broker::open_websocket(&[]);
    let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
    let send = |client: &mut WsClient, bytes: &[u8]| {
        for byte in bytes {
            client.send_raw(&[*byte]);
        }
    };
    send(&mut client, &frame(BINARY, &Connect::new(V5, "segments").encode()));
    is_accepted(&mut client);
    send(&mut client, &frame(PING, b"?"));
    let pong = WsFrame { opcode: PONG, payload: b"?".to_vec() };
    assert_eq!(client.read_frame(), Some(pong));
    send(&mut client, &frame(BINARY, &packet(PINGREQ, &[])));
    assert_eq!(client.read_packet(), [PINGRESP, 0]);
}

#[test]
fn a_large_message_arrives_in_one_frame_or_many() {
    let broker = Broker::open_websocket(&[]);
    let mut client = connected(&broker, "large");
    client.send(BINARY, &crate::harness::raw::subscribe(V5, 1, "large", 0));
    client.read_packet();
    let payload = (0..300_000_u32).map(|number| number as u8).collect::<Vec<_>>();
    let message = publish(V5, "large", &payload);
    client.send(BINARY, &message);
    assert!(client.read_packet() == message, "in one frame");
    for piece in message.chunks(1_000) {
        client.send_raw(&frame(BINARY, piece));
    }
    assert!(client.read_packet() == message, "in many frames");
}

#[test]
fn the_largest_packet_is_bounded_as_on_any_other_listener() {
    let broker = Broker::open_websocket(&[("MQTT_MAX_PACKET_SIZE", "1024")]);
    let mut client = connected(&broker, "large");
    // Many small packets in one large frame are no large packet.
    client.send(BINARY, &packet(PINGREQ, &[]).repeat(1_000));
    for _ in 0..1_000 {
        assert_eq!(client.read_packet(), [PINGRESP, 0]);
    }
    client.send(BINARY, &publish(V5, "a", &[0; 1_024]));
    assert_eq!(client.read_packet()[2], 0x95, "Packet too large");
}

#[test]
fn a_ping_is_answered_and_a_close_too() {
    let broker = Broker::open_websocket(&[]);
    let mut client = connected(&broker, "polite");
    client.send(PING, b"are you there?");
    let pong = client.read_frame().expect("a pong");
    assert_eq!(pong, WsFrame { opcode: PONG, payload: b"are you there?".to_vec() });
    client.send(PONG, b"unasked");
    is_alive(&mut client);
    client.send(CLOSE, &1000_u16.to_be_bytes());
    client.expect_close(1000);
}

#[test]
fn a_text_frame_and_other_broken_rules_end_the_connection() {
    let broker = Broker::open_websocket(&[]);
    let unmasked = vec![0x82, 2, PINGREQ, 0];
    let compressed = frame(0x40 | BINARY, &[PINGREQ, 0]);
    for (bytes, code) in [
        (frame(TEXT, b"text"), 1003),
        (unmasked, 1002),
        (compressed, 1002),
        (frame(CONTINUATION, b"of nothing"), 1002),
        (frame(PING, &[0; 126]), 1002),
        (frame(0x3, b""), 1002),
    ] {
        let mut client = connected(&broker, "rude");
        client.send_raw(&bytes);
        client.expect_close(code);
    }
}

#[test]
fn a_flood_of_pings_does_not_keep_a_stranger_from_the_deadline() {
    let broker = Broker::open_websocket(&[("NETWORK_CONNECT_TIMEOUT_SECONDS", "1")]);
    let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
    let flood = frame(PING, b"").repeat(1_000);
    loop {
        client.send_raw(&flood);
        match client.read_frame() {
            Some(frame) => assert_eq!(frame.opcode, PONG),
            None => break,
        }
    }
}

#[test]
fn a_client_that_is_sent_away_is_told_in_mqtt_and_then_in_websocket() {
    let broker = Broker::open_websocket(&[]);
    let mut client = connected(&broker, "last");
    broker.terminate();
    let farewell = client.read_packet();
    assert_eq!((farewell[0], farewell[2]), (DISCONNECT, 0x8B), "Server shutting down");
    client.expect_close(1000);
}

#[test]
fn a_websocket_that_ends_without_disconnect_publishes_the_will() {
    let broker = Broker::open_websocket(&[]);
    let mut witness = connected(&broker, "witness");
    witness.send(BINARY, &crate::harness::raw::subscribe(V5, 1, "will", 0));
    witness.read_packet();
    let mut mortal = WsClient::open(RawClient::plain(broker.ws_port()));
    let will = crate::harness::raw::Will::new("will", b"gone");
    mortal.send(BINARY, &Connect { will: Some(will), ..Connect::new(V5, "mortal") }.encode());
    is_accepted(&mut mortal);
    mortal.send(CLOSE, &1001_u16.to_be_bytes());
    mortal.expect_close(1001);
    assert_eq!(witness.read_packet(), publish(V5, "will", b"gone"));
}

// ── the request ────────────────────────────────────────────────────────────────────────────────

/// The status of the answer to a request with more `headers`.
fn status(broker: &Broker, request: &str, headers: &str) -> String {
    let answer = answer_to(RawClient::plain(broker.ws_port()), &format!("{request}{headers}\r\n"));
    answer.split(' ').nth(1).expect("a status").to_owned()
}

#[test]
fn what_is_no_request_for_mqtt_gets_the_http_error_that_says_so() {
    let broker = Broker::open_websocket(&[]);
    let changed = |from: &str, to: &str| REQUEST.replace(from, to);
    assert_eq!(status(&broker, REQUEST, MQTT), "101");
    for (request, headers, expected) in [
        (changed("/mqtt", "/"), MQTT, "404"),
        (changed("/mqtt", "/metrics"), MQTT, "404"),
        (changed("GET", "POST"), MQTT, "405"),
        (changed("Upgrade: websocket\r\n", ""), MQTT, "426"),
        (changed("Version: 13", "Version: 7"), MQTT, "426"),
        (changed("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), MQTT, "400"),
        (changed("HTTP/1.1", "MQTT/5.0"), MQTT, "400"),
        (REQUEST.to_owned(), "", "400"),
        (REQUEST.to_owned(), "Sec-WebSocket-Protocol: chat\r\n", "400"),
        (REQUEST.to_owned(), "Sec-WebSocket-Protocol: mqtt\r\nOrigin: http://a.example\r\n", "403"),
        (REQUEST.to_owned(), "Sec-WebSocket-Protocol: mqtt\r\nOrigin: null\r\n", "403"),
    ] {
        assert_eq!(status(&broker, &request, headers), expected, "{request}{headers}");
    }
}

#[test]
fn a_refused_request_is_logged_and_counted() {
    let broker = Broker::open_websocket(&[]);
    assert_eq!(status(&broker, REQUEST, ""), "400");
    let line = broker.process().wait_for_text(Stream::Err, "no WebSocket");
    assert!(line.contains("the sub-protocol `mqtt` must be offered"), "{line}");
    let (_, metrics) = http::get(broker.admin_port(), "/metrics");
    let refused = metrics.lines().find(|line| line.contains("reason=\"websocket_handshake\""));
    assert!(refused.is_some_and(|line| line.ends_with(" 1")), "{refused:?}");
}

#[test]
fn path_and_origins_are_what_the_listener_says() {
    let broker = Broker::open_websocket(&[
        ("WEBSOCKET_PATH", "/broker/1"),
        ("WEBSOCKET_ORIGINS", "https://app.example, http://localhost:3000"),
    ]);
    let request = REQUEST.replace("/mqtt", "/broker/1");
    let from = |origin: &str| format!("{MQTT}Origin: {origin}\r\n");
    for origin in ["https://app.example", "http://localhost:3000", "https://localhost"] {
        assert_eq!(status(&broker, &request, &from(origin)), "101", "{origin}");
    }
    for origin in ["https://evil.example", "http://localhost:1", "https://app.example.evil.example"]
    {
        assert_eq!(status(&broker, &request, &from(origin)), "403", "{origin}");
    }
    assert_eq!(status(&broker, REQUEST, MQTT), "404");
}

#[test]
fn a_huge_request_is_refused_before_it_is_whole() {
    let broker = Broker::open_websocket(&[]);
    let padding = format!("X-Padding: {}\r\n", "x".repeat(9_000));
    assert_eq!(status(&broker, REQUEST, &format!("{padding}{MQTT}")), "431");
    let endless = "x".repeat(1 << 20);
    let answer = answer_to(RawClient::plain(broker.ws_port()), &endless);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_slow_request_is_cut_off() {
    let broker = Broker::open_websocket(&[("NETWORK_CONNECT_TIMEOUT_SECONDS", "1")]);
    let mut stream = RawClient::plain(broker.ws_port());
    stream.send(REQUEST.as_bytes());
    assert_eq!(stream.read_bytes::<1>(), None);
    // Neither does a WebSocket alone stop the clock.
    let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
    assert_eq!(client.read_frame(), None);
}

#[test]
fn r27_no_compression_is_agreed_upon() {
    let broker = Broker::open_websocket(&[]);
    let headers = format!("{MQTT}Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let request = format!("{REQUEST}{headers}\r\n");
    let answer = answer_to(RawClient::plain(broker.ws_port()), &request);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("sec-websocket-extensions"), "{answer}");
}

#[test]
fn a_client_that_speaks_mqtt_without_websocket_is_turned_away() {
    let broker = Broker::secure_websocket();
    let mut stream = RawClient::plain(broker.ws_port());
    stream.send(&Connect::new(V5, "plain").login(ADMIN).encode());
    stream.send(b"\r\n\r\n");
    let answer =
        String::from_utf8_lossy(&stream.read_bytes::<12>().expect("an answer")).into_owned();
    assert_eq!(answer, "HTTP/1.1 400");
}
