//! r12 over a restart: what is taken back while the broker is down is taken back.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::device::{Device, Event, Outgoing};
use crate::harness::place::copy;
use crate::harness::raw::{CONNACK, Connect, RawClient, Will};
use crate::harness::{ADMIN, Broker, DEVICE1, Site, bastionmq, scratch};
use crate::network::Network;
use crate::place::{VERSION, kill, stop};

/// What `device1` may use, and nobody else but `admin`.
const QUEUED: &str = "devices/device1/queued";
const IN_FLIGHT: &str = "devices/device1/in-flight";
const WILL: &str = "devices/device1/will";
/// The files of a broker with users and a policy.
struct Premises {
    directory: TempDir,
}

impl Premises {
    fn new() -> Self {
        let directory = scratch();
        copy(&["policy.toml", "passwd", "server.crt", "server.key", "ca.crt"], directory.path());
        let config = Site::shared().configuration("off").replace(
            Site::shared().file("").to_str().expect("UTF-8"),
            &format!("{}/", directory.path().display()),
        );
        let more = "[store]\ndir = \"data\"\n[keys]\nmaster_key_file = \"keys/master.key\"\n";
        fs::write(directory.path().join("bastionmq.toml"), config + more).expect("written");
        Self { directory }
    }

    fn command(&self) -> Command {
        let mut command = bastionmq();
        command.args(["serve", "--config"]).arg(self.file("bastionmq.toml"));
        command
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.directory.path()).join(name)
    }

    fn start(&self) -> Broker {
        Broker::start(self.command(), scratch())
    }

    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let before = fs::read_to_string(self.file(name)).expect("a file");
        let after = change(before.clone());
        assert_ne!(before, after, "{name} is what it was");
        fs::write(self.file(name), after).expect("written");
    }
}

/// Lets a session wait for a message, have another in flight, and leave a will with the broker, which is
/// killed; makes `change` to the files, and starts it again. Then the topics that the session hears of as
/// far as it is let in, and whoever waits for the will.
fn heard_after(change: impl FnOnce(&Premises)) -> Vec<String> {
    let premises = Premises::new();
    let broker = premises.start();
    let network = Network::of(&broker);
    let (mut device, mut admin) = (Device::of("device", DEVICE1), Device::of("admin", ADMIN));
    let mut client = device.visit(&network).expect("it is let in");
    client.subscribe("devices/device1/+", 1);
    let mut operator = admin.visit(&network).expect("it is let in");
    operator.subscribe(WILL, 1);
    operator.publish_all([Outgoing::new(IN_FLIGHT, 1, "x")]);
    client.is_mute = true;
    assert!(matches!(client.next(), Some(Event::Message(_))));
    client.break_off();
    operator.publish_all([Outgoing::new(QUEUED, 1, "x")]);
    let mut mortal = Device::of("mortal", DEVICE1);
    let will = Will { qos: 1, ..Will::new(WILL, b"gone") };
    let mortal = mortal.visit_with(&network, Some(will)).expect("it is let in");
    kill(broker);
    drop((operator, mortal));

    change(&premises);
    let broker = premises.start();
    let network = Network::of(&broker);
    let mut heard = Vec::new();
    for (device, is_known) in [(&mut admin, true), (&mut device, may_enter(&broker))] {
        if is_known {
            let mut visit = device.visit(&network).expect("the broker stays");
            heard.extend(visit.until_quiet().into_iter().map(|message| message.topic));
            visit.leave();
        }
    }
    stop(broker);
    heard
}

/// Whether `device1` is let in.
fn may_enter(broker: &Broker) -> bool {
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(VERSION, "asks").login(DEVICE1).encode());
    client.expect(CONNACK).body[1] == 0
}

#[test]
fn r12_everything_passes_over_a_restart_as_long_as_nothing_is_taken_back() {
    let heard = heard_after(|_| {});
    assert_eq!(heard[0], WILL);
    assert!([IN_FLIGHT, QUEUED].iter().all(|topic| heard[1..].iter().any(|it| it == topic)));
}

#[test]
fn r12_nothing_passes_over_a_restart_after_a_role_is_removed() {
    let role = |policy: String| policy.replace("users = [\"device1\", ", "users = [");
    assert_eq!(heard_after(|files| files.edit("policy.toml", role)), [""; 0]);
}

#[test]
fn r12_nothing_passes_over_a_restart_after_a_denial_is_added() {
    let rule = "{ deny = [\"publish\"], topics = [\"devices/+/read-only\"] },";
    let denial = "{ deny = [\"publish\", \"subscribe\"], topics = [\"#\"] },";
    let deny = |policy: String| policy.replace(rule, denial);
    assert_eq!(heard_after(|files| files.edit("policy.toml", deny)), [""; 0]);
}

#[test]
fn r12_nothing_passes_over_a_restart_after_a_user_is_deleted() {
    let delete = |users: String| {
        let others = users.lines().filter(|line| !line.starts_with("device1:"));
        others.map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(heard_after(|files| files.edit("passwd", delete)), [""; 0]);
}
