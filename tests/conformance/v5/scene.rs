//! A broker of one test, and the clients that come to it.

use rustix::process::Signal;

use crate::harness::Broker;
use crate::harness::raw::{
    self, CONNACK, CONNECT, Connect, Frame, PINGREQ, PINGRESP, RawClient, Received, data, packet,
};

pub(super) const MALFORMED: u8 = 0x81;
pub(super) const PROTOCOL_ERROR: u8 = 0x82;

/// Connect Flag: start clean.
pub(super) const CLEAN: u8 = 0x02;
/// Connect Flag: there is a will.
pub(super) const WILL: u8 = 0x04;
/// Connect Flag: there is a password.
pub(super) const PASSWORD: u8 = 0x40;
/// Connect Flag: there is a user name.
pub(super) const USER_NAME: u8 = 0x80;

/// Seconds that no test takes.
pub(super) const LONG: u32 = 3_600;

/// A broker, and the ways to get to know it.
pub(super) struct Scene {
    broker: Broker,
}

impl Scene {
    /// Anybody may do anything.
    pub(super) fn open() -> Self {
        Self { broker: Broker::open() }
    }

    /// The users of the end-to-end tests, and more settings.
    pub(super) fn secure(settings: &str) -> Self {
        Self { broker: Broker::secure_with_settings(settings) }
    }

    pub(super) fn port(&self) -> u16 {
        self.broker.plain_port()
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.broker.process().signal(signal);
    }

    /// A connection on which nothing has been said.
    pub(super) fn stranger(&self) -> RawClient {
        RawClient::plain(self.port())
    }

    /// A client that asks for nothing special, accepted.
    pub(super) fn client(&self, client_id: &str) -> RawClient {
        self.accepted(&Connect::new(5, client_id))
    }

    /// A client whose CONNECT has been accepted.
    pub(super) fn accepted(&self, connect: &Connect<'_>) -> RawClient {
        RawClient::connected(self.port(), connect)
    }

    /// As [`Scene::accepted`], and what it was told.
    pub(super) fn welcomed(&self, connect: &Connect<'_>) -> (RawClient, ConnAck) {
        let mut client = self.stranger();
        client.send(&connect.encode());
        let answer = ConnAck::read(&client.expect(CONNACK));
        assert_eq!(answer.reason, 0, "{answer:?}");
        (client, answer)
    }

    /// A client that is subscribed to `filter` with `options`.
    pub(super) fn subscriber(&self, filter: &str, options: u8) -> RawClient {
        let mut client = self.client(&format!("subscriber to {filter}"));
        assert_eq!(client.subscribe(5, filter, options), options & 3);
        client
    }

    /// Sends `bytes` as the first thing, and fails unless the connection ends; CONNACK may say why.
    pub(super) fn refused(&self, bytes: &[u8]) -> Option<ConnAck> {
        let mut client = self.stranger();
        client.send(bytes);
        let answer = ConnAck::read(&client.read_or_end()?);
        assert!(answer.reason >= 0x80, "{answer:02x?} for {bytes:02x?}");
        client.expect_end();
        Some(answer)
    }

    /// As [`Scene::refused`], and CONNACK says `reason`.
    pub(super) fn refused_with(&self, reason: u8, bytes: &[u8]) {
        let answer = self.refused(bytes).map(|answer| answer.reason);
        assert_eq!(answer, Some(reason), "for {bytes:02x?}");
    }

    /// Sends `bytes` on an accepted connection, and fails unless DISCONNECT `reason` comes, and the
    /// end.
    pub(super) fn disconnected_with(&self, reason: u8, bytes: &[u8]) {
        let mut client = self.client("clumsy");
        client.send(bytes);
        let answer = client.read_or_end();
        let found = answer.as_ref().map(|frame| (frame.first, frame.reason()));
        assert_eq!(found, Some((raw::DISCONNECT, reason)), "for {bytes:02x?}");
        client.expect_end();
    }
}

/// A CONNACK, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnAck {
    pub(super) flags: u8,
    pub(super) reason: u8,
    pub(super) properties: Vec<(u8, Vec<u8>)>,
    /// Bytes of the whole packet.
    pub(super) size: usize,
}

impl ConnAck {
    pub(super) fn read(frame: &Frame) -> Self {
        assert_eq!(frame.first, CONNACK, "{frame:02x?}");
        // A refusal of another version has no properties.
        let section = frame.body.get(2..).unwrap_or_default();
        Self {
            flags: frame.body[0],
            reason: frame.body[1],
            properties: if section.is_empty() { Vec::new() } else { properties_of(section) },
            size: 1 + raw::variable_byte_integer(frame.body.len()).len() + frame.body.len(),
        }
    }

    pub(super) fn has_session(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The value of a property that stands there once at most.
    pub(super) fn property(&self, id: u8) -> Option<&[u8]> {
        let mut values = self.properties.iter().filter(|(found, _)| *found == id);
        let value = values.next();
        assert_eq!(values.next(), None, "property {id:#04x} stands there twice");
        value.map(|(_, value)| value.as_slice())
    }
}

/// Properties with their length before them, and nothing behind.
fn properties_of(section: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (length, width) = read_variable_byte_integer(section);
    assert_eq!(section.len(), width + length, "the property length is wrong: {section:02x?}");
    properties(&section[width..])
}

/// Each property's identifier and value; the value as it is encoded, but without the length of a
/// single string or of data.
pub(super) fn properties(mut section: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((&id, rest)) = section.split_first() {
        let text = |at: usize| 2 + usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
        let (skip, end) = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => (0, 1),
            0x13 | 0x21..=0x23 => (0, 2),
            0x02 | 0x11 | 0x18 | 0x27 => (0, 4),
            0x0B => (0, read_variable_byte_integer(rest).1),
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => (2, text(0)),
            0x26 => (0, text(0) + text(text(0))),
            _ => panic!("no property is {id:#04x}: {section:02x?}"),
        };
        found.push((id, rest[skip..end].to_vec()));
        section = &rest[end..];
    }
    found
}

/// The value, and how many bytes it took.
pub(super) fn read_variable_byte_integer(bytes: &[u8]) -> (usize, usize) {
    let width = 1 + bytes.iter().take_while(|byte| **byte & 0x80 != 0).count();
    let digits = bytes[..width].iter().rev();
    (digits.fold(0, |value, digit| value << 7 | usize::from(digit & 0x7F)), width)
}

/// A CONNECT of 5.0 without properties: its flags, and its payload in parts.
pub(super) fn connect_packet(flags: u8, payload: &[&[u8]]) -> Vec<u8> {
    let head = [&data("MQTT")[..], &[5, flags, 0, 0, 0]].concat();
    packet(CONNECT, &[head, payload.concat()].concat())
}

/// A user property.
pub(super) fn user_property(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&[0x26][..], &data(name), &data(value)].concat()
}

/// A property whose value is a string or data.
pub(super) fn text_property(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [&[id][..], &data(value)].concat()
}

/// A property whose value is an integer of four bytes.
pub(super) fn long_property(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

/// What a client does with what it was sent.
pub(super) trait Reading {
    /// The next packet, which is a PUBLISH.
    fn message(&mut self) -> Received;

    /// Fails unless nothing is on its way. What waits at the broker may leave behind an answer to
    /// PINGREQ, but not behind the next one.
    fn expect_nothing(&mut self);

    /// Says DISCONNECT, and waits until the broker has taken note.
    fn leave(self);
}

impl Reading for RawClient {
    fn message(&mut self) -> Received {
        self.read().publish(5)
    }

    fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.send(&packet(PINGREQ, &[]));
            let frame = self.read();
            assert_eq!(frame.first, PINGRESP, "{frame:02x?}");
        }
    }

    fn leave(mut self) {
        self.send(&packet(raw::DISCONNECT, &[]));
        self.expect_end();
    }
}
