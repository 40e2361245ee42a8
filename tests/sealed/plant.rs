//! A broker with a key ring and a policy that verifies and seals, and devices that seal for themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bastionmq::envelope::{Key, KeyId, KeyMaterial, KeyRing, KeyState, Options, Sealer, TopicKey};
use bastionmq::keys::{Absent, MasterKeySource, RingError, RingFile};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use tempfile::TempDir;

use crate::harness::raw::{Connect, PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{Broker, DEVICE1, Login, bastionmq, http, place, scratch};

/// Envelopes are verified there.
pub(crate) const TOPIC: &str = "plant/7/speed";

/// The number of a key that the ring has and believes no more.
pub(crate) const REVOKED: u8 = 5;

const CONFIG: &str = r#"
[[listener]]
url = "mqtt://127.0.0.1:0"

[[listener]]
url = "mqtts://127.0.0.1:0"
tls_cert = "server.crt"
tls_key = "server.key"
client_auth = "optional"
client_ca = "ca.crt"

[admin]
address = "127.0.0.1:0"

[auth]
password_file = "passwd"

[keys]
master_key_file = "master.key"
ring_file = "keyring"
wrapped_dir = "wrapped"

[envelope]
state_dir = "state"

[audit]
dir = "audit"

[acl]
policy_file = "policy.toml"
"#;

pub(crate) const POLICY: &str = r##"
[[role]]
name = "device"
rules = [
  { allow = ["publish", "subscribe"], topics = ["office/#", "legacy/#", "readable/#"] },
  { allow = ["subscribe"], topics = ["plant/#"] },
  { allow = ["publish"], topics = ["plant/#", "signed/#"], envelope = "required" },
]

[[role]]
name = "reader"
rules = [
  { allow = ["subscribe"], topics = ["#", "$bastion/alerts/#"] },
  { allow = ["open"], topics = ["legacy/#"] },
]

[[assign]]
users = ["device1", "device2"]
roles = ["device"]

[[assign]]
certificates = ["device1"]
roles = ["device"]

[[assign]]
users = ["admin"]
roles = ["reader"]

[[envelope]]
topics = ["plant/#"]
mode = "verify"

[[envelope]]
topics = ["readable/#"]
mode = "verify"
encrypted_only = false

[[envelope]]
topics = ["signed/#"]
mode = "verify"
require_signature = true

[[envelope]]
topics = ["legacy/#"]
mode = "seal"
"##;

/// A broker that may end and start again with the same files.
pub(crate) struct Plant {
    pub(crate) broker: Broker,
    files: TempDir,
}

impl Plant {
    pub(crate) fn start() -> Self {
        Self::with_settings("")
    }

    pub(crate) fn with_settings(settings: &str) -> Self {
        let topics = [(1, "plant/#"), (2, "legacy/#"), (3, "readable/#"), (4, "signed/#")];
        let revoked = Key { state: KeyState::Revoked, ..key(REVOKED, "plant/#") };
        let keys = topics.map(|(number, topics)| key(number, topics)).into_iter().chain([revoked]);
        Self::with(keys, settings)
    }

    pub(crate) fn with_keys(keys: impl IntoIterator<Item = Key>) -> Self {
        Self::with(keys, "")
    }

    fn with(keys: impl IntoIterator<Item = Key>, settings: &str) -> Self {
        let files = scratch();
        place::copy(&["passwd", "server.crt", "server.key", "ca.crt"], files.path());
        fs::write(files.path().join("policy.toml"), POLICY).expect("a policy");
        let config = CONFIG.to_owned() + settings;
        fs::write(files.path().join("bastionmq.toml"), config).expect("a configuration");
        let ring = ring_file(files.path());
        ring.prepare().expect("a master key");
        change(&ring, |ring| keys.into_iter().for_each(|key| drop(ring.insert(key))));
        // What is sealed in the same millisecond was sealed before.
        let started = now_ms();
        let plant = Self { broker: serve(files.path()), files };
        while now_ms() <= started + 1 {
            std::hint::spin_loop();
        }
        plant
    }

    /// The same files after an end, or after a crash.
    pub(crate) fn again(mut self, crash: bool) -> Self {
        match crash {
            true => self.broker.process_mut().kill(),
            false => {
                self.broker.terminate();
                self.broker.wait();
            }
        }
        let Self { broker, files } = self;
        drop(broker);
        Self { broker: serve(files.path()), files }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub(crate) fn files(&self) -> &Path {
        self.files.path()
    }

    /// Changes the ring as `bastionmq keys` does.
    pub(crate) fn change_ring(&self, work: impl FnOnce(&mut KeyRing)) {
        change(&ring_file(self.files.path()), work);
    }

    pub(crate) fn client(&self, login: Login, id: &str) -> RawClient {
        RawClient::connected(self.broker.plain_port(), &Connect::new(5, id).login(login))
    }

    /// A client that hears all that it may.
    pub(crate) fn reader(&self, filter: &str) -> RawClient {
        let mut reader = self.client(crate::harness::ADMIN, "reader");
        assert_eq!(reader.subscribe(5, filter, 0), 0);
        reader
    }

    /// How often payloads were refused for `reason`.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        self.count(&format!("bastionmq_envelopes_refused_total{{reason=\"{reason}\"}}"))
    }

    pub(crate) fn count(&self, series: &str) -> u64 {
        let (_, text) = http::get(self.broker.admin_port(), "/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series}"))
    }
}

fn serve(files: &Path) -> Broker {
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(files.join("bastionmq.toml"));
    Broker::start(command, scratch())
}

fn ring_file(files: &Path) -> RingFile {
    RingFile::new(files.join("keyring"), MasterKeySource::File(files.join("master.key")))
}

fn change(file: &RingFile, work: impl FnOnce(&mut KeyRing)) {
    let changed: Result<(), RingError> = file.change(Absent::Make, |ring| {
        work(ring);
        Ok(())
    });
    changed.expect("a ring");
}

pub(crate) fn key(number: u8, topics: &str) -> Key {
    Key {
        id: KeyId([number; 8]),
        topics: vec![TopicFilter::parse(topics).expect("a filter")],
        state: KeyState::Active,
        created_ms: u64::from(number),
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([number; 32])),
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time")
}

pub(crate) fn topic(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(text).expect("a topic")
}

/// The first device, with the key of the plant.
pub(crate) fn sealer() -> Sealer {
    sealer_of(DEVICE1.0, 7)
}

pub(crate) fn sealer_of(sender: &str, stream: u8) -> Sealer {
    Sealer::new(&key(1, "plant/#"), sender, [stream; 16]).expect("a sealer")
}

pub(crate) fn seal(sealer: &mut Sealer, payload: &[u8]) -> Vec<u8> {
    seal_at(sealer, now_ms(), payload)
}

pub(crate) fn seal_at(sealer: &mut Sealer, now_ms: u64, payload: &[u8]) -> Vec<u8> {
    sealer.seal(topic(TOPIC), now_ms, payload, &Options::default()).expect("sealed")
}

/// Publishes with QoS 1, and gives the reason code of the answer.
pub(crate) fn send(client: &mut RawClient, topic: &str, id: u16, payload: &[u8]) -> u8 {
    client.send(&publish_with(5, PUBLISH | 1 << 1, topic, Some(id), &[], payload));
    let (answered, reason) = client.expect(PUBACK).acknowledged();
    assert_eq!(answered, id);
    reason
}
