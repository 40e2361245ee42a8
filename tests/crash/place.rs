//! A broker that keeps what it can on disk, dies, and comes back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::broker::binary;
use crate::harness::raw::{Connect, RawClient, SUBACK, publish, subscribe};
use crate::harness::{Broker, bastionmq, scratch};

pub(crate) const VERSION: u8 = 5;

/// The directories that outlive the broker.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: scratch() }
    }

    /// What holds both, the data and the keys.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("data/store")
    }

    pub(crate) fn master_key(&self) -> PathBuf {
        self.directory.path().join("keys/master.key")
    }

    pub(crate) fn command(&self) -> Command {
        self.command_of(bastionmq())
    }

    /// The broker, in a shell that has done something first.
    pub(crate) fn command_after(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(binary());
        self.command_of(shell)
    }

    fn command_of(&self, mut program: Command) -> Command {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/durable.toml");
        program.arg("serve").arg("--config").arg(config);
        program.args(["--listen", "mqtt://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        program.env("BASTIONMQ_STORE_DIR", self.store());
        program.env("BASTIONMQ_KEYS_MASTER_KEY_FILE", self.master_key());
        program
    }

    pub(crate) fn start(&self) -> Broker {
        self.start_with(&[])
    }

    /// With settings such as `("BASTIONMQ_STORE_DURABILITY", "none")`.
    pub(crate) fn start_with(&self, settings: &[(&str, &str)]) -> Broker {
        let mut command = self.command();
        command.envs(settings.iter().copied());
        Broker::start(command, scratch())
    }
}

/// Ends the broker as a power cut would.
pub(crate) fn kill(mut broker: Broker) {
    broker.process().signal(Signal::KILL);
    broker.wait();
}

/// Ends it in order.
pub(crate) fn stop(mut broker: Broker) {
    broker.terminate();
    assert!(broker.wait().success());
}

pub(crate) fn client(broker: &Broker, client_id: &str) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(VERSION, client_id))
}

/// All messages that are retained on what `filter` matches, by topic.
pub(crate) fn retained(broker: &Broker, filter: &str) -> BTreeMap<String, Vec<u8>> {
    let mut client = client(broker, "reader");
    client.send(&subscribe(VERSION, 1, filter, 0));
    client.send(&subscribe(VERSION, 2, "the end", 0));
    client.expect_and_keep(SUBACK);
    client.expect_and_keep(SUBACK);
    // It waits behind what is retained.
    client.send(&publish(VERSION, "the end", b""));
    let mut found = BTreeMap::new();
    loop {
        let message = client.kept_or_next().publish(VERSION);
        if message.topic == "the end" {
            return found;
        }
        found.insert(message.topic, message.payload);
    }
}
