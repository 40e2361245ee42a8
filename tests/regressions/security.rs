//! Security faults, tried against the real binary.

use std::thread;

use crate::harness::http::metric;
use crate::harness::raw::{
    AUTH, CONNACK, Connect, PINGREQ, PINGRESP, PUBLISH, RawClient, SUBACK, UNSUBSCRIBE, Will, data,
    packet, properties, publish_with, subscribe,
};
use crate::harness::scram::Scram;
use crate::harness::{Broker, DEVICE1};

const PROTOCOL_ERROR: u8 = 0x82;
const UNSUBACK: u8 = 0xB0;

#[test]
fn r05_every_topic_of_the_broker_in_every_packet_leaves_it_standing() {
    let broker = Broker::open();
    let port = broker.plain_port();
    for topic in ["$", "$$", "$foo", "$SYS", "$SYS/", "$share", "$share/", "$share/g", "$share//a"]
    {
        for version in [3, 4, 5] {
            let will = Some(Will::new(topic, b"x"));
            let mut dying = RawClient::plain(port);
            dying.send(&Connect { will, ..Connect::new(version, "dying") }.encode());
            drop(dying.read_or_end());
            dying.break_off();
            for qos in [0, 1, 2] {
                let id = (qos > 0).then_some(1);
                for retain in [0, 1] {
                    let first = PUBLISH | qos << 1 | retain;
                    say(port, version, &publish_with(version, first, topic, id, &[], b"x"));
                }
            }
            say(port, version, &subscribe(version, 1, topic, 0));
            let filters = [&[0, 1][..], &properties(version, &[]), &data(topic)].concat();
            say(port, version, &packet(UNSUBSCRIBE, &filters));
        }
    }
    RawClient::connected(port, &Connect::new(5, "after")).expect_silence();
    let errors = metric(broker.admin_port(), "bastionmq_internal_errors_total");
    assert_eq!(errors, Some(0.0));
}

/// Sends `bytes` after a login, and takes the answer or the end.
fn say(port: u16, version: u8, bytes: &[u8]) {
    let mut client = RawClient::connected(port, &Connect::new(version, "client"));
    client.send(bytes);
    client.send(&packet(PINGREQ, &[]));
    drop(client.read_or_end());
}

/// Before CONNECT, while it proves who it is, and when it is in.
#[test]
fn r10_a_packet_of_a_server_ends_the_connection_in_every_state() {
    let broker = Broker::secure();
    let first = Scram::new(DEVICE1.0, DEVICE1.1).first();
    let properties = [&[0x15][..], &data("SCRAM-SHA-256"), &[0x16], &data(first)].concat();
    let proving = Connect { properties, ..Connect::new(5, "proving") };
    let inside = Connect::new(5, "inside").login(DEVICE1);
    for forged in [
        packet(CONNACK, &[0, 0, 0]),
        packet(SUBACK, &[0, 1, 0, 0]),
        packet(UNSUBACK, &[0, 1, 0, 0]),
        packet(PINGRESP, &[]),
    ] {
        let mut stranger = RawClient::plain(broker.plain_port());
        stranger.send(&forged);
        stranger.expect_end();

        let mut client = RawClient::plain(broker.plain_port());
        client.send(&proving.encode());
        client.expect(AUTH);
        client.send(&forged);
        assert_eq!(client.expect(CONNACK).reason(), PROTOCOL_ERROR, "{forged:02x?}");
        client.expect_end();

        let mut client = RawClient::connected(broker.plain_port(), &inside);
        client.send(&forged);
        client.expect_disconnect(PROTOCOL_ERROR);
    }
    RawClient::connected(broker.plain_port(), &inside).expect_silence();
    let errors = metric(broker.admin_port(), "bastionmq_internal_errors_total");
    assert_eq!(errors, Some(0.0));
}

#[test]
fn r28_a_retained_message_is_one_that_was_published_on_its_topic() {
    const ROUNDS: usize = 300;
    let broker = Broker::open();
    let port = broker.plain_port();
    let publishers = (0..4).map(|writer| {
        thread::spawn(move || {
            let mut client = RawClient::connected(port, &Connect::new(5, &format!("w{writer}")));
            for round in 0..ROUNDS {
                let topic = format!("t/{}", (round + writer) % 8);
                let payload = format!("{topic} of {writer}").repeat(round % 7 + 1);
                client.send(&publish_with(5, PUBLISH | 1, &topic, None, &[], payload.as_bytes()));
            }
            client.expect_silence();
        })
    });
    let publishers = publishers.collect::<Vec<_>>();
    for reader in 0..30 {
        retained_as_published(port, &format!("r{reader}"));
    }
    publishers.into_iter().for_each(|publisher| publisher.join().expect("it was heard"));
    assert_eq!(retained_as_published(port, "last"), 8);
}

/// How many messages came, each of which said on which topic it was published.
fn retained_as_published(port: u16, client_id: &str) -> usize {
    let mut client = RawClient::connected(port, &Connect::new(5, client_id));
    client.send(&subscribe(5, 1, "t/+", 0));
    client.expect_and_keep(SUBACK);
    client.send(&packet(PINGREQ, &[]));
    client.expect_and_keep(PINGRESP);
    // What was kept comes first; one more answer marks its end.
    client.send(&packet(PINGREQ, &[]));
    let mut messages = 0;
    loop {
        let frame = client.kept_or_next();
        if frame.first & 0xF0 != PUBLISH {
            return messages;
        }
        let message = frame.publish(5);
        let text = String::from_utf8(message.payload).expect("UTF-8");
        assert!(text.starts_with(&format!("{} of ", message.topic)), "{}: {text}", message.topic);
        messages += 1;
    }
}
