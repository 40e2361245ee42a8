//! How many instructions each step of a message takes, counted by callgrind, and compared with the
//! counts in `benches/instructions.toml`. Unlike time, these do not depend on what else runs.
//!
//!     cargo bench --bench instructions                 fails when a step takes over 10% more
//!     cargo bench --bench instructions -- --update     records what the steps take now

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line tool does")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops at what is wrong")]

mod count;
mod record;
#[path = "../steps/mod.rs"]
mod steps;

use std::process::ExitCode;

use anyhow::bail;
use bastionmq::codec::Version;
use divan::black_box;

use self::record::Record;

/// What a step may take, as a share of what is recorded.
const ALLOWED: f64 = 1.10;
/// A step that takes less than this share has become better, and its record may be renewed.
const BETTER: f64 = 0.90;

/// A step by its name in the record.
struct Step {
    name: &'static str,
    prepare: fn() -> Box<dyn FnMut() -> usize>,
}

const STEPS: [Step; 8] = [
    Step { name: "decode-v311", prepare: || Box::new(steps::decode(Version::V311)) },
    Step { name: "decode-v5", prepare: || Box::new(steps::decode(Version::V5)) },
    Step { name: "decide", prepare: || Box::new(steps::decide()) },
    Step { name: "route-1000", prepare: || Box::new(steps::route(1_000)) },
    Step { name: "session-takes-qos1", prepare: || Box::new(steps::take_qos_1(Version::V5)) },
    Step { name: "session-sends-qos1", prepare: || Box::new(steps::send_qos_1(Version::V5)) },
    Step { name: "encode-v311", prepare: || Box::new(steps::encode(Version::V311)) },
    Step { name: "encode-v5", prepare: || Box::new(steps::encode(Version::V5)) },
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // cargo adds --bench for the harness that this has none of.
    let words: Vec<_> =
        arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let result = match words[..] {
        [] => compare(),
        ["--update"] => update(),
        [count::REPEAT, step, times] => repeat(step, times),
        _ => Err(anyhow::anyhow!("the only argument is --update")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Counts every step, and fails when one takes clearly more than is recorded.
fn compare() -> anyhow::Result<()> {
    let recorded = Record::read()?;
    let mut worse = Vec::new();
    println!("{:<20} {:>10} {:>10} {:>8}", "step", "recorded", "now", "");
    for step in &STEPS {
        let now = count::instructions(step.name)?;
        let Some(before) = recorded.get(step.name) else {
            bail!("{} is not in {}: run this with --update", step.name, record::PATH);
        };
        let share = now / before;
        let verdict = match share {
            share if share > ALLOWED => "  WORSE",
            share if share < BETTER => "  better: record it with --update",
            _ => "",
        };
        println!(
            "{:<20} {before:>10.1} {now:>10.1} {:>+7.1}%{verdict}",
            step.name,
            (share - 1.0) * 100.0
        );
        if share > ALLOWED {
            worse.push(step.name);
        }
    }
    if !worse.is_empty() {
        bail!(
            "more than {:.0}% over the record: {}. Mend it, or record it with --update and say why",
            (ALLOWED - 1.0) * 100.0,
            worse.join(", ")
        );
    }
    Ok(())
}

fn update() -> anyhow::Result<()> {
    let mut record = Record::default();
    for step in &STEPS {
        let now = count::instructions(step.name)?;
        println!("{:<20} {now:>10.1}", step.name);
        record.set(step.name, now);
    }
    record.write()
}

/// What callgrind looks at: one step, so many times.
fn repeat(name: &str, times: &str) -> anyhow::Result<()> {
    let Some(step) = STEPS.iter().find(|step| step.name == name) else {
        bail!("there is no step {name}");
    };
    let mut step = (step.prepare)();
    for _ in 0..times.parse::<u64>()? {
        black_box(step());
    }
    Ok(())
}
