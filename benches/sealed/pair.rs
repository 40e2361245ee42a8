//! A publisher of envelopes that were sealed before, and its subscriber, who compares each that arrives
//! with what was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use bastionmq::envelope::{Key, KeyId, KeyMaterial, KeyState, Options, Sealer, TopicKey};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Args;
use super::broker::PASSWORD;

/// Whether messages are missing is known after so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A PUBACK of MQTT 3.1.1.
const PUBACK_BYTES: usize = 4;

/// Both ends, and all that goes from one to the other.
pub(crate) struct Pair {
    publisher: TcpStream,
    subscriber: TcpStream,
    qos: u8,
    ahead: usize,
    packets: Packets,
    /// Messages.
    sent: usize,
    received: usize,
    /// What the subscriber has of a packet that is not whole yet.
    unread: Vec<u8>,
    /// Bytes of PUBACKs that the publisher has been sent.
    acknowledged: usize,
}

/// PUBLISH packets of one length, one after the other.
struct Packets {
    bytes: Vec<u8>,
    length: usize,
    /// Where a packet has its identifier; none at QoS 0.
    identifier: std::ops::Range<usize>,
}

/// The user of both ends of a pair.
pub(crate) fn user(number: usize) -> String {
    format!("device{number}")
}

/// The key of all pairs.
pub(crate) fn key() -> anyhow::Result<Key> {
    Ok(Key {
        id: KeyId([7; 8]),
        topics: vec![TopicFilter::parse("#")?],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([0x42; 32])),
    })
}

impl Pair {
    /// Connects both, and seals all that will be sent.
    pub(crate) async fn open(
        port: u16,
        number: usize,
        args: &Args,
        qos: u8,
    ) -> anyhow::Result<Self> {
        let (user, topic) = (user(number), format!("bench/{number}/value"));
        let mut subscriber = connect(port, &format!("sub-{number}"), &user).await?;
        let body = [&[0, 1], &text(&topic)[..], &[qos]].concat();
        subscriber.write_all(&packet(0x82, &body)).await?;
        let mut suback = [0; 5];
        subscriber.read_exact(&mut suback).await.context("no SUBACK")?;
        ensure!(suback == [0x90, 3, 0, 1, qos], "not subscribed: {suback:?}");
        Ok(Self {
            publisher: connect(port, &format!("pub-{number}"), &user).await?,
            subscriber,
            qos,
            ahead: args.ahead.max(1),
            packets: Packets::seal(&user, number, &topic, args, qos)?,
            sent: 0,
            received: 0,
            unread: Vec::new(),
            acknowledged: 0,
        })
    }

    /// Goes on until the message of number `until` has arrived and has been acknowledged.
    pub(crate) async fn exchange(mut self, until: usize) -> anyhow::Result<Self> {
        match timeout(PATIENCE, self.go_on(until)).await {
            Ok(done) => done.map(|()| self),
            Err(_) => bail!("{} messages were sent, and {} arrived", self.sent, self.received),
        }
    }

    async fn go_on(&mut self, until: usize) -> anyhow::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.received < until {
            let may_send = until.min(self.received + self.ahead);
            self.publisher.write_all(self.packets.between(self.sent, may_send)).await?;
            self.sent = may_send;
            let length = self.subscriber.read(&mut buffer).await?;
            ensure!(length > 0, "the subscriber was sent away");
            self.unread.extend_from_slice(&buffer[..length]);
            let acknowledgements = self.take()?;
            self.subscriber.write_all(&acknowledgements).await?;
            // What the broker cannot write it would keep.
            while self.qos > 0
                && let Ok(length @ 1..) = self.publisher.try_read(&mut buffer)
            {
                self.acknowledged += length;
            }
        }
        while self.qos > 0 && self.acknowledged < until * PUBACK_BYTES {
            let length = self.publisher.read(&mut buffer).await?;
            ensure!(length > 0, "the publisher was sent away");
            self.acknowledged += length;
        }
        Ok(())
    }

    /// Takes whole packets, each of which must be the next one; their acknowledgements.
    fn take(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut acknowledgements = Vec::new();
        let mut arrived = self.unread.chunks_exact(self.packets.length);
        for packet in &mut arrived {
            let sent = self.packets.between(self.received, self.received + 1);
            let identifier = &self.packets.identifier;
            let is_next = packet[..identifier.start] == sent[..identifier.start]
                && packet[identifier.end..] == sent[identifier.end..];
            ensure!(is_next, "message {} is lost, or not as it was sent", self.received);
            self.received += 1;
            if self.qos > 0 {
                acknowledgements.extend([0x40, 2]);
                acknowledgements.extend(&packet[identifier.clone()]);
            }
        }
        self.unread = arrived.remainder().to_vec();
        Ok(acknowledgements)
    }
}

impl Packets {
    fn seal(user: &str, number: usize, topic: &str, args: &Args, qos: u8) -> anyhow::Result<Self> {
        let mut stream = [0; 16];
        stream[..8].copy_from_slice(&number.to_be_bytes());
        let mut sealer = Sealer::new(&key()?, user, stream)?;
        let (topic_name, payload) = (TopicNameRef::parse(topic)?, vec![0x42; args.payload]);
        let (mut bytes, mut length, mut at) = (Vec::new(), 0, 0);
        for message in 0..args.messages {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
            let envelope = sealer.seal(topic_name, now_ms, &payload, &Options::default())?;
            let mut body = text(topic);
            if qos > 0 {
                let identifier = (message % usize::from(u16::MAX) + 1) as u16;
                body.extend(identifier.to_be_bytes());
            }
            body.extend(envelope);
            let packet = packet(0x30 | qos << 1, &body);
            length = packet.len();
            at = length - body.len() + 2 + topic.len();
            bytes.extend(packet);
        }
        Ok(Self { bytes, length, identifier: at..at + 2 * usize::from(qos) })
    }

    fn between(&self, first: usize, end: usize) -> &[u8] {
        &self.bytes[first * self.length..end * self.length]
    }
}

async fn connect(port: u16, client_id: &str, user: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut body = b"\x00\x04MQTT\x04\xC2\x00\x00".to_vec();
    for field in [client_id, user, PASSWORD] {
        body.extend(text(field));
    }
    stream.write_all(&packet(0x10, &body)).await?;
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).await.context("no CONNACK")?;
    ensure!(ack[3] == 0, "{client_id} was refused with {}", ack[3]);
    Ok(stream)
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut rest = body.len();
    while rest > 127 {
        packet.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    packet.push(rest as u8);
    packet.extend(body);
    packet
}
