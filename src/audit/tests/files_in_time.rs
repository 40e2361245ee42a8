//! When files are compressed, and when they go.

use std::num::NonZeroU32;

use super::*;
use crate::private_file::compress_unless;

/// Longer than anything takes that a test waits for.
const LIMIT: Duration = Duration::from_secs(120);

impl Place {
    fn forms(&self) -> Vec<(u64, bool)> {
        let files = files_of(&self.path()).unwrap();
        files.iter().map(|it| (it.number, it.is_compressed)).collect()
    }
}

/// A MiB is full.
fn small_files() -> Settings {
    Settings { strict: true, max_file_mib: NonZeroU32::MIN, ..Settings::default() }
}

#[test]
fn decisions_go_on_while_a_full_file_is_compressed() {
    let place = Place::new();
    let (begun, is_begun) = sync_channel(1);
    let (go_on, may_go_on) = sync_channel(1);
    let (done, is_done) = sync_channel(1);
    let may_go_on = Mutex::new(may_go_on);
    let disk = Disk {
        compress: Arc::new(move |plain, compressed, is_stopped| {
            begun.send(()).unwrap();
            may_go_on.lock().recv_timeout(LIMIT).unwrap();
            let result = compress_unless(plain, compressed, is_stopped);
            done.send(()).unwrap();
            result
        }),
        ..Disk::default()
    };
    let keys = Keys::open_or_make(&place.path(), &place.master).unwrap();
    let log = AuditLog::open_on(&place.path(), keys, &small_files(), disk, Now::read()).unwrap();
    // More than a MiB.
    let tickets: Vec<_> =
        (0..4_000).map(|number| log.record(Now::read(), denied(number)).unwrap()).collect();
    assert!(log.is_written_within(tickets[3_999], LIMIT));
    is_begun.recv_timeout(LIMIT).unwrap();
    let listed = files_of(&place.path()).unwrap();
    assert!(!listed[0].is_compressed);
    for number in 0..3 {
        let ticket = log.record(Now::read(), denied(number)).unwrap();
        assert!(log.is_written_within(ticket, LIMIT));
    }
    assert_eq!(place.verify().findings, []);
    let lines = |file: &AuditFile| std::io::BufRead::lines(files::lines_of(file).unwrap()).count();
    let before = lines(&listed[0]);
    go_on.send(()).unwrap();
    is_done.recv_timeout(LIMIT).unwrap();
    // Whoever has looked which files there are before finds it all the same.
    assert_eq!(lines(&listed[0]), before);
    log.close();
    assert_eq!(place.forms()[0], (1, true));
    assert_eq!(place.verify().findings, []);
}

#[test]
fn what_was_not_compressed_when_the_broker_ended_is_at_its_next_start() {
    let place = Place::new();
    place.killed_run(4_000);
    let mut writer = place.writer(&small_files());
    assert_eq!(place.forms(), [(1, false), (2, false)]);
    writer.compress_for_test();
    assert_eq!(place.forms(), [(1, true), (2, false)]);
    drop(writer);
    // Both forms are there after a kill between making one and removing the other.
    fs::write(place.file(1), unzipped(&files::compressed_path_of(&place.path(), 1))).unwrap();
    let mut writer = place.writer(&Settings::default());
    writer.compress_for_test();
    assert_eq!(place.forms(), [(1, true), (2, false), (3, false)]);
    assert_eq!(place.verify().findings, []);
}

fn unzipped(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = flate2::read::GzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}
