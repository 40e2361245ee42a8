//! What a message costs on its way: decode, decide, route, session, encode. Each step is a closure
//! that does it once, for whoever measures it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use bastionmq::acl::{Policy, Subject};
use bastionmq::clock::Now;
use bastionmq::codec::{
    Ack, Delivery, Packet, Publish, PublishHeader, ReasonCode, SubscriptionIds, Version,
    encode_publish, next_frame,
};
use bastionmq::identity::{ClientId, Principal};
use bastionmq::message::{Message, QoS, SessionKey};
use bastionmq::router::{Grant, Matches, Router};
use bastionmq::session::{Action, Identified, Input, Outbound, Output, Session, Settings};
use bastionmq::topic::{TopicFilterRef, TopicName, TopicNameRef};
use divan::black_box;

const TOPIC: &str = "plant/7/line/3/temperature";
const PAYLOAD: [u8; 64] = [0x42; 64];

/// A PUBLISH in.
pub(crate) fn decode(version: Version) -> impl FnMut() -> usize {
    let bytes = publish_packet(version, QoS::AtLeastOnce, 1);
    move || {
        let frame = next_frame(black_box(&bytes), usize::MAX).unwrap().unwrap();
        usize::from(frame.decode(version).is_ok())
    }
}

/// A PUBLISH out.
pub(crate) fn encode(version: Version) -> impl FnMut() -> usize {
    let message = message(QoS::AtLeastOnce);
    let header = PublishHeader {
        dup: false,
        delivery: Delivery::AtLeastOnce(NonZeroU16::MIN),
        retain: false,
        alias: None,
        topic_is_aliased: false,
        subscription_ids: &[],
        now: Instant::now(),
    };
    let mut out = Vec::with_capacity(256);
    move || {
        out.clear();
        encode_publish(version, black_box(&message), &header, &mut out);
        out.len()
    }
}

/// The recipients of a topic among `subscriptions`.
pub(crate) fn route(subscriptions: u64) -> impl FnMut() -> usize {
    let router = table(subscriptions);
    let topic = TopicNameRef::parse(TOPIC).unwrap();
    let mut matches = Matches::new();
    move || {
        router.matches(black_box(topic), None, &mut matches);
        matches.routes.len()
    }
}

/// Whether the sample policy lets a device publish.
pub(crate) fn decide() -> impl FnMut() -> usize {
    let policy = Policy::parse(include_str!("../../acl/policy.toml")).unwrap();
    let principal = Principal::User("device1".into());
    let client_id = ClientId::new("device1");
    let permit = policy.permit(&Subject::named(&principal, &client_id));
    let topic = TopicNameRef::parse("devices/device1/line/3/temperature").unwrap();
    move || usize::from(permit.publish(black_box(topic), QoS::AtLeastOnce, false, 0).allowed)
}

/// A session takes a PUBLISH of QoS 1, and answers with a PUBACK.
pub(crate) fn take_qos_1(version: Version) -> impl FnMut() -> usize {
    let (mut session, mut output) = live(version);
    let bytes = publish_packet(version, QoS::AtLeastOnce, 1);
    let now = Now::read();
    move || {
        output.bytes.clear();
        let frame = next_frame(&bytes, usize::MAX).unwrap().unwrap();
        session.step(now, Input::Packet(frame.decode(version).unwrap()), &mut output);
        let Some(Action::Publish { packet_id: Some(packet_id), .. }) = output.actions.pop() else {
            unreachable!("a QoS 1 PUBLISH is published");
        };
        let reason = ReasonCode::Success;
        session.step(now, Input::Published { packet_id, reason }, &mut output);
        output.bytes.len()
    }
}

/// A session sends a PUBLISH of QoS 1, and takes the PUBACK.
pub(crate) fn send_qos_1(version: Version) -> impl FnMut() -> usize {
    let (mut session, mut output) = live(version);
    let message = message(QoS::AtLeastOnce);
    let now = Now::read();
    move || {
        output.bytes.clear();
        let outbound = Outbound {
            message: Arc::clone(&message),
            qos: QoS::AtLeastOnce,
            retain: false,
            subscription_ids: SubscriptionIds::new(),
            share: None,
            kept: None,
            was_sent: false,
        };
        session.step(now, Input::Deliver(outbound), &mut output);
        let Packet::Publish(sent) =
            next_frame(&output.bytes, usize::MAX).unwrap().unwrap().decode(version).unwrap()
        else {
            unreachable!("what is delivered is a PUBLISH");
        };
        let id = sent.delivery.packet_id().unwrap();
        let ack = Ack::new(id, ReasonCode::Success);
        session.step(now, Input::Packet(Packet::PubAck(ack)), &mut output);
        output.bytes.len()
    }
}

fn publish_packet(version: Version, qos: QoS, id: u16) -> Vec<u8> {
    let id = NonZeroU16::new(id).unwrap();
    let packet = Packet::Publish(Publish {
        dup: false,
        delivery: match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce(id),
            QoS::ExactlyOnce => Delivery::ExactlyOnce(id),
        },
        retain: false,
        topic: Some(TopicNameRef::parse(TOPIC).unwrap()),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: Vec::new().into(),
        payload: &PAYLOAD,
    });
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

fn message(qos: QoS) -> Arc<Message> {
    Arc::new(Message {
        topic: TopicName::parse(TOPIC).unwrap(),
        payload: PAYLOAD.to_vec().into(),
        properties: Vec::new().into(),
        qos,
        retain: false,
        expiry: None,
        arrived: None,
        publisher: None,
        trace: None,
    })
}

/// A routing table of `count` subscriptions: exact ones, and some with `+` and `#`.
fn table(count: u64) -> Router<SessionKey> {
    let mut router = Router::new();
    for key in 0..count {
        let filter = match key % 10 {
            0 => format!("plant/{key}/+/3/temperature"),
            1 => format!("plant/{key}/#"),
            _ => format!("plant/{key}/line/3/temperature"),
        };
        let filter = TopicFilterRef::parse(&filter).unwrap();
        router.subscribe(filter, SessionKey(key), Grant::default());
    }
    router
}

/// A session that has been let in, and its output.
fn live(version: Version) -> (Session, Output) {
    let mut session = Session::new(Arc::new(Settings::default()));
    let mut output = Output::default();
    let (name, level) = (b"\0\x04MQTT", version as u8);
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    let body = [name, &[level, 2, 0, 0][..], properties, &[0, 1, b'c']].concat();
    let bytes = [&[0x10, body.len() as u8], &body[..]].concat();
    let connect = next_frame(&bytes, usize::MAX).unwrap().unwrap().decode(version).unwrap();
    session.step(Now::read(), Input::Packet(connect), &mut output);
    let identified = Identified {
        client_id: ClientId::new("c"),
        assigned: false,
        key: SessionKey(1),
        is_durable: false,
        resumed: None,
        authentication_data: None,
        settings: None,
    };
    session.step(Now::read(), Input::Identified(Box::new(identified)), &mut output);
    output.actions.clear();
    output.bytes.clear();
    (session, output)
}
