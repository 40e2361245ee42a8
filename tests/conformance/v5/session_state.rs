//! Session State, network connections, what is sent again, and who takes ownership (4.1, 4.2, 4.4
//! and 4.5).

use std::time::Duration;

use super::stage::{QOS_1, QOS_2, Stage, Version5, answer, let_pass, publish, receive_maximum};
use crate::harness::ADMIN;
use crate::harness::raw::{
    CONNACK, Connect, PINGREQ, PINGRESP, PUBACK, PUBREC, PUBREL, RawClient, SUBACK, packet,
    subscribe,
};

/// A client whose session ends a second after its connection.
fn short_lived(stage: &Stage, clean: bool) -> (RawClient, bool) {
    let mut client = stage.stranger();
    client.send(&Connect::new(5, "client").keep_session(clean, 1).encode());
    let answer = client.expect(CONNACK);
    assert_eq!(answer.reason(), 0);
    (client, answer.body[0] == 1)
}

#[test]
fn v5_4_1_0_1_the_session_lasts_as_long_as_its_connection() {
    let stage = Stage::open();
    let (mut client, _) = short_lived(&stage, true);
    client.subscribed("t", 1);
    // Receipt of half a QoS 2 message is Session State as well.
    client.send(&publish(QOS_2, "elsewhere", Some(1), &[], "m"));
    client.expect(PUBREC);
    let_pass(Duration::from_millis(1_500));
    stage.client("publisher").publishes(QOS_1, "t", &[], "m");
    let id = client.hears("m").id;
    client.acknowledges(PUBREL, 1);
    assert_eq!(client.acknowledged(crate::harness::raw::PUBCOMP), (1, 0));
    client.leaves();
    let (mut client, is_present) = short_lived(&stage, false);
    assert!(is_present);
    assert_eq!(client.hears("m").id, id);
}

#[test]
fn v5_4_1_0_2_the_session_ends_when_its_expiry_interval_has_passed() {
    let stage = Stage::open();
    let (mut client, _) = short_lived(&stage, true);
    client.subscribed("t", 1);
    client.leaves();
    let mut publisher = stage.client("publisher");
    publisher.publishes(QOS_1, "t", &[], "m");
    let_pass(Duration::from_millis(1_500));
    let (mut client, is_present) = short_lived(&stage, false);
    assert!(!is_present);
    publisher.publishes(QOS_1, "t", &[], "m");
    client.hears_nothing();
    client.subscribed("other", 0);
    publisher.says("other", "marker");
    client.hears("marker");
    // An interval of 0 passes at once.
    let mut client = stage.client("unremembered");
    client.subscribed("t", 1);
    client.leaves();
    let mut client = stage.stranger();
    client.send(&Connect { clean: false, ..Connect::new(5, "unremembered") }.encode());
    assert_eq!(client.expect(CONNACK).body[..2], [0, 0]);
}

#[test]
fn v5_4_2_1_packets_are_taken_from_a_stream_of_bytes_over_tcp_and_tls() {
    let stage = Stage::secure();
    for mut client in [stage.stranger(), stage.stranger_over_tls()] {
        let packets = [
            Connect::new(5, "client").login(ADMIN).encode(),
            subscribe(5, 1, "t", 0),
            publish(QOS_1, "t", Some(1), &[], &"long ".repeat(100)),
            packet(PINGREQ, &[]),
        ];
        // In as many pieces as there are bytes, and then in one.
        for byte in packets.concat() {
            client.send(&[byte]);
        }
        client.send(&packets[1..].concat());
        for first in [CONNACK, SUBACK, PUBACK, PINGRESP, SUBACK, PUBACK, PINGRESP] {
            let mut frame = client.read();
            while frame.first == 0x30 {
                assert_eq!(frame.publish(5).payload, "long ".repeat(100).as_bytes());
                frame = client.read();
            }
            assert_eq!(frame.first, first);
        }
    }
}

#[test]
fn v5_4_4_0_1_what_is_unacknowledged_is_sent_again_in_order_at_a_new_connection_alone() {
    let stage = Stage::open();
    let mut subscriber = stage.lasting("subscriber");
    subscriber.subscribed("t", 2);
    let mut publisher = stage.client("publisher");
    let sent = [(QOS_1, "1"), (QOS_2, "2"), (QOS_2, "3"), (QOS_1, "4")];
    for (flags, payload) in sent {
        publisher.publishes(flags, "t", &[], payload);
    }
    let ids = sent.map(|(_, payload)| subscriber.hears(payload).id.expect("an identifier"));
    // The second is half done.
    subscriber.acknowledges(PUBREC, ids[1]);
    assert_eq!(subscriber.release(), ids[1]);
    // Time alone does not make the broker send anything again.
    let_pass(Duration::from_millis(1_500));
    subscriber.hears_nothing();
    subscriber.leaves();

    let mut subscriber = stage.back("subscriber");
    for (payload, id, qos) in [("1", ids[0], 1), ("3", ids[2], 2), ("4", ids[3], 1)] {
        if payload == "3" {
            assert_eq!(subscriber.release(), ids[1]);
        }
        let received = subscriber.hears(payload);
        assert_eq!((received.id, received.qos, received.dup), (Some(id), qos, true));
    }
    subscriber.hears_nothing();
    subscriber.leaves();

    // A narrow window changes when, but not what.
    let mut subscriber = stage.back_with("subscriber", &receive_maximum(1));
    let received = subscriber.hears("1");
    subscriber.hears_nothing();
    subscriber.completes(&received);
    assert_eq!(subscriber.release(), ids[1]);
    subscriber.acknowledges(crate::harness::raw::PUBCOMP, ids[1]);
    for payload in ["3", "4"] {
        let received = subscriber.hears(payload);
        subscriber.hears_nothing();
        subscriber.completes(&received);
    }
    subscriber.leaves();
    stage.back("subscriber").hears_nothing();
}

#[test]
fn v5_4_4_0_2_what_was_refused_is_not_sent_again() {
    let stage = Stage::open();
    let mut subscriber = stage.lasting("subscriber");
    subscriber.subscribed("t", 2);
    let mut publisher = stage.client("publisher");
    for (flags, first) in [(QOS_1, PUBACK), (QOS_2, PUBREC)] {
        for reason in [0x80, 0x83, 0x87, 0x90, 0x97, 0x99] {
            publisher.publishes(flags, "t", &[], "m");
            let id = subscriber.hears("m").id.expect("an identifier");
            subscriber.send(&answer(first, id, reason));
        }
    }
    subscriber.hears_nothing();
    subscriber.leaves();
    stage.back("subscriber").hears_nothing();
}

#[test]
fn v5_4_5_0_1_a_message_is_added_to_the_session_of_every_matching_subscriber() {
    for flags in [QOS_1, QOS_2] {
        let stage = Stage::open();
        let filters = [("first", "a/b"), ("second", "a/+"), ("third", "#"), ("away", "a/#")];
        let mut clients = filters.map(|(id, filter)| {
            let mut client = stage.lasting(id);
            client.subscribed(filter, 2);
            client
        });
        let [.., away] = clients;
        away.leaves();
        stage.client("publisher").publishes(flags, "a/b", &[], "m");
        clients = ["first", "second", "third", "away"].map(|id| stage.back(id));
        for client in &mut clients {
            assert_eq!(client.hears("m").qos << 1, flags);
        }
    }
}
