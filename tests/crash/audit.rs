//! The audit log of a broker that is killed at any moment, of its first start as well: it is whole, and is not
//! taken for one that somebody has cut off.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::harness::{Broker, bastionmq, scratch};
use crate::place::{Place, client, stop};
use crate::random::Random;
use crate::rounds::{rounds, seed};

/// How long a broker lives at most, in microseconds: it is inside by then, and has noted how far its log goes.
const LONGEST: u64 = 1_300_000;

fn broker(place: &Place) -> Command {
    let mut command = place.command();
    command.env("BASTIONMQ_AUDIT_DIR", place.root().join("audit"));
    command
}

/// Starts the broker, and kills it after `moment`.
fn live(place: &Place, moment: Duration) {
    let mut command = broker(place);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().expect("the broker");
    thread::sleep(moment);
    process.kill().expect("it is killed");
    process.wait().expect("it has ended");
}

fn assert_whole(place: &Place, case: &str) {
    let directory = place.root().join("audit");
    if !directory.join("key").exists() {
        return;
    }
    let mut command = bastionmq();
    command.args(["audit", "verify", "--dir"]).arg(directory);
    command.arg("--master-key-file").arg(place.master_key());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{case}: {output:?}");
}

#[test]
fn a_kill_at_any_moment_is_not_taken_for_damage_of_the_audit_log() {
    let (rounds, seed) = (rounds(), seed());
    eprintln!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let place = Place::new();
        for life in 0..3 {
            // Most of it is over soon: so are most of the lives.
            let longest = LONGEST >> (3 * random.below(3));
            live(&place, Duration::from_micros(random.below(longest)));
            assert_whole(&place, &format!("round {round}, life {life}"));
        }
        let running = Broker::start(broker(&place), scratch());
        drop(client(&running, "last"));
        stop(running);
        assert_whole(&place, &format!("round {round}, in the end"));
    }
}
