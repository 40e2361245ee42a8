//! Floods that a stranger can begin: each has a bound, which `docs/security.md` states, and meets it while
//! those who are inside go on being served.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::budgets::until;
use crate::harness::http::{metric, series};
use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, PATIENCE, Site};

/// `connect_timeout_seconds` and `send_timeout_seconds` here.
const BOUND: Duration = Duration::from_secs(2);
/// The same where it must not be over before the test is.
const LONG_BOUND: Duration = Duration::from_secs(60);
/// How long an attacker listens before it sends its next byte.
const BETWEEN_BYTES: Duration = Duration::from_millis(20);

fn bounded(settings: &str) -> Broker {
    bounded_by(BOUND, settings)
}

fn bounded_by(bound: Duration, settings: &str) -> Broker {
    let seconds = bound.as_secs();
    Broker::secure_with_settings(&format!(
        "[network]\nconnect_timeout_seconds = {seconds}\nsend_timeout_seconds = {seconds}\n{settings}"
    ))
}

/// Somebody who is inside, and hears what it says.
struct Served(RawClient);

impl Served {
    fn enter(broker: &Broker) -> Self {
        let connect = Connect::new(5, "served").login(ADMIN);
        let mut client = RawClient::connected(broker.plain_port(), &connect);
        assert_eq!(client.subscribe(5, "served", 0), 0);
        Self(client)
    }

    fn is_served(&mut self) {
        self.0.send(&raw::publish(5, "served", b"still here"));
        assert_eq!(self.0.expect(raw::PUBLISH).publish(5).payload, b"still here");
    }
}

fn refused(broker: &Broker, reason: &str) -> f64 {
    let name = format!("bastionmq_connections_refused_total{{reason=\"{reason}\"}}");
    series(broker.admin_port(), &name)
}

fn resident(broker: &Broker) -> f64 {
    metric(broker.admin_port(), "process_resident_memory_bytes").expect("the memory of the broker")
}

/// A connection whose reads give up after a moment.
fn impatient(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
    stream.set_read_timeout(Some(BETWEEN_BYTES)).expect("a time limit");
    stream
}

/// Whether the other end has hung up, after a moment.
fn has_ended(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn slow_loris_is_cut_when_its_time_is_over_however_it_dribbles() {
    const ATTACKERS: usize = 30;
    let broker = bounded("");
    let mut served = Served::enter(&broker);
    // A CONNECT of 60,000 bytes, which comes a byte at a time.
    let connect = [&[raw::CONNECT][..], &raw::variable_byte_integer(60_000), b"\0\x04MQTT\x05"];
    let connect = connect.concat();
    let begin = Instant::now();
    let mut attackers: Vec<_> = (0..ATTACKERS).map(|_| impatient(broker.plain_port())).collect();
    let mut cut = Vec::new();
    for byte in connect.into_iter().chain(std::iter::repeat(0)) {
        attackers.retain(|attacker| {
            let is_cut = (&mut &*attacker).write_all(&[byte]).is_err() || has_ended(attacker);
            cut.extend(is_cut.then(|| begin.elapsed()));
            !is_cut
        });
        served.is_served();
        if attackers.is_empty() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{} are still connected", attackers.len());
    }
    assert!(cut.iter().all(|after| *after >= BOUND), "{cut:?}");
    until("all are counted", || refused(&broker, "connect_timeout") > ATTACKERS as f64 - 0.5);
}

#[test]
fn half_open_connections_are_cut_at_every_door_and_their_places_are_free_again() {
    let broker = bounded("max_handshakes_per_address = 8\n");
    let mut served = Served::enter(&broker);
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];
    let half = |port: u16, said: &[u8]| {
        let mut stream = impatient(port);
        stream.write_all(said).expect("it listens");
        stream
    };
    let begin = Instant::now();
    let (plain, tls) = (broker.plain_port(), broker.tls_port());
    let held = [
        half(plain, b""),
        half(plain, &[raw::CONNECT]),
        half(plain, &[raw::CONNECT, 0xff, 0xff]),
        half(plain, b"\x10\x20\0\x04MQTT"),
        half(tls, b""),
        half(tls, &hello[..1]),
        half(tls, &hello[..5]),
        half(tls, &hello),
    ];
    let inside = 1.0;
    until("all are in", || {
        metric(broker.admin_port(), "bastionmq_connections_open") == Some(8.0 + inside)
    });
    // Whoever comes while they are there is sent away at once, and not when its time is over.
    RawClient::plain(plain).expect_end();
    until("it is counted", || refused(&broker, "too_many_handshakes_of_address") > 0.5);
    while !held.iter().all(has_ended) {
        served.is_served();
        assert!(begin.elapsed() < PATIENCE, "some are still connected");
    }
    assert!(begin.elapsed() >= BOUND);
    until("all are counted", || {
        let at_each_door = ["connect_timeout", "handshake_timeout"];
        at_each_door.into_iter().all(|why| refused(&broker, why) > 3.5)
    });
    // Whoever comes now finds a place, at both doors.
    let connect = Connect::new(5, "next").login(ADMIN);
    RawClient::connected(plain, &connect).break_off();
    let mut over_tls = RawClient::tls(tls, Site::shared().tls());
    over_tls.send(&connect.encode());
    assert_eq!(over_tls.expect(raw::CONNACK).reason(), 0);
    served.is_served();
}

#[test]
fn a_subscriber_that_never_reads_is_cut_and_holds_no_more_than_its_queue() {
    const QUEUE: usize = 1 << 20;
    const MESSAGE: usize = 256 << 10;
    let broker = bounded(&format!("[broker]\nmax_queued_bytes = {QUEUE}\n"));
    let mut served = Served::enter(&broker);
    let admin = Connect::new(5, "deaf").login(ADMIN);
    let mut deaf = RawClient::connected(broker.plain_port(), &admin);
    assert_eq!(deaf.subscribe(5, "flood", 0), 0);
    let writer = Connect::new(5, "writer").login(ADMIN);
    let mut writer = RawClient::connected(broker.plain_port(), &writer);
    let before = resident(&broker);
    let begin = Instant::now();
    let flood = raw::publish(5, "flood", &vec![b'x'; MESSAGE]);
    let is_cut = || metric(broker.admin_port(), "bastionmq_clients_connected") == Some(2.0);
    let mut sent = 0;
    while !is_cut() {
        writer.send(&flood);
        writer.expect_silence();
        served.is_served();
        sent += MESSAGE;
        assert!(begin.elapsed() < PATIENCE, "it is still connected after {sent} bytes");
    }
    assert!(begin.elapsed() >= BOUND);
    // What the sockets of both ends hold is the system's; the broker has its queue, one output, and slack.
    let grown = resident(&broker) - before;
    assert!(grown < 24e6, "{grown} bytes more, after {sent} were sent");
    served.is_served();
}

/// What a client of TLS says first.
fn client_hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Site::shared().tls(), name).expect("a TLS client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a buffer");
    hello
}

/// A handshake that the broker has answered, and that goes no further.
fn under_way(broker: &Broker, hello: &[u8]) -> RawClient {
    let mut attacker = RawClient::plain(broker.tls_port());
    attacker.send(hello);
    // A record of the handshake.
    assert_eq!(attacker.read_bytes(), Some([0x16]));
    attacker
}

#[test]
fn a_flood_of_tls_handshakes_takes_so_many_places_and_those_inside_go_on() {
    const UNDER_WAY: usize = 4;
    const FLOOD: usize = 200;
    let broker = bounded_by(LONG_BOUND, &format!("max_tls_handshakes = {UNDER_WAY}\n"));
    let mut served = Served::enter(&broker);
    let mut over_tls = RawClient::tls(broker.tls_port(), Site::shared().tls());
    over_tls.send(&Connect::new(5, "inside").login(ADMIN).encode());
    assert_eq!(over_tls.expect(raw::CONNACK).reason(), 0);
    let before = resident(&broker);
    let hello = client_hello();
    let held: Vec<_> = (0..UNDER_WAY).map(|_| under_way(&broker, &hello)).collect();
    for number in 0..FLOOD {
        let begin = Instant::now();
        let mut next = RawClient::plain(broker.tls_port());
        next.send(&hello);
        next.expect_end();
        let waited = begin.elapsed();
        assert!(waited < LONG_BOUND / 4, "{number} was cut after {waited:?}");
        if number.is_multiple_of(20) {
            served.is_served();
            over_tls.expect_silence();
        }
    }
    until("all are counted", || refused(&broker, "too_many_tls_handshakes") > FLOOD as f64 - 0.5);
    let cut = ["handshake_timeout", "connect_timeout"].map(|why| refused(&broker, why));
    assert!(cut.iter().all(|it| *it < 0.5), "{cut:?} were cut since their time was over");
    let inside = 2.0;
    let open = metric(broker.admin_port(), "bastionmq_connections_open");
    assert_eq!(open, Some(UNDER_WAY as f64 + inside), "those that are under way go on");
    let grown = resident(&broker) - before;
    assert!(grown < 24e6, "{grown} bytes more");
    // Their places are free again as they give up.
    drop(held);
    until("they have gone", || {
        metric(broker.admin_port(), "bastionmq_connections_open") == Some(inside)
    });
    let mut next = RawClient::tls(broker.tls_port(), Site::shared().tls());
    next.send(&Connect::new(5, "next").login(ADMIN).encode());
    assert_eq!(next.expect(raw::CONNACK).reason(), 0);
    served.is_served();
    over_tls.expect_silence();
}

#[test]
fn tls_handshakes_that_go_no_further_are_cut_when_their_time_is_over() {
    const UNDER_WAY: usize = 4;
    let broker = bounded(&format!("max_tls_handshakes = {UNDER_WAY}\n"));
    let mut served = Served::enter(&broker);
    let hello = client_hello();
    let begin = Instant::now();
    let held: Vec<_> = (0..UNDER_WAY).map(|_| under_way(&broker, &hello)).collect();
    for mut attacker in held {
        while attacker.read_bytes::<1>().is_some() {}
        served.is_served();
    }
    assert!(begin.elapsed() >= BOUND);
    until("all are counted", || refused(&broker, "handshake_timeout") > UNDER_WAY as f64 - 0.5);
    let mut next = RawClient::tls(broker.tls_port(), Site::shared().tls());
    next.send(&Connect::new(5, "next").login(ADMIN).encode());
    assert_eq!(next.expect(raw::CONNACK).reason(), 0);
}
