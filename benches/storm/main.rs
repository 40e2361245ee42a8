//! The storm: thousands of clients with argon2id passwords come at once, cold and after a restart,
//! while a steady flow of messages between two others is timed; or connections flood in that are refused.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line tool does")]

mod broker;
mod crowd;
mod flood;
mod flow;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::broker::Home;
use self::flow::{Flow, Latencies};

/// What each of the two storms is allowed, and the flow in both.
const COLD_LIMIT: Duration = Duration::from_secs(200);
const WARM_LIMIT: Duration = Duration::from_secs(20);
const MOST_TIMES_QUIET: f64 = 3.0;

/// The fleet of a storm has one address here.
const UNBOUNDED: &str = "max_handshakes_per_address = 0\nmax_handshakes_per_prefix = 0\n\
                         connection_rate_per_address = 0\nconnection_rate_per_prefix = 0\n";
/// An attacker has used up its budget at once, and is all that is refused.
const FLOODED: &str = "connection_rate_per_address = 1\nconnection_burst_per_address = 8\n";

/// How long a fleet takes to come back, and what it does to who is there
#[derive(Debug, Parser)]
#[command(name = "bastionmq-storm", version, about)]
struct Args {
    /// The broker, a release build
    #[arg(long, default_value = "target/release/bastionmq")]
    broker: PathBuf,
    /// How many clients come at once
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Messages a second of the flow
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// How long the flow is timed before each storm, and in each round of a flood
    #[arg(long, default_value_t = 10)]
    quiet_seconds: u64,
    /// How often a flood alternates with quiet, and with a flood of somebody else
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// `hashing_threads` of the broker
    #[arg(long, default_value_t = 2)]
    hashing_threads: u32,
    /// Instead of the storms: so many connections a second that are refused
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    flood: Option<u32>,
    /// `answered_refusals_per_second` of the broker that is flooded; 0 answers all
    #[arg(long, default_value_t = 1_000)]
    answered: u32,
}

/// One storm.
struct Storm {
    took: Duration,
    /// How often a client was told to come back later.
    sent_back: u64,
    quiet: Latencies,
    during: Latencies,
}

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

/// Runs both storms and prints them; whether both were within their limits.
fn run(args: &Args) -> anyhow::Result<bool> {
    raise_file_limit(args.clients)?;
    if let Some(per_second) = args.flood {
        let network = format!("{FLOODED}answered_refusals_per_second = {}\n", args.answered);
        let home = Home::make(&args.broker, 0, args.hashing_threads, &network)?;
        return flood::run(&home, args, per_second);
    }
    let home = Home::make(&args.broker, args.clients, args.hashing_threads, UNBOUNDED)?;
    println!(
        "| storm | all in after | limit | sent back | flow p50 quiet | during | p99 quiet | during | times |"
    );
    println!(
        "|-------|-------------:|------:|----------:|---------------:|-------:|----------:|-------:|------:|"
    );
    let mut is_good = true;
    for (name, limit) in [("cold", COLD_LIMIT), ("after a restart", WARM_LIMIT)] {
        is_good &= storm(&home, args)?.print(name, limit);
    }
    Ok(is_good)
}

/// Starts the broker where it was before, lets the clients in, and stops it.
fn storm(home: &Home, args: &Args) -> anyhow::Result<Storm> {
    let broker = home.start()?;
    let flow = Flow::begin(broker.port(), args.rate)?;
    // What starting has cost is over.
    flow.during(|| std::thread::sleep(Duration::from_secs(2)));
    let ((), quiet) = flow.during(|| std::thread::sleep(Duration::from_secs(args.quiet_seconds)));
    let begin = Instant::now();
    let (crowd, during) = flow.during(|| crowd::let_in(broker.port(), args.clients));
    let took = begin.elapsed();
    let crowd = crowd?;
    let sent_back = crowd.sent_back;
    drop(crowd);
    flow.end()?;
    broker.stop()?;
    Ok(Storm { took, sent_back, quiet, during })
}

impl Storm {
    /// Prints a line of the table; whether it is within the limits.
    fn print(&self, name: &str, limit: Duration) -> bool {
        let Self { took, sent_back, quiet, during } = self;
        let times = during.p99().as_secs_f64() / quiet.p99().as_secs_f64();
        println!(
            "| {name} | {:.1} s | {} s | {sent_back} | {:.0?} | {:.0?} | {:.0?} | {:.0?} | {times:.2} |",
            took.as_secs_f64(),
            limit.as_secs(),
            quiet.p50(),
            during.p50(),
            quiet.p99(),
            during.p99(),
        );
        *took <= limit && times <= MOST_TIMES_QUIET
    }
}

fn raise_file_limit(clients: usize) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit of open files")?;
    let is_enough = limit.maximum.is_none_or(|most| most > clients as u64 + 100);
    ensure!(is_enough, "{clients} clients need a higher limit of open files: ulimit -Hn");
    Ok(())
}
