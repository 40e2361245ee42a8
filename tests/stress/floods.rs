//! Clients that never stop sending, or never read.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::http::metric;
use crate::harness::raw::{CONNACK, Connect, PINGREQ, RawClient, Will, packet, publish, subscribe};
use crate::harness::{ADMIN, Broker};

/// Connects, and sends `bytes` over and over until the broker hangs up; nothing is ever read.
fn flood(port: u16, connect: &Connect<'_>, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
    stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a time limit");
    stream.write_all(&connect.encode()).expect("it reads");
    thread::spawn(move || {
        let error = loop {
            if let Err(error) = stream.write_all(&bytes) {
                break error;
            }
        };
        let hung_up = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(hung_up, "the broker neither reads nor hangs up: {error}");
    })
}

#[test]
fn a_client_that_never_stops_publishing_can_be_taken_over() {
    let broker = Broker::open();
    let port = broker.plain_port();
    let connect = Connect::new(5, "busy").keep_session(false, 60);
    let burst = publish(5, "a", b"x").repeat(20_000);
    let flooding = flood(port, &connect, burst);
    until("the flood has begun", || {
        metric(broker.admin_port(), "bastionmq_publishes_received_total") > Some(50_000.0)
    });
    let mut successor = RawClient::plain(port);
    successor.send(&connect.encode());
    let connack = successor.expect(CONNACK);
    assert_eq!(connack.body[..2], [1, 0], "the session goes on");
    flooding.join().expect("it is cut off");
}

#[test]
fn a_client_that_floods_and_never_reads_is_cut_off_after_the_send_timeout() {
    let broker = Broker::secure_with_settings("[network]\nsend_timeout_seconds = 1\n");
    let port = broker.plain_port();
    let mut bursts = Vec::new();
    let loud = [subscribe(5, 1, "mine", 0), publish(5, "mine", &[b'x'; 1_000])].concat();
    bursts.push(loud.repeat(500));
    bursts.push(packet(PINGREQ, &[]).repeat(50_000));
    bursts.push(subscribe(5, 1, "#", 0).repeat(10_000));
    let begin = metric(broker.admin_port(), "process_resident_memory_bytes").expect("a number");
    let floods = bursts
        .into_iter()
        .zip(["a", "b", "c"])
        .map(|(burst, client_id)| flood(port, &Connect::new(5, client_id).login(ADMIN), burst));
    let floods = floods.collect::<Vec<_>>();
    let mut bystander = RawClient::connected(port, &Connect::new(5, "calm").login(ADMIN));
    bystander.expect_silence();
    for flood in floods {
        flood.join().expect("it is cut off");
    }
    bystander.expect_silence();
    let end = metric(broker.admin_port(), "process_resident_memory_bytes").expect("a number");
    assert!(end - begin < 100e6, "from {begin} to {end} bytes");
}

#[test]
fn a_disconnect_that_the_broker_finds_behind_a_broken_pipe_takes_the_will_back() {
    let broker = Broker::open();
    let port = broker.plain_port();
    let mut reader = RawClient::connected(port, &Connect::new(5, "reader"));
    reader.subscribe(5, "will", 0);
    let mut publisher = RawClient::connected(port, &Connect::new(5, "publisher"));
    for round in 0..20 {
        let client_id = format!("leaving-{round}");
        let mut leaving = Connect::new(5, &client_id);
        leaving.will = Some(Will::new("will", b"gone"));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
        stream.write_all(&leaving.encode()).expect("it reads");
        stream.write_all(&subscribe(5, 1, "much", 0)).expect("it reads");
        // More than its socket takes, so that closing it resets the connection.
        for _ in 0..200 {
            publisher.send(&publish(5, "much", &[b'x'; 50_000]));
        }
        publisher.expect_silence();
        stream.write_all(&packet(0xE0, &[])).expect("it reads");
        drop(stream);
        until("it has gone", || {
            metric(broker.admin_port(), "bastionmq_connections_open") == Some(2.0)
        });
    }
    reader.expect_silence();
}

/// Asks again and again until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + crate::harness::PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}
