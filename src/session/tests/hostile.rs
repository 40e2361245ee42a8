//! A client that sends anything at any time.

use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::driver::{
    Driver, KEY, connect, connect_with_aliases, connect_within, decoded, granted, id, outbound,
    publish, subscribe, unsubscribe,
};
use crate::codec::{
    Ack, Auth, ConnAck, DecodeError, Delivery, Disconnect, Publish, answer_version, next_frame,
};
use crate::identity::ClientId;
use crate::message::QoS;

/// Something that happens to a session.
#[derive(Clone, Debug)]
enum Event {
    Packet(Packet<'static>),
    Bytes(Vec<u8>),
    Malformed(DecodeError),
    Identified,
    Refused,
    Challenge,
    Authenticated,
    Published(u16, ReasonCode),
    Subscribed(Option<QoS>),
    Deliver(QoS),
    End(ReasonCode),
    Tick,
    Later,
    /// The connection ends, and what it leaves goes on with the next.
    Resume,
}

fn packet_id() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 1..4u16, 1 => any::<NonZeroU16>().prop_map(NonZeroU16::get)]
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn reason() -> impl Strategy<Value = ReasonCode> {
    prop_oneof![2 => Just(ReasonCode::Success), 1 => select(&ReasonCode::ALL[..])]
}

/// What the broker says of a publish.
fn outcome() -> impl Strategy<Value = ReasonCode> {
    use ReasonCode::{NoMatchingSubscribers, NotAuthorized, QuotaExceeded, Success};
    select(vec![Success, NoMatchingSubscribers, NotAuthorized, QuotaExceeded])
}

/// Why the broker ends a connection.
fn fault() -> impl Strategy<Value = ReasonCode> {
    reason().prop_filter("an error", |reason| reason.is_error())
}

fn published() -> impl Strategy<Value = Packet<'static>> {
    let topic = prop_oneof![3 => Just(Some("a/b")), 1 => Just(None), 1 => Just(Some("////////"))];
    (qos(), packet_id(), topic, any::<bool>(), 0..4u16, any::<bool>()).prop_map(
        |(qos, packet_id, topic, dup, alias, retain)| {
            let delivery = match qos {
                QoS::AtMostOnce => Delivery::AtMostOnce,
                QoS::AtLeastOnce => Delivery::AtLeastOnce(id(packet_id)),
                QoS::ExactlyOnce => Delivery::ExactlyOnce(id(packet_id)),
            };
            let packet = publish(topic.unwrap_or("a"), delivery);
            let topic = packet.topic.filter(|_| topic.is_some());
            let topic_alias = NonZeroU16::new(alias);
            Packet::Publish(Publish { dup, retain, topic, topic_alias, ..packet })
        },
    )
}

fn connected() -> impl Strategy<Value = Packet<'static>> {
    let mut with_method = connect(Version::V5);
    with_method.properties.authentication_method = Some("m");
    let connects = [
        with_method,
        connect(Version::V31),
        connect(Version::V311),
        connect(Version::V5),
        connect_within(2, 30),
        connect_within(1, 3),
        connect_with_aliases(1),
    ];
    (select(connects.to_vec()), any::<u16>()).prop_map(|(mut connect, keep_alive)| {
        connect.keep_alive = keep_alive;
        Packet::Connect(Box::new(connect))
    })
}

fn auth() -> impl Strategy<Value = Packet<'static>> {
    use ReasonCode::{ContinueAuthentication, ReAuthenticate, Success};
    let reasons = select(vec![ContinueAuthentication, ReAuthenticate, Success]);
    let methods = prop_oneof![4 => Just("m"), 1 => Just("n")];
    (reasons, methods).prop_map(|(reason, method)| Packet::Auth(Auth::new(reason, method, None)))
}

fn packet() -> impl Strategy<Value = Packet<'static>> {
    let ack = || (packet_id(), reason()).prop_map(|(it, reason)| Ack::new(id(it), reason));
    let suback = SubAck::new(id(1), &[ReasonCode::Success][..]);
    let expiry = proptest::option::of(any::<u32>());
    prop_oneof![
        6 => published(),
        2 => ack().prop_map(Packet::PubAck),
        2 => ack().prop_map(Packet::PubRec),
        2 => ack().prop_map(Packet::PubRel),
        2 => ack().prop_map(Packet::PubComp),
        1 => packet_id().prop_map(|it| subscribe(it, &["a", "$share/g/+", "b/#", "/////"])),
        1 => packet_id().prop_map(|it| unsubscribe(it, &["a", "a", "c"])),
        1 => Just(Packet::PingReq),
        1 => (reason(), expiry).prop_map(|(reason, session_expiry_interval)| {
            Packet::Disconnect(Disconnect { session_expiry_interval, ..Disconnect::new(reason) })
        }),
        1 => connected(),
        1 => select(vec![
            Packet::ConnAck(Box::new(ConnAck::new(ReasonCode::Success))),
            Packet::SubAck(suback.clone()),
            Packet::UnsubAck(suback),
            Packet::PingResp,
        ]),
        3 => auth(),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let error = select(vec![
        DecodeError::Malformed("bytes"),
        DecodeError::UnsupportedVersion,
        DecodeError::ClientIdentifier("bad"),
        DecodeError::TooLarge { size: 2, limit: 1 },
    ]);
    prop_oneof![
        30 => packet().prop_map(Event::Packet),
        4 => vec(any::<u8>(), 0..12).prop_map(Event::Bytes),
        1 => error.prop_map(Event::Malformed),
        4 => Just(Event::Identified),
        1 => Just(Event::Refused),
        2 => Just(Event::Challenge),
        1 => Just(Event::Authenticated),
        8 => (packet_id(), outcome()).prop_map(|(it, reason)| Event::Published(it, reason)),
        3 => proptest::option::of(qos()).prop_map(Event::Subscribed),
        8 => qos().prop_map(Event::Deliver),
        1 => fault().prop_map(Event::End),
        1 => Just(Event::Tick),
        1 => Just(Event::Later),
        4 => Just(Event::Resume),
    ]
}

fn settings() -> Settings {
    let positive = |value| NonZeroU16::new(value).expect("not 0");
    Settings {
        receive_maximum: positive(3),
        max_inflight: positive(3),
        topic_alias_maximum: 2,
        max_topic_levels: positive(4),
        ..Settings::default()
    }
}

/// A client that is let in at once.
fn next_connection(image: Option<Image>, version: Version) -> Driver {
    Driver::open_with(&connect(version), &settings(), image)
}

fn happen(driver: &mut Driver, event: Event) {
    let version = driver.session.version().unwrap_or(Version::V5);
    match event {
        Event::Packet(packet) => driver.say(packet),
        Event::Bytes(bytes) => {
            match next_frame(&bytes, 100).map(|it| it.map(|it| it.decode(version))) {
                Ok(Some(Ok(packet))) => driver.say(packet),
                Ok(None) => {}
                Ok(Some(Err(error))) | Err(error) => {
                    driver.take(Input::Malformed { error, version: answer_version(&bytes) });
                }
            }
        }
        Event::Malformed(error) => driver.take(Input::Malformed { error, version: Some(version) }),
        Event::Identified => {
            let client_id = ClientId::new("c");
            let identified = Identified {
                client_id,
                assigned: true,
                key: KEY,
                is_durable: false,
                resumed: None,
                authentication_data: None,
                settings: None,
            };
            driver.take(Input::Identified(Box::new(identified)));
        }
        Event::Challenge => driver.take(Input::Challenge { data: vec![1] }),
        Event::Authenticated => driver.take(Input::Authenticated { data: vec![2] }),
        Event::Refused => {
            driver.take(Input::Refused(Refusal::new(ReasonCode::NotAuthorized, "no entry")));
        }
        Event::Published(packet_id, reason) => driver.published(packet_id, reason),
        Event::Subscribed(qos) => {
            let outcome = qos.map(|qos| granted("a", qos)).ok_or(ReasonCode::NotAuthorized);
            driver.take(Input::Subscribed { packet_id: id(1), outcomes: vec![outcome] });
        }
        Event::Deliver(qos) if qos == QoS::AtMostOnce || driver.session.window() > 0 => {
            driver.take(Input::Deliver(outbound("a", qos)));
        }
        Event::Deliver(_) => {}
        Event::End(reason) => driver.take(Input::End(reason)),
        Event::Tick => driver.take(Input::Tick),
        Event::Later => driver.wait(std::time::Duration::from_secs(70_000)),
        Event::Resume => {
            let image = driver.session.leave().map(|remains| remains.image);
            *driver = next_connection(image, version);
        }
    }
}

proptest! {
    #[test]
    fn r29_no_order_of_events_is_too_much_for_a_session(
        begins in proptest::option::of(select(vec![Version::V31, Version::V311, Version::V5])),
        events in vec(event(), 0..60),
    ) {
        let mut driver = match begins {
            Some(version) => next_connection(None, version),
            None => Driver::new(&settings(), Version::V5),
        };
        for event in events {
            happen(&mut driver, event);
            let bytes = driver.bytes();
            if let Some(version) = driver.session.version() {
                decoded(&bytes, version);
            }
            let closes = driver.actions().iter().filter(|it| matches!(it, Action::Close(_))).count();
            prop_assert!(closes <= 1);
            prop_assert!(driver.session.window() <= 3);
        }
        if let Some(remains) = driver.session.leave() {
            prop_assert!(remains.image.in_flight.len() <= 3);
            prop_assert!(remains.image.subscriptions.len() <= 1);
        }
    }
}
