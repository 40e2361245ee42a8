//! The library of envelopes in somebody else's crate: without the broker, its runtime and its TLS.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the library may take directly. Each of them is in the table of ARCHITECTURE.md.
const DIRECT: [&str; 11] = [
    "aes-gcm",
    "ed25519-dalek",
    "foldhash",
    "hkdf",
    "hmac",
    "p256",
    "serde",
    "sha2",
    "subtle",
    "thiserror",
    "zeroize",
];

/// What would make it a part of a broker.
const NEVER: [&str; 6] = ["tokio", "rustls", "aws-lc-rs", "ring", "clap", "tracing"];

const MANIFEST: &str = r#"
[package]
name = "device"
version = "0.0.0"
edition = "2024"

[dependencies]
bastionmq = { path = "BASTIONMQ", default-features = false }

[workspace]
"#;

const MAIN: &str = r#"
use bastionmq::envelope::{Key, Options, SealError, Sealer, Verifier};
use bastionmq::topic::TopicNameRef;

pub fn seal(key: &Key, topic: TopicNameRef<'_>, now_ms: u64) -> Result<Vec<u8>, SealError> {
    Sealer::new(key, "device", [0; 16])?.seal(topic, now_ms, b"21.5", &Options::default())
}

fn main() {
    let _ = Verifier::default();
}
"#;

/// A crate with nothing in it but the library.
fn device() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let device = Path::new(env!("CARGO_TARGET_TMPDIR")).join("device");
    fs::create_dir_all(device.join("src")).expect("a directory");
    let manifest = MANIFEST.replace("BASTIONMQ", root.to_str().expect("UTF-8"));
    fs::write(device.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(device.join("src/main.rs"), MAIN).expect("a source file");
    // With our versions nothing has to be asked of a registry.
    fs::copy(root.join("Cargo.lock"), device.join("Cargo.lock")).expect("the versions");
    device
}

fn cargo(device: &Path, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).arg("--offline").current_dir(device);
    cargo.env("CARGO_TARGET_DIR", device.join("target")).env_remove("RUSTFLAGS");
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The packages that the crate is built of, down to some depth.
fn packages(device: &Path, depth: &str) -> BTreeSet<String> {
    let arguments =
        ["tree", "--edges", "normal", "--prefix", "none", "--depth", depth, "--format", "{p}"];
    let tree = String::from_utf8(cargo(device, &arguments).stdout).expect("UTF-8");
    tree.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn without_its_default_features_the_crate_is_the_library_and_nothing_of_the_broker() {
    let device = device();
    let direct = DIRECT.iter().chain(&["bastionmq", "device"]).map(|name| (*name).to_owned());
    assert_eq!(packages(&device, "2"), direct.collect());
    let all = packages(&device, "99");
    let unwanted: Vec<_> = NEVER.iter().filter(|name| all.contains(**name)).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
    cargo(&device, &["check", "--quiet"]);
}
