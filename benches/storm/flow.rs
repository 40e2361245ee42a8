//! A steady flow of messages from one client to another, on threads of its own, each message timed
//! from when it was due: one that is held up does not hide those behind it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use super::broker::{FLOW, PASSWORD};

const TOPIC: &str = "flow";
const PATIENCE: Duration = Duration::from_secs(60);
/// PUBLISH of QoS 0: two bytes of fixed header, the topic with its length, a number.
const MESSAGE: usize = 2 + 2 + TOPIC.len() + 8;

/// The two clients, and what they have measured since somebody last looked.
pub(crate) struct Flow {
    latencies: Arc<Mutex<Vec<Duration>>>,
    is_over: Arc<AtomicBool>,
    publisher: JoinHandle<anyhow::Result<()>>,
    subscriber: JoinHandle<anyhow::Result<()>>,
}

/// How long messages took, in order.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Flow {
    pub(crate) fn begin(port: u16, rate: u32) -> anyhow::Result<Self> {
        let mut receiving = open(port, "subscriber")?;
        let filter = [&(TOPIC.len() as u16).to_be_bytes()[..], TOPIC.as_bytes(), &[0]].concat();
        receiving.write_all(&[0x82, 2 + filter.len() as u8, 0, 1])?;
        receiving.write_all(&filter)?;
        let mut suback = [0; 5];
        receiving.read_exact(&mut suback).context("no SUBACK")?;
        ensure!(suback == [0x90, 3, 0, 1, 0], "not subscribed: {suback:?}");
        let sending = open(port, "publisher")?;
        let latencies = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (begin, between) = (Instant::now(), Duration::from_secs(1) / rate);
        let (over, measured) = (Arc::clone(&is_over), Arc::clone(&latencies));
        Ok(Self {
            latencies,
            is_over,
            publisher: thread::spawn(move || publish(sending, begin, between, &over)),
            subscriber: thread::spawn(move || receive(receiving, begin, between, &measured)),
        })
    }

    /// Does `work`, and says how long messages took meanwhile.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Latencies) {
        self.take();
        let done = work();
        let mut latencies = self.take();
        latencies.sort_unstable();
        (done, Latencies(latencies))
    }

    fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends both clients; an error if one of them has failed, or a message was lost.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.is_over.store(true, Ordering::Release);
        for client in [self.publisher, self.subscriber] {
            client.join().map_err(|_| anyhow!("a client of the flow has panicked"))??;
        }
        Ok(())
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    pub(crate) fn p50(&self) -> Duration {
        self.at(0.5)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.at(0.99)
    }

    fn at(&self, share: f64) -> Duration {
        let place = (self.0.len() as f64 * share) as usize;
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// Sends message N when it is due. The last one has the number of all bits.
fn publish(
    mut stream: TcpStream,
    begin: Instant,
    between: Duration,
    is_over: &AtomicBool,
) -> anyhow::Result<()> {
    let mut number = 0_u64;
    while !is_over.load(Ordering::Acquire) {
        let due = begin + between.mul_f64(number as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&message(number))?;
        number += 1;
    }
    Ok(stream.write_all(&message(u64::MAX))?)
}

fn message(number: u64) -> Vec<u8> {
    let topic = [&(TOPIC.len() as u16).to_be_bytes()[..], TOPIC.as_bytes()].concat();
    [&[0x30, (MESSAGE - 2) as u8][..], &topic, &number.to_be_bytes()].concat()
}

fn receive(
    mut stream: TcpStream,
    begin: Instant,
    between: Duration,
    latencies: &Mutex<Vec<Duration>>,
) -> anyhow::Result<()> {
    let mut message = [0; MESSAGE];
    for expected in 0_u64.. {
        stream.read_exact(&mut message).context("the flow has stopped")?;
        let received = Instant::now();
        let (_, number) = message.split_last_chunk::<8>().context("a message")?;
        let number = u64::from_be_bytes(*number);
        if number == u64::MAX {
            break;
        }
        ensure!(number == expected, "message {expected} of the flow is lost");
        let due = begin + between.mul_f64(number as f64);
        let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.push(received.saturating_duration_since(due));
    }
    Ok(())
}

fn open(port: u16, client_id: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&connect_packet(client_id, FLOW, PASSWORD))?;
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).context("no CONNACK")?;
    ensure!(ack[3] == 0, "{client_id} was refused with {}", ack[3]);
    Ok(stream)
}

/// CONNECT of MQTT 3.1.1, with a clean session and without keep alive.
pub(crate) fn connect_packet(client_id: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\xC2\x00\x00".to_vec();
    for text in [client_id, user, password] {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    [&[0x10, body.len() as u8][..], &body].concat()
}
