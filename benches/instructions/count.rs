//! Counting by callgrind: a step is prepared only, and then prepared and run often; the difference is
//! what it takes.

use std::process::Command;

use anyhow::{Context, bail};

/// The argument that makes this program run a step, rather than count it.
pub(crate) const REPEAT: &str = "--repeat";

/// Enough that what is not the same each time does not matter.
const TIMES: u64 = 10_000;

/// Processes that are counted. Hash maps are seeded anew in each, and one may be unlucky.
const PROCESSES: usize = 3;

/// Instructions of the step called `name`: the median over some processes.
pub(crate) fn instructions(name: &str) -> anyhow::Result<f64> {
    let prepared = run(name, 0)?;
    let mut counts = Vec::new();
    for _ in 0..PROCESSES {
        let all = run(name, TIMES)?;
        let Some(count) = all.checked_sub(prepared).filter(|count| *count > 0) else {
            bail!("{name} takes {prepared} instructions to prepare, and {all} in all");
        };
        counts.push(count as f64 / TIMES as f64);
    }
    counts.sort_by(f64::total_cmp);
    Ok(counts[PROCESSES / 2])
}

/// All instructions of a process that runs the step `times` times.
fn run(name: &str, times: u64) -> anyhow::Result<u64> {
    let program = std::env::current_exe().context("this program has no path")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([REPEAT, name, &times.to_string()])
        .output()
        .context("cannot start valgrind: install it, as with apt-get install valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let counted = text.lines().find_map(|line| line.split_once("Collected :"));
    let counted = counted.and_then(|(_, count)| count.trim().parse().ok());
    match counted {
        Some(counted) if output.status.success() => Ok(counted),
        _ => bail!("valgrind failed for {name}:\n{text}"),
    }
}
