//! Many clients at work while the broker is killed again and again: what they were told holds.

use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::process::Signal;

use crate::chooser::Chooser;
use crate::device::Device;
use crate::harness::http::metric;
use crate::harness::{Broker, PATIENCE};
use crate::mortal::{Heir, Mortal};
use crate::network::Network;
use crate::place::{Place, kill, retained, stop};
use crate::random::Random;
use crate::reader::{Habit, Reader, Tally};
use crate::retained::Ledger;
use crate::writer::{Numbered, Writer};

/// Rounds, unless `CRASH_ROUNDS` says otherwise.
const ROUNDS: u64 = 25;
/// Where all randomness comes from, unless `CRASH_SEED` says otherwise.
const SEED: u64 = 1;

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All connections break, and the broker lives.
    Cut,
    /// The broker is killed, and starts again.
    Kill,
}

/// Who plays besides those who always do.
#[derive(Clone, Copy)]
struct Cast {
    /// So many readers who are gone until all is over.
    gone: usize,
    /// Whether there is no memory for all that waits, but enough that nothing is refused.
    has_little_memory: bool,
}

const EVERYBODY: Cast = Cast { gone: 0, has_little_memory: false };

/// All clients, and what each knows.
struct Crowd {
    random: Random,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    /// They share one subscription.
    members: Vec<Reader>,
    mortals: Vec<Mortal>,
    heir: Heir,
    chooser: Chooser,
    retains: Ledger,
}

impl Crowd {
    fn new(mut random: Random, cast: Cast) -> Self {
        let mut writer =
            |device: Device, levels: &[u8]| Writer::new(device, levels, random.split());
        let writers = vec![
            writer(Device::new("writer-1", 5), &[1]),
            writer(Device::new("writer-2", 5), &[2]),
            writer(Device::new("writer-both", 4), &[1, 2]),
            writer(Device::forgotten("writer-forgotten", 5), &[1]),
        ];
        let mut reader = |id: &str, version, filter: &str, qos, habit| {
            Reader::new(Device::new(id, version), filter, qos, habit, random.split())
        };
        let mut readers = vec![
            reader("stays", 5, "m/#", 2, Habit::Stays),
            reader("stays-1", 4, "m/+/+", 1, Habit::Stays),
            reader("comes", 5, "m/#", 2, Habit::ComesAndGoes),
            reader("loses", 4, "m/#", 2, Habit::LosesAcknowledgements),
            reader("loses-1", 5, "m/#", 1, Habit::LosesAcknowledgements),
            reader("away", 5, "m/#", 2, Habit::IsAway),
        ];
        let ids = (0..cast.gone).map(|number| format!("gone-{number}"));
        readers.extend(ids.map(|id| reader(&id, 5, "m/#", 1, Habit::IsGone)));
        let share = "$share/group/m/#";
        let members = vec![
            reader("member-1", 5, share, 2, Habit::Stays),
            reader("member-2", 5, share, 2, Habit::ComesAndGoes),
            reader("member-3", 5, share, 2, Habit::LosesAcknowledgements),
        ];
        let mortals =
            ["mortal-1", "mortal-2", "mortal-3"].map(|id| Mortal::new(id, random.split())).into();
        let (chooser, retains) =
            (Chooser::new("chooser", random.split()), Ledger::new(random.split()));
        let heir = Heir::new("heir");
        Self { random, writers, readers, members, mortals, heir, chooser, retains }
    }

    fn subscribe(&mut self, broker: &Broker) {
        let network = Network::of(broker);
        let all = self.readers.iter_mut().chain(&mut self.members);
        all.for_each(|reader| reader.subscribe(&network));
        self.heir.subscribe(&network);
    }

    /// Lets all of them work until `end` ends it, which it does at a moment that chance has chosen.
    fn work(&mut self, broker: &Broker, round: u64, end: impl FnOnce(&Network)) {
        let network = Network::of(broker);
        let (packets, quota) = (1 + self.random.below(1_500), 1 + self.random.below(100));
        let moment = Duration::from_micros(self.random.below(3_000));
        let writers = self.writers.len();
        thread::scope(|scope| {
            for writer in &mut self.writers {
                scope.spawn(|| writer.work(&network, quota));
            }
            for reader in self.readers.iter_mut().chain(&mut self.members) {
                scope.spawn(|| reader.work(&network, round));
            }
            for mortal in &mut self.mortals {
                scope.spawn(|| mortal.work(&network));
            }
            scope.spawn(|| self.heir.work(&network));
            scope.spawn(|| self.chooser.work(&network));
            scope.spawn(|| self.retains.work(&network));
            network.end_after(packets, writers, moment);
            end(&network);
        });
    }

    /// What can be seen from outside is what was told to be there.
    fn check(&mut self, broker: &Broker, round: u64) {
        self.retains.check(&retained(broker, "t/#"), round);
        self.chooser.check(broker);
    }

    /// Lets everything come to its end, and sees that nothing is missing and nothing too much.
    fn finish(&mut self, broker: &Broker) {
        let network = Network::of(broker);
        self.writers.iter_mut().for_each(|writer| writer.finish(&network));
        let topics: Vec<_> =
            self.writers.iter().flat_map(|writer| writer.topics().iter().cloned()).collect();
        self.readers.iter_mut().for_each(|reader| reader.finish(&network, &topics));
        // Some of what is left with one may be another's to tell, and what is on disk alone is read by a thread
        // that no answer to a PINGREQ waits for.
        let deadline = Instant::now() + PATIENCE;
        while !have_all(&self.members, &topics) && Instant::now() < deadline {
            self.members.iter_mut().for_each(|member| member.look(&network));
        }
        self.members.iter_mut().for_each(|member| member.look(&network));
        self.members.iter().for_each(|member| assert!(!member.tally().is_empty()));
        check_shared(&self.members, &topics);
        self.heir.finish(&network, &self.mortals);
    }
}

/// How often a message has come to the members.
fn times(members: &[Reader], topic: &str, number: u64) -> u32 {
    let of = |tally: &Tally| tally.get(topic).and_then(|all| all.get(&number)).copied();
    members.iter().filter_map(|member| of(member.tally())).sum()
}

fn have_all(members: &[Reader], topics: &[Numbered]) -> bool {
    let has_come =
        |it: &Numbered| (0..it.count).all(|number| times(members, &it.topic, number) > 0);
    topics.iter().all(has_come)
}

/// Each message has come to some member; those of QoS 2 to one of them, once.
fn check_shared(members: &[Reader], topics: &[Numbered]) {
    for Numbered { topic, qos, count } in topics {
        for number in 0..*count {
            let times = times(members, topic, number);
            let is_right = times == 1 || *qos == 1 && times > 1;
            assert!(is_right, "message {number} of {topic} came {times} times to the members");
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

pub(crate) fn rounds() -> u64 {
    setting("CRASH_ROUNDS", ROUNDS)
}

pub(crate) fn seed() -> u64 {
    setting("CRASH_SEED", SEED)
}

/// Plays all rounds on brokers with these settings more, and looks at the last one before all that waits
/// is taken.
fn play(ending: Ending, settings: &[(&str, &str)], cast: Cast, look: impl FnOnce(&Broker)) {
    let (rounds, seed) = (rounds(), seed());
    eprintln!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let place = Place::new();
    let start = |kept: u64| {
        // Half of it is what those who are away may have in memory.
        let memory = (kept + kept / 5 + (4 << 20)).to_string();
        let little = [("BASTIONMQ_BROKER_MAX_QUEUED_MEMORY_BYTES", &*memory)];
        let little = if cast.has_little_memory { &little[..] } else { &[] };
        place.start_with(&[settings, little].concat())
    };
    let kept = |broker: &Broker| {
        metric(broker.admin_port(), "bastionmq_queued_kept_bytes").map_or(0, |bytes| bytes as u64)
    };
    let mut crowd = Crowd::new(Random::new(seed), cast);
    let mut broker = start(0);
    crowd.subscribe(&broker);
    for round in 0..rounds {
        match ending {
            Ending::Cut => crowd.work(&broker, round, Network::cut),
            Ending::Kill => {
                let waiting = kept(&broker);
                crowd.work(&broker, round, |_| broker.process().signal(Signal::KILL));
                kill(broker);
                broker = start(waiting);
            }
        }
        crowd.check(&broker, round);
    }
    look(&broker);
    crowd.finish(&broker);
    stop(broker);
}

#[test]
fn connections_that_break_lose_nothing_that_was_acknowledged() {
    play(Ending::Cut, &[], EVERYBODY, |_| ());
}

#[test]
fn u06_a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    play(Ending::Kill, &[], EVERYBODY, |_| ());
}

#[test]
fn u06_nor_does_it_when_nothing_was_synced() {
    let relaxed = [
        ("BASTIONMQ_STORE_DURABILITY", "relaxed"),
        ("BASTIONMQ_STORE_RELAXED_WINDOW_MS", "3600000"),
    ];
    play(Ending::Kill, &relaxed, EVERYBODY, |_| ());
}

#[test]
fn u06_nor_does_it_where_most_of_what_waits_is_on_disk_alone() {
    let cast = Cast { gone: 6, has_little_memory: true };
    play(Ending::Kill, &[], cast, |broker| {
        let on_disk = metric(broker.admin_port(), "bastionmq_queued_disk_bytes");
        assert!(on_disk.is_some_and(|bytes| bytes > 0.0), "{on_disk:?}");
    });
}
