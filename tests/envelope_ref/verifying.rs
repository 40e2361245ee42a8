//! A broker that verifies what the devices send, and can open none of it.

use std::fs;
use std::path::Path;

use bastionmq::envelope::{Key, KeyMaterial};
use bastionmq::keys::{Absent, MasterKeySource, RingError, RingFile};

use crate::harness::{Broker, bastionmq, http, place, scratch};

const CONFIG: &str = r#"
[[listener]]
url = "mqtt://127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[auth]
password_file = "passwd"

[acl]
policy_file = "policy.toml"

[keys]
master_key_file = "master.key"
ring_file = "ring"

[envelope]
state_dir = "state"
"#;

const POLICY: &str = r##"
[[role]]
name = "controller"
rules = [
  { allow = ["publish"], topics = ["devices/+/commands"], envelope = "required" },
  { allow = ["subscribe"], topics = ["devices/+/reports"] },
]

[[role]]
name = "device"
rules = [
  { allow = ["publish"], topics = ["devices/${username}/reports"], envelope = "required" },
  { allow = ["subscribe"], topics = ["devices/${username}/commands"] },
]

[[assign]]
users = ["admin"]
roles = ["controller"]

[[assign]]
users = ["device1", "device2"]
roles = ["device"]

[[envelope]]
topics = ["devices/#"]
mode = "verify"
"##;

/// With files in `files`, and of `key` what verifies.
pub(crate) fn broker(files: &Path, key: &Key) -> Broker {
    place::copy(&["passwd"], files);
    fs::write(files.join("policy.toml"), POLICY).expect("a policy");
    fs::write(files.join("bastionmq.toml"), CONFIG).expect("a configuration");
    let master = MasterKeySource::File(files.join("master.key"));
    let ring = RingFile::new(files.join("ring"), master);
    ring.prepare().expect("a master key");
    let material = KeyMaterial::VerifyOnly(key.verify_key());
    let changed: Result<(), RingError> = ring.change(Absent::Make, |keys| {
        keys.insert(Key { material, ..key.clone() });
        Ok(())
    });
    changed.expect("a ring");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(files.join("bastionmq.toml"));
    Broker::start(command, scratch())
}

/// The value of a series.
pub(crate) fn count(broker: &Broker, series: &str) -> u64 {
    let (_, text) = http::get(broker.admin_port(), "/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series}\n{text}"))
}
