//! What /proc tells of a process, its threads and its children.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A tick of /proc/PID/stat: the kernel shows users a hundredth of a second on every machine.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that `pid`, its threads and its children have spent so far.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    tree(pid).into_iter().map(cpu_time_of_one).sum()
}

/// The most memory that they have had resident, in bytes.
pub(crate) fn peak_bytes(pid: u32) -> anyhow::Result<u64> {
    sum(pid, "status", "VmHWM:")
}

/// The memory that is theirs now, in bytes: what is shared with others counts in part.
pub(crate) fn memory_bytes(pid: u32) -> anyhow::Result<u64> {
    sum(pid, "smaps_rollup", "Pss:").or_else(|_| sum(pid, "status", "VmRSS:"))
}

/// `pid` and all that descend from it.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut looked_at = 0;
    while let Some(parent) = found.get(looked_at).copied() {
        looked_at += 1;
        for task in tasks(parent) {
            let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    found
}

/// A process may end at any time, and then has no threads.
fn tasks(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

/// Nanoseconds where the kernel counts them, otherwise ticks. Threads that have ended are in the
/// ticks alone, so these count when they are clearly more.
pub(crate) fn cpu_time_of_one(pid: u32) -> Duration {
    let nanoseconds = tasks(pid).into_iter().filter_map(|task| {
        let text = fs::read_to_string(format!("{task}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    let precise = Duration::from_nanos(nanoseconds.sum());
    let ticks = ticks(pid).unwrap_or_default();
    if ticks > precise + precise / 20 + 4 * TICK { ticks } else { precise }
}

fn ticks(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

/// The sum of a line of the file over all processes, in bytes.
fn sum(pid: u32, file: &str, line: &str) -> anyhow::Result<u64> {
    let one = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let rest = text.lines().find_map(|text| text.strip_prefix(line))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let mut kibibytes = one(pid).with_context(|| format!("/proc/{pid}/{file} has no {line}"))?;
    kibibytes += tree(pid).into_iter().skip(1).filter_map(one).sum::<u64>();
    Ok(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_to_work_and_to_hold_memory() {
        let pid = std::process::id();
        let before = cpu_time(pid);
        while cpu_time(pid) < before + 2 * TICK {
            std::hint::spin_loop();
        }
        assert!(ticks(pid).is_some());
        assert!(memory_bytes(pid).unwrap() > 4096);
        assert!(peak_bytes(pid).unwrap() > 4096);
    }

    #[test]
    fn children_count() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tree(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
