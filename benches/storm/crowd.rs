//! The clients that come at once. Whoever is told to come back does, after a while that doubles each
//! time, as good clients do.

use std::time::Duration;

use anyhow::{Context, bail};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::broker::{PASSWORD, user};
use super::flow::connect_packet;

const ACCEPTED: u8 = 0;
/// Return code of a 3.1.1 CONNACK: server unavailable.
const UNAVAILABLE: u8 = 3;
/// How long a client waits for its CONNACK.
const PATIENCE: Duration = Duration::from_secs(20);
/// From the first to the last of them: timers of one machine that go off for thousands of its connections
/// in the same moment would be what is measured.
const ALL_WITHIN: Duration = Duration::from_secs(1);
/// Seconds.
const LONGEST_PAUSE: f64 = 16.0;

/// Those that are inside. Dropping it lets them go.
pub(crate) struct Crowd {
    pub(crate) sent_back: u64,
    _runtime: runtime::Runtime,
    _inside: Vec<TcpStream>,
}

/// Lets all of them come, and waits until all are inside.
pub(crate) fn let_in(port: u16, clients: usize) -> anyhow::Result<Crowd> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(|| {
            // The crowd is not what is measured, and would be on machines of its own: the flow goes
            // before it.
            let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
        })
        .build()?;
    let (inside, sent_back) = runtime.block_on(async {
        let mut coming = JoinSet::new();
        for number in 0..clients {
            coming.spawn(come(port, number));
        }
        let (mut inside, mut sent_back) = (Vec::new(), 0);
        while let Some(client) = coming.join_next().await {
            let (stream, pauses) = client??;
            inside.push(stream);
            sent_back += pauses;
        }
        anyhow::Ok((inside, sent_back))
    })?;
    Ok(Crowd { sent_back, _runtime: runtime, _inside: inside })
}

/// Knocks until it is let in: the connection, and how often it was sent back.
async fn come(port: u16, number: usize) -> anyhow::Result<(TcpStream, u64)> {
    let name = user(number);
    let packet = connect_packet(&name, &name, PASSWORD);
    sleep(ALL_WITHIN.mul_f64(spread(number, 0))).await;
    let mut pause = 1.0_f64;
    for pauses in 0.. {
        match timeout(PATIENCE, knock(port, &packet)).await {
            Ok(Ok((stream, ACCEPTED))) => return Ok((stream, pauses)),
            Ok(Ok((_, UNAVAILABLE))) | Ok(Err(_)) | Err(_) => {}
            Ok(Ok((_, other))) => bail!("{name} was refused with {other}"),
        }
        sleep(Duration::from_secs_f64(pause * (0.5 + spread(number, pauses)))).await;
        pause = (pause * 2.0).min(LONGEST_PAUSE);
    }
    bail!("{name} has given up")
}

async fn knock(port: u16, packet: &[u8]) -> anyhow::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(packet).await?;
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).await.context("no CONNACK")?;
    Ok((stream, ack[3]))
}

/// From 0 to 1, another one for each client and pause: all of them together spread evenly.
fn spread(number: usize, pauses: u64) -> f64 {
    let mixed = (number as u64).wrapping_add(pauses << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as f64 / f64::from(1 << 24)
}
