//! Sections 3.1.2.4 and 4.1: sessions that end with the connection, and sessions that outlive it.

use super::scene::{QOS_1, QOS_2, RETAIN, Scene, V311, publish};
use crate::harness::raw::{Connect, PUBCOMP, PUBREC, PUBREL};

#[test]
fn v311_3_1_2_4_a_session_that_is_not_clean_is_made_kept_and_resumed() {
    let mut scene = Scene::open();
    let (mut client, session_present) = scene.resume("client");
    assert!(!session_present, "a new one");
    client.subscribe("a", 1);
    client.disconnect();
    let (client, session_present) = scene.resume("client");
    assert!(session_present);
    client.break_off();
    let (mut client, session_present) = scene.resume("client");
    assert!(session_present, "however the connection ended");
    scene.publish(QOS_1, "a", b"still subscribed");
    assert_eq!(client.take().payload, b"still subscribed");
}

#[test]
fn v311_3_1_2_5_messages_of_qos_1_and_2_wait_for_a_client_that_is_away() {
    let mut scene = Scene::open();
    let mut client = scene.lasting("client");
    client.subscribe("both/#", 2);
    client.subscribe("one", 1);
    client.disconnect();
    for (flags, topic) in
        [(QOS_1, "both/1"), (QOS_2, "both/2"), (QOS_2, "one"), (QOS_1, "elsewhere")]
    {
        scene.publish(flags, topic, topic.as_bytes());
    }
    let mut client = scene.lasting("client");
    for (qos, topic) in [(1, "both/1"), (2, "both/2"), (1, "one")] {
        let message = client.receive();
        assert_eq!((message.qos, message.topic.as_str(), message.dup), (qos, topic, false));
        assert_eq!(message.payload, topic.as_bytes());
    }
    scene.nothing_comes_to(&mut client);
}

#[test]
fn v311_3_1_2_6_a_clean_session_begins_without_a_past_and_leaves_none() {
    let mut scene = Scene::open();
    let mut lasting = scene.lasting("client");
    lasting.subscribe("a", 1);
    lasting.disconnect();
    scene.publish(QOS_1, "a", b"waiting");
    let mut clean = scene.client("client");
    scene.publish(QOS_1, "a", b"not subscribed");
    scene.nothing_comes_to(&mut clean);
    clean.subscribe("a", 1);
    clean.send(&publish(QOS_2, 7, "b", b""));
    clean.expect_packet(PUBREC, &[0, 7]);
    clean.disconnect();
    // Neither the subscription nor the packet identifier of the clean session is reused.
    scene.publish(QOS_1, "a", b"missed");
    let mut witness = scene.client("witness");
    witness.subscribe("b", 0);
    let (mut after, session_present) = scene.resume("client");
    assert!(!session_present);
    after.send(&publish(QOS_2, 7, "b", b"a message of its own"));
    after.expect_packet(PUBREC, &[0, 7]);
    after.acknowledge(PUBREL, 7);
    after.expect_packet(PUBCOMP, &[0, 7]);
    assert_eq!(witness.receive().payload, b"a message of its own");
    scene.nothing_comes_to(&mut after);
    // Retained messages belong to no session.
    after.publish(QOS_1 | RETAIN, "c", b"retained");
    after.disconnect();
    scene.client("client").disconnect();
    assert_eq!(scene.retained_at("c").payload, b"retained");
}

#[test]
fn v311_4_1_0_1_every_part_of_the_session_state_outlives_the_connection() {
    let mut scene = Scene::open();
    let mut witness = scene.client("witness");
    witness.subscribe("out", 0);
    let mut client = scene.lasting("client");
    // Its subscriptions; sent and not acknowledged: one of each QoS, and one released.
    client.subscribe("in", 2);
    for flags in [QOS_1, QOS_2, QOS_2] {
        scene.publish(flags, "in", &[flags]);
    }
    let (_, published_once) = client.receive_with_id();
    let (_, published_twice) = client.receive_with_id();
    let (_, released) = client.receive_with_id();
    client.acknowledge(PUBREC, released);
    client.expect_packet(PUBREL, &released.to_be_bytes());
    // Received and not released.
    client.send(&publish(QOS_2, 9, "out", b"once"));
    client.expect_packet(PUBREC, &[0, 9]);
    assert_eq!(witness.receive().payload, b"once");
    client.disconnect();
    // Waiting.
    scene.publish(QOS_1, "in", b"waiting");

    let (mut client, session_present) = scene.resume("client");
    assert!(session_present);
    let again = [client.receive_with_id(), client.receive_with_id()];
    let again = again.map(|(message, id)| (message.qos, message.dup, id));
    assert_eq!(again, [(1, true, published_once), (2, true, published_twice)]);
    client.expect_packet(PUBREL, &released.to_be_bytes());
    assert_eq!(client.receive().payload, b"waiting");
    client.send(&publish(QOS_2, 9, "out", b"once"));
    client.expect_packet(PUBREC, &[0, 9]);
    client.acknowledge(PUBREL, 9);
    client.expect_packet(PUBCOMP, &[0, 9]);
    scene.nothing_comes_to(&mut witness);
}

#[test]
fn v311_4_1_0_2_a_session_lasts_as_long_as_its_connection() {
    let mut scene = Scene::open();
    let mut witness = scene.client("witness");
    witness.subscribe("out", 0);
    let mut client = scene.connect(&Connect::new(V311, "client")).0;
    client.subscribe("in", 2);
    client.send(&publish(QOS_2, 9, "out", b"once"));
    client.expect_packet(PUBREC, &[0, 9]);
    assert_eq!(witness.receive().payload, b"once");
    // Others come and go, and the clean session has not forgotten anything.
    for number in 0..100 {
        scene.client(&format!("passer-by {number}")).disconnect();
        scene.publish(QOS_2, "in", &[number]);
        assert_eq!(client.take().payload, [number]);
    }
    client.send(&publish(QOS_2, 9, "out", b"once"));
    client.expect_packet(PUBREC, &[0, 9]);
    scene.nothing_comes_to(&mut witness);
}
