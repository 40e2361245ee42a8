//! A flood of connections that are refused: most of it is dropped before it comes, and nobody else's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::budgets::until;
use crate::harness::http::series;
use crate::harness::raw::{CONNACK, Connect, RawClient};
use crate::harness::{ADMIN, Broker, Stream, bastionmq, scratch};

const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Nobody's prefix but its own.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 1);
/// Attempts at once.
const WAVE: usize = 256;

const OF_ADDRESS: &str = "connection_rate_per_address = 1\nconnection_burst_per_address = 3\n";
const OF_PREFIX: &str = "connection_rate_per_prefix = 1\nconnection_burst_per_prefix = 3\n";

fn answering(few: u32, settings: &str) -> Broker {
    Broker::secure_with_settings(&format!(
        "[network]\nanswered_refusals_per_second = {few}\n{settings}"
    ))
}

fn count(broker: &Broker, name: &str) -> f64 {
    series(broker.admin_port(), name)
}

fn dropped(broker: &Broker) -> f64 {
    count(broker, "bastionmq_connections_dropped_total")
}

fn refused(broker: &Broker, reason: &str) -> f64 {
    count(broker, &format!("bastionmq_connections_refused_total{{reason=\"{reason}\"}}"))
}

/// Attempts to connect that wait for nothing, and are given up.
fn wave(broker: &Broker, from: Ipv4Addr) {
    wave_of(broker, &[from]);
}

/// The same, in turn from each of these addresses.
fn wave_of(broker: &Broker, from: &[Ipv4Addr]) {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.plain_port())).into();
    let attempts = from.iter().cycle().take(WAVE).map(|from| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((*from, 0)).into()).expect("an address of this machine");
        socket.set_nonblocking(true).expect("an option");
        // Under way, a connection, or reset already.
        let _ = socket.connect(&target);
        socket
    });
    drop(attempts.collect::<Vec<_>>());
}

fn flood_until_dropped(broker: &Broker, from: Ipv4Addr) {
    until("the flood is dropped", || {
        wave(broker, from);
        dropped(broker) > 1_000.0
    });
}

fn logs_in(broker: &Broker, from: Ipv4Addr, id: &str) -> bool {
    let mut client = RawClient::plain_from(from, broker.plain_port());
    client.try_send(&Connect::new(5, id).login(ADMIN).encode()).is_ok()
        && client.read_or_end().is_some_and(|it| it.first == CONNACK && it.reason() == 0)
}

#[test]
fn a_flood_of_an_address_is_dropped_and_others_come_in_meanwhile() {
    let broker = answering(20, OF_ADDRESS);
    flood_until_dropped(&broker, ATTACKER);
    let said = broker.process().wait_for_text(Stream::Err, "flood of connections is dropped");
    assert!(said.contains("\"from\":\"127.0.0.2\""), "{said}");
    for number in 0..3 {
        wave(&broker, ATTACKER);
        assert!(logs_in(&broker, NEIGHBOUR, &format!("neighbour{number}")));
    }
    let refusals = || refused(&broker, "rate_of_address");
    assert!(refusals() > 20.0, "who comes through is answered as ever");
    // Those are left out who were in the queue of the system when it began.
    until("more are dropped than are refused", || {
        let before = (dropped(&broker), refusals());
        (0..4).for_each(|_| wave(&broker, ATTACKER));
        dropped(&broker) - before.0 > refusals() - before.1
    });
    // When it has stopped, there is no trace of it.
    broker.process().wait_for_text(Stream::Err, "flood of connections is over");
    until("the address comes in again", || logs_in(&broker, ATTACKER, "reformed"));
}

#[test]
fn a_flood_of_a_prefix_is_dropped_unless_somebody_in_it_is_never_banned() {
    let broker = answering(20, OF_PREFIX);
    flood_until_dropped(&broker, ATTACKER);
    let said = broker.process().wait_for_text(Stream::Err, "flood of connections is dropped");
    assert!(said.contains("\"from\":\"127.0.0.0/24\""), "{said}");
    assert!(logs_in(&broker, ELSEWHERE, "elsewhere"));

    let broker = answering(20, &format!("{OF_PREFIX}[bans]\nallow = [\"127.0.0.3\"]\n"));
    until("it is refused", || {
        wave(&broker, ATTACKER);
        refused(&broker, "rate_of_prefix") > 1_000.0
    });
    assert!(logs_in(&broker, NEIGHBOUR, "neighbour"));
    assert_eq!(dropped(&broker), 0.0);
}

#[test]
fn who_is_banned_as_a_network_is_dropped_as_one_and_let_through_once_the_ban_is_lifted() {
    let place = scratch();
    let socket = place.path().join("control/ctl.sock");
    let broker = answering(20, &format!("[control]\nsocket = \"{}\"\n", socket.display()));
    let ctl = |words: &[&str]| {
        let mut command = bastionmq();
        command.args(["ctl", "--socket"]).arg(&socket).args(words);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    ctl(&["ban", "add", "127.0.2.0/24"]);
    let banned: Vec<_> = (1..=250).map(|host| Ipv4Addr::new(127, 0, 2, host)).collect();
    until("the flood is dropped", || {
        wave_of(&broker, &banned);
        dropped(&broker) > 1_000.0
    });
    let said = broker.process().wait_for_text(Stream::Err, "flood of connections is dropped");
    assert!(said.contains("\"from\":\"127.0.2.0/24\""), "{said}");
    assert!(logs_in(&broker, NEIGHBOUR, "neighbour"));
    until("the ban counts those who were dropped as well", || {
        let of_ban = count(&broker, "bastionmq_ban_refusals_total{kind=\"prefix\"}");
        of_ban == refused(&broker, "banned") + dropped(&broker)
    });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                wave_of(&broker, &banned);
            }
        });
        ctl(&["ban", "lift", "127.0.2.0/24"]);
        broker.process().wait_for_text(Stream::Err, "flood of connections is over");
        is_over.store(true, Ordering::Relaxed);
    });
    until("it comes in", || logs_in(&broker, banned[0], "forgiven"));
}

#[test]
fn whoever_floods_through_no_proxy_is_dropped_where_proxies_alone_may_come() {
    let broker = Broker::behind_proxy(&[("NETWORK_ANSWERED_REFUSALS_PER_SECOND", "20")]);
    flood_until_dropped(&broker, ATTACKER);
    assert!(refused(&broker, "proxy_address") > 20.0);
}

#[test]
fn a_broker_that_answers_everybody_drops_nobody() {
    let broker = answering(0, OF_ADDRESS);
    until("it is refused", || {
        wave(&broker, ATTACKER);
        refused(&broker, "rate_of_address") > 1_000.0
    });
    assert_eq!(dropped(&broker), 0.0);
}
