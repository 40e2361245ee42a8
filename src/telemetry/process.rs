//! What the kernel says of this process, asked at each scrape. Names are those that Prometheus
//! clients agree upon.

use std::time::Duration;

use metrics::Gauge;
use rustix::time::{ClockId, clock_gettime};

use super::exposition::{Exposition, Kind};

/// Gauges that are set when somebody looks.
#[derive(Debug)]
pub(super) struct Gauges {
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    threads: Gauge,
    open_files: Gauge,
    max_files: Gauge,
}

impl Gauges {
    pub(super) fn register(gauge: impl Fn(&'static str, &'static str) -> Gauge) -> Self {
        Self {
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in use, in bytes"),
            virtual_bytes: gauge("process_virtual_memory_bytes", "Memory reserved, in bytes"),
            threads: gauge("process_threads", "Threads of the process"),
            open_files: gauge("process_open_fds", "Open file descriptors"),
            max_files: gauge("process_max_fds", "File descriptors that may be open"),
        }
    }

    /// Asks `/proc`; where there is none, the gauges keep their 0.
    pub(super) fn update(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = kibibytes(&status, "VmRSS:") {
            self.resident_bytes.set(bytes as f64);
        }
        if let Some(bytes) = kibibytes(&status, "VmSize:") {
            self.virtual_bytes.set(bytes as f64);
        }
        if let Some(threads) = line(&status, "Threads:").and_then(|it| it.parse::<u32>().ok()) {
            self.threads.set(threads);
        }
        if let Some(files) = open_files() {
            self.open_files.set(files as f64);
        }
        if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            self.max_files.set(files as f64);
        }
    }
}

/// Adds what is counted in fractions.
pub(super) fn expose(to: &mut Exposition) {
    let name = "process_cpu_seconds_total";
    to.family(name, Kind::Counter, "Time that processors have spent on this process");
    to.sample(name, &[], cpu_time().as_secs_f64());
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What stands behind `name` in `/proc/self/status`.
fn line<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The same, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let kibibytes: u64 = line(status, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}
