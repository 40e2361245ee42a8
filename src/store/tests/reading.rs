//! Records that are read by their keys: the latest that was kept, wherever the cleaner has moved it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::disk::SimulatedDisk;
use super::model::Desk;
use crate::store::ReadError;
use crate::store::batch::{Key, Table};
use crate::store::reading::Files;

#[test]
fn what_was_kept_last_is_read_by_its_key() {
    for seed in 1..=8 {
        let mut desk = Desk::open(SimulatedDisk::default(), seed).unwrap();
        let reader = desk.reader();
        for _ in 0..20 {
            desk.work(10);
            desk.settle();
            for (table, key) in (1..=2).flat_map(|table| (0..8).map(move |key| (table, key))) {
                let (table, key) = (Table(table), Key([key; 16]));
                let wanted = desk.records().get(&(table, key));
                assert_eq!(reader.read(table, key).unwrap().as_ref(), wanted, "seed {seed}");
            }
        }
    }
}

#[test]
fn records_are_read_whole_while_the_cleaner_moves_them() {
    let mut desk = Desk::open(SimulatedDisk::default(), 4).unwrap();
    let reader = desk.reader();
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut found = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                for key in 0..8 {
                    let value = reader.read(Table(1), Key([key; 16])).unwrap();
                    let Some(value) = value else { continue };
                    assert!(value.windows(2).all(|pair| pair[0] == pair[1]));
                    found += 1;
                }
            }
            found
        }
    });
    desk.work(3_000);
    desk.settle();
    is_over.store(true, Ordering::Relaxed);
    assert!(reading.join().unwrap() > 0);
}

#[test]
fn a_record_that_somebody_has_changed_is_not_read() {
    let mut desk = Desk::open(SimulatedDisk::default(), 2).unwrap();
    desk.work(1);
    desk.settle();
    let reader = desk.reader();
    let (table, key) = *desk.records().keys().next().unwrap();
    desk.disk.tamper("00000001.log", |content| content[120] ^= 1);
    assert!(matches!(reader.read(table, key), Err(ReadError::Damaged { at: 76, .. })));
}
