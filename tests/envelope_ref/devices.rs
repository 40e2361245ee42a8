//! The devices of `docs/examples`, in Python and in C, and a controller on our own library: sealed commands
//! go out, sealed reports come back, through a broker that verifies both. A device refuses by itself what a
//! broker that does not verify lets through.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use bastionmq::envelope::{
    Check, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, Options, Sealer, TopicKey,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use tempfile::TempDir;

use crate::harness::clients::interpreter;
use crate::harness::rumqtt::v5::{Client, Options as Login, Packet, PubAckReason, QoS};
use crate::harness::{ADMIN, Broker, DEVICE1, Process, Stream, scratch};
use crate::small_device::{Program, compiled};
use crate::vector::hexed;
use crate::verifying;

const KEY_ID: KeyId = KeyId([0xD3; 8]);
const TOPIC_KEY: [u8; 32] = [0x42; 32];
const COMMANDS: &str = "devices/device1/commands";
const REPORTS: &str = "devices/device1/reports";

#[tokio::test(flavor = "multi_thread")]
async fn the_device_in_python_exchanges_sealed_messages_with_rust_where_they_are_verified() {
    verified(in_python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_in_c_exchanges_sealed_messages_with_rust_where_they_are_verified() {
    let program = in_c();
    verified(Command::new(&program.path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_in_python_refuses_by_itself_what_is_not_verified_on_its_way() {
    not_verified(in_python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_device_in_c_refuses_by_itself_what_is_not_verified_on_its_way() {
    let program = in_c();
    not_verified(Command::new(&program.path)).await;
}

fn in_python() -> Command {
    let mut command = interpreter();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/python/device.py"));
    command
}

fn in_c() -> Program {
    compiled(&["docs/examples/c/mqtt.c", "docs/examples/c/device.c"])
}

/// Commands through a broker that has the verify-only key. What it refuses does not reach the device.
async fn verified(command: Command) {
    let files = scratch();
    let broker = verifying::broker(files.path(), &key());
    let mut controller = Controller::connect(&broker).await;
    let (mut device, _settings) = started(command, broker.plain_port());
    device.wait_for_text(Stream::Out, "ready");

    controller.commands(&["press", "hold"]).await;
    let (sealed, mut changed) = (controller.sealed("once"), controller.sealed("changed"));
    *changed.last_mut().expect("bytes") ^= 1;
    assert_eq!(controller.send(&sealed).await, PubAckReason::Success);
    assert_eq!(controller.report().await, "done: once");
    for refused in [&sealed, &changed, &b"plain".to_vec()] {
        let answer = controller.send(refused).await;
        assert_eq!(answer, PubAckReason::PayloadFormatInvalid);
    }
    controller.commands(&["stop"]).await;

    assert!(device.wait().success(), "{}", device.transcript());
    let said = device.lines(Stream::Out);
    assert_eq!(said, ["ready", "command press", "command hold", "command once", "command stop"]);
    // Each command, and the report that answers it.
    assert_eq!(verifying::count(&broker, "bastionmq_envelopes_verified_total"), 8);
    for reason in ["replayed", "bad_tag", "malformed"] {
        let series = format!("bastionmq_envelopes_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(verifying::count(&broker, &series), 1, "{reason}");
    }
}

/// Commands, replays and forgeries through a broker that lets all of them pass.
async fn not_verified(command: Command) {
    let broker = Broker::secure();
    let mut controller = Controller::connect(&broker).await;
    let (mut device, _settings) = started(command, broker.plain_port());
    device.wait_for_text(Stream::Out, "ready");

    controller.commands(&["press", "hold"]).await;
    refused(&mut controller, &device).await;
    controller.commands(&["stop"]).await;
    assert!(device.wait().success(), "{}", device.transcript());
    let commands = ["press", "hold", "once", "stop"].map(|text| format!("command {text}"));
    let said = device.lines(Stream::Out);
    let said: Vec<_> = said.into_iter().filter(|line| line.starts_with("command")).collect();
    assert_eq!(said, commands);
}

/// What a device is shown that it must not obey. It says why, and nothing else.
async fn refused(controller: &mut Controller, device: &Process) {
    let sealed = controller.sealed("once");
    controller.send(&sealed).await;
    assert_eq!(controller.report().await, "done: once");
    let mut changed = controller.sealed("changed");
    *changed.last_mut().expect("bytes") ^= 1;
    let mut stranger = Sealer::new(&key(), "stranger", [7; 16]).expect("a sealer");
    let stale =
        controller.sealer.seal(topic(COMMANDS), now_ms() - 600_000, b"stale", &Options::default());
    let early =
        controller.sealer.seal(topic(COMMANDS), now_ms() + 600_000, b"early", &Options::default());
    let elsewhere =
        controller.sealer.seal(topic(REPORTS), now_ms(), b"elsewhere", &Options::default());
    for (envelope, name) in [
        (sealed, "replayed"),
        (changed, "bad_tag"),
        (command(&mut stranger, "obey me"), "sender_mismatch"),
        (stale.expect("sealed"), "expired"),
        (early.expect("sealed"), "from_future"),
        (elsewhere.expect("sealed"), "bad_tag"),
        (b"{\"press\": true}".to_vec(), "malformed"),
    ] {
        controller.send(&envelope).await;
        device.wait_for_text(Stream::Out, &format!("refused {name}"));
    }
}

/// A command, sealed now.
fn command(sealer: &mut Sealer, text: &str) -> Vec<u8> {
    let sealed = sealer.seal(topic(COMMANDS), now_ms(), text.as_bytes(), &Options::default());
    sealed.expect("sealed")
}

/// Starts a device with settings of its own; they are gone with what is returned.
fn started(mut command: Command, port: u16) -> (Process, TempDir) {
    let directory = scratch();
    let settings = directory.path().join("settings");
    let (user, password) = DEVICE1;
    let text = format!(
        "host 127.0.0.1\nport {port}\nuser {user}\npassword {password}\nkey_id {KEY_ID}\n\
         topic_key {}\ncommands {COMMANDS}\nreports {REPORTS}\ncontroller {}\n",
        hexed(&TOPIC_KEY),
        ADMIN.0,
    );
    fs::write(&settings, text).expect("settings");
    (Process::spawn("the device", command.arg(settings)), directory)
}

/// Who commands the device, on our own library.
struct Controller {
    client: Client,
    sealer: Sealer,
    opener: Opener,
    ring: KeyRing,
}

impl Controller {
    async fn connect(broker: &Broker) -> Self {
        let mut login = Login::new("controller", "127.0.0.1", broker.plain_port());
        login.set_credentials(ADMIN.0, ADMIN.1);
        let mut client = Client::connect(login).await;
        client.subscribe(REPORTS, QoS::AtLeastOnce).await;
        let sealer = Sealer::new(&key(), ADMIN.0, [9; 16]).expect("a sealer");
        let mut ring = KeyRing::default();
        ring.insert(key());
        Self { client, sealer, opener: Opener::default(), ring }
    }

    fn sealed(&mut self, text: &str) -> Vec<u8> {
        command(&mut self.sealer, text)
    }

    /// Commands that the device has to carry out.
    async fn commands(&mut self, texts: &[&str]) {
        for text in texts {
            let sealed = self.sealed(text);
            assert_eq!(self.send(&sealed).await, PubAckReason::Success);
            assert_eq!(self.report().await, format!("done: {text}"));
        }
    }

    /// Publishes, and gives what the broker says to it.
    async fn send(&mut self, envelope: &[u8]) -> PubAckReason {
        let sent = self.client.mqtt.publish(COMMANDS, QoS::AtLeastOnce, false, envelope.to_vec());
        sent.await.expect("the client runs");
        let answer = self.client.wait_for(|packet| match packet {
            Packet::PubAck(answer) => Some(answer.reason),
            _ => None,
        });
        answer.await
    }

    /// The next report, opened.
    async fn report(&mut self) -> String {
        let message = self.client.message().await;
        let check = Check {
            sender: Some(DEVICE1.0),
            encrypted_only: true,
            ..Check::new(topic(REPORTS), now_ms())
        };
        let mut payload = Vec::new();
        let opened = self.opener.open(&self.ring, &check, &message.payload, &mut payload);
        opened.expect("a sealed report");
        String::from_utf8(payload).expect("a text")
    }
}

fn key() -> Key {
    Key {
        id: KEY_ID,
        topics: vec![TopicFilter::parse("devices/device1/#").expect("a filter")],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new(TOPIC_KEY)),
    }
}

fn topic(name: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(name).expect("a topic")
}

pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(elapsed.as_millis()).expect("before the year 584,556,019")
}
