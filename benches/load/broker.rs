//! A broker under test: started, watched through /proc, stopped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use anyhow::{Context, bail};

/// How long a broker may take to open its port.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    command: String,
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("NAME=COMMAND is needed")?;
        if !command.contains("{port}") {
            return Err("the command has no {port}".to_owned());
        }
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

/// A broker that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Broker {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Broker {
    /// Starts `contender` on a free port, and waits until that is open.
    pub(crate) fn start(contender: &Contender) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let command = contender.command.replace("{port}", &address.port().to_string());
        let mut words = command.split_whitespace();
        let process = Command::new(words.next().context("an empty command")?)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}: {command}", contender.name))?;
        let mut broker = Self { process, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = broker.process.try_wait()? {
                bail!("{} ended at once ({status}): {command}", contender.name);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} does not open port {}: {command}", contender.name, address.port());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    /// The processor time of all its threads so far.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // A thread may end between the two.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let spent = text.split_whitespace().next().and_then(|spent| spent.parse::<u64>().ok());
            nanoseconds += spent.unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The most memory that it has had resident, in bytes.
    pub(crate) fn peak_bytes(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.map(|kibibytes| kibibytes * 1024).ok_or(io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
