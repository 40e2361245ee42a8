//! The audit log of a broker that is killed at any moment, of its first start as well: it is whole, and is not
//! taken for one that somebody has cut off. Much is denied meanwhile, so that files are full soon, are compressed
//! and go.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::raw::{Connect, PUBLISH, publish_with};
use crate::harness::{Broker, PATIENCE, bastionmq, scratch};
use crate::place::{Place, VERSION, client, stop};
use crate::random::Random;
use crate::rounds::{rounds, seed};

/// How long a broker lives at most, in microseconds: it is inside by then, and has noted how far its log goes.
const LONGEST: u64 = 1_300_000;
/// A QoS 1 message.
const ACKNOWLEDGED: u8 = PUBLISH | 1 << 1;
/// Between two looks at what a broker has come to.
const LOOK: Duration = Duration::from_millis(1);
/// Nobody may publish below `denied/`.
const POLICY: &str = r##"
[[role]]
name = "some"
rules = [{ allow = ["publish", "subscribe"], topics = ["allowed/#"] }]

[[assign]]
everyone = true
roles = ["some"]
"##;

/// What a broker comes to with its log, at which it is killed. Each shows in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It has noted how far the log goes.
    Head,
    /// A file was full, and the next one has begun.
    Rotation,
    /// One is being compressed.
    Compressing,
    /// One is compressed.
    Compressed,
    /// The first one was removed.
    Removal,
}

const STAGES: [Stage; 5] =
    [Stage::Head, Stage::Rotation, Stage::Compressing, Stage::Compressed, Stage::Removal];

/// The directory of a log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    head: Vec<u8>,
    numbers: BTreeSet<u64>,
    compressed: BTreeSet<u64>,
    is_compressing: bool,
}

impl Seen {
    fn of(directory: &Path) -> Self {
        let mut seen = Self::default();
        let Ok(entries) = fs::read_dir(directory) else { return seen };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().expect("a name of ours");
            seen.is_compressing |= name.ends_with(".part");
            let Some(number) = name.strip_prefix("audit.").and_then(|it| it.split('.').next())
            else {
                continue;
            };
            let number = number.parse().expect("a number");
            if name.ends_with(".gz") {
                seen.compressed.insert(number);
            }
            seen.numbers.insert(number);
        }
        seen.head = fs::read(directory.join("head")).unwrap_or_default();
        seen
    }

    /// Whether a broker that has begun with `before` has come to this.
    fn has_reached(&self, stage: Stage, before: &Self) -> bool {
        let newest = before.numbers.last().copied().unwrap_or(0);
        match stage {
            // The first one is older than the first record.
            Stage::Head => {
                self.numbers.last() > Some(&newest)
                    && self.head != before.head
                    && !before.head.is_empty()
            }
            Stage::Rotation => self.numbers.last() > Some(&(newest + 1)),
            Stage::Compressing => self.is_compressing,
            Stage::Compressed => self.compressed.iter().any(|it| !before.compressed.contains(it)),
            Stage::Removal => self.numbers.first() > before.numbers.first(),
        }
    }
}

/// The log of a place, and who is denied there.
struct Log {
    place: Place,
}

impl Log {
    fn new() -> Self {
        let place = Place::new();
        fs::write(place.root().join("policy.toml"), POLICY).expect("a policy");
        Self { place }
    }

    fn directory(&self) -> PathBuf {
        self.place.root().join("audit")
    }

    fn socket(&self) -> PathBuf {
        self.place.root().join("run/mqtt.sock")
    }

    fn broker(&self) -> Command {
        let mut command = self.place.command();
        command.arg("--listen").arg(format!("unix://{}", self.socket().display()));
        command.env("BASTIONMQ_AUDIT_DIR", self.directory());
        command.env("BASTIONMQ_AUDIT_MAX_FILE_MIB", "1");
        command.env("BASTIONMQ_AUDIT_MAX_TOTAL_MIB", "1");
        command.env("BASTIONMQ_ACL_POLICY_FILE", self.place.root().join("policy.toml"));
        command
    }

    /// Starts the broker, denies one thing after the other, and kills it when `end` returns.
    fn live(&self, end: impl FnOnce()) {
        let mut command = self.broker();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the broker");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| ask_for_what_is_denied(&self.socket(), &is_over));
            let killed = Killed { process: &mut process, is_over: &is_over };
            end();
            drop(killed);
        });
    }

    /// Has a broker come that far, and kills it there.
    fn live_until(&self, stage: Stage) {
        let (directory, before) = (self.directory(), Seen::of(&self.directory()));
        let deadline = Instant::now() + PATIENCE;
        self.live(|| {
            while !Seen::of(&directory).has_reached(stage, &before) {
                assert!(Instant::now() < deadline, "no {stage:?}: {:?}", Seen::of(&directory));
                thread::sleep(LOOK);
            }
        });
    }

    /// Whether there is a log; it is whole then.
    fn is_there_and_whole(&self, case: &str) -> bool {
        let directory = self.directory();
        if !directory.join("key").exists() {
            assert_eq!(Seen::of(&directory).numbers, BTreeSet::new(), "{case}: without a key");
            return false;
        }
        let mut command = bastionmq();
        command.args(["audit", "verify", "--dir"]).arg(&directory);
        command.arg("--master-key-file").arg(self.place.master_key());
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        // Killed before it has written anything.
        let has_no_record = said.ends_with("\nthere is no record\n");
        assert!(output.status.success() || has_no_record, "{case}: {output:?}");
        true
    }

    /// So many lives that end at any moment, one that ends at `stage`, one at any moment after that, and one that
    /// ends in order.
    fn play(&self, random: &mut Random, lives: u64, stage: Stage) {
        let case = |life: &str| format!("{stage:?}, {life}");
        let end = |random: &mut Random| {
            // Most of it is over soon: so are most of the lives.
            let longest = LONGEST >> (3 * random.below(3));
            let moment = Duration::from_micros(random.below(longest));
            self.live(|| thread::sleep(moment));
        };
        for life in 0..lives {
            end(random);
            self.is_there_and_whole(&case(&format!("life {life}")));
        }
        // Where there is a head already, it is seen when it changes.
        stop(Broker::start(self.broker(), scratch()));
        self.live_until(stage);
        assert!(self.is_there_and_whole(&case("killed there")));
        end(random);
        assert!(self.is_there_and_whole(&case("killed after it")));
        let running = Broker::start(self.broker(), scratch());
        drop(client(&running, "last"));
        stop(running);
        assert!(self.is_there_and_whole(&case("in the end")));
    }
}

/// A broker that is killed as this goes, and those who use it end.
struct Killed<'a> {
    process: &'a mut Child,
    is_over: &'a AtomicBool,
}

impl Drop for Killed<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.process.kill().expect("it is killed");
        self.process.wait().expect("it has ended");
    }
}

/// As long as there is a broker: a topic is told of once, so each is another one.
fn ask_for_what_is_denied(socket: &Path, is_over: &AtomicBool) {
    let mut number = 0_u64;
    let mut answers = [0; 4_096];
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut stream) = UnixStream::connect(socket) else {
            thread::sleep(LOOK);
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut asks = |bytes: &[u8]| {
            stream.write_all(bytes).is_ok() && stream.read(&mut answers).is_ok_and(|it| it > 0)
        };
        let mut goes_on = asks(&Connect::new(VERSION, "denied").encode());
        while goes_on && !is_over.load(Ordering::Relaxed) {
            let mut packets = Vec::new();
            for id in 1..=20 {
                number += 1;
                let topic = format!("denied/{number}/{}", "x".repeat(200));
                packets.extend(publish_with(VERSION, ACKNOWLEDGED, &topic, Some(id), &[], b""));
            }
            goes_on = asks(&packets);
        }
    }
}

#[test]
fn a_kill_at_any_moment_is_not_taken_for_damage_of_the_audit_log() {
    let (rounds, seed) = (rounds(), seed());
    eprintln!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    // Each stage is met, however few the rounds are.
    let lives = rounds.div_ceil(STAGES.len() as u64);
    thread::scope(|scope| {
        for stage in STAGES {
            let mut random = random.split();
            scope.spawn(move || Log::new().play(&mut random, lives, stage));
        }
    });
}
