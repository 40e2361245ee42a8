//! Section 4.6: the order of messages and acknowledgements. Its first four rules are for clients;
//! the sixth makes those that concern a sender the server's as well.

use super::scene::{Client, QOS_1, QOS_2, Scene, publish};
use crate::harness::raw::{PUBCOMP, PUBREC, PUBREL, acknowledge};

const MANY: u8 = 50;

fn payloads(subscriber: &mut Client) -> Vec<u8> {
    (0..MANY).map(|_| subscriber.receive().payload[0]).collect()
}

fn in_order() -> Vec<u8> {
    (0..MANY).collect()
}

#[test]
fn v311_4_6_0_1_what_is_sent_again_is_sent_in_the_order_of_the_first_time() {
    let mut scene = Scene::open();
    for (id, qos, flags) in [("one", 1, QOS_1), ("two", 2, QOS_2)] {
        let mut subscriber = scene.lasting(id);
        subscriber.subscribe("a", qos);
        for number in 0..MANY {
            scene.publish(flags, "a", &[number]);
        }
        assert_eq!(payloads(&mut subscriber), in_order());
        for _ in 0..2 {
            subscriber.break_off();
            subscriber = scene.lasting(id);
            assert_eq!(payloads(&mut subscriber), in_order());
        }
    }
}

#[test]
fn v311_4_6_0_4_pubrels_are_in_the_order_of_the_pubrecs() {
    let mut scene = Scene::open();
    let mut subscriber = scene.lasting("subscriber");
    subscriber.subscribe("a", 2);
    for number in 0..MANY {
        scene.publish(QOS_2, "a", &[number]);
    }
    let mut ids = (0..MANY).map(|_| subscriber.receive_with_id().1).collect::<Vec<_>>();
    // Not the order of the PUBLISHes.
    ids.reverse();
    ids.rotate_left(7);
    let all = ids.iter().flat_map(|id| acknowledge(PUBREC, *id));
    subscriber.send(&all.collect::<Vec<_>>());
    for id in &ids {
        subscriber.expect_packet(PUBREL, &id.to_be_bytes());
    }
    // Nor do they change places when they are sent again.
    subscriber.break_off();
    let mut subscriber = scene.lasting("subscriber");
    for id in &ids {
        subscriber.expect_packet(PUBREL, &id.to_be_bytes());
    }
    ids.iter().for_each(|id| subscriber.acknowledge(PUBCOMP, *id));
    scene.nothing_comes_to(&mut subscriber);
}

#[test]
fn v311_4_6_0_5_every_topic_is_ordered() {
    let mut scene = Scene::open();
    let mut subscriber = scene.client("subscriber");
    subscriber.subscribe("#", 2);
    for topic in ["a", "a/b", "/", "x/y/z"] {
        for flags in [0, QOS_1, QOS_2] {
            for number in 0..MANY {
                scene.publish(flags, topic, &[number]);
            }
            assert_eq!(payloads(&mut subscriber), in_order(), "{topic}");
        }
    }
}

#[test]
fn v311_4_6_0_6_consumers_get_messages_in_the_order_in_which_the_server_got_them() {
    let scene = Scene::open();
    let mut subscribers = [0, 1, 2].map(|qos| {
        let mut subscriber = scene.client(&format!("subscriber {qos}"));
        subscriber.subscribe("a", qos);
        subscriber
    });
    let mut away = scene.lasting("away");
    away.subscribe("a", 2);
    away.disconnect();
    for flags in [0, QOS_1, QOS_2] {
        // All at once from one client, so that the server may do with them what it wants.
        let mut client = scene.client("client");
        let all =
            (0..MANY).flat_map(|number| publish(flags, 1 + u16::from(number), "a", &[number]));
        client.send(&all.collect::<Vec<_>>());
        for subscriber in &mut subscribers {
            assert_eq!(payloads(subscriber), in_order());
        }
    }
    let mut back = scene.lasting("away");
    for _ in [QOS_1, QOS_2] {
        assert_eq!(payloads(&mut back), in_order());
    }
}
