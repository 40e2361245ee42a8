//! The seeds of `fuzz/` in the ordinary tests: each through the check that its fuzz target runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../codec/second_opinion.rs"]
mod second_opinion;
#[path = "../../fuzz/checks/text.rs"]
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

macro_rules! targets {
    ($($name:ident at $path:literal),+ $(,)?) => {
        $(#[path = $path] mod $name;)+

        const TARGETS: &[&str] = &[$(stringify!($name)),+];

        mod every_seed_passes {
            $(#[test] fn $name() {
                super::replay(stringify!($name), super::$name::check);
            })+
        }
    };
}

targets! {
    certificates at "../../fuzz/checks/certificates.rs",
    config at "../../fuzz/checks/config.rs",
    decode at "../../fuzz/checks/decode.rs",
    differential at "../../fuzz/checks/differential.rs",
    envelope at "../../fuzz/checks/envelope.rs",
    envelope_open at "../../fuzz/checks/envelope_open.rs",
    listen_url at "../../fuzz/checks/listen_url.rs",
    matching at "../../fuzz/checks/matching.rs",
    passwords at "../../fuzz/checks/passwords.rs",
    policy at "../../fuzz/checks/policy.rs",
    proxy at "../../fuzz/checks/proxy.rs",
    scram at "../../fuzz/checks/scram.rs",
    session at "../../fuzz/checks/session.rs",
    websocket at "../../fuzz/checks/websocket.rs",
}

/// Bytes of all seeds together: they are in every clone.
const MAX_BYTES: u64 = 300 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<PathBuf> {
    let directory = fuzz().join("seeds").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{target}: {error}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        assert!(catch_unwind(|| check(&bytes)).is_ok(), "{} fails", seed.display());
    }
}

/// The names in a directory of `fuzz/`, without their extension.
fn names(directory: &str) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()
    };
    fs::read_dir(fuzz().join(directory)).unwrap().map(name).collect()
}

#[test]
fn every_target_has_seeds_a_dictionary_and_its_place_in_these_tests() {
    let targets = TARGETS.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    for directory in ["fuzz_targets", "seeds", "dictionaries"] {
        assert_eq!(names(directory), targets, "{directory}");
    }
    let manifest: toml::Table =
        fs::read_to_string(fuzz().join("Cargo.toml")).unwrap().parse().unwrap();
    let built = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap());
    assert_eq!(built.map(str::to_owned).collect::<BTreeSet<_>>(), targets);
}

#[test]
fn the_seeds_are_small() {
    let sizes = TARGETS.iter().flat_map(|target| seeds(target));
    let bytes: u64 = sizes.map(|seed| fs::metadata(seed).unwrap().len()).sum();
    assert!(bytes < MAX_BYTES, "{bytes}");
}
