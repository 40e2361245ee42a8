//! The ways by which a message enters or leaves a client, each tried by one of whom it depends whether
//! the message passes.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::super::driver::{Driver, Visit, id, policy, publish};
use super::people::{Person, other};
use super::{Column, SECRET, policy_of};
use crate::broker::Broker;
use crate::broker::load::Loads;
use crate::codec::{Delivery, Packet, Publish, ReasonCode};
use crate::message::QoS;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What the client was told, where its packet has an answer.
    pub(super) answer: Option<ReasonCode>,
    /// Whether the message got where it should not get without permission.
    pub(super) has_passed: bool,
}

/// One broker, the client in question, and another that may do anything and hears everything.
pub(super) struct Scene {
    pub(super) broker: Arc<Broker>,
    person: Person,
    column: Column,
    other: Driver,
}

/// A way, by name.
pub(super) type Way = fn(&mut Scene) -> Outcome;

impl Scene {
    pub(super) fn new(person: Person, column: Column) -> Self {
        let broker = person.broker();
        broker.replace_policy(policy(&policy_of(column.before())));
        let mut other = other(&broker, "other");
        other.subscribe("#", QoS::ExactlyOnce);
        Self { broker, person, column, other }
    }

    fn enter(&self, visit: Visit) -> Result<Driver, ReasonCode> {
        self.person.enter(&self.broker, visit).map(|(driver, _)| driver)
    }

    /// A client whose session is kept, and which leaves no will.
    fn client(&self) -> Driver {
        self.enter(Visit::of("client")).expect("it is let in")
    }

    fn subscriber(&self, filter: &str) -> Driver {
        let mut client = self.client();
        client.subscribe(filter, QoS::AtLeastOnce);
        client
    }

    /// The moment at which what is withdrawn is withdrawn. Of what was said before, nothing counts.
    fn change(&mut self) {
        if let Some(after) = self.column.after() {
            self.broker.replace_policy(policy(&policy_of(after)));
        }
        self.other.heard();
    }

    /// The other publishes.
    fn publish(&mut self, retain: bool) {
        let message = publish(SECRET, Delivery::AtLeastOnce(id(9)), retain);
        assert_eq!(acknowledged(&mut self.other, &message), Some(ReasonCode::Success));
    }

    /// Whether the other has heard it.
    fn is_heard(&mut self) -> bool {
        self.other.topics().contains(&SECRET)
    }

    /// The payload that is retained.
    fn retained(&self) -> Option<&'static [u8]> {
        let mut auditor = other(&self.broker, "auditor");
        auditor.ask_for(SECRET, QoS::AtMostOnce);
        auditor.heard().into_iter().find_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish.payload),
            _ => None,
        })
    }
}

fn passed(answer: Option<ReasonCode>, has_passed: bool) -> Outcome {
    Outcome { answer, has_passed }
}

fn gets(client: &mut Driver) -> Outcome {
    passed(None, client.topics().contains(&SECRET))
}

/// Says `packet`, and gives the reason code of its acknowledgement.
fn acknowledged(client: &mut Driver, packet: &Packet<'_>) -> Option<ReasonCode> {
    client.say(packet);
    client.heard().into_iter().find_map(|packet| match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) => Some(ack.reason),
        _ => None,
    })
}

/// Publishes before the change, so that the decision is remembered, and after it.
fn publishes(scene: &mut Scene, first: Delivery, second: Delivery) -> Outcome {
    let mut client = scene.client();
    acknowledged(&mut client, &publish(SECRET, first, false));
    scene.change();
    let answer = acknowledged(&mut client, &publish(SECRET, second, false));
    passed(answer, scene.is_heard())
}

pub(super) fn publish_qos_0(scene: &mut Scene) -> Outcome {
    publishes(scene, Delivery::AtMostOnce, Delivery::AtMostOnce)
}

pub(super) fn publish_qos_1(scene: &mut Scene) -> Outcome {
    publishes(scene, Delivery::AtLeastOnce(id(1)), Delivery::AtLeastOnce(id(2)))
}

pub(super) fn publish_qos_2(scene: &mut Scene) -> Outcome {
    publishes(scene, Delivery::ExactlyOnce(id(1)), Delivery::ExactlyOnce(id(2)))
}

pub(super) fn publish_by_alias(scene: &mut Scene) -> Outcome {
    let mut client = scene.client();
    let with_alias = |packet: Packet<'static>| match packet {
        Packet::Publish(publish) => Publish { topic_alias: NonZeroU16::new(1), ..publish },
        _ => unreachable!("a PUBLISH"),
    };
    let named = with_alias(publish(SECRET, Delivery::AtLeastOnce(id(1)), false));
    let unnamed = Publish { topic: None, ..named.clone() };
    acknowledged(&mut client, &Packet::Publish(named));
    scene.change();
    let answer = acknowledged(&mut client, &Packet::Publish(unnamed));
    passed(answer, scene.is_heard())
}

/// Over a message that is retained already.
fn retains(scene: &mut Scene, payload: &'static [u8]) -> Outcome {
    scene.publish(true);
    let before = scene.retained();
    assert!(before.is_some());
    let mut client = scene.client();
    scene.change();
    let Packet::Publish(packet) = publish(SECRET, Delivery::AtLeastOnce(id(1)), true) else {
        unreachable!("a PUBLISH")
    };
    let answer = acknowledged(&mut client, &Packet::Publish(Publish { payload, ..packet }));
    passed(answer, scene.is_heard() || scene.retained() != before)
}

pub(super) fn replace_retained(scene: &mut Scene) -> Outcome {
    retains(scene, b"another")
}

pub(super) fn clear_retained(scene: &mut Scene) -> Outcome {
    retains(scene, b"")
}

pub(super) fn publish_to_sys(scene: &mut Scene) -> Outcome {
    let mut client = scene.client();
    scene.change();
    scene.other.subscribe("$SYS/forged", QoS::AtMostOnce);
    let forged = publish("$SYS/forged", Delivery::AtLeastOnce(id(1)), false);
    let answer = acknowledged(&mut client, &forged);
    passed(answer, scene.other.topics().contains(&"$SYS/forged"))
}

/// Subscribes after the change.
fn subscribes(scene: &mut Scene, filter: &str) -> Outcome {
    let mut client = scene.client();
    scene.change();
    let answer = client.ask_for(filter, QoS::AtLeastOnce);
    scene.publish(false);
    passed(Some(answer), client.topics().contains(&SECRET))
}

pub(super) fn subscribe(scene: &mut Scene) -> Outcome {
    subscribes(scene, SECRET)
}

pub(super) fn subscribe_to_share(scene: &mut Scene) -> Outcome {
    subscribes(scene, "$share/group/secret/a")
}

pub(super) fn subscribe_with_wildcard(scene: &mut Scene) -> Outcome {
    subscribes(scene, "+/a")
}

pub(super) fn subscribe_to_sys(scene: &mut Scene) -> Outcome {
    let mut client = scene.client();
    scene.change();
    let answer = client.ask_for("$SYS/#", QoS::AtLeastOnce);
    scene.broker.publish_sys(&mut Loads::default());
    passed(Some(answer), !client.topics().is_empty())
}

pub(super) fn live(scene: &mut Scene) -> Outcome {
    let mut client = scene.subscriber("#");
    scene.change();
    scene.publish(false);
    gets(&mut client)
}

pub(super) fn live_to_share(scene: &mut Scene) -> Outcome {
    let mut client = scene.subscriber("$share/group/#");
    scene.change();
    scene.publish(false);
    gets(&mut client)
}

pub(super) fn live_sys(scene: &mut Scene) -> Outcome {
    let mut client = scene.subscriber("$SYS/#");
    scene.change();
    scene.broker.publish_sys(&mut Loads::default());
    passed(None, !client.topics().is_empty())
}

pub(super) fn waiting_in_the_mailbox(scene: &mut Scene) -> Outcome {
    let mut client = scene.subscriber("#");
    scene.publish(false);
    scene.change();
    gets(&mut client)
}

pub(super) fn retained(scene: &mut Scene) -> Outcome {
    scene.publish(true);
    let mut client = scene.client();
    scene.change();
    client.ask_for("#", QoS::AtLeastOnce);
    gets(&mut client)
}

pub(super) fn queued_while_away(scene: &mut Scene) -> Outcome {
    let client = scene.subscriber("#");
    drop(client);
    scene.publish(false);
    scene.change();
    gets(&mut scene.client())
}

pub(super) fn queued_for_share(scene: &mut Scene) -> Outcome {
    let client = scene.subscriber("$share/group/#");
    drop(client);
    scene.publish(false);
    scene.change();
    gets(&mut scene.client())
}

pub(super) fn in_flight_and_resumed(scene: &mut Scene) -> Outcome {
    let mut client = scene.subscriber("#");
    scene.publish(false);
    client.heard();
    drop(client);
    scene.change();
    gets(&mut scene.client())
}

pub(super) fn subscription_resumed(scene: &mut Scene) -> Outcome {
    let client = scene.subscriber(SECRET);
    drop(client);
    scene.change();
    let mut client = scene.client();
    scene.publish(false);
    gets(&mut client)
}

/// Leaves a will, and goes without DISCONNECT. `is_changed_first`: before CONNECT.
fn dies(scene: &mut Scene, delay: u32, is_changed_first: bool) -> Outcome {
    if is_changed_first {
        scene.change();
    }
    let entered = scene.enter(Visit { will: Some((SECRET, delay)), ..Visit::of("client") });
    let client = match entered {
        Ok(client) => client,
        Err(reason) => return passed(Some(reason), scene.is_heard()),
    };
    let after_delay = client.now.after(Duration::from_secs(u64::from(delay) + 1)).instant;
    if delay == 0 {
        scene.change();
        drop(client);
    } else {
        drop(client);
        scene.change();
    }
    scene.broker.run_timers(after_delay);
    passed(None, scene.is_heard())
}

pub(super) fn will_at_connect(scene: &mut Scene) -> Outcome {
    dies(scene, 0, true)
}

pub(super) fn will_when_sent(scene: &mut Scene) -> Outcome {
    dies(scene, 0, false)
}

pub(super) fn delayed_will(scene: &mut Scene) -> Outcome {
    dies(scene, 10, false)
}
