//! `bastionmq store` on what a broker has kept, and copies that a running broker makes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::raw::{PUBACK, PUBLISH, publish_with};
use crate::harness::{Broker, bastionmq, scratch};
use crate::place::{Place, VERSION, client, retained, stop};

/// A QoS 1 message to be retained.
const RETAIN: u8 = PUBLISH | 1 | 1 << 1;

fn retain(broker: &Broker, topics: &[&str]) {
    let mut publisher = client(broker, "publisher");
    for (number, topic) in (1..).zip(topics) {
        let payload = format!("payload of {topic}");
        publisher.send(&publish_with(
            VERSION,
            RETAIN,
            topic,
            Some(number),
            &[],
            payload.as_bytes(),
        ));
        assert_eq!(publisher.expect(PUBACK).acknowledged().1 & 0x80, 0);
    }
}

/// A place with three messages, and no broker.
fn filled() -> Place {
    let place = Place::new();
    let broker = place.start();
    retain(&broker, &["t/1", "t/2", "t/3"]);
    stop(broker);
    place
}

/// `bastionmq store` with the store and the master key of `place`.
fn store(place: &Place, words: &[&str]) -> Output {
    let mut command = bastionmq();
    command.arg("store").arg(words[0]).arg("--dir").arg(place.store());
    command.arg("--master-key-file").arg(place.master_key());
    command.args(&words[1..]).output().expect("bastionmq store")
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What was said by a command that failed.
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn retained_topics(place: &Place) -> Vec<String> {
    let broker = place.start();
    let topics = retained(&broker, "t/#").into_keys().collect();
    stop(broker);
    topics
}

#[test]
fn it_is_shown_what_is_kept() {
    let place = filled();
    let info: Value =
        serde_json::from_str(&done(&store(&place, &["info", "--json"]))).expect("JSON");
    assert_eq!(info["tables"][0]["table"], "retained");
    assert_eq!(info["tables"][0]["records"], 3);
    assert_eq!(info["closed_in_order"], true);
    assert_eq!(info["data_keys"][0]["age_days"], 0);
    let shown = done(&store(&place, &["info"]));
    assert!(shown.contains("retained     3") && shown.contains("damage         none"), "{shown}");
}

#[test]
fn a_store_that_a_broker_uses_and_one_that_is_not_there_are_told() {
    let place = Place::new();
    let broker = place.start();
    retain(&broker, &["t/1"]);
    let said = failed(&store(&place, &["check"]));
    assert!(said.contains("another broker, or a tool, uses the store"), "{said}");
    stop(broker);
    let nowhere = Place::new();
    let said = failed(&store(&nowhere, &["check"]));
    assert!(said.contains("there is no directory"), "{said}");
    assert!(!nowhere.store().exists());
}

#[test]
fn a_check_names_what_is_damaged_and_changes_nothing() {
    let place = filled();
    assert!(done(&store(&place, &["check"])).contains("3 records, all of them whole"));
    let segment = place.store().join("00000001.log");
    let mut content = fs::read(&segment).expect("a segment");
    content[150] ^= 1;
    fs::write(&segment, &content).expect("damaged");
    let said = failed(&store(&place, &["check"]));
    assert!(said.contains("damaged: 00000001.log: "), "{said}");
    assert!(said.contains("2 records are whole; 1 parts are damaged"), "{said}");
    assert_eq!(fs::read(&segment).expect("a segment"), content);
}

#[test]
fn what_is_exported_is_imported_into_a_new_store_alone() {
    let place = filled();
    let files = scratch();
    let (archive, lines) = (files.path().join("archive"), files.path().join("lines"));
    let key = files.path().join("archive.key");
    done(&store(&place, &["export", "--key-file", text(&key), text(&archive)]));
    done(&store(&place, &["export", "--plain", text(&lines)]));
    let shows = |path: &Path| {
        let content = fs::read(path).expect("a file");
        content.windows(8).any(|window| window == b"retained")
    };
    assert_eq!([shows(&archive), shows(&lines)], [false, true]);
    let said = failed(&store(&place, &["export", text(&archive)]));
    assert!(said.contains("cannot write"), "{said}");
    for file in [&archive, &lines] {
        let new = Place::new();
        fs::create_dir(new.store().parent().expect("a parent")).expect("a directory");
        let words = ["import", "--key-file", text(&key), text(file)];
        assert!(done(&store(&new, &words)).contains("3 records are in the new store"));
        let said = failed(&store(&new, &words));
        assert!(said.contains("has a store already"), "{said}");
        assert_eq!(retained_topics(&new), ["t/1", "t/2", "t/3"]);
    }
}

#[test]
fn a_store_is_compacted_and_gets_new_keys() {
    let place = filled();
    done(&store(&place, &["compact"]));
    let other = place.master_key().with_file_name("other.key");
    done(&store(&place, &["rekey", "--new-master-key-file", text(&other)]));
    let said = failed(&store(&place, &["check"]));
    assert!(said.contains("do not open under this master key"), "{said}");
    fs::rename(&other, place.master_key()).expect("renamed");
    done(&store(&place, &["check"]));
    assert_eq!(retained_topics(&place), ["t/1", "t/2", "t/3"]);
}

#[test]
fn the_master_key_is_replaced_in_the_steps_that_the_help_names() {
    let place = filled();
    let ring = place.master_key().with_file_name("ring");
    let keys = |words: &[&str]| {
        let mut command = bastionmq();
        command.arg("keys").args(words).arg("--ring").arg(&ring);
        command.arg("--master-key-file").arg(place.master_key());
        done(&command.output().expect("bastionmq keys"))
    };
    keys(&["create", "--topic", "a"]);
    let before = fs::read(place.master_key()).expect("a key");
    keys(&["rotate-master"]);
    done(&store(&place, &["rekey"]));
    keys(&["rotate-master", "--finish"]);
    done(&store(&place, &["check"]));
    assert_eq!(retained_topics(&place), ["t/1", "t/2", "t/3"]);
    fs::write(place.master_key(), before).expect("the old key");
    failed(&store(&place, &["check"]));
}

#[test]
fn a_broker_that_runs_copies_its_store_and_goes_on() {
    let place = Place::new();
    let socket = scratch();
    let socket = socket.path().join("ctl/ctl.sock");
    let mut command = place.command();
    command.env("BASTIONMQ_CONTROL_SOCKET", &socket);
    let broker = Broker::start(command, scratch());
    retain(&broker, &["t/1", "t/2"]);
    let copy = Place::new();
    fs::create_dir_all(copy.master_key().parent().expect("a parent")).expect("a directory");
    fs::copy(place.master_key(), copy.master_key()).expect("a copy");
    let back_up = || {
        let mut command = Command::new(crate::harness::broker::binary());
        command.arg("ctl").arg("--socket").arg(&socket).args(["store", "backup"]);
        command.arg(copy.store()).output().expect("bastionmq ctl")
    };
    fs::create_dir(copy.store().parent().expect("a parent")).expect("a directory");
    assert!(done(&back_up()).contains("in 1 segments"));
    assert!(failed(&back_up()).contains("is not empty"));
    retain(&broker, &["t/3"]);
    assert_eq!(retained(&broker, "t/#").len(), 3);
    stop(broker);
    assert_eq!(retained_topics(&copy), ["t/1", "t/2"]);
}
