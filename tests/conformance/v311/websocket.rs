//! Using WebSocket as a network transport (6).

use crate::harness::Broker;
use crate::harness::raw::{CONNACK, Connect, PINGREQ, PINGRESP, RawClient, packet};
use crate::harness::websocket::{BINARY, MQTT, REQUEST, TEXT, WsClient, answer_to, frame};

/// A WebSocket on which nothing has been said.
fn stranger(broker: &Broker) -> WsClient {
    WsClient::open(RawClient::plain(broker.ws_port()))
}

fn is_accepted(client: &mut WsClient) {
    let answer = client.read_packet();
    assert_eq!((answer[0], answer[3]), (CONNACK, 0), "{answer:02x?}");
}

#[test]
fn v311_6_0_0_1_a_frame_that_is_not_binary_closes_the_network_connection() {
    let broker = Broker::open_websocket(&[]);
    let connect = Connect::new(4, "text").encode();
    let mut early = stranger(&broker);
    early.send(TEXT, &connect);
    early.expect_close(1003);
    let mut late = stranger(&broker);
    late.send(BINARY, &connect);
    is_accepted(&mut late);
    late.send(TEXT, &packet(PINGREQ, &[]));
    late.expect_close(1003);
}

#[test]
fn v311_6_0_0_2_packets_are_aligned_to_no_frame() {
    let broker = Broker::open_websocket(&[]);
    let mut client = stranger(&broker);
    let packets = [Connect::new(4, "loose").encode(), packet(PINGREQ, &[]).repeat(2)].concat();
    // Each byte in a frame of its own, then several packets in one frame.
    for byte in &packets {
        client.send_raw(&frame(BINARY, &[*byte]));
    }
    is_accepted(&mut client);
    client.send(BINARY, &packet(PINGREQ, &[]).repeat(3));
    for _ in 0..5 {
        assert_eq!(client.read_packet(), [PINGRESP, 0]);
    }
    let mut packed = stranger(&broker);
    packed.send(BINARY, &packets);
    is_accepted(&mut packed);
    for _ in 0..2 {
        assert_eq!(packed.read_packet(), [PINGRESP, 0]);
    }
}

#[test]
fn v311_6_0_0_3_the_client_must_offer_the_sub_protocol_mqtt() {
    let broker = Broker::open_websocket(&[]);
    for (offer, status) in [
        (MQTT, "101"),
        ("Sec-WebSocket-Protocol: chat, mqtt\r\n", "101"),
        ("", "400"),
        ("Sec-WebSocket-Protocol: chat\r\n", "400"),
        ("Sec-WebSocket-Protocol: mqttx\r\n", "400"),
    ] {
        let stream = RawClient::plain(broker.ws_port());
        let answer = answer_to(stream, &format!("{REQUEST}{offer}\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{offer:?}: {answer}");
    }
}

#[test]
fn v311_6_0_0_4_the_server_selects_the_sub_protocol_mqtt() {
    let broker = Broker::open_websocket(&[]);
    for offer in ["mqtt", "mqtt, chat", "chat,mqtt"] {
        let request = format!("{REQUEST}Sec-WebSocket-Protocol: {offer}\r\n\r\n");
        let answer = answer_to(RawClient::plain(broker.ws_port()), &request);
        let selected = answer.to_ascii_lowercase();
        assert!(selected.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{offer}: {answer}");
    }
}
