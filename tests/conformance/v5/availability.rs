//! Section 3.2.2.3: what a server that does less than all of MQTT says of it, and does about it.

use super::scene::{ConnAck, MALFORMED, Reading, Scene};
use crate::harness::ADMIN;
use crate::harness::raw::{
    self, Connect, PUBACK, PUBLISH, RawClient, SUBACK, SUBSCRIBE, Will, data, packet, properties,
};

const MAXIMUM_QOS: u8 = 0x24;
const RETAIN_AVAILABLE: u8 = 0x25;
const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
const SUBSCRIPTION_IDENTIFIERS_AVAILABLE: u8 = 0x29;
const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
const RETAIN_NOT_SUPPORTED: u8 = 0x9A;
const QOS_NOT_SUPPORTED: u8 = 0x9B;
const SHARED_NOT_SUPPORTED: u8 = 0x9E;
const IDENTIFIERS_NOT_SUPPORTED: u8 = 0xA1;
const WILDCARDS_NOT_SUPPORTED: u8 = 0xA2;

/// A broker where `[mqtt]` says this.
fn limited(setting: &str) -> Scene {
    Scene::secure(&format!("\n[broker]\nsys_interval_seconds = 1\n\n[mqtt]\n{setting}\n"))
}

fn connect(id: &'static str) -> Connect<'static> {
    Connect::new(5, id).login(ADMIN)
}

fn client(scene: &Scene) -> (RawClient, ConnAck) {
    scene.welcomed(&connect("client"))
}

fn with_will(will: Will<'static>) -> Connect<'static> {
    Connect { will: Some(will), ..connect("with a will") }
}

/// A PUBLISH of this QoS.
fn publish(qos: u8) -> Vec<u8> {
    raw::publish_with(5, PUBLISH | qos << 1, "a", (qos > 0).then_some(1), &[], b"message")
}

/// A SUBSCRIBE to `filter` with the Subscription Identifier 7.
fn subscribe_with_identifier(filter: &str) -> Vec<u8> {
    let head = [&[0, 1][..], &properties(5, &[0x0B, 7])].concat();
    packet(SUBSCRIBE, &[head, data(filter), vec![0]].concat())
}

/// The properties that say what is available.
fn availability(answer: &ConnAck) -> Vec<(u8, Vec<u8>)> {
    let is_one = |id: u8| matches!(id, MAXIMUM_QOS | RETAIN_AVAILABLE | 0x28..=0x2A);
    answer.properties.iter().filter(|(id, _)| is_one(*id)).cloned().collect()
}

#[test]
fn v5_3_2_2_9_a_server_without_qos_2_or_1_names_the_highest_qos() {
    for maximum in 0..=2 {
        let scene = limited(&format!("maximum_qos = {maximum}"));
        let (mut client, answer) = client(&scene);
        let said = (maximum < 2).then_some((MAXIMUM_QOS, vec![maximum]));
        assert_eq!(availability(&answer), Vec::from_iter(said));
        // And it does what it says.
        client.send(&publish(maximum));
        if maximum == 1 {
            assert!(client.expect(PUBACK).acknowledged().1 < 0x80);
        }
    }
}

#[test]
fn v5_3_2_2_10_a_server_without_qos_2_or_1_grants_what_it_can() {
    for maximum in 0..=1 {
        let scene = limited(&format!("maximum_qos = {maximum}"));
        let (mut client, _) = client(&scene);
        for asked in 0..=2 {
            client.send(&raw::subscribe(5, 1, "a", asked));
            assert_eq!(client.expect(SUBACK).body, [0, 1, 0, asked.min(maximum)]);
            let mut publisher = scene.accepted(&connect("publisher"));
            publisher.send(&publish(maximum));
            let message = client.message();
            assert_eq!(message.qos, asked.min(maximum));
            if let Some(id) = message.id {
                client.send(&raw::acknowledge(PUBACK, id));
            }
        }
    }
}

#[test]
fn v5_3_2_2_11_a_publish_above_the_maximum_qos_is_refused() {
    for maximum in 0..=1 {
        let scene = limited(&format!("maximum_qos = {maximum}"));
        let mut subscriber = scene.accepted(&connect("subscriber"));
        assert_eq!(subscriber.subscribe(5, "a", 0), 0);
        for qos in maximum + 1..=2 {
            let (mut client, _) = client(&scene);
            client.send(&publish(qos));
            client.expect_disconnect(QOS_NOT_SUPPORTED);
        }
        subscriber.expect_nothing();
        // What is no QoS at all stays malformed.
        let (mut client, _) = client(&scene);
        client.send(&publish(3));
        client.expect_disconnect(MALFORMED);
    }
}

#[test]
fn v5_3_2_2_12_a_will_above_the_maximum_qos_is_refused() {
    for maximum in 0..=1 {
        let scene = limited(&format!("maximum_qos = {maximum}"));
        let mut subscriber = scene.accepted(&connect("subscriber"));
        assert_eq!(subscriber.subscribe(5, "wills", 2), maximum);
        for qos in 0..=2 {
            let connect = with_will(Will { qos, ..Will::new("wills", b"") });
            if qos > maximum {
                scene.refused_with(QOS_NOT_SUPPORTED, &connect.encode());
                continue;
            }
            scene.accepted(&connect).break_off();
            let will = subscriber.message();
            assert_eq!(will.qos, qos);
            if let Some(id) = will.id {
                subscriber.send(&raw::acknowledge(PUBACK, id));
            }
        }
        subscriber.expect_nothing();
    }
}

#[test]
fn v5_3_2_2_13_a_server_that_retains_nothing_refuses_a_will_that_is_to_be_retained() {
    let scene = limited("retain_available = false");
    let (_, answer) = client(&scene);
    assert_eq!(availability(&answer), [(RETAIN_AVAILABLE, vec![0])]);
    let will = || Will::new("wills", b"");
    let retained = with_will(Will { retain: true, ..will() });
    scene.refused_with(RETAIN_NOT_SUPPORTED, &retained.encode());
    scene.accepted(&with_will(will())).leave();
}

#[test]
fn v5_3_2_2_14_a_server_that_retains_nothing_refuses_a_publish_that_is_to_be_retained() {
    let scene = limited("retain_available = false");
    let mut subscriber = scene.accepted(&connect("subscriber"));
    assert_eq!(subscriber.subscribe(5, "a", 0), 0);
    for qos in 0..=2 {
        let (mut client, _) = client(&scene);
        let mut retained = publish(qos);
        retained[0] |= 1;
        client.send(&retained);
        client.expect_disconnect(RETAIN_NOT_SUPPORTED);
    }
    subscriber.expect_nothing();
    // Nor does the broker retain anything of its own.
    assert_eq!(subscriber.subscribe(5, "$SYS/#", 0), 0);
    assert!(!subscriber.message().retain);
}

#[test]
fn v5_4_13_1_1_a_subscription_that_is_said_not_to_be_available_ends_the_connection() {
    for (setting, id, reason, refused, taken) in [
        (
            "wildcard_subscription_available",
            WILDCARD_SUBSCRIPTION_AVAILABLE,
            WILDCARDS_NOT_SUPPORTED,
            ["a/+", "#", "$share/group/+/b"].map(|filter| raw::subscribe(5, 1, filter, 0)).to_vec(),
            [raw::subscribe(5, 1, "$share/group/a", 0), subscribe_with_identifier("a")],
        ),
        (
            "shared_subscription_available",
            SHARED_SUBSCRIPTION_AVAILABLE,
            SHARED_NOT_SUPPORTED,
            ["$share/group/a", "$share/group/+"]
                .map(|filter| raw::subscribe(5, 1, filter, 0))
                .to_vec(),
            [raw::subscribe(5, 1, "+", 0), subscribe_with_identifier("share/+")],
        ),
        (
            "subscription_identifiers_available",
            SUBSCRIPTION_IDENTIFIERS_AVAILABLE,
            IDENTIFIERS_NOT_SUPPORTED,
            ["a", "#", "$share/group/a"].map(subscribe_with_identifier).to_vec(),
            [raw::subscribe(5, 1, "$share/group/+", 0), raw::subscribe(5, 1, "#", 0)],
        ),
    ] {
        let scene = limited(&format!("{setting} = false"));
        let (mut client, answer) = client(&scene);
        assert_eq!(availability(&answer), [(id, vec![0])], "{setting}");
        for packet in taken {
            client.send(&packet);
            assert_eq!(client.expect(SUBACK).body, [0, 1, 0, 0], "{setting}: {packet:02x?}");
        }
        for packet in refused {
            let mut client = scene.accepted(&connect("clumsy"));
            client.send(&packet);
            client.expect_disconnect(reason);
        }
    }
}
