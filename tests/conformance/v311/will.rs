//! Sections 3.1.2.5 to 3.1.2.7 and 3.1.3.2: the will.

use super::scene::{Client, ILL_FORMED, QOS_1, RETAIN, Scene, V311, connect_with};
use crate::harness::ADMIN;
use crate::harness::raw::{Connect, DISCONNECT, Received, Will, packet};

const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_1: u8 = 0x08;
const WILL_QOS_2: u8 = 0x10;
const WILL_RETAIN: u8 = 0x20;

fn witness(scene: &Scene) -> Client {
    let mut witness = scene.client("witness");
    witness.subscribe("will", 2);
    witness
}

/// Connects with the will, and loses the connection.
fn dies(scene: &Scene, will: Will<'_>) {
    let connect = Connect { will: Some(will), ..Connect::new(V311, "mortal") };
    scene.connect(&connect).0.break_off();
}

fn is_last_message(will: &Received) {
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("will", &b"last words"[..]));
}

#[test]
fn v311_3_1_2_8_the_will_is_published_when_the_connection_ends_without_disconnect() {
    let mut scene = Scene::open();
    let mut witness = witness(&scene);
    let will = Will::new("will", b"last words");
    let connect = Connect { will: Some(will.clone()), ..Connect::new(V311, "mortal") };
    // By the client, by the server for a fault, and by the server for a newer connection.
    dies(&scene, will);
    is_last_message(&witness.take());
    let mut faulty = scene.connect(&connect).0;
    faulty.send(&packet(0, &[]));
    is_last_message(&witness.take());
    let mut older = scene.connect(&connect).0;
    scene.nothing_comes_to(&mut witness);
    let newer = scene.client("mortal");
    older.expect_end();
    is_last_message(&witness.take());
    newer.disconnect();
    scene.nothing_comes_to(&mut witness);
}

#[test]
fn v311_3_1_2_8_a_will_that_cannot_be_retained_is_published_all_the_same() {
    let mut scene =
        Scene::secure("\n[broker]\nmax_retained_messages = 1\nsys_interval_seconds = 0\n");
    scene.publish(QOS_1 | RETAIN, "other", b"takes the only place");
    let mut witness = scene.user("witness", ADMIN);
    witness.subscribe("will", 2);
    let will = Some(Will { qos: 1, retain: true, ..Will::new("will", b"last words") });
    let connect = Connect { will, ..Connect::new(V311, "mortal") };
    scene.connect(&connect.login(ADMIN)).0.break_off();
    is_last_message(&witness.take());
}

#[test]
fn v311_3_1_2_9_a_will_has_a_topic_and_a_message() {
    let mut scene = Scene::open();
    scene.is_hung_up_on(&connect_with(CLEAN | WILL, &[b"mortal"]));
    scene.is_hung_up_on(&connect_with(CLEAN | WILL, &[b"mortal", b"will"]));
    // Its QoS and RETAIN are used; the message may be empty.
    let mut witness = witness(&scene);
    dies(&scene, Will { qos: 1, retain: true, ..Will::new("will", b"kept") });
    assert_eq!(witness.take().qos, 1);
    assert_eq!(scene.retained_at("will").payload, b"kept");
    dies(&scene, Will { qos: 2, retain: true, ..Will::new("will", b"") });
    let will = witness.take();
    assert_eq!((will.qos, &will.payload[..]), (2, &b""[..]));
    scene.nothing_is_retained_at("will");
}

#[test]
fn v311_3_1_2_10_a_will_is_gone_once_it_is_published_or_the_client_has_disconnected() {
    let mut scene = Scene::open();
    let mut witness = witness(&scene);
    let will = Some(Will::new("will", b"last words"));
    let connect = Connect { will, clean: false, ..Connect::new(V311, "mortal") };
    scene.connect(&connect).0.break_off();
    is_last_message(&witness.take());
    // The session goes on; the will does not.
    let (resumed, session_present) = scene.resume("mortal");
    assert!(session_present);
    resumed.break_off();
    scene.is_noticed_to_be_gone("mortal");
    scene.nothing_comes_to(&mut witness);
    scene.connect(&connect).0.disconnect();
    scene.lasting("mortal").break_off();
    scene.is_noticed_to_be_gone("mortal");
    scene.nothing_comes_to(&mut witness);
}

#[test]
fn v311_3_1_2_11_without_the_will_flag_there_is_nothing_of_a_will() {
    let scene = Scene::open();
    for flags in [WILL_QOS_1, WILL_QOS_2, WILL_RETAIN, WILL_RETAIN | WILL_QOS_2] {
        scene.is_hung_up_on(&connect_with(CLEAN | flags, &[b"mortal"]));
        scene.is_hung_up_on(&connect_with(CLEAN | flags, &[b"mortal", b"will", b""]));
    }
    scene.is_hung_up_on(&connect_with(CLEAN, &[b"mortal", b"will", b""]));
}

#[test]
fn v311_3_1_2_12_without_the_will_flag_no_will_is_published() {
    let mut scene = Scene::open();
    let mut witness = scene.client("witness");
    witness.subscribe("#", 0);
    scene.client("mortal").break_off();
    scene.is_noticed_to_be_gone("mortal");
    scene.publish(0, "after", b"");
    assert_eq!(witness.receive().topic, "after");
    witness.expect_silence();
}

#[test]
fn v311_3_1_2_13_without_the_will_flag_the_will_qos_is_0() {
    let scene = Scene::open();
    for qos in [WILL_QOS_1, WILL_QOS_2, WILL_QOS_1 | WILL_QOS_2] {
        scene.is_hung_up_on(&connect_with(CLEAN | qos, &[b"mortal"]));
    }
}

#[test]
fn v311_3_1_2_14_the_will_qos_is_0_1_or_2_and_not_3() {
    let scene = Scene::open();
    let mut witness = witness(&scene);
    for qos in 0..=2 {
        dies(&scene, Will { qos, ..Will::new("will", b"last words") });
        let will = witness.take();
        is_last_message(&will);
        assert_eq!(will.qos, qos);
    }
    let bytes = connect_with(CLEAN | WILL | WILL_QOS_1 | WILL_QOS_2, &[b"mortal", b"will", b""]);
    scene.is_hung_up_on(&bytes);
}

#[test]
fn v311_3_1_2_15_without_the_will_flag_will_retain_is_0() {
    let scene = Scene::open();
    scene.is_hung_up_on(&connect_with(CLEAN | WILL_RETAIN, &[b"mortal"]));
}

#[test]
fn v311_3_1_2_16_a_will_without_will_retain_is_not_retained() {
    let mut scene = Scene::open();
    let mut witness = witness(&scene);
    for qos in 0..=2 {
        dies(&scene, Will { qos, ..Will::new("will", b"last words") });
        is_last_message(&witness.take());
        scene.nothing_is_retained_at("will");
    }
}

#[test]
fn v311_3_1_2_17_a_will_with_will_retain_is_retained() {
    let scene = Scene::open();
    let mut witness = witness(&scene);
    for qos in 0..=2 {
        let payload = [b'0' + qos];
        dies(&scene, Will { qos, retain: true, ..Will::new("will", &payload) });
        let live = witness.take();
        assert_eq!((live.retain, &live.payload[..]), (false, &payload[..]));
        let kept = scene.retained_at("will");
        assert_eq!((kept.retain, kept.qos, &kept.payload[..]), (true, qos, &payload[..]));
    }
}

#[test]
fn v311_3_1_3_10_a_will_topic_is_utf_8() {
    let scene = Scene::open();
    for topic in ILL_FORMED {
        scene.is_hung_up_on(&connect_with(CLEAN | WILL, &[b"mortal", topic, b""]));
    }
    // The message is any bytes.
    let mut witness = witness(&scene);
    dies(&scene, Will::new("will", &[0xFF, 0x00, 0xC0]));
    assert_eq!(witness.take().payload, [0xFF, 0x00, 0xC0]);
}

#[test]
fn v311_3_14_4_3_a_disconnect_takes_the_will_along() {
    let mut scene = Scene::open();
    let mut witness = witness(&scene);
    for clean in [true, false] {
        let will = Some(Will { qos: 1, retain: true, ..Will::new("will", b"last words") });
        let connect = Connect { will, clean, ..Connect::new(V311, "mortal") };
        let mut client = scene.connect(&connect).0;
        client.send(&packet(DISCONNECT, &[]));
        client.expect_end();
        scene.nothing_comes_to(&mut witness);
        scene.nothing_is_retained_at("will");
    }
}
