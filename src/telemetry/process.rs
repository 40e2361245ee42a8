//! What the kernel says of this process, asked at each scrape. Names are those that Prometheus
//! clients agree upon.

use metrics::Gauge;

/// Gauges that are set when somebody looks.
#[derive(Debug)]
pub(super) struct Gauges {
    resident_bytes: Gauge,
    open_files: Gauge,
    max_files: Gauge,
}

impl Gauges {
    pub(super) fn register(gauge: impl Fn(&'static str, &'static str) -> Gauge) -> Self {
        Self {
            resident_bytes: gauge("process_resident_memory_bytes", "Memory in use, in bytes"),
            open_files: gauge("process_open_fds", "Open file descriptors"),
            max_files: gauge("process_max_fds", "File descriptors that may be open"),
        }
    }

    /// Asks `/proc`; where there is none, the gauges keep their 0.
    pub(super) fn update(&self) {
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(bytes as f64);
        }
        if let Some(files) = open_files() {
            self.open_files.set(files as f64);
        }
        if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            self.max_files.set(files as f64);
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}
