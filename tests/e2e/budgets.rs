//! What one address may ask of the broker: who wants more is refused before it costs anything.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Instant;

use crate::harness::http::{metric, series};
use crate::harness::raw::{CONNACK, Connect, RawClient};
use crate::harness::{ADMIN, Broker, PATIENCE, Stream};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Asks again and again until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}

fn bounded(settings: &str) -> Broker {
    Broker::secure_with_settings(&format!("[network]\n{settings}\n"))
}

fn refused(broker: &Broker, reason: &str) -> f64 {
    let name = format!("bastionmq_connections_refused_total{{reason=\"{reason}\"}}");
    series(broker.admin_port(), &name)
}

fn log_in(mut client: RawClient, id: &str) -> RawClient {
    client.send(&Connect::new(5, id).login(ADMIN).encode());
    assert_eq!(client.expect(CONNACK).reason(), 0, "{id}");
    client
}

fn open_connections(broker: &Broker) -> Option<f64> {
    metric(broker.admin_port(), "bastionmq_connections_open")
}

#[test]
fn u03_an_address_has_so_many_handshakes_and_others_have_theirs() {
    let broker = bounded("max_handshakes_per_address = 3");
    // Who has been let in is no handshake any more.
    let inside: Vec<_> = (0..5)
        .map(|number| log_in(RawClient::plain(broker.plain_port()), &format!("inside{number}")))
        .collect();
    // They are bounded over all listeners together.
    let mut idle =
        vec![RawClient::plain(broker.plain_port()), RawClient::plain(broker.plain_port())];
    until("both are in", || open_connections(&broker) == Some(7.0));
    idle.push(RawClient::plain(broker.tls_port()));
    until("all are in", || open_connections(&broker) == Some(8.0));
    for port in [broker.tls_port(), broker.plain_port()] {
        let mut over = RawClient::plain(port);
        over.expect_end();
    }
    until("they are counted", || refused(&broker, "too_many_handshakes_of_address") > 1.5);
    let said = broker.process().wait_for_text(Stream::Err, "connection refused");
    assert!(said.contains("too_many_handshakes_of_address"), "{said}");
    log_in(RawClient::plain_from(ELSEWHERE, broker.plain_port()), "elsewhere").expect_silence();
    idle.pop().expect("three").break_off();
    until("one has gone", || open_connections(&broker) == Some(7.0));
    log_in(RawClient::plain(broker.plain_port()), "next").expect_silence();
    for mut client in inside {
        client.expect_silence();
    }
}

#[test]
fn u03_an_address_has_so_many_connections_and_others_have_theirs() {
    let broker = bounded("max_connections_per_address = 2");
    let port = broker.plain_port();
    let mut first = log_in(RawClient::plain(port), "first");
    let second = log_in(RawClient::plain(port), "second");
    RawClient::plain(port).expect_end();
    until("it is counted", || refused(&broker, "too_many_of_address") > 0.5);
    log_in(RawClient::plain_from(ELSEWHERE, port), "elsewhere").expect_silence();
    second.break_off();
    until("both have gone", || open_connections(&broker) == Some(1.0));
    log_in(RawClient::plain(port), "third").expect_silence();
    first.expect_silence();
}

#[test]
fn u03_behind_a_proxy_it_is_the_address_in_the_header_that_counts() {
    let broker = Broker::behind_proxy(&[("NETWORK_MAX_HANDSHAKES_PER_ADDRESS", "1")]);
    let from = |host: u8, port: u16| {
        let mut client = RawClient::plain(port);
        client.send(format!("PROXY TCP4 192.0.2.{host} 192.0.2.1 1 1\r\n").as_bytes());
        client
    };
    // As long as it is not known whose they are, they are the proxy's, which is believed.
    let _unknown: Vec<_> = (0..5).map(|_| RawClient::plain(broker.plain_port())).collect();
    let idle = from(7, broker.plain_port());
    // It has been heard when the next one of its address is refused.
    let mut clients = Vec::new();
    until("its place is taken", || refused_one(&broker, || from(7, broker.tls_port())));
    for host in 8..20 {
        clients.push(log_in(from(host, broker.plain_port()), &format!("of{host}")));
    }
    drop(idle);
    for client in &mut clients {
        client.expect_silence();
    }
}

/// Whether a connection is refused for its address, by now.
fn refused_one(broker: &Broker, connect: impl Fn() -> RawClient) -> bool {
    let before = refused(broker, "too_many_handshakes_of_address");
    connect().break_off();
    refused(broker, "too_many_handshakes_of_address") > before
}

#[test]
fn u03_a_flood_that_is_refused_does_not_fill_the_log() {
    const FLOOD: u32 = 500;
    let broker = bounded("max_handshakes_per_address = 1");
    let begin = Instant::now();
    let idle = RawClient::plain(broker.plain_port());
    until("it is in", || open_connections(&broker) == Some(1.0));
    for _ in 0..FLOOD {
        RawClient::plain(broker.plain_port()).expect_end();
    }
    assert!(refused(&broker, "too_many_handshakes_of_address") >= f64::from(FLOOD));
    let lines = broker.process().lines(Stream::Err);
    let lines = lines.iter().filter(|line| line.contains("connection refused")).count() as u64;
    assert!((1..=begin.elapsed().as_secs() + 1).contains(&lines), "{lines} lines");
    idle.break_off();
}
