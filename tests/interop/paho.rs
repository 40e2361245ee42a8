//! paho.mqtt.testing.

use crate::harness::Broker;
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PUBLISH, PUBREC, RawClient, SUBACK, publish_with, subscribe,
};

/// Whose broker the suites of `client_test.py` and `client_test5.py` pass against.
const CONFIGURATION: &str = "paho.toml";
const SERVER_KEEP_ALIVE: u8 = 0x13;
const RECEIVE_MAXIMUM: u8 = 0x21;
const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
const QOS_2: u8 = 2 << 1;

/// `test_flow_control2` sends one message of QoS 2 more than it is told it may, each under an
/// identifier of its own. Where it is told the largest number there is, it runs out of them.
#[test]
fn more_messages_than_the_open_configuration_takes_at_once_can_be_sent() {
    let broker = Broker::open();
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(5, "flow").encode());
    let welcome = client.expect(CONNACK).body;
    let told = welcome[3..].windows(3).find(|bytes| bytes[0] == RECEIVE_MAXIMUM);
    let told = told.map(|bytes| u16::from_be_bytes([bytes[1], bytes[2]]));
    let told = told.expect("a receive maximum below the largest");
    let messages = (1..=told + 1)
        .flat_map(|id| publish_with(5, PUBLISH | QOS_2, "flow", Some(id), &[], b"message"))
        .collect::<Vec<_>>();
    client.send(&messages);
    let mut answer = client.read();
    let mut received = 0;
    while answer.first == PUBREC {
        received += 1;
        answer = client.read();
    }
    assert_eq!(
        (received, answer.first, answer.reason()),
        (told, DISCONNECT, RECEIVE_MAXIMUM_EXCEEDED)
    );
    client.expect_end();
}

/// `test_server_keep_alive` asks for 120 seconds.
#[test]
fn who_asks_for_two_minutes_of_keep_alive_is_told_one() {
    let broker = Broker::configured(CONFIGURATION);
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect { keep_alive: 120, ..Connect::new(5, "keep") }.encode());
    let welcome = client.expect(CONNACK).body;
    let told = welcome[3..].windows(3).any(|bytes| bytes == [SERVER_KEEP_ALIVE, 0, 60]);
    assert!(told, "{welcome:?}");
}

/// `test_subscribe_failure` subscribes to a topic that may not be subscribed to.
#[test]
fn the_subscription_that_is_to_be_refused_is_refused_and_no_other() {
    let broker = Broker::configured(CONFIGURATION);
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(4, "subscriber").encode());
    client.expect(CONNACK);
    for (filter, answer) in [("test/nosubscribe", 0x80), ("test/other", 2), ("#", 2)] {
        client.send(&subscribe(4, 7, filter, 2));
        assert_eq!(client.expect(SUBACK).body, [0, 7, answer], "{filter}");
    }
}
