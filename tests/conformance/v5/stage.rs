//! A broker for one test, clients of 5.0 on it, and what they say to each other.

use std::time::Duration;

use super::scene::properties;
use crate::harness::raw::{
    self, CONNACK, Connect, DISCONNECT, Frame, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient,
    Received, SUBSCRIBE, UNSUBSCRIBE, acknowledge, data, packet,
};
use crate::harness::{Broker, Login, bastionmq, scratch};

pub(super) const NOT_AUTHORIZED: u8 = 0x87;
pub(super) const TAKEN_OVER: u8 = 0x8E;
pub(super) const BAD_FILTER: u8 = 0x8F;
pub(super) const BAD_TOPIC: u8 = 0x90;
pub(super) const UNKNOWN_ID: u8 = 0x92;
pub(super) const TOO_MANY: u8 = 0x93;
pub(super) const BAD_ALIAS: u8 = 0x94;

/// UNSUBACK, which the harness does not name.
pub(super) const UNSUBACK: u8 = 0xB0;

/// Flags of a PUBLISH.
pub(super) const RETAIN: u8 = 0x01;
pub(super) const QOS_1: u8 = 0x02;
pub(super) const QOS_2: u8 = 0x04;
pub(super) const DUP: u8 = 0x08;

/// A session that outlives its connection for longer than any test.
const AN_HOUR: u32 = 3_600;

/// One broker, and where its clients come from.
pub(super) struct Stage {
    broker: Broker,
}

impl Stage {
    /// Anybody may do anything.
    pub(super) fn open() -> Self {
        Self { broker: Broker::open() }
    }

    /// As [`Stage::open`], with settings such as `("MQTT_RECEIVE_MAXIMUM", 5)`.
    pub(super) fn open_with(settings: &[(&str, u32)]) -> Self {
        let manifest = env!("CARGO_MANIFEST_DIR");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(format!("{manifest}/tests/configs/open.toml"));
        command.args(["--listen", "mqtt://127.0.0.1:0"]);
        for (name, value) in settings {
            command.env(format!("BASTIONMQ_{name}"), value.to_string());
        }
        Self { broker: Broker::start(command, scratch()) }
    }

    /// The users and the policy of the harness.
    pub(super) fn secure() -> Self {
        Self { broker: Broker::secure() }
    }

    /// A connection on which nothing has been said.
    pub(super) fn stranger(&self) -> RawClient {
        RawClient::plain(self.broker.plain_port())
    }

    /// A connection over TLS on which nothing has been said; a secure stage alone has them.
    pub(super) fn stranger_over_tls(&self) -> RawClient {
        RawClient::tls(self.broker.tls_port(), crate::harness::Site::shared().tls())
    }

    /// A client whose session ends with its connection.
    pub(super) fn client(&self, id: &str) -> RawClient {
        self.connected(&Connect::new(5, id))
    }

    /// As [`Stage::client`], of a user.
    pub(super) fn user(&self, id: &str, login: Login) -> RawClient {
        self.connected(&Connect::new(5, id).login(login))
    }

    /// A client with these CONNECT properties.
    pub(super) fn client_with(&self, id: &str, properties: &[u8]) -> RawClient {
        self.connected(&Connect { properties: properties.to_vec(), ..Connect::new(5, id) })
    }

    /// A client with a new session that outlives its connection.
    pub(super) fn lasting(&self, id: &str) -> RawClient {
        self.connected(&Connect::new(5, id).keep_session(true, AN_HOUR))
    }

    /// The client `id` once more, with the session that it had.
    pub(super) fn back(&self, id: &str) -> RawClient {
        self.back_with(id, &[])
    }

    /// As [`Stage::back`], with more CONNECT properties.
    pub(super) fn back_with(&self, id: &str, properties: &[u8]) -> RawClient {
        let mut connect = Connect::new(5, id).keep_session(false, AN_HOUR);
        connect.properties.extend_from_slice(properties);
        let mut client = self.stranger();
        client.send(&connect.encode());
        let answer = client.expect(CONNACK);
        assert_eq!(answer.body[..2], [1, 0], "the session is not there: {answer:02x?}");
        client
    }

    pub(super) fn connected(&self, connect: &Connect<'_>) -> RawClient {
        RawClient::connected(self.broker.plain_port(), connect)
    }
}

/// What clients of 5.0 do all the time.
pub(super) trait Version5: Sized {
    /// Subscribes, and fails unless it gets the QoS that `options` ask for.
    fn subscribed(&mut self, filter: &str, options: u8);
    /// Publishes with QoS 0.
    fn says(&mut self, topic: &str, payload: &str);
    /// Publishes with the QoS of `flags`, and sees it through to its last acknowledgement: then
    /// everybody who is to have it has it in his session.
    fn publishes(&mut self, flags: u8, topic: &str, properties: &[u8], payload: &str);
    /// The next packet, which is a PUBLISH.
    fn message(&mut self) -> Received;
    /// As [`Version5::message`], with this payload.
    fn hears(&mut self, payload: &str) -> Received;
    /// Fails unless nothing is on its way. What waits at the broker may come behind the answer to a
    /// PINGREQ, but not behind the next one.
    fn hears_nothing(&mut self);
    /// The packet identifier of the next packet, which is a PUBREL.
    fn release(&mut self) -> u16;
    /// Sends an acknowledgement that means success.
    fn acknowledges(&mut self, first: u8, id: u16);
    /// Acknowledges a PUBLISH as its QoS asks.
    fn completes(&mut self, received: &Received);
    /// The next message, acknowledged; each PUBREL that comes before it is answered.
    fn takes(&mut self) -> Received;
    /// The identifier and the reason code of the next packet, which is of the type `first`.
    fn acknowledged(&mut self, first: u8) -> (u16, u8);
    /// DISCONNECT, and the end.
    fn leaves(self);
    /// Sends `bytes`, and fails unless a DISCONNECT with one of `reasons` comes, and then the end.
    fn provokes(self, bytes: &[u8], reasons: &[u8]);
}

impl Version5 for RawClient {
    fn subscribed(&mut self, filter: &str, options: u8) {
        assert_eq!(self.subscribe(5, filter, options), options & 3, "{filter}");
    }

    fn says(&mut self, topic: &str, payload: &str) {
        self.send(&raw::publish(5, topic, payload.as_bytes()));
    }

    fn publishes(&mut self, flags: u8, topic: &str, properties: &[u8], payload: &str) {
        let id = (flags & (QOS_1 | QOS_2) != 0).then_some(9);
        self.send(&publish(flags, topic, id, properties, payload));
        if flags & QOS_1 != 0 {
            let (id, reason) = self.acknowledged(PUBACK);
            assert!(id == 9 && reason < 0x80, "PUBACK {id} {reason:#04x}");
        }
        if flags & QOS_2 != 0 {
            let (id, reason) = self.acknowledged(PUBREC);
            assert!(id == 9 && reason < 0x80, "PUBREC {id} {reason:#04x}");
            self.acknowledges(PUBREL, 9);
            assert_eq!(self.acknowledged(PUBCOMP), (9, 0));
        }
    }

    fn message(&mut self) -> Received {
        self.read().publish(5)
    }

    fn hears(&mut self, payload: &str) -> Received {
        let received = self.message();
        assert_eq!(String::from_utf8_lossy(&received.payload), payload, "{received:?}");
        received
    }

    fn hears_nothing(&mut self) {
        self.expect_silence();
        self.expect_silence();
    }

    fn release(&mut self) -> u16 {
        let frame = self.read();
        assert_eq!(frame.first, PUBREL, "{frame:?}");
        frame.acknowledged().0
    }

    fn acknowledges(&mut self, first: u8, id: u16) {
        self.send(&acknowledge(first, id));
    }

    fn completes(&mut self, received: &Received) {
        match (received.qos, received.id) {
            (1, Some(id)) => self.acknowledges(PUBACK, id),
            (2, Some(id)) => {
                self.acknowledges(PUBREC, id);
                assert_eq!(self.release(), id);
                self.acknowledges(PUBCOMP, id);
            }
            _ => {}
        }
    }

    fn takes(&mut self) -> Received {
        loop {
            let frame = self.read();
            if frame.first == PUBREL {
                self.acknowledges(PUBCOMP, frame.acknowledged().0);
                continue;
            }
            let received = frame.publish(5);
            if let Some(id) = received.id {
                self.acknowledges(if received.qos == 1 { PUBACK } else { PUBREC }, id);
            }
            return received;
        }
    }

    fn acknowledged(&mut self, first: u8) -> (u16, u8) {
        self.expect(first).acknowledged()
    }

    fn leaves(mut self) {
        self.send(&packet(DISCONNECT, &[]));
        self.expect_end();
    }

    fn provokes(mut self, bytes: &[u8], reasons: &[u8]) {
        self.send(bytes);
        let frame = self.expect(DISCONNECT);
        assert!(reasons.contains(&frame.reason()), "{:#04x} for {bytes:02x?}", frame.reason());
        self.expect_end();
    }
}

/// Lets time itself pass, where the passing of time is what is tested. Nothing else sleeps.
pub(super) fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

// ── packets ────────────────────────────────────────────────────────────────────────────────────

/// PUBLISH with these flags.
pub(super) fn publish(
    flags: u8,
    topic: &str,
    id: Option<u16>,
    properties: &[u8],
    payload: &str,
) -> Vec<u8> {
    raw::publish_with(5, PUBLISH | flags, topic, id, properties, payload.as_bytes())
}

/// An acknowledgement with a reason code.
pub(super) fn answer(first: u8, id: u16, reason: u8) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()[..], &[reason]].concat())
}

/// SUBSCRIBE to several filters, each with its options.
pub(super) fn subscribe(id: u16, properties: &[u8], filters: &[(&str, u8)]) -> Vec<u8> {
    let filters = filters.iter().map(|&(filter, options)| [data(filter), vec![options]].concat());
    packet(SUBSCRIBE, &body(id, properties, filters))
}

/// UNSUBSCRIBE from several filters.
pub(super) fn unsubscribe(id: u16, properties: &[u8], filters: &[&str]) -> Vec<u8> {
    packet(UNSUBSCRIBE, &body(id, properties, filters.iter().map(data)))
}

fn body(id: u16, properties: &[u8], filters: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(raw::properties(5, properties));
    body.extend(filters.flatten());
    body
}

/// Message Expiry Interval.
pub(super) fn expires_after(seconds: u32) -> Vec<u8> {
    [&[0x02][..], &seconds.to_be_bytes()].concat()
}

/// Receive Maximum.
pub(super) fn receive_maximum(messages: u16) -> Vec<u8> {
    [&[0x21][..], &messages.to_be_bytes()].concat()
}

/// Maximum Packet Size.
pub(super) fn maximum_packet_size(bytes: u32) -> Vec<u8> {
    [&[0x27][..], &bytes.to_be_bytes()].concat()
}

/// Topic Alias Maximum.
pub(super) fn topic_alias_maximum(aliases: u16) -> Vec<u8> {
    [&[0x22][..], &aliases.to_be_bytes()].concat()
}

/// Topic Alias.
pub(super) fn alias(value: u16) -> Vec<u8> {
    [&[0x23][..], &value.to_be_bytes()].concat()
}

// ── reading what came ──────────────────────────────────────────────────────────────────────────

/// The values of a message's property `id`.
pub(super) fn values(received: &Received, id: u8) -> Vec<Vec<u8>> {
    let found = properties(&received.properties).into_iter();
    found.filter(|(found, _)| *found == id).map(|(_, value)| value).collect()
}

/// The Subscription Identifiers of a message, in their numeric order.
pub(super) fn subscription_ids(received: &Received) -> Vec<u8> {
    let mut ids = values(received, 0x0B).concat();
    ids.sort_unstable();
    ids
}

/// The properties of a DISCONNECT or CONNACK, whose section begins at `at`; none where there is no
/// section.
pub(super) fn properties_at(frame: &Frame, at: usize) -> Vec<(u8, Vec<u8>)> {
    let Some((&length, section)) = frame.body.get(at..).and_then(<[u8]>::split_first) else {
        return Vec::new();
    };
    assert!(length < 128, "more properties than this reader takes");
    properties(&section[..usize::from(length)])
}

/// The reason codes of a SUBACK or UNSUBACK to the packet `id`.
pub(super) fn reason_codes(frame: &Frame, id: u16) -> Vec<u8> {
    assert_eq!(frame.body[..2], id.to_be_bytes(), "{frame:?}");
    assert!(frame.body[2] < 128, "more properties than this reader takes");
    frame.body[3 + usize::from(frame.body[2])..].to_vec()
}

/// The bytes of a whole packet, which is shorter than 128 bytes.
pub(super) fn size(frame: &Frame) -> usize {
    assert!(frame.body.len() < 128, "{frame:?}");
    2 + frame.body.len()
}
