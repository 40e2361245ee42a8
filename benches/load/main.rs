//! Puts load on MQTT brokers, one after the other, and says what a message cost each of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line tool does")]

mod wire;
mod flow;
mod contender;
mod stall;
mod process;
mod certificate;
mod broker;
mod link;
mod pace;
mod client;
mod meter;
mod scale;
mod scenario;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::broker::Broker;
use self::certificate::Certificate;
use self::contender::Contender;
use self::meter::Measured;
use self::report::{Case, Report};
use self::scale::Scale;
use self::scenario::{Load, Scenario};

const EXAMPLES: &str = "\
Examples:
  bastionmq-bench --scenario pairs-qos0,pairs-qos1 --transport tcp,tls \\
      --broker 'bastionmq=target/release/bastionmq serve \\
          --config {config:benches/brokers/bastionmq.toml}' \\
      --broker 'mosquitto=mosquitto -c {config:benches/brokers/mosquitto.conf}'

In a command, and in a configuration that it names as {config:FILE}, these are filled in: {port} and
{tls_port}, free ports of the loopback address; {directory}, a new directory that holds server.crt,
server.key and ca.crt; {root}, the directory in which this runs; {queue_messages} and {queue_bytes},
the most that is to wait for one client, which is ample but where one stops reading. A broker without
{tls_port} is left out where TLS is measured.

Each broker is started anew for each case and round. Rounds are interleaved: every broker runs a case
before any runs it again. A message that is lost, doubled or out of order fails the broker; the run
fails with the first broker, which the others are there to compare it with.";

/// What a message costs a broker
#[derive(Debug, Parser)]
#[command(name = "bastionmq-bench", version, about, after_help = EXAMPLES)]
struct Args {
    /// A broker to measure, as NAME=COMMAND with {port} in the command; repeatable
    ///
    /// The first is what this is about: its failures fail the run, and the targets are its own.
    #[arg(long = "broker", value_name = "NAME=COMMAND", required = true)]
    brokers: Vec<Contender>,
    /// What a broker cannot do, as NAME:SCENARIO=WHY: it is not tried, and the table says why
    #[arg(long, value_name = "NAME:SCENARIO=WHY")]
    cannot: Vec<Inability>,
    /// What to run, with commas between; all of them without it
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO")]
    scenario: Vec<Scenario>,
    /// Over what, with commas between
    #[arg(long, value_delimiter = ',', default_value = "tcp")]
    transport: Vec<Transport>,
    /// Bytes of a payload, at least 8, with commas between; scenarios that do not depend on it run
    /// with the first
    #[arg(long, value_delimiter = ',', default_value = "64")]
    payload: Vec<usize>,
    /// How often each broker runs each case
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Seconds that one run is measured for, where it does not end by itself
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Messages a second in the latency scenario
    #[arg(long, value_name = "RATE")]
    rate: Option<u32>,
    /// Each scenario small and brief, once: to see that nothing is lost, not for figures
    #[arg(long)]
    quick: bool,
    /// Seconds after which a run fails when nothing moves any more
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    stall: u64,
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a broker cannot do.
#[derive(Clone, Debug)]
struct Inability {
    broker: String,
    scenario: Scenario,
    why: String,
}

impl FromStr for Inability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(place, why)| {
            let (broker, scenario) = place.split_once(':')?;
            Some((broker.to_owned(), scenario, why.to_owned()))
        });
        let (broker, scenario, why) = parts.ok_or("NAME:SCENARIO=WHY is needed")?;
        Ok(Self { broker, scenario: scenario.parse()?, why })
    }
}

/// What MQTT is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    /// TLS 1.3
    Tls,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
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

/// Runs everything and prints the table; whether the first broker has not failed.
fn run(args: &Args) -> anyhow::Result<bool> {
    if args.payload.iter().any(|payload| *payload < wire::STAMP) {
        bail!("--payload is at least {} bytes: each carries its stamp", wire::STAMP);
    }
    raise_file_limit();
    let patience = Duration::from_secs(args.stall.max(1));
    let bench = Bench { scale: args.scale()?, certificate: Certificate::make()?, patience };
    let subject = args.brokers.first().context("there is no broker to measure")?;
    let mut report = Report::new(&subject.name);
    for (scenario, transport, payload) in args.cases() {
        let case = Case { scenario: scenario.name(), transport: transport.name(), payload };
        for contender in &args.brokers {
            if let Some(why) = args.inability(contender, scenario, transport) {
                report.add_inability(&case, &contender.name, why);
            }
        }
        for round in 1..=args.rounds() {
            for contender in &args.brokers {
                if report.is_over(&case, &contender.name) {
                    continue;
                }
                eprintln!("{case:?}, round {round}: {}", contender.name);
                match bench.measure(contender, scenario, transport, payload) {
                    Ok(steps) => report.add(&case, &contender.name, steps),
                    Err(error) => {
                        eprintln!("FAILED: {error:#}");
                        report.add_failure(&case, &contender.name, format!("{error:#}"));
                    }
                }
            }
        }
    }
    print!("{}", report.table());
    if let Some(path) = &args.json {
        let command: Vec<_> = std::env::args().collect();
        std::fs::write(path, report.json(&command))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(!report.subject_has_failed())
}

impl Args {
    fn scale(&self) -> anyhow::Result<Scale> {
        let length = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let mut scale = if self.quick { Scale::quick() } else { Scale::full(length) };
        scale.rate = self.rate.unwrap_or(scale.rate).max(1);
        Ok(scale)
    }

    /// Why `contender` is not tried.
    fn inability(
        &self,
        contender: &Contender,
        scenario: Scenario,
        transport: Transport,
    ) -> Option<String> {
        if transport == Transport::Tls && !contender.speaks_tls() {
            return Some("it opens no port for TLS".to_owned());
        }
        let is_it = |one: &&Inability| one.broker == contender.name && one.scenario == scenario;
        self.cannot.iter().find(is_it).map(|one| one.why.clone())
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    /// What is to be run, without what makes no sense.
    fn cases(&self) -> Vec<(Scenario, Transport, usize)> {
        let scenarios = if self.scenario.is_empty() { &Scenario::ALL[..] } else { &self.scenario };
        let mut cases = Vec::new();
        for scenario in scenarios {
            for transport in &self.transport {
                if *transport == Transport::Tls && !scenario.makes_sense_over_tls() {
                    continue;
                }
                let sizes = if scenario.depends_on_payload() { self.payload.len() } else { 1 };
                let sizes = self.payload.iter().take(sizes);
                cases.extend(sizes.map(|size| (*scenario, *transport, scenario.payload(*size))));
            }
        }
        cases
    }
}

struct Bench {
    scale: Scale,
    certificate: Certificate,
    patience: Duration,
}

impl Bench {
    /// One run with a broker of its own.
    fn measure(
        &self,
        contender: &Contender,
        scenario: Scenario,
        transport: Transport,
        payload: usize,
    ) -> anyhow::Result<Vec<Measured>> {
        let broker = Broker::start(contender, &self.certificate, scenario.queue())?;
        let tls = (transport == Transport::Tls).then(|| self.certificate.connector());
        let target = broker.target(tls, self.patience);
        let load = Load { broker: &broker, target, payload, scale: self.scale };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime
            .block_on(scenario.run(&load))
            .map_err(|error| anyhow!("{error:#}. Of the broker: {}", broker.last_deeds()))
    }
}

/// Each connection is a file, here and in the broker, which inherits this.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A run that needs more than it gets says so by itself.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
