//! The real binary, started as an operator would, ready before a test goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::site::Site;
use super::{Process, Stream};

/// Every transport that MQTT is spoken over.
const SCHEMES: [&str; 4] = ["mqtt", "mqtts", "ws", "wss"];

/// A broker of its own for one test.
pub(crate) struct Broker {
    process: Process,
    listeners: Vec<Listening>,
    /// Where it runs; gone with it.
    _directory: TempDir,
}

/// One line that the broker says before it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listening {
    scheme: String,
    port: u16,
}

impl Broker {
    /// Plain TCP, anybody may do anything, no limits: `tests/configs/open.toml`.
    pub(crate) fn open() -> Self {
        Self::configured("open.toml")
    }

    /// As `file` of `tests/configs` says, over plain TCP on a port of its own.
    pub(crate) fn configured(file: &str) -> Self {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(file);
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(config);
        command.args(["--listen", "mqtt://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        Self::start(command, scratch())
    }

    /// TLS, and plain TCP on loopback; the users and the policy of [`Site`]; client certificates
    /// taken but not asked for.
    pub(crate) fn secure() -> Self {
        Self::secure_with("", "optional")
    }

    /// As [`Broker::secure`], client certificates `off`, `optional` or `required`.
    pub(crate) fn secure_with_certificates(client_auth: &str) -> Self {
        Self::secure_with("", client_auth)
    }

    /// As [`Broker::secure`], with more settings.
    pub(crate) fn secure_with_settings(settings: &str) -> Self {
        Self::secure_with(settings, "optional")
    }

    fn secure_with(settings: &str, client_auth: &str) -> Self {
        let directory = scratch();
        let file = directory.path().join("bastionmq.toml");
        let config = Site::shared().configuration(client_auth) + settings;
        fs::write(&file, config).expect("a configuration file");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(file);
        Self::start(command, directory)
    }

    /// Runs `command` until it says that it is ready.
    pub(crate) fn start(mut command: Command, directory: TempDir) -> Self {
        let process = Process::spawn("bastionmq", command.current_dir(directory.path()));
        process.wait_for(Stream::Out, |line| (line == "ready").then_some(()));
        let listeners = process.lines(Stream::Out);
        let listeners = listeners.iter().filter_map(|line| Listening::parse(line)).collect();
        Self { process, listeners, _directory: directory }
    }

    /// The port of plain MQTT.
    pub(crate) fn plain_port(&self) -> u16 {
        self.port("mqtt")
    }

    /// The port of MQTT over TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.port("mqtts")
    }

    /// As [`Broker::open`], over WebSocket alone, with settings such as `("WEBSOCKET_PATH", "/")`.
    pub(crate) fn open_websocket(settings: &[(&str, &str)]) -> Self {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/open.toml");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(config);
        command.args(["--listen", "ws://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        for (name, value) in settings {
            command.env(format!("BASTIONMQ_{name}"), value);
        }
        Self::start(command, scratch())
    }

    /// As [`Broker::secure`], with every transport there is.
    pub(crate) fn secure_websocket() -> Self {
        Self::every_transport("optional", &[])
    }

    /// As [`Broker::secure_websocket`], for the pages of `origin`. No certificate is asked for: a
    /// browser without a window opens no WebSocket where it is asked.
    pub(crate) fn for_pages_of(origin: &str) -> Self {
        Self::every_transport("off", &[("WEBSOCKET_ORIGINS", origin)])
    }

    /// As [`Broker::secure_websocket`], without client certificates, behind a proxy on 127.0.0.1, and
    /// with more settings.
    pub(crate) fn behind_proxy(settings: &[(&str, &str)]) -> Self {
        let proxy = [("PROXY_PROTOCOL", "true"), ("PROXY_FROM", "127.0.0.1")];
        Self::every_transport("off", &[&proxy, settings].concat())
    }

    /// As [`Broker::secure_websocket`], with more settings.
    pub(crate) fn on_every_transport(settings: &[(&str, &str)]) -> Self {
        Self::every_transport("optional", settings)
    }

    fn every_transport(client_auth: &str, settings: &[(&str, &str)]) -> Self {
        let directory = scratch();
        let file = directory.path().join("bastionmq.toml");
        fs::write(&file, Site::shared().configuration(client_auth)).expect("a configuration file");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(file).args(["--admin", "127.0.0.1:0"]);
        for scheme in SCHEMES {
            let url = &format!("{scheme}://127.0.0.1:0");
            command.args(["--listen", url]);
        }
        for (name, value) in settings {
            command.env(format!("BASTIONMQ_{name}"), value);
        }
        Self::start(command, directory)
    }

    /// The port of MQTT over WebSocket.
    pub(crate) fn ws_port(&self) -> u16 {
        self.port("ws")
    }

    /// The port of MQTT over WebSocket over TLS.
    pub(crate) fn wss_port(&self) -> u16 {
        self.port("wss")
    }

    /// The port of metrics and health.
    pub(crate) fn admin_port(&self) -> u16 {
        self.port("http")
    }

    /// The port of a transport by its name in URLs.
    pub(crate) fn port(&self, scheme: &str) -> u16 {
        let listener = self.listeners.iter().find(|listener| listener.scheme == scheme);
        listener.unwrap_or_else(|| panic!("no {scheme} listener in {:?}", self.listeners)).port
    }

    /// What it prints and logs.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// As [`Broker::process`], to be killed.
    pub(crate) fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks for a graceful end, as systemd does.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }
}

impl Listening {
    /// Reads `listening on mqtts://127.0.0.1:8883` and `metrics on http://127.0.0.1:9883/metrics`.
    fn parse(line: &str) -> Option<Self> {
        let (_, url) = line.split_once(" on ")?;
        let (scheme, rest) = url.split_once("://")?;
        let port = rest.split('/').next()?.rsplit(':').next()?.parse().ok()?;
        Some(Self { scheme: scheme.to_owned(), port })
    }
}

/// A directory that is gone with its owner.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The binary under test, with none of this process's settings in its environment.
pub(crate) fn bastionmq() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BASTIONMQ_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// `TEST_BROKER` names another build, such as a release one.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("TEST_BROKER").unwrap_or_else(|| env!("CARGO_BIN_EXE_bastionmq").into()).into()
}
