//! A session in the hands of a test: packets in, and decoded, what it says and asks for.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::codec::{
    Ack, ConnAck, Connect, ConnectProperties, Delivery, PacketId, Publish, SubscriptionIds,
    SubscriptionOptions, Unsubscribe, UserProperties, next_frame,
};
use crate::identity::ClientId;
use crate::message::{Message, QoS, SessionKey};
use crate::topic::{TopicFilter, TopicFilterRef, TopicName, TopicNameRef};

/// The key of every session that a [`Driver`] opens.
pub(super) const KEY: SessionKey = SessionKey(7);

/// One connection, and the clock that it lives by.
pub(super) struct Driver {
    pub(super) session: Session,
    pub(super) now: Now,
    version: Version,
    output: Output,
}

impl Driver {
    /// A connection that has not said anything.
    pub(super) fn new(settings: &Settings, version: Version) -> Self {
        Self {
            session: Session::new(Arc::new(settings.clone())),
            now: Now::read(),
            version,
            output: Output::default(),
        }
    }

    /// A client that is let in; its CONNACK has been read.
    pub(super) fn open(version: Version) -> Self {
        Self::open_with(&connect(version), &Settings::default(), None)
    }

    /// A client that is let in with `connect` and goes on with `resumed`; its CONNACK has been read.
    pub(super) fn open_with(
        connect: &Connect<'_>,
        settings: &Settings,
        resumed: Option<Image>,
    ) -> Self {
        let mut driver = Self::new(settings, connect.version);
        let welcome = driver.welcome(connect, resumed);
        assert_eq!(welcome.reason, ReasonCode::Success);
        driver
    }

    /// Says CONNECT, lets the client in and gives the CONNACK.
    pub(super) fn welcome(
        &mut self,
        connect: &Connect<'_>,
        resumed: Option<Image>,
    ) -> ConnAck<'static> {
        self.say(Packet::Connect(Box::new(connect.clone())));
        match self.actions().as_slice() {
            [Action::Identify(_)] => {}
            other => panic!("{other:?}"),
        }
        self.identify(resumed);
        let bytes = &*std::mem::take(&mut self.output.bytes).leak();
        let frame = next_frame(bytes, usize::MAX).expect("a packet").expect("all of it");
        self.output.bytes.extend_from_slice(&bytes[frame.size..]);
        match frame.decode(self.version) {
            Ok(Packet::ConnAck(ack)) => *ack,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn identify(&mut self, resumed: Option<Image>) {
        let client_id = ClientId::new("c");
        let identified = Identified {
            client_id,
            assigned: false,
            key: KEY,
            is_durable: false,
            resumed,
            authentication_data: None,
            settings: None,
        };
        self.take(Input::Identified(Box::new(identified)));
    }

    pub(super) fn take(&mut self, input: Input<'_>) {
        self.session.step(self.now, input, &mut self.output);
    }

    pub(super) fn say(&mut self, packet: Packet<'_>) {
        self.take(Input::Packet(packet));
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    pub(super) fn deliver(&mut self, topic: &str, qos: QoS) {
        self.take(Input::Deliver(outbound(topic, qos)));
    }

    pub(super) fn published(&mut self, packet_id: u16, reason: ReasonCode) {
        self.take(Input::Published { packet_id: id(packet_id), reason });
    }

    /// The bytes it has said since this was asked last.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output.bytes)
    }

    /// The packets it has said since this was asked last. Their bytes are leaked: tests are short.
    pub(super) fn heard(&mut self) -> Vec<Packet<'static>> {
        let bytes = self.bytes().leak();
        decoded(bytes, self.version)
    }

    /// What it has asked for since this was asked last.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.output.actions).into_vec()
    }

    /// Why it has ended, if it has; forgets the other actions.
    pub(super) fn closed(&mut self) -> Option<Closed> {
        self.actions().into_iter().find_map(|action| match action {
            Action::Close(closed) => Some(closed),
            _ => None,
        })
    }

    /// The reason of the violation that it has ended with.
    pub(super) fn violation(&mut self) -> Option<ReasonCode> {
        match self.closed()? {
            Closed::Violation { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The messages that it has asked to publish; forgets the other actions.
    pub(super) fn publishes(&mut self) -> Vec<Arc<Message>> {
        let publish = |action| match action {
            Action::Publish { message, .. } => Some(message),
            _ => None,
        };
        self.actions().into_iter().filter_map(publish).collect()
    }

    /// The connection is lost; what is left of it.
    pub(super) fn leave(&mut self) -> Remains {
        self.take(Input::Lost);
        self.session.leave().expect("a client was let in")
    }
}

/// Every packet in `bytes`, which hold nothing else.
pub(super) fn decoded(bytes: &[u8], version: Version) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    while let Some(frame) = next_frame(rest, usize::MAX).expect("a packet") {
        packets.push(frame.decode(version).expect("a packet of this version"));
        rest = &rest[frame.size..];
    }
    assert!(rest.is_empty(), "a packet was cut off");
    packets
}

pub(super) fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).expect("not 0")
}

/// A CONNECT that keeps its session for an hour and asks for nothing else.
pub(super) fn connect(version: Version) -> Connect<'static> {
    let session_expiry_interval = (version == Version::V5).then_some(3_600);
    Connect {
        version,
        clean_start: false,
        keep_alive: 60,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties { session_expiry_interval, ..ConnectProperties::default() },
    }
}

/// [`connect`] in 5.0, with these bounds on what the client takes.
pub(super) fn connect_within(receive_maximum: u16, maximum_packet_size: u32) -> Connect<'static> {
    let mut connect = connect(Version::V5);
    connect.properties.receive_maximum = NonZeroU16::new(receive_maximum);
    connect.properties.maximum_packet_size = NonZeroU32::new(maximum_packet_size);
    connect
}

/// [`connect`] in 5.0, from a client that takes this many topic aliases.
pub(super) fn connect_with_aliases(topic_alias_maximum: u16) -> Connect<'static> {
    let mut connect = connect(Version::V5);
    connect.properties.topic_alias_maximum = Some(topic_alias_maximum);
    connect
}

/// A PUBLISH of a client.
pub(super) fn publish(topic: &'static str, delivery: Delivery) -> Publish<'static> {
    Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Some(TopicNameRef::parse(topic).expect("a topic")),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_ids: SubscriptionIds::new(),
        properties: Cow::Borrowed(&[]),
        payload: b"payload",
    }
}

pub(super) fn qos1(packet_id: u16) -> Packet<'static> {
    Packet::Publish(publish("a", Delivery::AtLeastOnce(id(packet_id))))
}

pub(super) fn qos2(packet_id: u16) -> Packet<'static> {
    Packet::Publish(publish("a", Delivery::ExactlyOnce(id(packet_id))))
}

pub(super) fn ack(packet_id: u16) -> Ack<'static> {
    Ack::new(id(packet_id), ReasonCode::Success)
}

pub(super) fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
    Arc::new(Message {
        topic: TopicName::parse(topic).expect("a topic"),
        payload: payload.to_vec().into(),
        properties: Vec::new().into(),
        qos: QoS::ExactlyOnce,
        retain: false,
        expiry: None,
        arrived: None,
        publisher: None,
        trace: None,
    })
}

/// A message for the client, with its topic for its payload.
pub(super) fn outbound(topic: &str, qos: QoS) -> Outbound {
    let message = message(topic, topic.as_bytes());
    Outbound {
        message,
        qos,
        retain: false,
        subscription_ids: SubscriptionIds::new(),
        share: None,
        kept: None,
        was_sent: false,
    }
}

pub(super) fn subscribe(packet_id: u16, filters: &[&str]) -> Packet<'static> {
    let options = SubscriptionOptions::default();
    Packet::Subscribe(Subscribe {
        packet_id: id(packet_id),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: filters.iter().map(|it| (filter(it), options)).collect(),
    })
}

pub(super) fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet<'static> {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: id(packet_id),
        user_properties: UserProperties::default(),
        filters: filters.iter().map(|it| filter(it)).collect(),
    })
}

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::parse(text).expect("a filter")
}

pub(super) fn granted(filter: &str, maximum_qos: QoS) -> SubscribeRequest {
    let options = SubscriptionOptions { maximum_qos, ..SubscriptionOptions::default() };
    SubscribeRequest { filter: TopicFilter::parse(filter).expect("a filter"), options, id: None }
}

/// The topics of the PUBLISH packets among `packets`, with DUP and the packet identifier.
pub(super) fn published<'p>(packets: &[Packet<'p>]) -> Vec<(&'p str, bool, Option<u16>)> {
    let publish = |packet: &Packet<'p>| match packet {
        Packet::Publish(publish) => Some((
            publish.topic.map_or("", TopicNameRef::as_str),
            publish.dup,
            publish.delivery.packet_id().map(PacketId::get),
        )),
        _ => None,
    };
    packets.iter().filter_map(publish).collect()
}
