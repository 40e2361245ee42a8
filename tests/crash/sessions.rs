//! Sessions, subscriptions and wills of a broker that is killed and started again.

use std::fs;

use crate::harness::clients;
use crate::harness::raw::{
    CONNACK, Connect, DISCONNECT, PUBACK, PUBLISH, RawClient, SUBACK, UNSUBSCRIBE, Will,
    acknowledge, data, packet, publish_with, subscribe,
};
use crate::harness::{Broker, Process, Stream};
use crate::place::{Place, VERSION, client, kill, stop};

/// A QoS 1 message.
const ACKNOWLEDGED: u8 = PUBLISH | 1 << 1;
const UNSUBACK: u8 = 0xB0;

/// Asks for a session that lives for ever.
fn lasting(client_id: &str) -> Connect<'_> {
    Connect::new(VERSION, client_id).keep_session(false, u32::MAX)
}

/// Whether it found its session.
fn enter(broker: &Broker, connect: &Connect<'_>) -> (RawClient, bool) {
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&connect.encode());
    let welcome = client.expect(CONNACK);
    assert_eq!(welcome.reason(), 0, "{welcome:?}");
    let is_resumed = welcome.body[0] & 1 != 0;
    (client, is_resumed)
}

fn subscribed(client: &mut RawClient, id: u16, filter: &str) {
    client.send(&subscribe(VERSION, id, filter, 1));
    assert_eq!(client.expect(SUBACK).body.last(), Some(&1));
}

fn publish(broker: &Broker, topic: &str, payload: &[u8]) {
    let mut publisher = client(broker, "publisher");
    publisher.send(&publish_with(VERSION, ACKNOWLEDGED, topic, Some(1), &[], payload));
    publisher.expect(PUBACK);
}

/// What the client is sent first.
fn message(client: &mut RawClient) -> (String, Vec<u8>) {
    let message = client.read().publish(VERSION);
    client.send(&acknowledge(PUBACK, message.id.expect("QoS 1")));
    (message.topic, message.payload)
}

#[test]
fn u06_a_session_and_its_subscriptions_are_there_after_a_kill_as_soon_as_they_are_acknowledged() {
    let place = Place::new();
    let mut broker = place.start();
    for round in 0..10 {
        let (mut reader, is_resumed) = enter(&broker, &lasting("reader"));
        assert_eq!(is_resumed, round > 0, "round {round}");
        let (before, now) = (format!("t/{}", round - 1), format!("t/{round}"));
        if round > 0 {
            let body = [&[0, 9, 0][..], &data(&before)].concat();
            reader.send(&packet(UNSUBSCRIBE, &body));
            assert_eq!(reader.expect(UNSUBACK).body.last(), Some(&0));
        }
        subscribed(&mut reader, 1, &now);
        kill(broker);
        broker = place.start();
        publish(&broker, &before, b"not any more");
        publish(&broker, &now, b"still");
        let (mut reader, is_resumed) = enter(&broker, &lasting("reader"));
        assert!(is_resumed, "round {round}");
        assert_eq!(message(&mut reader), (now, b"still".to_vec()));
        drop(reader);
    }
    kill(broker);
}

#[test]
fn u09_whoever_is_first_after_a_restart_reaches_sessions_that_were_there_before() {
    let place = Place::new();
    let broker = place.start();
    for number in 0..200 {
        let (mut reader, _) = enter(&broker, &lasting(&format!("reader {number}")));
        subscribed(&mut reader, 1, "news");
    }
    kill(broker);
    let broker = place.start();
    publish(&broker, "news", b"first");
    for number in 0..200 {
        let (mut reader, is_resumed) = enter(&broker, &lasting(&format!("reader {number}")));
        assert!(is_resumed);
        assert_eq!(message(&mut reader), ("news".to_owned(), b"first".to_vec()));
    }
    stop(broker);
}

#[test]
fn a_session_that_was_ended_does_not_come_back() {
    let place = Place::new();
    let broker = place.start();
    let (mut leaving, _) = enter(&broker, &lasting("leaving"));
    subscribed(&mut leaving, 1, "t");
    // A session expiry interval of 0.
    leaving.send(&packet(DISCONNECT, &[0, 5, 0x11, 0, 0, 0, 0]));
    leaving.expect_end();
    let (mut clean, _) = enter(&broker, &lasting("clean"));
    subscribed(&mut clean, 1, "t");
    let again = Connect { clean: true, ..lasting("clean") };
    let (clean, is_resumed) = enter(&broker, &again);
    assert!(!is_resumed);
    kill(broker);
    drop(clean);
    let broker = place.start();
    assert!(!enter(&broker, &lasting("leaving")).1);
    publish(&broker, "t", b"to nobody");
    publish(&broker, "u", b"to clean");
    let (mut clean, is_resumed) = enter(&broker, &lasting("clean"));
    assert!(is_resumed);
    subscribed(&mut clean, 1, "t");
    stop(broker);
}

#[test]
fn r07_wills_are_published_after_a_kill_when_they_are_due_and_not_before() {
    let place = Place::new();
    let broker = place.start();
    let (mut heir, _) = enter(&broker, &lasting("heir"));
    subscribed(&mut heir, 1, "will/#");
    drop(heir);
    // Will delay interval: 3,600 seconds and 1.
    let (late, soon) = ([0x18, 0, 0, 0x0E, 0x10], [0x18, 0, 0, 0, 1]);
    let will = |topic, properties: &[u8]| {
        let properties = properties.to_vec();
        Some(Will { qos: 1, properties, ..Will::new(topic, b"gone") })
    };
    let mortals = [
        Connect { will: will("will/no session", &[]), ..Connect::new(VERSION, "no session") },
        Connect { will: will("will/at once", &[]), ..lasting("at once") },
        Connect { will: will("will/soon", &soon), ..lasting("soon") },
        Connect { will: will("will/late", &late), ..lasting("late") },
    ];
    let connected = mortals.each_ref().map(|mortal| enter(&broker, mortal).0);
    kill(broker);
    drop(connected);
    let broker = place.start();
    let (mut heir, is_resumed) = enter(&broker, &lasting("heir"));
    assert!(is_resumed);
    let mut heard = [0; 3].map(|_| message(&mut heir).0);
    heard.sort();
    assert_eq!(heard, ["will/at once", "will/no session", "will/soon"]);
    // It waits on over an end in order, and for its client.
    stop(broker);
    let broker = place.start();
    let (mut late, is_resumed) = enter(&broker, &lasting("late"));
    assert!(is_resumed);
    late.send(&packet(DISCONNECT, &[]));
    publish(&broker, "will/end", b"");
    let (mut heir, _) = enter(&broker, &lasting("heir"));
    assert_eq!(message(&mut heir).0, "will/end");
    stop(broker);
}

#[test]
fn mosquitto_sub_gets_what_was_published_while_it_was_away_and_the_broker_restarted() {
    for version in ["311", "5"] {
        let place = Place::new();
        let broker = place.start();
        mosquitto_sub(&broker, version).kill();
        kill(broker);
        let broker = place.start();
        publish(&broker, "t/1", b"while it was away");
        let mut process = mosquitto_sub(&broker, version);
        process.wait_for_text(Stream::Out, "t/1 while it was away");
        process.kill();
        stop(broker);
    }
}

fn mosquitto_sub(broker: &Broker, version: &str) -> Process {
    let mut command = clients::mosquitto("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &broker.plain_port().to_string(), "-V", version]);
    command.args(["-c", "-i", "sub", "-q", "1", "-t", "t/#", "-v", "-d"]);
    if version == "5" {
        command.args(["-x", "3600"]);
    }
    let process = Process::spawn("mosquitto_sub -c", &mut command);
    process.wait_for_text(Stream::Out, "received SUBACK");
    process
}

#[test]
fn nothing_of_a_session_can_be_read_in_the_store() {
    let place = Place::new();
    let broker = place.start();
    let connect = Connect {
        will: Some(Will::new("marked/will", b"marked-payload")),
        ..lasting("marked-client")
    };
    let (mut reader, _) = enter(&broker, &connect);
    subscribed(&mut reader, 1, "marked/filter");
    kill(broker);
    stop(place.start());
    for entry in fs::read_dir(place.store()).expect("a directory") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        let is_marked = bytes.windows(6).any(|window| window == b"marked");
        assert!(!is_marked, "{}", path.display());
    }
}
