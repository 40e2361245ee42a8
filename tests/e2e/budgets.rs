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

/// Connects until one is refused for that reason, and says how many were not.
fn connect_until_refused(broker: &Broker, from: Ipv4Addr, reason: &str) -> usize {
    let before = refused(broker, reason);
    let begin = Instant::now();
    for count in 0.. {
        assert!(begin.elapsed() < PATIENCE, "{count} were let in, and none was refused");
        RawClient::plain_from(from, broker.plain_port()).break_off();
        if refused(broker, reason) > before {
            return count;
        }
    }
    unreachable!("a number of connections without end")
}

#[test]
fn u03_an_address_comes_no_faster_than_it_may_and_others_do() {
    let settings = "connection_rate_per_address = 1\nconnection_burst_per_address = 3";
    let broker = bounded(settings);
    let port = broker.plain_port();
    let mut first = log_in(RawClient::plain(port), "first");
    let mut inside = vec![log_in(RawClient::plain(port), "second")];
    assert!(connect_until_refused(&broker, Ipv4Addr::LOCALHOST, "rate_of_address") >= 1);
    inside.push(log_in(RawClient::plain_from(ELSEWHERE, port), "elsewhere"));
    // A second later there is room for one more.
    until("there is room again", || {
        let mut next = RawClient::plain(port);
        next.try_send(&Connect::new(5, "next").login(ADMIN).encode()).is_ok()
            && next.read_or_end().is_some_and(|it| it.first == CONNACK && it.reason() == 0)
    });
    first.expect_silence();
    for client in &mut inside {
        client.expect_silence();
    }
}

#[test]
fn u03_a_prefix_comes_no_faster_than_it_may_and_others_do() {
    let broker = bounded("connection_rate_per_prefix = 1\nconnection_burst_per_prefix = 4");
    let of_prefix = (1..=4).map(|host| Ipv4Addr::new(127, 0, 0, host)).collect::<Vec<_>>();
    for address in &of_prefix {
        let name = format!("of{address}");
        log_in(RawClient::plain_from(*address, broker.plain_port()), &name).break_off();
    }
    let next = Ipv4Addr::new(127, 0, 0, 5);
    connect_until_refused(&broker, next, "rate_of_prefix");
    let elsewhere = Ipv4Addr::new(127, 0, 1, 1);
    log_in(RawClient::plain_from(elsewhere, broker.plain_port()), "elsewhere").expect_silence();
}

#[test]
fn u03_all_together_come_no_faster_than_they_may() {
    let broker = bounded("connection_rate = 1\nconnection_burst = 2");
    connect_until_refused(&broker, Ipv4Addr::LOCALHOST, "rate");
    connect_until_refused(&broker, Ipv4Addr::new(127, 9, 9, 9), "rate");
}

#[test]
fn u03_whom_nobody_bans_comes_as_fast_as_it_likes() {
    let broker = Broker::secure_with_settings(
        "[network]\nconnection_rate_per_address = 1\nconnection_burst_per_address = 1\n\
         max_handshakes_per_address = 1\n[bans]\nallow = [\"127.0.0.1\"]\n",
    );
    let mut many: Vec<_> = (0..10).map(|_| RawClient::plain(broker.plain_port())).collect();
    for (number, client) in many.drain(..).enumerate() {
        log_in(client, &format!("allowed{number}")).expect_silence();
    }
    connect_until_refused(&broker, ELSEWHERE, "rate_of_address");
}

#[test]
fn u03_a_prefix_and_all_together_have_so_many_handshakes() {
    let broker = bounded("max_handshakes_per_prefix = 2\nmax_handshakes = 3");
    let port = broker.plain_port();
    let from = |c, d| RawClient::plain_from(Ipv4Addr::new(127, 0, c, d), port);
    let mut idle = vec![from(0, 1), from(0, 2)];
    until("both are in", || open_connections(&broker) == Some(2.0));
    from(0, 3).expect_end();
    until("it is counted", || refused(&broker, "too_many_handshakes_of_prefix") > 0.5);
    idle.push(from(1, 1));
    until("all are in", || open_connections(&broker) == Some(3.0));
    from(2, 1).expect_end();
    until("it is counted", || refused(&broker, "too_many_handshakes") > 0.5);
    idle.pop().expect("three").break_off();
    until("one has gone", || open_connections(&broker) == Some(2.0));
    log_in(from(2, 1), "elsewhere").expect_silence();
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
