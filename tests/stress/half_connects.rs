//! Crowds that have said half of a CONNECT, over each transport: what each of them takes of the broker.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::floods::until;
use crate::harness::http::metric;
use crate::harness::raw::{RawClient, variable_byte_integer};
use crate::harness::websocket::{BINARY, WsClient, frame};
use crate::harness::{Broker, Site};

/// A broker that lets as many come as want, as fast as they can, and leaves them time.
fn broker() -> Broker {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("a soft limit below the hard one");
    Broker::on_every_transport(&[
        ("NETWORK_CONNECT_TIMEOUT_SECONDS", "600"),
        ("NETWORK_MAX_CONNECTIONS_PER_SECOND", "1000000"),
        ("NETWORK_MAX_HANDSHAKES_PER_ADDRESS", "0"),
        ("NETWORK_MAX_HANDSHAKES_PER_PREFIX", "0"),
        ("NETWORK_MAX_HANDSHAKES", "0"),
        ("NETWORK_MAX_TLS_HANDSHAKES", "0"),
        ("NETWORK_CONNECTION_RATE_PER_ADDRESS", "0"),
        ("NETWORK_CONNECTION_RATE_PER_PREFIX", "0"),
    ])
}

/// It claims the most that is let through, and has little of it.
fn half_a_connect() -> Vec<u8> {
    [&[0x10][..], &variable_byte_integer(65_000), b"\0\x04MQTT\x05"].concat()
}

/// Bytes of the broker for each of `count` connections that `begin` makes, while all of them are there.
fn bytes_each<T>(broker: &Broker, count: usize, begin: impl Fn() -> T) -> f64 {
    let number = |name| metric(broker.admin_port(), name).expect("a number");
    // What the first one takes once is no part of what each of them takes.
    let _first = begin();
    let memory = number("process_resident_memory_bytes");
    let _held: Vec<_> = (0..count).map(|_| begin()).collect();
    let are_held = || number("bastionmq_connections_open") as usize == count + 1;
    until("all of them are held", are_held);
    let after = number("process_resident_memory_bytes");
    assert!(are_held(), "some were cut");
    (after - memory) / count as f64
}

#[test]
fn r02_half_a_connect_costs_little_more_than_its_bytes() {
    let broker = broker();
    let each = bytes_each(&broker, 10_000, || {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(&half_a_connect());
        client
    });
    assert!(each < 4_096.0, "{each} bytes each");
}

#[test]
fn r02_half_a_connect_costs_little_more_over_websocket() {
    const MISSING: usize = 65_000;
    let broker = broker();
    // A frame that has a whole CONNECT, of which the beginning has come.
    let mut beginning = frame(BINARY, &[half_a_connect(), vec![0; MISSING]].concat());
    beginning.truncate(beginning.len() - MISSING);
    let each = bytes_each(&broker, 4_000, || {
        let mut client = WsClient::open(RawClient::plain(broker.ws_port()));
        client.send_raw(&beginning);
        client
    });
    assert!(each < 8_192.0, "{each} bytes each");
}

#[test]
fn r02_half_a_connect_costs_no_more_over_tls_than_the_state_of_tls() {
    let broker = broker();
    let config = Site::shared().tls();
    let each = bytes_each(&broker, 2_000, || {
        let mut client = RawClient::tls(broker.tls_port(), config.clone());
        client.send(&half_a_connect());
        client
    });
    assert!(each < 32_768.0, "{each} bytes each");
}
