//! The broker of a storm: its files, its beginning and its end.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use bastionmq::auth::{DEFAULT_HASH_PARAMETERS, hash};
use bastionmq::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Of everybody.
pub(crate) const PASSWORD: &str = "correct horse";
/// The user of the two clients of the flow.
pub(crate) const FLOW: &str = "flow";

const POLICY: &str = include_str!("../../acl/open.toml");

/// Where the broker keeps its files from one start to the next.
pub(crate) struct Home {
    directory: TempDir,
    broker: PathBuf,
}

/// A broker that runs. Dropping it ends it.
pub(crate) struct Broker {
    process: Child,
    port: u16,
}

impl Home {
    /// With a user for each client, and `network` in that section. All have the same password and salt, and so the same hash: it
    /// costs as much to check, and is made once.
    pub(crate) fn make(
        broker: &Path,
        clients: usize,
        hashing_threads: u32,
        network: &str,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let hash = hash(&Secret::from(PASSWORD), DEFAULT_HASH_PARAMETERS, [7; 16])?;
        let mut users = format!("{FLOW}:{hash}\n");
        for number in 0..clients {
            users += &format!("{}:{hash}\n", user(number));
        }
        let file = directory.path().join("users");
        fs::write(&file, users)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        fs::write(directory.path().join("policy.toml"), POLICY)?;
        let config = format!(
            "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"off\"\n\
             [auth]\npassword_file = \"users\"\ncredential_cache_file = \"credentials\"\n\
             hashing_threads = {hashing_threads}\n[keys]\nmaster_key_file = \"master.key\"\n\
             [network]\n{network}[acl]\npolicy_file = \"policy.toml\"\n\
             [log]\nlevel = \"warn,bastionmq::broker=error\"\n"
        );
        fs::write(directory.path().join("bastionmq.toml"), config)?;
        Ok(Self { directory, broker: broker.to_owned() })
    }

    /// Starts the broker, and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Broker> {
        let mut process = Command::new(&self.broker)
            .arg("serve")
            .arg("--config")
            .arg(self.directory.path().join("bastionmq.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.broker.display()))?;
        let output = process.stdout.take().context("its output")?;
        let port = port_of(output);
        let broker = Broker { process, port: *port.as_ref().unwrap_or(&0) };
        port.map(|_| broker)
    }
}

/// Reads `listening on mqtt://127.0.0.1:1883`.
fn port_of(output: impl std::io::Read) -> anyhow::Result<u16> {
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(port) = line.strip_prefix("listening on mqtt://127.0.0.1:") {
            return port.parse().context("no port");
        }
    }
    anyhow::bail!("the broker has not started");
}

impl Broker {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it has spent so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let nanoseconds = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// As systemd does it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.process.id().try_into()?).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        ensure!(self.process.wait()?.success(), "the broker did not end well");
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn user(number: usize) -> String {
    format!("device{number}")
}
