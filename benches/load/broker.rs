//! A broker under test: started, watched, stopped.

use std::cell::RefCell;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::certificate::Certificate;
use super::contender::{Contender, Places, Queue};
use super::process;

/// How long a broker may take to open its ports, or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// A port that was free may be somebody else's when the broker opens it.
const ATTEMPTS: usize = 3;
/// A broker that spends less of a processor than a fiftieth has nothing left to do.
const GLANCE: Duration = Duration::from_millis(50);

/// Where a client connects.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
    /// How long nothing may come before the run fails.
    pub(crate) patience: Duration,
}

/// A broker that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Broker {
    process: RefCell<Child>,
    command: Vec<String>,
    directory: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Broker {
    /// Starts `contender` on free ports, and waits until they are open.
    pub(crate) fn start(
        contender: &Contender,
        certificate: &Certificate,
        queue: Queue,
    ) -> anyhow::Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::try_start(contender, certificate, queue) {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                result => return result.with_context(|| format!("{} failed", contender.name)),
            }
        }
    }

    fn try_start(
        contender: &Contender,
        certificate: &Certificate,
        queue: Queue,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("no temporary directory")?;
        certificate.write(directory.path())?;
        let [plain, tls] = free_addresses()?;
        let places =
            Places { port: plain.port(), tls_port: tls.port(), directory: directory.path(), queue };
        let command = contender.command(&places)?;
        let process = RefCell::new(spawn(&command, directory.path())?);
        let broker = Self { process, command, directory, plain, tls };
        broker.wait_until_open(plain)?;
        if contender.speaks_tls() {
            broker.wait_until_open(tls)?;
        }
        Ok(broker)
    }

    /// Ends it in order and starts it again on what it has left, once what it has left has been looked at;
    /// how long it took from its start until its port was open, and how many bytes it has on disk.
    pub(crate) fn restart(&self) -> anyhow::Result<(Duration, u64)> {
        let mut process = self.process.borrow_mut();
        kill_process(Pid::from_child(&process), Signal::TERM)?;
        let begun = Instant::now();
        while process.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("it does not end: {}", self.last_words());
            }
            thread::sleep(GLANCE);
        }
        let bytes = bytes_below(self.directory.path())?;
        let begun = Instant::now();
        *process = spawn(&self.command, self.directory.path())?;
        drop(process);
        self.wait_until_open(self.plain)?;
        Ok((begun.elapsed(), bytes))
    }

    fn wait_until_open(&self, address: SocketAddr) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.process.borrow_mut().try_wait()? {
                bail!("it ended at once ({status}): {}", self.last_words());
            }
            if begun.elapsed() > PATIENCE {
                bail!("it does not open port {}: {}", address.port(), self.last_words());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// What it does when a run has failed: whether it lives and works, and the end of its log.
    pub(crate) fn last_deeds(&self) -> String {
        let pid = self.id();
        let before = self.cpu_time();
        thread::sleep(4 * GLANCE);
        let busy = (self.cpu_time() - before).as_secs_f64() / (4 * GLANCE).as_secs_f64();
        let does = match process::memory_bytes(pid) {
            Ok(bytes) => {
                let memory = bytes >> 20;
                format!("it runs, spends {:.0}% of a processor, holds {memory} MiB", busy * 100.0)
            }
            Err(_) => "it has ended".to_owned(),
        };
        match self.last_words().as_str() {
            "" => format!("{does}, and has logged nothing"),
            words => format!("{does}, and its log ends with: {words}"),
        }
    }

    pub(crate) fn target(&self, tls: Option<TlsConnector>, patience: Duration) -> Target {
        Target { address: if tls.is_some() { self.tls } else { self.plain }, tls, patience }
    }

    fn id(&self) -> u32 {
        self.process.borrow().id()
    }

    /// The processor time of all its threads and children so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        process::cpu_time(self.id())
    }

    /// The most memory that it has had resident.
    pub(crate) fn peak_bytes(&self) -> anyhow::Result<u64> {
        process::peak_bytes(self.id()).context("the broker has ended")
    }

    /// The memory that it has now.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<u64> {
        process::memory_bytes(self.id()).context("the broker has ended")
    }

    /// Waits until it has nothing left to do. One that is never idle is not waited for for ever.
    pub(crate) async fn settle(&self) {
        let mut before = self.cpu_time();
        for _ in 0..100 {
            tokio::time::sleep(GLANCE).await;
            let now = self.cpu_time();
            if now - before < GLANCE / 50 {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself; what it started is of its group.
        let process = self.process.get_mut();
        let _ = kill_process_group(Pid::from_child(process), Signal::KILL);
        let _ = process.wait();
    }
}

/// Its log, in `directory`, goes on where there is one.
fn spawn(command: &[String], directory: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(directory.join("log"));
    let log = log.context("cannot write its log")?;
    let (program, arguments) = command.split_first().context("an empty command")?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", command.join(" ")))
}

/// What all files below `directory` take.
fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += if data.is_dir() { bytes_below(&entry.path())? } else { data.len() };
    }
    Ok(bytes)
}

fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, other) = (listen()?, listen()?);
    Ok([one.local_addr()?, other.local_addr()?])
}
