//! The broker whose topics are plain or verified: its files, its processor time and its end.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use bastionmq::auth::{HashParameters, hash};
use bastionmq::envelope::{Key, KeyMaterial};
use bastionmq::keys::{Absent, MasterKeySource, RingError, RingFile};
use bastionmq::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::pair;

/// Of everybody.
pub(crate) const PASSWORD: &str = "correct horse";
/// How far ahead the clocks of devices may be.
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(1);

const POLICY: &str = include_str!("../../acl/open.toml");

/// How topics are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// Verified, with replay windows in memory alone.
    Verified,
    /// Verified, with replay windows in a `state_dir`.
    Kept,
}

/// A broker that runs. Dropping it ends it.
pub(crate) struct Broker {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Verified, Self::Kept];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Verified => "verified",
            Self::Kept => "verified, with `state_dir`",
        })
    }
}

impl Broker {
    /// A broker with a user for each pair, ready, on files of its own.
    pub(crate) fn start(broker: &Path, users: usize, way: Way) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        write_files(directory.path(), users, way)?;
        let mut process = Command::new(broker)
            .arg("serve")
            .arg("--config")
            .arg(directory.path().join("bastionmq.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", broker.display()))?;
        let output = process.stdout.take().context("its output")?;
        let port = port_of(output);
        let broker = Self { process, port: *port.as_ref().unwrap_or(&0), _directory: directory };
        port.map(|_| broker)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The processor time that its threads have spent so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let spent = text.split_whitespace().next().context("no time in schedstat")?;
            nanoseconds += spent.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
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

fn write_files(directory: &Path, users: usize, way: Way) -> anyhow::Result<()> {
    // It is not the logins that are measured.
    let hash = hash(&Secret::from(PASSWORD), HashParameters::new(8, 1, 1)?, [7; 16])?;
    let users: String =
        (0..users).map(|number| format!("{}:{hash}\n", pair::user(number))).collect();
    let file = directory.join("users");
    fs::write(&file, users)?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    let mode = if way == Way::Plain { "plain" } else { "verify" };
    // Beside `plain` it would have no effect, which is an error.
    let skew = match way {
        Way::Plain => String::new(),
        _ => format!("max_skew_seconds = {}\n", MAX_SKEW.as_secs()),
    };
    let policy = format!("{POLICY}\n[[envelope]]\ntopics = [\"#\"]\nmode = \"{mode}\"\n{skew}");
    fs::write(directory.join("policy.toml"), policy)?;
    let state = if way == Way::Kept { "[envelope]\nstate_dir = \"envelopes\"\n" } else { "" };
    let config = format!(
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"off\"\n\
         [auth]\npassword_file = \"users\"\n[acl]\npolicy_file = \"policy.toml\"\n\
         [keys]\nmaster_key_file = \"master.key\"\nring_file = \"keyring\"\n{state}\
         [network]\nmax_handshakes_per_address = 0\nmax_handshakes_per_prefix = 0\n\
             connection_rate_per_address = 0\nconnection_rate_per_prefix = 0\n[log]\nlevel = \"error\"\n"
    );
    fs::write(directory.join("bastionmq.toml"), config)?;
    write_ring(directory)
}

/// A ring with which payloads can be verified, and not opened.
fn write_ring(directory: &Path) -> anyhow::Result<()> {
    let key = pair::key()?;
    let material = KeyMaterial::VerifyOnly(key.verify_key());
    let master = MasterKeySource::File(directory.join("master.key"));
    let file = RingFile::new(directory.join("keyring"), master);
    file.prepare()?;
    file.change(Absent::Make, |ring| {
        ring.insert(Key { material, ..key });
        Ok::<_, RingError>(())
    })?;
    Ok(())
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
