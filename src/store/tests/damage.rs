//! Files that somebody or something has changed: reported, skipped, never served as if nothing were.

use std::time::Duration;

use super::disk::{SimulatedDisk, next_random};
use super::model::{Desk, MASTER, Records, new_master_key, records_of};
use crate::store::{OpenError, Opened};

/// A store in several segments, closed in order.
fn store(seed: u64) -> (SimulatedDisk, Records) {
    let mut desk = Desk::open(SimulatedDisk::default(), seed).unwrap();
    desk.work(60);
    desk.close()
}

fn open(disk: &SimulatedDisk) -> Opened<SimulatedDisk> {
    Opened::open(disk.clone(), &MASTER, Duration::ZERO).unwrap()
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    use crate::store::Disk;
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".log")).collect()
}

/// That nothing is lost in silence, and that whoever starts again can go on.
fn is_noticed(disk: &SimulatedDisk, expected: &Records, what: &str) {
    let mut opened = open(disk);
    let found = records_of(&mut opened);
    assert!(!opened.damage().is_empty() || !opened.is_closed_in_order(), "{what} is not noticed");
    if found != *expected {
        assert!(opened.damage().iter().any(|it| it.is_loss()) || !opened.is_closed_in_order());
    }
    drop(opened);
    let desk = Desk::open(disk.clone(), 1).unwrap();
    let (disk, _) = desk.close();
    assert_eq!(records_of(&mut open(&disk)), found, "{what}");
}

#[test]
fn a_store_that_was_closed_in_order_has_no_damage() {
    let (disk, records) = store(4);
    let mut opened = open(&disk);
    assert!(opened.is_closed_in_order());
    assert!(opened.damage().is_empty(), "{:?}", opened.damage());
    assert!(opened.segments() > 1);
    assert_eq!(records_of(&mut opened), records);
}

#[test]
fn one_changed_bit_anywhere_is_noticed() {
    let (whole, records) = store(3);
    for name in segments(&whole) {
        let mut bytes = 0;
        whole.tamper(&name, |content| bytes = content.len());
        for byte in 0..bytes {
            let disk = whole.copy();
            disk.tamper(&name, |content| content[byte] ^= 1 << (byte % 8));
            is_noticed(&disk, &records, &format!("byte {byte} of {name}"));
        }
    }
}

#[test]
fn what_is_cut_off_anywhere_is_noticed() {
    let (whole, records) = store(5);
    for name in segments(&whole) {
        let mut bytes = 0;
        whole.tamper(&name, |content| bytes = content.len());
        for length in 0..bytes {
            let disk = whole.copy();
            disk.tamper(&name, |content| content.truncate(length));
            is_noticed(&disk, &records, &format!("{name} cut to {length}"));
        }
    }
}

#[test]
fn segments_that_are_missing_or_change_places_are_noticed() {
    let (whole, records) = store(3);
    let names = segments(&whole);
    for (at, name) in names.iter().enumerate() {
        let disk = whole.copy();
        disk.forget(name);
        is_noticed(&disk, &records, &format!("the loss of {name}"));
        for other in &names[at + 1..] {
            let disk = whole.copy();
            disk.swap(name, other);
            is_noticed(&disk, &records, &format!("{name} in place of {other}"));
        }
    }
}

#[test]
fn a_stale_segment_is_noticed() {
    let mut desk = Desk::open(SimulatedDisk::default(), 9).unwrap();
    desk.work(3);
    let old = desk.disk.copy();
    desk.work(60);
    let (disk, records) = desk.close();
    let both = segments(&old).into_iter().filter(|name| segments(&disk).contains(name));
    for name in both.collect::<Vec<_>>() {
        let mut stale = Vec::new();
        old.tamper(&name, |content| stale = content.clone());
        let disk = disk.copy();
        disk.tamper(&name, |content| *content = stale);
        is_noticed(&disk, &records, &name);
    }
}

#[test]
fn much_damage_at_once_neither_stops_nor_confuses() {
    for seed in 1..=200 {
        let (disk, _) = store(seed % 7 + 1);
        let mut random = seed;
        for name in segments(&disk) {
            disk.tamper(&name, |content| {
                for _ in 0..next_random(&mut random) % 8 {
                    let at = next_random(&mut random) as usize % content.len();
                    content[at] = next_random(&mut random) as u8;
                }
            });
        }
        let found = records_of(&mut open(&disk));
        let (disk, _) = Desk::open(disk.clone(), seed).unwrap().close();
        assert_eq!(records_of(&mut open(&disk)), found, "seed {seed}");
    }
}

#[test]
fn one_file_of_the_keys_is_enough_and_mends_the_other() {
    for (lost, kept) in [("keys", "keys.copy"), ("keys.copy", "keys")] {
        let (disk, records) = store(3);
        disk.tamper(lost, |content| content[100] ^= 1);
        let (disk, _) = Desk::open(disk, 1).unwrap().close();
        disk.tamper(kept, |content| content[100] ^= 1);
        assert_eq!(records_of(&mut open(&disk)), records);
        disk.forget(kept);
        assert_eq!(records_of(&mut open(&disk)), records);
    }
}

#[test]
fn without_the_right_key_nothing_is_opened_or_touched() {
    let (disk, records) = store(3);
    let calls = disk.calls();
    let directory = tempfile::tempdir().unwrap();
    let other = new_master_key(directory.path());
    let error = Opened::open(disk.clone(), &other, Duration::ZERO).err().unwrap();
    assert!(matches!(error, OpenError::Keys(_)), "{error}");
    let bare = disk.copy();
    bare.forget("keys");
    bare.forget("keys.copy");
    let error = Opened::open(bare, &MASTER, Duration::ZERO).err().unwrap();
    assert!(matches!(error, OpenError::NoKeys), "{error}");
    assert_eq!(disk.calls(), calls);
    assert_eq!(records_of(&mut open(&disk)), records);
}
