//! A broker of its own for each test, and clients that speak 3.1.1 and nothing else.

use std::ops::{Deref, DerefMut};

use crate::harness::raw::{
    self, CONNACK, CONNECT, Connect, DISCONNECT, Frame, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL,
    RawClient, Received, SUBSCRIBE, UNSUBSCRIBE, data, packet,
};
use crate::harness::{ADMIN, Broker, Login};

/// The protocol level of 3.1.1.
pub(super) const V311: u8 = 4;

pub(super) const UNSUBACK: u8 = 0xB0;
pub(super) const DUP: u8 = 0x08;
pub(super) const QOS_1: u8 = 0x02;
pub(super) const QOS_2: u8 = 0x04;
pub(super) const RETAIN: u8 = 0x01;

/// What a SUBACK says of a filter that is refused.
pub(super) const FAILURE: u8 = 0x80;

/// Strings that are not well-formed UTF-8: no lead byte, cut short, too long a form, a surrogate,
/// beyond U+10FFFF.
pub(super) const ILL_FORMED: [&[u8]; 5] =
    [&[0xFF], &[b'a', 0xC3], &[0xC0, 0x80], &[0xED, 0xA0, 0x80], &[0xF4, 0x90, 0x80, 0x80]];

/// A broker, and somebody who publishes.
pub(super) struct Scene {
    publisher: Client,
    broker: Broker,
}

impl Scene {
    /// Anybody may do anything.
    pub(super) fn open() -> Self {
        Self::with(Broker::open(), &Connect::new(V311, "publisher"))
    }

    /// Users, a policy, and `settings` on top of the defaults.
    pub(super) fn secure(settings: &str) -> Self {
        let connect = Connect::new(V311, "publisher").login(ADMIN);
        Self::with(Broker::secure_with_settings(settings), &connect)
    }

    fn with(broker: Broker, publisher: &Connect<'_>) -> Self {
        let publisher = Client(RawClient::connected(broker.plain_port(), publisher));
        Self { publisher, broker }
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// A connection on which nothing has been said.
    pub(super) fn stranger(&self) -> Client {
        Client(RawClient::plain(self.broker.plain_port()))
    }

    /// A client whose session ends with its connection.
    pub(super) fn client(&self, id: &str) -> Client {
        self.connect(&Connect::new(V311, id)).0
    }

    /// A client whose session outlives its connection.
    pub(super) fn lasting(&self, id: &str) -> Client {
        self.resume(id).0
    }

    /// As [`Scene::lasting`], and whether there was a session.
    pub(super) fn resume(&self, id: &str) -> (Client, bool) {
        self.connect(&Connect { clean: false, ..Connect::new(V311, id) })
    }

    /// A client with the clean session of a user.
    pub(super) fn user(&self, id: &str, login: Login) -> Client {
        self.connect(&Connect::new(V311, id).login(login)).0
    }

    /// A client that is let in, and whether it is told that it had a session.
    pub(super) fn connect(&self, connect: &Connect<'_>) -> (Client, bool) {
        let mut client = self.stranger();
        client.send(&connect.encode());
        let session_present = client.expect_accepted();
        (client, session_present)
    }

    /// Sends `bytes` as the first thing, and is answered with the return code `code` and the end.
    pub(super) fn is_refused(&self, bytes: &[u8], code: u8) {
        let mut client = self.stranger();
        client.send(bytes);
        client.expect_packet(CONNACK, &[0, code]);
        client.expect_end();
    }

    /// Sends `bytes` as the first thing, and the connection ends without a word.
    pub(super) fn is_hung_up_on(&self, bytes: &[u8]) {
        let mut client = self.stranger();
        client.send(bytes);
        let answer = client.read_or_end();
        assert_eq!(answer, None, "in answer to {bytes:02x?}");
    }

    /// Sends `bytes` on an accepted connection, and that ends without a word.
    pub(super) fn is_cut_off(&self, bytes: &[u8]) {
        let mut client = self.client("clumsy");
        client.send(bytes);
        let answer = client.read_or_end();
        assert_eq!(answer, None, "in answer to {bytes:02x?}");
    }

    /// Publishes, and waits until the broker has taken it.
    pub(super) fn publish(&mut self, flags: u8, topic: &str, payload: &[u8]) {
        self.publisher.publish(flags, topic, payload);
    }

    /// Fails when anything comes to `client` but what is published from now on.
    pub(super) fn nothing_comes_to(&mut self, client: &mut Client) {
        client.subscribe("sentinel", 2);
        // Of each QoS: a stray message of that QoS would arrive first.
        for flags in [0, QOS_1, QOS_2] {
            self.publish(flags, "sentinel", &[flags]);
            let sentinel = client.take();
            assert_eq!(
                (sentinel.topic.as_str(), &sentinel.payload[..]),
                ("sentinel", &[flags][..])
            );
        }
        client.unsubscribe("sentinel");
    }

    /// Fails when `topic` has a retained message.
    pub(super) fn nothing_is_retained_at(&mut self, topic: &str) {
        let mut late = self.client("late");
        late.subscribe(topic, 2);
        self.nothing_comes_to(&mut late);
    }

    /// What `topic` retains.
    pub(super) fn retained_at(&self, topic: &str) -> Received {
        let mut late = self.client("late");
        late.subscribe(topic, 2);
        late.take()
    }

    /// Waits until the broker has noticed that the connection of `id` is gone.
    pub(super) fn is_noticed_to_be_gone(&self, id: &str) {
        // A successor is let in after its predecessor has left.
        self.client(id).disconnect();
    }
}

/// A connection, and what 3.1.1 says on it.
pub(super) struct Client(RawClient);

impl Deref for Client {
    type Target = RawClient;

    fn deref(&self) -> &RawClient {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut RawClient {
        &mut self.0
    }
}

impl From<RawClient> for Client {
    fn from(connection: RawClient) -> Self {
        Self(connection)
    }
}

impl Client {
    /// The next packet is this, to the byte.
    pub(super) fn expect_packet(&mut self, first: u8, body: &[u8]) {
        assert_eq!(self.read(), Frame { first, body: body.to_vec() });
    }

    /// The next packet is a CONNACK that lets the client in; whether it says that there is a session.
    pub(super) fn expect_accepted(&mut self) -> bool {
        let answer = self.read();
        assert_eq!(answer.first, CONNACK, "{answer:?}");
        match answer.body[..] {
            [session_present @ (0 | 1), 0] => session_present == 1,
            _ => panic!("not accepted: {answer:?}"),
        }
    }

    /// Subscribes, and is granted what it asks for.
    pub(super) fn subscribe(&mut self, filter: &str, qos: u8) {
        assert_eq!(self.0.subscribe(V311, filter, qos), qos, "{filter}");
    }

    /// Unsubscribes, and waits until that is done.
    pub(super) fn unsubscribe(&mut self, filter: &str) {
        self.send(&unsubscribe(1, &[filter]));
        self.expect_packet(UNSUBACK, &[0, 1]);
    }

    /// Publishes with these flags of the fixed header, and waits until the broker has taken it.
    pub(super) fn publish(&mut self, flags: u8, topic: &str, payload: &[u8]) {
        self.send(&publish(flags, 1, topic, payload));
        match flags & 6 {
            QOS_1 => self.expect_packet(PUBACK, &[0, 1]),
            QOS_2 => {
                self.expect_packet(PUBREC, &[0, 1]);
                self.acknowledge(PUBREL, 1);
                self.expect_packet(PUBCOMP, &[0, 1]);
            }
            _ => self.expect_silence(),
        }
    }

    pub(super) fn acknowledge(&mut self, first: u8, id: u16) {
        self.send(&raw::acknowledge(first, id));
    }

    /// The next packet, which is a PUBLISH.
    pub(super) fn receive(&mut self) -> Received {
        self.read().publish(V311)
    }

    /// As [`Client::receive`], for QoS 1 and 2: the message and its packet identifier.
    pub(super) fn receive_with_id(&mut self) -> (Received, u16) {
        let message = self.receive();
        let id = message.id.expect("QoS 1 or 2");
        (message, id)
    }

    /// The next packet, which is a PUBLISH, acknowledged in full.
    pub(super) fn take(&mut self) -> Received {
        let message = self.receive();
        match message.qos {
            1 => self.acknowledge(PUBACK, message.id.expect("QoS 1")),
            2 => self.complete(message.id.expect("QoS 2")),
            _ => {}
        }
        message
    }

    /// The whole of a QoS 2 delivery after its PUBLISH.
    pub(super) fn complete(&mut self, id: u16) {
        self.acknowledge(PUBREC, id);
        self.expect_packet(PUBREL, &id.to_be_bytes());
        self.acknowledge(PUBCOMP, id);
    }

    /// Leaves as a client should.
    pub(super) fn disconnect(mut self) {
        self.send(&packet(DISCONNECT, &[]));
        self.expect_end();
    }

    /// Leaves without a word.
    pub(super) fn break_off(self) {
        self.0.break_off();
    }
}

/// A CONNECT of 3.1.1 with these flags and, one after the other, these fields in its payload.
pub(super) fn connect_with(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    connect_as("MQTT", V311, flags, fields)
}

/// As [`connect_with`], of another protocol.
pub(super) fn connect_as(name: &str, level: u8, flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = data(name);
    body.extend([level, flags, 0, 0]);
    body.extend(fields.iter().flat_map(data));
    packet(CONNECT, &body)
}

/// A PUBLISH with these flags of the fixed header; `id` where they say QoS 1, 2 or 3.
pub(super) fn publish(flags: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let id = (flags & 6 != 0).then_some(id);
    raw::publish_with(V311, PUBLISH | flags, topic, id, &[], payload)
}

/// A SUBSCRIBE to several filters.
pub(super) fn subscribe(id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for (filter, qos) in filters {
        body.extend(data(filter));
        body.push(*qos);
    }
    packet(SUBSCRIBE, &body)
}

/// An UNSUBSCRIBE from several filters.
pub(super) fn unsubscribe(id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(filters.iter().flat_map(data));
    packet(UNSUBSCRIBE, &body)
}
