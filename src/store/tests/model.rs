//! Random histories on a disk that loses power at every call: what was committed is there, what was not
//! may be, as long as all before it is; never anything else.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::disk::{SimulatedDisk, next_random};
use crate::clock::Now;
use crate::keys::{MasterKey, MasterKeySource};
use crate::store::batch::{Batch, Key, Table};
use crate::store::commits::{Commits, Ticket};
use crate::store::reading::Reader;
use crate::store::writer::{Limits, Writer};
use crate::store::{Health, Opened};
use crate::telemetry::Metrics;

pub(super) type Records = BTreeMap<(Table, Key), Vec<u8>>;

pub(crate) static MASTER: LazyLock<MasterKey> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    new_master_key(directory.path())
});

/// One for all: making them takes longer than a test.
pub(super) static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(Arc::default);

pub(super) fn new_master_key(directory: &Path) -> MasterKey {
    MasterKeySource::File(directory.join("key")).read_or_make().unwrap().0
}

/// Small segments, so that a short history fills and cleans many.
const LIMITS: Limits = Limits {
    window: Duration::ZERO,
    data_key_age: Duration::from_secs(20),
    segment_bytes: 1_500,
    rest: Duration::ZERO,
};

/// A writer, what it has been told, and what must be there when it is gone.
pub(super) struct Desk {
    pub(super) disk: SimulatedDisk,
    writer: Writer<SimulatedDisk>,
    commits: Arc<Commits>,
    now: Now,
    random: u64,
    /// Of six times that it could, the writer works so many: what waits meanwhile makes a group.
    pace: u64,
    /// The records after each ticket of this life; the first are those that it began with.
    states: Vec<Records>,
    tickets: Vec<Ticket>,
}

impl Desk {
    pub(super) fn open(disk: SimulatedDisk, seed: u64) -> Result<Self, io::Error> {
        let now = Now::read();
        let mut opened = Opened::open(disk.clone(), &MASTER, now.unix).map_err(io::Error::other)?;
        let records = records_of(&mut opened);
        let writer = opened.into_writer(LIMITS, &METRICS).map_err(io::Error::other)?;
        let commits = Arc::clone(&writer.commits);
        let (states, tickets) = (vec![records], vec![Ticket::default()]);
        let pace = if seed.is_multiple_of(2) { 4 } else { 1 };
        Ok(Self { disk, writer, commits, now, random: seed, pace, states, tickets })
    }

    fn random(&mut self, below: u64) -> u64 {
        next_random(&mut self.random) % below
    }

    /// Appends some random batches, and lets the writer work some of the time.
    pub(super) fn work(&mut self, batches: u64) {
        for _ in 0..batches {
            let mut batch = Batch::default();
            let mut records = self.states.last().cloned().unwrap_or_default();
            for _ in 0..=self.random(3) {
                let table = Table(1 + self.random(2) as u8);
                let key = Key([self.random(8) as u8; 16]);
                if self.random(3) == 0 {
                    batch.delete(table, key);
                    records.remove(&(table, key));
                } else {
                    let value = vec![self.random(256) as u8; self.random(200) as usize];
                    batch.put(table, key, &value);
                    records.insert((table, key), value);
                }
            }
            self.tickets.push(self.commits.append(batch));
            self.states.push(records);
            if self.random(6) < self.pace {
                self.turn();
            }
        }
        self.turn();
    }

    /// Makes `value` what `key` has, and lets the writer work.
    pub(super) fn put(&mut self, table: Table, key: Key, value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(table, key, value);
        let mut records = self.states.last().cloned().unwrap_or_default();
        records.insert((table, key), value.to_vec());
        self.tickets.push(self.commits.append(batch));
        self.states.push(records);
        self.turn();
    }

    /// Where there is anything to do.
    fn turn(&mut self) {
        self.now = self.now.after(Duration::from_secs(1));
        let is_all_kept = self.tickets.last().is_none_or(|it| self.commits.is_committed(*it));
        if !is_all_kept || self.writer.patience(self.now.instant).is_zero() {
            self.writer.turn(self.now);
        }
    }

    /// Lets the writer work until there is nothing to do. No time passes: keys would grow old.
    pub(super) fn settle(&mut self) {
        while self.writer.patience(self.now.instant).is_zero() {
            self.writer.turn(self.now);
        }
    }

    /// What reads what the writer writes.
    pub(super) fn reader(&self) -> Reader<SimulatedDisk> {
        let (disk, index) = (Arc::clone(&self.writer.disk), Arc::clone(&self.writer.index));
        Reader { disk, index }
    }

    /// All that was appended.
    pub(super) fn records(&self) -> &Records {
        self.states.last().unwrap()
    }

    pub(super) fn close(mut self) -> (SimulatedDisk, Records) {
        self.settle();
        self.commits.close();
        self.writer.turn(self.now);
        assert_eq!(self.commits.health(), Health::Good);
        (self.disk, self.states.pop().unwrap_or_default())
    }

    /// All that may be there when it is gone now: what was committed, and each state after it.
    fn possible(&self) -> &[Records] {
        let committed = self.tickets.partition_point(|it| self.commits.is_committed(*it));
        &self.states[committed.saturating_sub(1)..]
    }
}

pub(super) fn records_of(opened: &mut Opened<SimulatedDisk>) -> Records {
    let mut records = Records::new();
    opened.each_live(|it| drop(records.insert((it.table, it.key), it.value.to_vec())));
    assert_eq!(records.len(), opened.records());
    records
}

fn read(disk: &SimulatedDisk) -> Records {
    let mut opened = Opened::open(disk.clone(), &MASTER, Duration::ZERO).unwrap();
    let damage = opened.damage().iter().filter(|it| it.is_loss()).map(ToString::to_string);
    assert_eq!(damage.collect::<Vec<_>>(), [""; 0]);
    records_of(&mut opened)
}

#[test]
fn what_was_committed_is_there_after_a_power_loss_at_any_call() {
    for seed in 1..=6 {
        let calls = {
            let mut desk = Desk::open(SimulatedDisk::default(), seed).unwrap();
            desk.work(60);
            desk.disk.calls()
        };
        for power_ends_at in 1..=calls {
            let disk = SimulatedDisk::default();
            disk.end_power_at(power_ends_at);
            let possible = match Desk::open(disk.clone(), seed) {
                Ok(mut desk) => {
                    desk.work(60);
                    desk.possible().to_vec()
                }
                Err(_) => vec![Records::new()],
            };
            disk.start_again(seed ^ (power_ends_at << 8));
            let found = read(&disk);
            assert!(possible.contains(&found), "seed {seed}, power ends at {power_ends_at}");
        }
    }
}

#[test]
fn what_is_deleted_before_it_is_written_costs_no_write_and_no_sync() {
    let mut desk = Desk::open(SimulatedDisk::default(), 2).unwrap();
    let (table, key) = (Table(1), Key([1; 16]));
    let calls = desk.disk.calls();
    let mut tickets = Vec::new();
    for number in 0..100 {
        let mut batch = Batch::default();
        match number % 2 {
            0 => batch.put(table, key, b"a message"),
            _ => batch.delete(table, key),
        }
        tickets.push(desk.commits.append(batch));
    }
    desk.writer.turn(desk.now);
    assert!(tickets.into_iter().all(|it| desk.commits.is_committed(it)));
    assert_eq!(desk.disk.calls(), calls);
}

#[test]
fn batches_of_which_something_is_left_out_count_together_after_a_power_loss_at_any_byte() {
    let batches = |changes: &[(u8, u8)]| {
        let batches = changes.iter().map(|&(put, deleted)| {
            let mut batch = Batch::default();
            batch.put(Table(1), Key([put; 16]), &[put; 40]);
            batch.delete(Table(1), Key([deleted; 16]));
            batch
        });
        batches.collect::<Vec<_>>()
    };
    let mut desk = Desk::open(SimulatedDisk::default(), 2).unwrap();
    desk.commits.append(batches(&[(9, 8)]).remove(0));
    desk.writer.turn(desk.now);
    let before = read(&desk.disk.copy());
    for batch in batches(&[(1, 9), (2, 7), (3, 1)]) {
        desk.commits.append(batch);
    }
    desk.writer.turn(desk.now);
    let after = read(&desk.disk.copy());
    assert_eq!(after.keys().map(|(_, key)| key.0[0]).collect::<Vec<_>>(), [2, 3]);
    let name = "00000001.log";
    let mut length = 0;
    desk.disk.tamper(name, |content| length = content.len());
    let mut seen = [false; 2];
    for end in (0..=length).rev() {
        let disk = desk.disk.copy();
        disk.tamper(name, |content| content.truncate(end));
        let found = read(&disk);
        if found == Records::new() {
            break;
        }
        assert!([&before, &after].contains(&&found), "cut to {end}: {found:?}");
        seen[usize::from(found == after)] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn life_after_life_keeps_what_was_committed() {
    for seed in 1..=60 {
        let disk = SimulatedDisk::default();
        for life in 1..=8 {
            let seed = seed << 32 | life << 16;
            let before = disk.calls();
            let mut desk = Desk::open(disk.clone(), seed).unwrap();
            let lasts = 20 + desk.random(120);
            disk.end_power_at(before + lasts);
            desk.work(40);
            let possible = desk.possible().to_vec();
            disk.start_again(seed ^ 0x5555);
            assert!(possible.contains(&read(&disk)), "seed {seed:x}, life {life}");
        }
    }
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing() {
    let kinds =
        [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::ReadOnlyFilesystem];
    for seed in 1..=60 {
        let mut desk = Desk::open(SimulatedDisk::default(), seed).unwrap();
        let kind = kinds[desk.random(3) as usize];
        let every = 2 + desk.random(6);
        desk.disk.fail_every(every, kind);
        desk.work(60);
        desk.disk.work_again();
        let (disk, records) = desk.close();
        assert_eq!(read(&disk), records, "seed {seed}");
    }
}

#[test]
fn an_ill_disk_is_said_to_be_and_gets_well_by_itself() {
    let mut desk = Desk::open(SimulatedDisk::default(), 1).unwrap();
    desk.disk.fail_every(1, io::ErrorKind::StorageFull);
    desk.work(1);
    assert_eq!(desk.commits.health(), Health::Full);
    assert!(desk.commits.admit().is_err());
    assert!(!desk.commits.is_committed(desk.tickets[1]));
    desk.disk.work_again();
    desk.turn();
    assert_eq!(desk.commits.health(), Health::Good);
    assert!(desk.commits.admit().is_ok());
    assert!(desk.commits.is_committed(desk.tickets[1]));
}

#[test]
fn what_is_of_no_use_is_cleaned_away_and_old_data_keys_with_it() {
    let mut desk = Desk::open(SimulatedDisk::default(), 8).unwrap();
    for _ in 0..40 {
        desk.work(50);
        desk.settle();
        let (live, total) = desk.writer.index.read().bytes();
        let allowed = live.max(2 * LIMITS.segment_bytes as u64) + LIMITS.segment_bytes as u64;
        assert!(total - live <= allowed, "{live} of {total} bytes live");
    }
    assert!(desk.writer.keys.newest().unwrap().0 > 20, "a new key every 20 seconds");
    assert_eq!(desk.writer.keys.get(1), None);
    let (disk, records) = desk.close();
    assert_eq!(read(&disk), records);
}
