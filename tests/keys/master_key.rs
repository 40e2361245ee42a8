//! Where the master key comes from, and how another one takes its place.

use std::fs;
use std::process::Output;

use crate::desk::{Desk, ID, complained, said};

const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// `keys create` in `ring`, in an environment.
fn create(desk: &Desk, environment: &[(&str, &str)], more: &[&str]) -> Output {
    let words = [&["keys", "create", "--ring", "ring", "--topic", "a"], more].concat();
    desk.command(&words).envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn a_master_key_of_the_environment_makes_no_file() {
    let desk = Desk::new();
    let environment = [("BASTIONMQ_MASTER_KEY", ONE)];
    said(&create(&desk, &environment, &[]));
    said(&create(&desk, &environment, &[]));
    assert_eq!(desk.names(), ["ring"]);
    let other = create(&desk, &[("BASTIONMQ_MASTER_KEY", TWO)], &[]);
    let complaint = complained(&other);
    assert!(complaint.contains("BASTIONMQ_MASTER_KEY"), "{complaint}");
    assert!(complained(&create(&desk, &[], &[])).contains("ring.master-key"));
    for faulty in ["", "canary", &ONE[1..]] {
        let complaint = complained(&create(&desk, &[("BASTIONMQ_MASTER_KEY", faulty)], &[]));
        assert!(complaint.contains("64 hexadecimal digits"), "{complaint}");
        assert!(!complaint.contains("canary") && !complaint.contains("1111"), "{complaint}");
    }
}

#[test]
fn each_place_of_the_master_key_counts_before_the_next() {
    let desk = Desk::new();
    fs::create_dir(desk.path("credentials")).unwrap();
    let credentials = desk.path("credentials");
    let credentials = credentials.to_str().unwrap();
    // From the last to the first: what was sealed under one does not open under what counts before it.
    said(&create(&desk, &[], &[]));
    desk.write("set.key", "3".repeat(64));
    desk.write("bastionmq.toml", "[keys]\nmaster_key_file = \"set.key\"\n");
    let config = ["--config", "bastionmq.toml"];
    assert!(complained(&create(&desk, &[], &config)).contains("set.key"));
    let variable = ("BASTIONMQ_MASTER_KEY", ONE);
    assert!(complained(&create(&desk, &[variable], &config)).contains("BASTIONMQ_MASTER_KEY"));
    let directory = ("CREDENTIALS_DIRECTORY", credentials);
    assert!(complained(&create(&desk, &[variable, directory], &config)).contains("variable"));
    desk.write("credentials/bastionmq-master-key", TWO);
    let refused = create(&desk, &[variable, directory], &config);
    assert!(complained(&refused).contains("the credential"), "{refused:?}");
    let flag = ["--config", "bastionmq.toml", "--master-key-file", "ring.master-key"];
    said(&create(&desk, &[variable, directory], &flag));
}

#[test]
fn a_configuration_names_ring_and_master_key() {
    let desk = Desk::new();
    let config = "[keys]\nmaster_key_file = \"m/master.key\"\nring_file = \"own-ring\"\n";
    desk.write("bastionmq.toml", config);
    for environment in [("BASTIONMQ_CONFIG", "bastionmq.toml"), ("UNUSED", "")] {
        let named = ["keys", "create", "--topic", "a"];
        let flag = ["keys", "create", "--topic", "a", "--config", "bastionmq.toml"];
        let words = if environment.0 == "UNUSED" { &flag[..] } else { &named[..] };
        let made = desk.command(words).envs([environment]).output().unwrap();
        assert!(said(&made).contains("own-ring"), "{made:?}");
    }
    assert_eq!(desk.names(), ["bastionmq.toml", "m", "own-ring"]);
    assert_eq!((desk.mode("m"), desk.mode("m/master.key")), (0o700, 0o600));
    let by_variable = desk
        .command(&["keys", "list"])
        .env("BASTIONMQ_KEYS_RING_FILE", "own-ring")
        .env("BASTIONMQ_KEYS_MASTER_KEY_FILE", "m/master.key")
        .output()
        .unwrap();
    assert_eq!(said(&by_variable).lines().count(), 2);
}

#[test]
fn a_master_key_that_everybody_can_read_or_that_is_gone_is_an_error() {
    let desk = Desk::with_key();
    let ring = fs::read(desk.path("ring")).unwrap();
    desk.set_mode("ring.master-key", 0o644);
    assert!(complained(&desk.keys(&["list"])).contains("chmod 600"));
    fs::remove_file(desk.path("ring.master-key")).unwrap();
    for words in [&["list"][..], &["create", "--topic", "a"], &["rotate-master"]] {
        assert!(complained(&desk.keys(words)).contains("ring.master-key"), "{words:?}");
    }
    assert_eq!(desk.names(), ["ring"], "another master key was made");
    assert!(fs::read(desk.path("ring")).unwrap() == ring);
}

#[test]
fn a_new_master_key_takes_the_place_of_the_old_one() {
    let desk = Desk::with_key();
    let envelope = desk.sealed();
    let old = fs::read(desk.path("ring.master-key")).unwrap();
    let before = fs::read(desk.path("ring")).unwrap();
    assert!(complained(&desk.keys(&["rotate-master", "--finish"])).contains("nothing to finish"));
    let rotated = said(&desk.keys(&["rotate-master"]));
    assert!(rotated.contains("sealed the key ring anew: ring"), "{rotated}");
    assert_eq!(said(&desk.open(&[], &envelope)), "hello");
    desk.write("old.key", &old);
    said(&desk.keys(&["rotate-master", "--finish"]));
    assert_ne!(fs::read(desk.path("ring.master-key")).unwrap(), old);
    assert_eq!(said(&desk.open(&[], &envelope)), "hello");
    assert_eq!((desk.mode("ring"), desk.mode("ring.master-key")), (0o600, 0o600));
    let with_old = desk.keys(&["list", "--master-key-file", "old.key"]);
    assert!(complained(&with_old).contains("another master key"));
    // Killed before the ring was sealed anew: both keys hold, and either step goes on.
    let both = [fs::read(desk.path("ring.master-key")).unwrap(), old].concat();
    desk.write("ring.master-key", &both);
    desk.write("ring", &before);
    assert_eq!(said(&desk.open(&[], &envelope)), "hello");
    said(&desk.keys(&["rotate-master", "--finish"]));
    assert_eq!(said(&desk.open(&[], &envelope)), "hello");
    assert_eq!(fs::read_to_string(desk.path("ring.master-key")).unwrap().lines().count(), 1);
}

#[test]
fn a_master_key_of_the_environment_is_replaced_by_two_and_then_one() {
    let desk = Desk::new();
    let run = |key: &str, words: &[&str]| {
        let words = [&["keys", words[0], "--ring", "ring"], &words[1..]].concat();
        desk.command(&words).env("BASTIONMQ_MASTER_KEY", key).output().unwrap()
    };
    said(&run(ONE, &["create", "--id", ID, "--topic", "a"]));
    assert!(complained(&run(ONE, &["rotate-master"])).contains("put the new one before it"));
    let both = format!("{TWO},{ONE}");
    said(&run(&both, &["list"]));
    said(&run(&both, &["rotate-master"]));
    assert!(said(&run(&both, &["rotate-master", "--finish"])).contains("take the old key away"));
    said(&run(TWO, &["list"]));
    assert!(complained(&run(ONE, &["list"])).contains("another master key"));
}

/// The last step.
const FINISH: [&str; 5] = ["keys", "rotate-master", "--ring", "ring", "--finish"];

/// When the command is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Begun,
    MasterKeyWritten,
    RingSealedAnew,
}

impl Moment {
    /// Whether it has come, in a directory in which ring and master key were `before`.
    fn has_come(self, desk: &Desk, before: &(Vec<u8>, Vec<u8>)) -> bool {
        let (ring, master) = state(desk);
        match self {
            Self::Begun => true,
            Self::MasterKeyWritten => master != before.1,
            Self::RingSealedAnew => ring != before.0,
        }
    }
}

fn state(desk: &Desk) -> (Vec<u8>, Vec<u8>) {
    (fs::read(desk.path("ring")).unwrap(), fs::read(desk.path("ring.master-key")).unwrap())
}

#[test]
fn whoever_is_killed_while_replacing_the_master_key_has_lost_nothing() {
    let desk = Desk::with_key();
    let envelope = desk.sealed();
    let moments = [Moment::Begun, Moment::MasterKeyWritten, Moment::RingSealedAnew];
    let steps = [&["keys", "rotate-master", "--ring", "ring"][..], &FINISH];
    for (moment, step) in moments.iter().cycle().zip(steps.iter().cycle()).take(18) {
        let before = state(&desk);
        let mut child = desk.start(step, b"");
        while !moment.has_come(&desk, &before) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // As `kill -9` does it; it may have come to its end.
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(said(&desk.open(&[], &envelope)), "hello", "{step:?} killed at {moment:?}");
    }
    said(&desk.keys(&["rotate-master"]));
    said(&desk.run(&FINISH));
    assert_eq!(said(&desk.open(&[], &envelope)), "hello");
    assert_eq!(fs::read_to_string(desk.path("ring.master-key")).unwrap().lines().count(), 1);
    assert_eq!(desk.names(), ["ring", "ring.master-key"], "something was left behind");
}
