//! Whatever comes after CONNECT, a client of 5.0 goes on or is told why not.

use bastionmq::codec::{Packet, Version, next_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::{broker, client};
use crate::harness::Broker;
use crate::harness::raw::{DISCONNECT, PINGREQ, packet};
use crate::packet_file::{Entry, bad, good};

/// The largest packet of the broker under test.
const LIMIT: usize = 1 << 20;

/// The bytes that follow CONNECT: packets good and bad, some of them with bytes that are not theirs,
/// and now and then no packets at all.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let of_5 = |entry: &Entry| entry.versions().any(|version| version == Version::V5);
    let bad = bad().into_iter().filter(of_5).map(|entry| entry.bytes()).collect::<Vec<_>>();
    let good = good().into_iter().filter(of_5).map(|entry| entry.bytes()).collect::<Vec<_>>();
    let change = (any::<Index>(), any::<u8>());
    let changed = (select(good.clone()), vec(change, 1..4)).prop_map(|(mut packet, changes)| {
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet
    });
    let one = prop_oneof![
        4 => select(good),
        1 => select(bad),
        4 => changed,
        1 => vec(any::<u8>(), 1..40),
    ];
    vec(one, 1..6).prop_map(|packets| packets.concat())
}

/// `bytes`, with the end of the last packet, where that is one so far.
fn completed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < bytes.len() {
        match next_frame(&bytes[at..], LIMIT) {
            Ok(Some(frame)) => at += frame.size,
            Ok(None) => bytes.push(0),
            Err(_) => break,
        }
    }
    bytes
}

/// Whether there is a DISCONNECT in `bytes` that ends the connection for its client.
fn says_goodbye(mut bytes: &[u8]) -> bool {
    while let Ok(Some(frame)) = next_frame(bytes, LIMIT) {
        match frame.decode(Version::V5) {
            Ok(Packet::Disconnect(_)) => return true,
            Ok(_) => bytes = &bytes[frame.size..],
            Err(_) => return false,
        }
    }
    false
}

/// Sends `bytes`, and fails where the client neither goes on nor is told why not.
fn send(broker: &Broker, bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut client = client(broker, 5);
    client.send(&[bytes, &packet(PINGREQ, &[]), &packet(PINGREQ | 1, &[])].concat());
    while let Some(frame) = client.read_or_end() {
        if frame.first == DISCONNECT {
            let is_told = frame.reason() >= 0x80;
            prop_assert!(is_told, "DISCONNECT {:#04x}", frame.reason());
            client.expect_orderly_end();
            return Ok(());
        }
    }
    prop_assert!(says_goodbye(bytes), "the end, without DISCONNECT");
    Ok(())
}

#[test]
fn whatever_a_client_sends_it_goes_on_or_is_told_why_not() {
    let broker = broker();
    let mut runner = TestRunner::new(Config { cases: 500, ..Config::default() });
    let result = runner.run(&bytes().prop_map(completed), |bytes| send(&broker, &bytes));
    result.unwrap_or_else(|failure| panic!("{failure}"));
    client(&broker, 5).expect_silence();
    let errors =
        crate::harness::http::metric(broker.admin_port(), "bastionmq_internal_errors_total");
    assert_eq!(errors, Some(0.0));
}
