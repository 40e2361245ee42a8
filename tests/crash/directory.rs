//! The data directory: for nobody else, for one broker at a time, and whatever has become of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::harness::raw::{PUBACK, PUBLISH, RawClient, publish_with};
use crate::harness::{Broker, Process, Stream, scratch};
use crate::place::{Place, VERSION, client, kill, retained, stop};

/// A QoS 1 message to be retained.
const RETAIN: u8 = PUBLISH | 1 | 1 << 1;

fn retain(client: &mut RawClient, topic: &str, payload: &str) {
    client.send(&publish_with(VERSION, RETAIN, topic, Some(1), &[], payload.as_bytes()));
    assert_eq!(client.expect(PUBACK).acknowledged().1 & 0x80, 0);
}

/// Every file and directory below `path`, itself included.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        all.extend(entries.flat_map(|entry| tree(&entry.expect("an entry").path())));
    }
    all
}

pub(crate) fn contents(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = tree(path).into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

fn segments(place: &Place) -> Vec<PathBuf> {
    let mut all = tree(&place.store());
    all.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    all.sort();
    all
}

/// The error of a broker that does not start.
fn refusal(place: &Place) -> String {
    let mut process = Process::spawn("bastionmq", &mut place.command());
    assert!(!process.wait().success(), "{}", process.transcript());
    process.lines(Stream::Err).join("\n")
}

#[test]
fn r04_whatever_the_umask_files_are_for_their_owner_alone() {
    for umask in ["000", "077"] {
        let place = Place::new();
        let broker = Broker::start(place.command_after(&format!("umask {umask}")), scratch());
        retain(&mut client(&broker, "publisher"), "t", "x");
        for path in tree(&place.store()) {
            let mode = path.metadata().expect("there").permissions().mode() & 0o7777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{} under umask {umask}", path.display());
        }
        kill(broker);
    }
}

#[test]
fn a_second_broker_refuses_to_start() {
    let place = Place::new();
    let broker = place.start();
    retain(&mut client(&broker, "publisher"), "t", "x");
    let error = refusal(&place);
    assert!(error.contains("another broker, or a tool, uses the store in"), "{error}");
    assert_eq!(retained(&broker, "t").len(), 1);
    kill(broker);
    stop(place.start());
}

#[test]
fn without_its_master_key_nothing_is_opened_or_changed() {
    let place = Place::new();
    let broker = place.start();
    retain(&mut client(&broker, "publisher"), "t", "x");
    stop(broker);
    let (before, key) = (contents(&place.store()), fs::read(place.master_key()).expect("a key"));

    fs::remove_file(place.master_key()).expect("removed");
    let error = refusal(&place);
    assert!(error.contains("cannot open the store") && error.contains("master.key"), "{error}");
    assert!(!place.master_key().exists(), "another one was made");
    assert_eq!(contents(&place.store()), before);

    let other = Place::new();
    stop(other.start());
    fs::copy(other.master_key(), place.master_key()).expect("copied");
    let error = refusal(&place);
    assert!(error.contains("do not open under this master key"), "{error}");
    assert_eq!(contents(&place.store()), before);

    fs::write(place.master_key(), key).expect("put back");
    let broker = place.start();
    assert_eq!(retained(&broker, "t").len(), 1);
    stop(broker);
}

#[test]
fn without_any_master_key_the_configuration_is_refused() {
    let place = Place::new();
    let mut command = place.command();
    command.env_remove("BASTIONMQ_KEYS_MASTER_KEY_FILE");
    let config = scratch();
    let path = config.path().join("bastionmq.toml");
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("acl/open.toml");
    let text = format!(
        "[auth]\nallow_anonymous = true\n[acl]\npolicy_file = {:?}\n[store]\ndir = \"data\"\n",
        policy.display().to_string()
    );
    fs::write(&path, text).expect("a configuration");
    let mut process = Process::spawn(
        "bastionmq",
        crate::harness::bastionmq()
            .args(["serve", "--listen", "mqtt://127.0.0.1:0", "--config"])
            .arg(&path),
    );
    assert!(!process.wait().success());
    let error = process.lines(Stream::Err).join("\n");
    assert!(error.contains("bastionmq.toml:6") && error.contains("master_key_file"), "{error}");
    assert!(!config.path().join("data").exists());
}

#[test]
fn u05_what_is_damaged_is_set_aside_and_told_and_the_rest_served() {
    let place = Place::new();
    let broker = place.start();
    let mut publisher = client(&broker, "publisher");
    for number in 0..50 {
        retain(&mut publisher, &format!("t/{number}"), "x");
    }
    stop(broker);
    let segment = segments(&place).pop().expect("a segment");
    let mut content = fs::read(&segment).expect("a segment");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&segment, content).expect("damaged");

    let broker = place.start();
    broker.process().wait_for_text(Stream::Err, "the store is damaged");
    assert_eq!(retained(&broker, "t/#").len(), 49);
    let aside = |path: &PathBuf| path.to_string_lossy().ends_with(".damaged");
    assert_eq!(tree(&place.store()).iter().filter(|path| aside(path)).count(), 1);
    stop(broker);

    // All of a segment, even its header; and one that was never finished.
    fs::write(&segment, vec![0x55; 5_000]).expect("damaged");
    fs::write(place.store().join("000000ff.log"), b"BMQ").expect("written");
    let broker = place.start();
    broker.process().wait_for_text(Stream::Err, "set aside as a whole");
    retain(&mut client(&broker, "publisher"), "t/new", "x");
    kill(broker);
    let broker = place.start();
    assert!(retained(&broker, "t/#").contains_key("t/new"));
    stop(broker);
}
