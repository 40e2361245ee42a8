//! One connection, without its socket: packets in, and what comes back, in words of the model.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::super::driver::{Driver, id};
use super::oracle::Subscription;
use super::step::{Content, Hello, Name, VERSIONS};
use crate::broker::{Broker, Client, Delivered, Patience};
use crate::clock::Now;
use crate::codec::{
    self, Connect, ConnectProperties, Delivery, Packet, PacketId, Publish, ReasonCode, Subscribe,
    SubscriptionIds, Unsubscribe, UserProperties, Version, next_frame,
};
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// The names of the clients.
pub(super) const NAMES: [&str; 5] = ["c0", "c1", "c2", "c3", "auditor"];

pub(super) struct Wire {
    pub(super) client: Client,
    version: Version,
}

/// What a client hears.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Welcome { is_resumed: bool },
    TurnedAway(ReasonCode),
    Message(Published),
    PubAck(PacketId, ReasonCode),
    PubRec(PacketId, ReasonCode),
    PubRel(PacketId),
    PubComp(PacketId),
    SubAck(Vec<ReasonCode>),
    UnsubAck(Vec<ReasonCode>),
    SentAway(ReasonCode),
}

/// A PUBLISH of the broker's.
#[derive(Clone, Debug)]
pub(super) struct Published {
    /// Absent where there is no payload.
    pub(super) number: Option<u32>,
    pub(super) topic: String,
    pub(super) qos: QoS,
    pub(super) packet_id: Option<PacketId>,
    pub(super) dup: bool,
    pub(super) retain: bool,
    /// In ascending order.
    pub(super) ids: Vec<u32>,
    pub(super) seconds_left: Option<u64>,
}

impl Wire {
    /// Says CONNECT. `meanwhile` runs once the client waits to be let in.
    pub(super) fn open(
        broker: &Arc<Broker>,
        now: Now,
        connect: &Packet<'_>,
        version: Version,
        meanwhile: impl FnOnce(),
    ) -> Self {
        let mut wire = Self { client: Driver::stranger(broker).client, version };
        wire.say(now, connect);
        let deadline = Instant::now() + Duration::from_secs(60);
        let patience = Patience { deadline, departure: std::future::pending() };
        {
            let mut login = Box::pin(wire.client.log_in(patience, || now));
            if login.as_mut().now_or_never().is_none() {
                meanwhile();
                login.now_or_never().expect("the session was handed over");
            }
        }
        wire
    }

    pub(super) fn say(&mut self, now: Now, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        assert_eq!(self.client.receive(now, &bytes), bytes.len());
    }

    /// Lets the broker send what waits.
    pub(super) fn deliver(&mut self, now: Now) {
        while self.client.deliver(now) != Delivered::All {}
    }

    /// What has been sent since this was asked last.
    pub(super) fn sent(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut rest = self.client.output();
        while let Some(frame) = next_frame(rest, usize::MAX).expect("a packet") {
            heard.push(Heard::of(frame.decode(self.version).expect("a packet of this version")));
            rest = &rest[frame.size..];
        }
        assert!(rest.is_empty(), "a packet was cut off");
        self.client.on_sent(Now::read(), self.client.output().len());
        heard
    }
}

impl Heard {
    fn of(packet: Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(ack) => match ack.reason {
                ReasonCode::Success => Self::Welcome { is_resumed: ack.session_present },
                reason => Self::TurnedAway(reason),
            },
            Packet::Publish(publish) => Self::Message(Published::of(&publish)),
            Packet::PubAck(ack) => Self::PubAck(ack.packet_id, ack.reason),
            Packet::PubRec(ack) => Self::PubRec(ack.packet_id, ack.reason),
            Packet::PubRel(ack) => Self::PubRel(ack.packet_id),
            Packet::PubComp(ack) => Self::PubComp(ack.packet_id),
            Packet::SubAck(ack) => Self::SubAck(ack.reasons.to_vec()),
            Packet::UnsubAck(ack) => Self::UnsubAck(ack.reasons.to_vec()),
            Packet::Disconnect(farewell) => Self::SentAway(farewell.reason),
            other => panic!("{other:?}"),
        }
    }
}

impl Published {
    fn of(publish: &Publish<'_>) -> Self {
        let mut ids = publish.subscription_ids.to_vec();
        ids.sort_unstable();
        Self {
            number: publish.payload.try_into().ok().map(u32::from_be_bytes),
            topic: publish.topic.expect("no alias was allowed").as_str().to_owned(),
            qos: publish.delivery.qos(),
            packet_id: publish.delivery.packet_id(),
            dup: publish.dup,
            retain: publish.retain,
            ids,
            seconds_left: publish.message_expiry_interval.map(u64::from),
        }
    }
}

fn payload(number: &[u8; 4], is_empty: bool) -> &[u8] {
    if is_empty { &[] } else { number }
}

fn seconds(seconds: u64) -> Option<u32> {
    Some(u32::try_from(seconds).expect("few seconds"))
}

/// `number` is that of the will.
pub(super) fn connect<R>(
    name: Name,
    version: Version,
    hello: &Hello,
    number: u32,
    then: impl FnOnce(&Packet<'_>) -> R,
) -> R {
    let number = number.to_be_bytes();
    let will = hello.will.map(|will| codec::Will {
        topic: TopicNameRef::parse(will.content.topic).expect("a topic"),
        payload: payload(&number, will.content.is_empty),
        qos: will.content.qos,
        retain: will.content.retain,
        delay_interval: seconds(will.delay).filter(|delay| *delay > 0),
        message_expiry_interval: will.content.expiry.and_then(seconds),
        properties: b"".into(),
    });
    let mut properties = ConnectProperties::default();
    if version == Version::V5 {
        properties.session_expiry_interval = Some(hello.expiry);
        properties.receive_maximum = NonZeroU16::new(hello.receive_maximum);
    }
    then(&Packet::Connect(Box::new(Connect {
        version,
        clean_start: hello.clean_start,
        keep_alive: 0,
        client_id: NAMES[name],
        will,
        user_name: None,
        password: None,
        properties,
    })))
}

pub(super) fn publish<R>(
    content: Content,
    number: u32,
    delivery: Delivery,
    dup: bool,
    then: impl FnOnce(&Packet<'_>) -> R,
) -> R {
    then(&Packet::Publish(Publish {
        dup,
        delivery,
        retain: content.retain,
        topic: Some(TopicNameRef::parse(content.topic).expect("a topic")),
        topic_alias: None,
        message_expiry_interval: content.expiry.and_then(seconds),
        subscription_ids: SubscriptionIds::new(),
        properties: (&[]).into(),
        payload: payload(&number.to_be_bytes(), content.is_empty),
    }))
}

pub(super) fn subscribe(filter: &str, subscription: Subscription) -> Packet<'_> {
    Packet::Subscribe(Subscribe {
        packet_id: id(u16::MAX),
        subscription_id: subscription.id.and_then(NonZeroU32::new),
        user_properties: UserProperties::default(),
        filters: [(filter_of(filter), subscription.options)].into_iter().collect(),
    })
}

pub(super) fn unsubscribe(filter: &str) -> Packet<'_> {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: id(u16::MAX),
        user_properties: UserProperties::default(),
        filters: [filter_of(filter)].into_iter().collect(),
    })
}

fn filter_of(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::parse(text).expect("a filter")
}

pub(super) fn version(name: Name) -> Version {
    VERSIONS.get(name).copied().unwrap_or(Version::V5)
}
