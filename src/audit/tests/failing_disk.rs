//! A disk that is full, takes half a line, or fails.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::*;

/// A disk with room for so many bytes more, and how often it was asked.
#[derive(Clone, Default)]
struct Room {
    bytes: Arc<AtomicUsize>,
    asked: Arc<AtomicU64>,
}

impl Room {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn disk(&self) -> Disk {
        let room = self.clone();
        let append = move |mut file: &File, bytes: &[u8]| {
            room.asked.fetch_add(1, Ordering::Relaxed);
            let left = room.bytes.load(Ordering::Relaxed);
            if left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = file.write(&bytes[..left.min(bytes.len())])?;
            room.bytes.fetch_sub(taken, Ordering::Relaxed);
            Ok(taken)
        };
        Disk { append: Box::new(append), ..Disk::default() }
    }
}

impl Place {
    fn writer_on(&self, disk: Disk) -> Writer {
        let keys = Keys::open_or_make(&self.path(), &self.master).unwrap();
        let (settings, progress) = (Settings::default(), Arc::default());
        Writer::open(&self.path(), keys, &settings, progress, disk, Now::read()).unwrap()
    }

    fn head_bytes(&self) -> Vec<u8> {
        fs::read(self.path().join("head")).unwrap()
    }
}

#[test]
fn half_a_line_that_a_full_disk_has_taken_becomes_whole() {
    let place = Place::new();
    let room = Room::default();
    let mut writer = place.writer_on(room.disk());
    for number in 0..200 {
        writer.add(Entry { at: Now::read().unix, event: denied(number) });
        room.add(number as usize * 7 % 900);
        writer.flush_at_once();
    }
    room.add(1 << 20);
    writer.flush_at_once();
    assert_eq!(place.lines(1).len(), 201);
    assert_eq!(place.verify().findings, []);
}

#[test]
fn half_a_line_that_stays_is_cut_off_at_the_next_start() {
    let place = Place::new();
    let room = Room::default();
    room.add(1_000);
    let mut writer = place.writer_on(room.disk());
    for number in 0..20 {
        writer.add(Entry { at: Now::read().unix, event: denied(number) });
        writer.flush_at_once();
    }
    writer.write_head();
    drop(writer);
    assert_eq!(fs::metadata(place.file(1)).unwrap().len(), 1_000);
    place.run(3);
    assert_eq!(place.verify().findings, []);
}

#[test]
fn a_full_disk_is_asked_once_a_second_whatever_happens() {
    let place = Place::new();
    let room = Room::default();
    let mut writer = place.writer_on(room.disk());
    let begun = Instant::now();
    for number in 0..3_000 {
        writer.add(Entry { at: Now::read().unix, event: denied(number) });
        writer.flush();
    }
    let most = 2 + begun.elapsed().as_secs();
    let asked = room.asked.load(Ordering::Relaxed);
    assert!(asked <= most, "{asked} times, in place of {most}");
}

#[test]
fn how_far_the_log_goes_is_not_noted_any_more_once_the_disk_has_failed_to_sync() {
    let place = Place::new();
    let mut fails = true;
    let sync_data = move |file: &File| match std::mem::replace(&mut fails, false) {
        true => Err(io::Error::other("it fails once")),
        false => file.sync_data(),
    };
    let mut writer = place.writer_on(Disk { sync_data: Box::new(sync_data), ..Disk::default() });
    let before = place.head_bytes();
    for number in 0..3 {
        writer.add(Entry { at: Now::read().unix, event: denied(number) });
        writer.flush();
        writer.write_head();
        assert_eq!(place.head_bytes(), before);
    }
    // A file that is full is followed by another all the same.
    writer.rotate(Now::read().unix).unwrap();
    writer.write_head();
    assert_eq!(place.head_bytes(), before);
    drop(writer);
    place.run(1);
    assert_eq!(place.verify().findings, []);
    assert_ne!(place.head_bytes(), before);
}
