//! What it costs the broker to verify sealed payloads: pairs of clients exchange the same envelopes through
//! topics that are plain and topics that are verified, each in turn.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line tool does")]

mod broker;
mod pair;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::runtime;
use tokio::task::JoinSet;

use self::broker::{Broker, MAX_SKEW, Way};
use self::pair::Pair;

/// What verifying may cost more, of processor time for each message.
const MOST_MICROSECONDS: f64 = 1.5;

/// What it costs the broker to verify sealed payloads
#[derive(Debug, Parser)]
#[command(name = "bastionmq-sealed-bench", version, about)]
struct Args {
    /// The broker, a release build
    #[arg(long, default_value = "target/release/bastionmq")]
    broker: PathBuf,
    /// Publishers, each with a subscriber to itself
    #[arg(long, default_value_t = 20)]
    pairs: usize,
    /// Messages of each publisher, of which the first tenth warm up
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Messages that a publisher may be ahead
    #[arg(long, default_value_t = 64)]
    ahead: usize,
    /// Bytes that are sealed
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// How often each way is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Microseconds of processor time for a message, one of each round.
#[derive(Default)]
struct Costs(Vec<f64>);

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; whether verifying costs no more than it may.
fn run(args: &Args) -> anyhow::Result<bool> {
    println!("| QoS | topics are | CPU us | min | max | more than plain |");
    println!("|----:|------------|-------:|----:|----:|----------------:|");
    let mut is_good = true;
    for qos in [0, 1] {
        let mut costs = Way::ALL.map(|_| Costs::default());
        for _ in 0..args.rounds.max(1) {
            for (way, costs) in Way::ALL.into_iter().zip(&mut costs) {
                let cost = measure(args, way, qos).with_context(|| format!("{way}, QoS {qos}"))?;
                costs.0.push(cost);
            }
        }
        let plain = costs[0].median();
        for (way, costs) in Way::ALL.into_iter().zip(costs) {
            let (median, more) = (costs.median(), costs.median() - plain);
            let (min, max) = (costs.min(), costs.max());
            println!("| {qos} | {way} | {median:.3} | {min:.3} | {max:.3} | {more:.3} |");
            is_good &= more <= MOST_MICROSECONDS;
        }
    }
    Ok(is_good)
}

/// Starts a broker, and lets all pairs exchange their messages; microseconds for each of them.
fn measure(args: &Args, way: Way, qos: u8) -> anyhow::Result<f64> {
    let broker = Broker::start(Path::new(&args.broker), args.pairs, way)?;
    // A broker that keeps no windows takes nothing that may have been sealed before its start.
    std::thread::sleep(MAX_SKEW + Duration::from_millis(100));
    let warm_up = args.messages / 10;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let spent = runtime.block_on(async {
        let mut pairs = Vec::new();
        for number in 0..args.pairs {
            pairs.push(Pair::open(broker.port(), number, args, qos).await?);
        }
        let pairs = exchange(pairs, warm_up).await?;
        let before = broker.cpu_time()?;
        exchange(pairs, args.messages).await?;
        anyhow::Ok(broker.cpu_time()?.saturating_sub(before))
    })?;
    broker.stop()?;
    let messages = (args.messages - warm_up) * args.pairs;
    Ok(spent.as_secs_f64() * 1e6 / messages as f64)
}

/// Has each pair exchange its messages up to the number `until`.
async fn exchange(pairs: Vec<Pair>, until: usize) -> anyhow::Result<Vec<Pair>> {
    let mut running: JoinSet<_> = pairs.into_iter().map(|pair| pair.exchange(until)).collect();
    let mut pairs = Vec::new();
    while let Some(pair) = running.join_next().await {
        pairs.push(pair??);
    }
    Ok(pairs)
}

impl Costs {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}
