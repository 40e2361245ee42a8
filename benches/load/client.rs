//! The two ends of a flow: one that publishes as far ahead as it may, and one that checks and counts.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::wire::{self, Frame, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Template};

const BUFFER: usize = 256 << 10;
const CONNACK: u8 = 2;
const SUBACK: u8 = 9;

/// How far the publishers of one flow may go. All of one run is on one thread.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Messages that a publisher may be ahead of its slowest subscriber.
    pub(crate) ahead: u64,
    /// Messages that each subscriber has received from each publisher.
    received: RefCell<Vec<Vec<u64>>>,
    /// Messages received by all subscribers.
    pub(crate) delivered: Cell<u64>,
    moved: Notify,
}

impl Flow {
    pub(crate) fn new(ahead: u64, publishers: usize, subscribers: usize) -> Rc<Self> {
        Rc::new(Self {
            ahead,
            received: RefCell::new(vec![vec![0; publishers]; subscribers]),
            delivered: Cell::new(0),
            moved: Notify::new(),
        })
    }

    /// What all subscribers have received of `publisher`.
    fn received_by_all(&self, publisher: usize) -> u64 {
        self.received.borrow().iter().map(|of| of[publisher]).min().unwrap_or(0)
    }

    /// Notes a message; fails when one is missing, doubled or out of order.
    fn note(&self, subscriber: usize, stamp: u64) -> anyhow::Result<()> {
        let publisher = (stamp >> 48) as usize;
        let number = stamp & ((1 << 48) - 1);
        let mut received = self.received.borrow_mut();
        let next = received[subscriber].get_mut(publisher).context("a number nobody sent")?;
        if number != *next {
            bail!("message {number} of publisher {publisher} came where {next} was next");
        }
        *next += 1;
        self.delivered.set(self.delivered.get() + 1);
        Ok(())
    }
}

async fn connect(address: SocketAddr, client_id: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    ask(&mut stream, &wire::connect(client_id), CONNACK).await?;
    Ok(stream)
}

async fn ask(stream: &mut TcpStream, packet: &[u8], answer: u8) -> anyhow::Result<()> {
    stream.write_all(packet).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(frame) = Frame::next(&bytes) {
            return wire::check_accepted(&frame, answer);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            bail!("the broker has hung up");
        }
    }
}

/// A subscriber that has subscribed.
#[derive(Debug)]
pub(crate) struct Subscriber {
    stream: TcpStream,
    number: usize,
    flow: Rc<Flow>,
}

impl Subscriber {
    pub(crate) async fn start(
        address: SocketAddr,
        flow: &Rc<Flow>,
        number: usize,
        name: &str,
        (filter, qos): (&str, u8),
    ) -> anyhow::Result<Self> {
        let mut stream = connect(address, name).await?;
        ask(&mut stream, &wire::subscribe(filter, qos), SUBACK).await?;
        Ok(Self { stream, number, flow: Rc::clone(flow) })
    }

    /// Receives, checks and acknowledges, until something is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (mut reading, mut writing) = self.stream.into_split();
        let mut buffer = Buffer::default();
        let mut answers = Vec::new();
        loop {
            buffer.fill(&mut reading).await?;
            while let Some(frame) = buffer.next() {
                match frame.kind() {
                    PUBLISH => {
                        let (qos, packet_id, stamp) = frame.message()?;
                        self.flow.note(self.number, stamp)?;
                        if qos > 0 {
                            let kind = if qos == 1 { PUBACK } else { PUBREC };
                            answers.extend(wire::acknowledgement(kind, packet_id));
                        }
                    }
                    PUBREL => answers.extend(wire::acknowledgement(PUBCOMP, frame.packet_id()?)),
                    kind => bail!("a subscriber was sent a packet of type {kind}"),
                }
            }
            self.flow.moved.notify_waiters();
            flush(&mut writing, &mut answers).await?;
        }
    }
}

/// A publisher that is connected.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: TcpStream,
    number: usize,
    template: Template,
    flow: Rc<Flow>,
}

impl Publisher {
    pub(crate) async fn start(
        address: SocketAddr,
        flow: &Rc<Flow>,
        number: usize,
        name: &str,
        template: Template,
    ) -> anyhow::Result<Self> {
        let stream = connect(address, name).await?;
        Ok(Self { stream, number, template, flow: Rc::clone(flow) })
    }

    /// Publishes as fast as the flow allows, until something is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (reading, mut writing) = self.stream.into_split();
        let releases = Rc::new(RefCell::new(Vec::new()));
        let acknowledged = acknowledge(reading, Rc::clone(&releases), Rc::clone(&self.flow));
        let publish = async {
            let mut out = Vec::with_capacity(BUFFER);
            let mut sent = 0;
            loop {
                let moved = self.flow.moved.notified();
                let allowed = self.flow.received_by_all(self.number) + self.flow.ahead;
                while sent < allowed {
                    self.template.write((self.number as u64) << 48 | sent, &mut out);
                    sent += 1;
                }
                out.append(&mut releases.borrow_mut());
                if out.is_empty() {
                    moved.await;
                }
                flush(&mut writing, &mut out).await?;
            }
        };
        tokio::select! {
            result = acknowledged => result,
            result = publish => result,
        }
    }
}

/// Reads a publisher's acknowledgements; what they ask to be sent is put into `releases`.
async fn acknowledge(
    mut reading: OwnedReadHalf,
    releases: Rc<RefCell<Vec<u8>>>,
    flow: Rc<Flow>,
) -> anyhow::Result<()> {
    let mut buffer = Buffer::default();
    loop {
        buffer.fill(&mut reading).await?;
        let mut is_released = false;
        while let Some(frame) = buffer.next() {
            match frame.kind() {
                PUBACK | PUBCOMP => {}
                PUBREC => {
                    is_released = true;
                    let release = wire::acknowledgement(PUBREL, frame.packet_id()?);
                    releases.borrow_mut().extend(release);
                }
                kind => bail!("a publisher was sent a packet of type {kind}"),
            }
        }
        if is_released {
            flow.moved.notify_waiters();
        }
    }
}

async fn flush(writing: &mut OwnedWriteHalf, out: &mut Vec<u8>) -> anyhow::Result<()> {
    if !out.is_empty() {
        writing.write_all(out).await?;
        out.clear();
    }
    Ok(())
}

/// What has been read and not yet looked at.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    looked_at: usize,
}

impl Buffer {
    async fn fill(&mut self, reading: &mut OwnedReadHalf) -> anyhow::Result<()> {
        self.bytes.drain(..std::mem::take(&mut self.looked_at));
        self.bytes.reserve(BUFFER);
        if reading.read_buf(&mut self.bytes).await? == 0 {
            bail!("the broker has hung up");
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Frame<'_>> {
        let frame = Frame::next(self.bytes.get(self.looked_at..)?)?;
        self.looked_at += frame.size;
        Some(frame)
    }
}
