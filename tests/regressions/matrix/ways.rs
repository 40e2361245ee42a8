//! The ways by which something gets to a client, or is taken from it: the rows.
//!
//! One of the row's text is missing: bridges do not exist yet, and bring their own.

use super::scene::{Scene, client_id};
use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, Will, publish_with, subscribe};
use crate::stage::leave;

/// Begins before the change; what it gives goes on after it.
pub(super) type Way = fn(&Scene) -> GoOn;
pub(super) type GoOn = Box<dyn FnOnce(&Scene) -> Evidence>;

/// Whether something has passed after the change.
pub(super) enum Evidence {
    Found(bool),
    /// It has, if this client hears of the topic before the broker has shut down.
    Awaited(RawClient, String),
}
use Evidence::{Awaited, Found};

pub(super) const WAYS: [(&str, Way); 17] = [
    // to the client
    ("live", live),
    ("wildcard", wildcard),
    ("$share", share),
    ("$SYS", sys),
    ("retained", retained),
    ("new subscription", new_subscription),
    ("offline queue", offline_queue),
    ("in-flight resend", in_flight_resend),
    ("resumed subscription", resumed_subscription),
    ("envelope gateway", envelope_gateway),
    // from the client
    ("publish", publish),
    ("publish by alias", publish_by_alias),
    ("publish retained", publish_retained),
    ("will", will),
    ("will at CONNECT", will_at_connect),
    ("delayed will", delayed_will),
    ("publish by the envelope gateway", publish_by_envelope_gateway),
];

/// A topic that is subscribed to by `filter`, and brings messages until the change.
fn subscribed(scene: &Scene, way: &'static str, filter: &str, topic: &'static str) -> GoOn {
    let mut client = scene.client(way);
    assert_eq!(client.subscribe(5, filter, 0), 0, "{way}");
    scene.stage.publish(topic);
    assert_eq!(client.expect(PUBLISH).publish(5).topic, topic);
    Box::new(move |scene| {
        scene.stage.publish(topic);
        Found(client.has_heard(topic))
    })
}

fn live(scene: &Scene) -> GoOn {
    subscribed(scene, "live", "live/topic", "live/topic")
}

fn wildcard(scene: &Scene) -> GoOn {
    subscribed(scene, "wildcard", "+/wild/#", "any/wild/topic")
}

fn share(scene: &Scene) -> GoOn {
    subscribed(scene, "share", "$share/group/shared/+", "shared/topic")
}

const UPTIME: &str = "$SYS/broker/uptime";

/// The broker seals what is published there.
fn envelope_gateway(scene: &Scene) -> GoOn {
    subscribed(scene, "gateway", "sealed/#", "sealed/topic")
}

fn sys(scene: &Scene) -> GoOn {
    let mut client = scene.client("sys");
    assert_eq!(client.subscribe(5, UPTIME, 0), 0);
    assert_eq!(client.expect(PUBLISH).publish(5).topic, UPTIME);
    let mut witness = scene.stage.witness("sys", UPTIME);
    Box::new(move |_| {
        // What was sent before the change does not count, for either.
        client.has_heard(UPTIME);
        witness.has_heard(UPTIME);
        // When the second has come, the first is on its way to everybody.
        witness.expect(PUBLISH);
        witness.expect(PUBLISH);
        Found(client.has_heard(UPTIME))
    })
}

fn retained(scene: &Scene) -> GoOn {
    const TOPIC: &str = "retained/topic";
    scene.stage.retain(TOPIC);
    let mut client = scene.client("retained");
    Box::new(move |_| {
        client.send(&subscribe(5, 1, "retained/#", 1));
        Found(client.has_heard(TOPIC))
    })
}

fn new_subscription(scene: &Scene) -> GoOn {
    const TOPIC: &str = "subscription/new";
    let mut client = scene.client("new");
    Box::new(move |scene| {
        client.send(&subscribe(5, 1, TOPIC, 1));
        client.has_heard(TOPIC);
        scene.stage.publish(TOPIC);
        Found(client.has_heard(TOPIC))
    })
}

/// A session that is subscribed to `topic`, and whose client is there.
fn session(scene: &Scene, way: &str, topic: &str) -> RawClient {
    let mut client = scene.client(way);
    assert_eq!(client.subscribe(5, topic, 1), 1, "{way}");
    client
}

/// Whether the client hears of the topic when it has come back.
fn hears_on_return(scene: &Scene, way: &str, topic: &str) -> Evidence {
    Found(scene.returns(way).is_some_and(|mut client| client.has_heard(topic)))
}

fn offline_queue(scene: &Scene) -> GoOn {
    const TOPIC: &str = "offline/topic";
    leave(session(scene, "offline", TOPIC));
    scene.stage.publish(TOPIC);
    Box::new(|scene| hears_on_return(scene, "offline", TOPIC))
}

fn in_flight_resend(scene: &Scene) -> GoOn {
    const TOPIC: &str = "in-flight/topic";
    let mut client = session(scene, "in-flight", TOPIC);
    scene.stage.publish(TOPIC);
    // It has come, and is not acknowledged.
    assert_eq!(client.expect(PUBLISH).publish(5).topic, TOPIC);
    leave(client);
    Box::new(|scene| hears_on_return(scene, "in-flight", TOPIC))
}

fn resumed_subscription(scene: &Scene) -> GoOn {
    const TOPIC: &str = "resumed/topic";
    leave(session(scene, "resumed", TOPIC));
    Box::new(|scene| {
        let Some(mut client) = scene.returns("resumed") else { return Found(false) };
        scene.stage.publish(TOPIC);
        Found(client.has_heard(TOPIC))
    })
}

/// The client publishes before the change and after it.
fn publishes(
    scene: &Scene,
    way: &'static str,
    first: Vec<u8>,
    then: Vec<u8>,
    topic: &'static str,
) -> GoOn {
    let mut witness = scene.stage.witness(way, topic);
    let mut client = scene.client(way);
    client.send(&first);
    let (_, reason) = client.expect(PUBACK).acknowledged();
    assert!(reason < 0x80, "{way}: {reason:#04x}");
    assert!(witness.has_heard(topic), "{way}");
    Box::new(move |_| {
        client.send(&then);
        client.has_heard(topic);
        Found(witness.has_heard(topic))
    })
}

/// By QoS 1.
const AT_LEAST_ONCE: u8 = PUBLISH | 1 << 1;

fn publish(scene: &Scene) -> GoOn {
    const TOPIC: &str = "publish/topic";
    let packet = |id| publish_with(5, AT_LEAST_ONCE, TOPIC, Some(id), &[], b"message");
    publishes(scene, "publish", packet(1), packet(2), TOPIC)
}

fn publish_by_envelope_gateway(scene: &Scene) -> GoOn {
    const TOPIC: &str = "sealed/publish";
    let packet = |id| publish_with(5, AT_LEAST_ONCE, TOPIC, Some(id), &[], b"message");
    publishes(scene, "sealed", packet(1), packet(2), TOPIC)
}

fn publish_by_alias(scene: &Scene) -> GoOn {
    const TOPIC: &str = "alias/topic";
    const ALIAS_1: &[u8] = &[0x23, 0, 1];
    let packet = |id, topic| publish_with(5, AT_LEAST_ONCE, topic, Some(id), ALIAS_1, b"message");
    publishes(scene, "alias", packet(1, TOPIC), packet(2, ""), TOPIC)
}

fn publish_retained(scene: &Scene) -> GoOn {
    const TOPIC: &str = "retain/topic";
    let mut client = scene.client("retain");
    Box::new(move |scene| {
        client.send(&publish_with(5, AT_LEAST_ONCE | 1, TOPIC, Some(1), &[], b"message"));
        client.has_heard(TOPIC);
        let mut reader = scene.stage.other("reader");
        reader.send(&subscribe(5, 1, TOPIC, 0));
        Found(reader.has_heard(TOPIC))
    })
}

fn will(scene: &Scene) -> GoOn {
    const TOPIC: &str = "will/topic";
    let witness = scene.stage.witness("will", TOPIC);
    let will = Some(Will::new(TOPIC, b"gone"));
    let client = scene.enters(Connect { will, ..Connect::new(5, &client_id("will")) });
    Box::new(|scene| {
        client.break_off();
        // Who takes over is let in once the will has been looked at.
        drop(scene.returns("will"));
        Awaited(witness, TOPIC.to_owned())
    })
}

fn will_at_connect(scene: &Scene) -> GoOn {
    const TOPIC: &str = "will/at/connect";
    let witness = scene.stage.witness("connect", TOPIC);
    Box::new(|scene| {
        let will = Some(Will::new(TOPIC, b"gone"));
        let id = client_id("connect");
        let connect = Connect { will, ..Connect::new(5, &id) };
        if let Some(client) = scene.enters_as_before(connect) {
            client.break_off();
            drop(scene.returns("connect"));
        }
        Awaited(witness, TOPIC.to_owned())
    })
}

/// It waits until the broker shuts down.
fn delayed_will(scene: &Scene) -> GoOn {
    const TOPIC: &str = "will/delayed";
    const AN_HOUR: [u8; 5] = [0x18, 0, 0, 0x0E, 0x10];
    let witness = scene.stage.witness("delayed", TOPIC);
    let will = Some(Will { properties: AN_HOUR.to_vec(), ..Will::new(TOPIC, b"gone") });
    let id = client_id("delayed");
    let connect = Connect { will, ..Connect::new(5, &id).keep_session(true, 7_200) };
    scene.enters(connect).break_off();
    Box::new(|_| Awaited(witness, TOPIC.to_owned()))
}
