//! Puts load on MQTT brokers, one after the other, and says what a message cost each of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line tool does")]

mod broker;
mod client;
mod scenario;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;

use self::broker::{Broker, Contender};
use self::scenario::{Measured, Scenario};

const EXAMPLES: &str = "\
Examples:
  bastionmq-bench --broker 'bastionmq=target/release/bastionmq serve \\
      --config tests/configs/open.toml --listen mqtt://127.0.0.1:{port}' \\
      --broker 'mosquitto=mosquitto -p {port}' --scenario pairs-qos0,pairs-qos1

Each broker is started anew for each scenario and round, on a free port of the loopback address that
takes the place of {port}. Rounds are interleaved: every broker runs a scenario before any runs it
again. A message that is lost, doubled or out of order fails the run.";

/// What a message costs a broker
#[derive(Debug, Parser)]
#[command(name = "bastionmq-bench", version, about, after_help = EXAMPLES)]
struct Args {
    /// A broker to measure, as NAME=COMMAND with {port} in the command; repeatable
    #[arg(long = "broker", value_name = "NAME=COMMAND", required = true)]
    brokers: Vec<Contender>,
    /// What to run, with commas between; all of them without it
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO")]
    scenario: Vec<Scenario>,
    /// How often each broker runs each scenario; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that one run is measured for
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Bytes of a payload, at least 8
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Also write every run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if args.payload < wire::STAMP {
        bail!("--payload is at least {} bytes: each carries its number", wire::STAMP);
    }
    let scenarios =
        if args.scenario.is_empty() { Scenario::ALL.to_vec() } else { args.scenario.clone() };
    let mut runs = Vec::new();
    println!(
        "{:<16} {:<14} {:>14} {:>12} {:>12}",
        "scenario", "broker", "CPU us/message", "messages/s", "peak MiB"
    );
    for scenario in scenarios {
        let mut measured = vec![Vec::new(); args.brokers.len()];
        for _ in 0..args.rounds.max(1) {
            for (contender, runs) in args.brokers.iter().zip(&mut measured) {
                runs.push(measure(contender, scenario, args)?);
            }
        }
        for (contender, mut results) in args.brokers.iter().zip(measured) {
            results.sort_by(|one, other| one.cpu_micros.total_cmp(&other.cpu_micros));
            let median = &results[results.len() / 2];
            println!(
                "{:<16} {:<14} {:>14.3} {:>12.0} {:>12.1}",
                scenario.name(),
                contender.name,
                median.cpu_micros,
                median.messages_per_second,
                median.peak_bytes as f64 / f64::from(1 << 20)
            );
            runs.extend(results.iter().map(|result| result.json(scenario, &contender.name)));
        }
    }
    if let Some(path) = &args.json {
        let text = format!("[\n{}\n]\n", runs.join(",\n"));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn measure(contender: &Contender, scenario: Scenario, args: &Args) -> anyhow::Result<Measured> {
    let broker = Broker::start(contender)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(scenario.run(&broker, Duration::from_secs(args.seconds), args.payload))
        .with_context(|| format!("{} in {}", contender.name, scenario.name()))
}
