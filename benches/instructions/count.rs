//! Counting by callgrind: a step is run often and twice as often, and the difference is what it
//! takes, without the preparation.

use std::process::Command;

use anyhow::{Context, bail};

/// The argument that makes this program run a step, rather than count it.
pub(crate) const REPEAT: &str = "--repeat";

/// Enough that what is not the same each time does not matter.
const TIMES: u64 = 10_000;

/// Instructions of the step called `name`, on average.
pub(crate) fn instructions(name: &str) -> anyhow::Result<f64> {
    let (once, twice) = (run(name, TIMES)?, run(name, 2 * TIMES)?);
    let Some(difference) = twice.checked_sub(once).filter(|difference| *difference > 0) else {
        bail!("{name} takes {once} instructions {TIMES} times, and {twice} twice as often");
    };
    Ok(difference as f64 / TIMES as f64)
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
