//! Which files go, and that nobody else has the broker remove any.

use std::fs::File;
use std::time::SystemTime;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

/// Now, as precisely as records tell.
fn start() -> Now {
    let now = Now::read();
    Now { unix: Duration::from_millis(now.unix.as_millis() as u64), ..now }
}

fn for_days(keep_days: u32) -> Settings {
    Settings { keep_days, ..Settings::default() }
}

fn one_mib_in_all() -> Settings {
    Settings { max_total_mib: 1, ..Settings::default() }
}

impl Place {
    fn writer_at(&self, settings: &Settings, now: Now) -> Writer {
        let keys = Keys::open_or_make(&self.path(), &self.master).unwrap();
        Writer::open(&self.path(), keys, settings, Arc::default(), Disk::default(), now).unwrap()
    }

    /// A log whose files have had their last records after one, three and four days; the fourth is written.
    fn of_four_days(&self, settings: &Settings, now: Now) -> Writer {
        let mut writer = self.writer_at(settings, now);
        for days in [1, 3, 4] {
            writer.add(Entry { at: now.unix, event: denied(days.into()) });
            writer.rotate((now.unix) + days * DAY).unwrap();
        }
        writer.write_head();
        writer
    }

    fn numbers(&self) -> Vec<u64> {
        files_of(&self.path()).unwrap().iter().map(|file| file.number).collect()
    }

    fn set_length(&self, number: u64, bytes: u64) {
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(self.file(number));
        file.unwrap().set_len(bytes).unwrap();
    }

    fn set_changed(&self, number: u64, at: SystemTime) {
        let file = File::options().write(true).open(self.file(number)).unwrap();
        file.set_modified(at).unwrap();
    }
}

#[test]
fn files_go_once_their_last_record_is_so_many_days_old_and_what_is_left_is_whole() {
    let place = Place::new();
    let start = start();
    let mut for_ever = place.of_four_days(&for_days(0), start);
    for_ever.remove_old(start.after(100_000 * DAY)).unwrap();
    drop(for_ever);
    // What the first run knew, the second reads.
    let mut writer = place.writer_at(&for_days(10), start.after(4 * DAY));
    let mut left = |after: Duration| {
        writer.remove_old(start.after(after)).unwrap();
        assert_eq!(place.verify().findings, []);
        place.numbers()
    };
    assert_eq!(left(11 * DAY), [1, 2, 3, 4, 5]);
    assert_eq!(left(11 * DAY + SECOND), [2, 3, 4, 5]);
    assert_eq!(left(13 * DAY), [2, 3, 4, 5]);
    assert_eq!(left(14 * DAY + SECOND), [5]);
    // The one that is written stays.
    assert_eq!(left(100_000 * DAY), [5]);
    writer.add(Entry { at: start.unix, event: denied(1) });
    writer.flush();
    let verified = place.verify();
    assert_eq!((verified.findings, verified.removals.len()), (vec![], 2));
}

#[test]
fn a_removal_is_written_down_with_its_reason_and_verify_tells_of_it() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&for_days(10), start);
    writer.remove_old(start.after(14 * DAY)).unwrap();
    writer.flush();
    let line = place.lines(4).pop().unwrap();
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&record["event"], &record["why"]), (&"removed".into(), &"age".into()));
    assert_eq!((&record["first_file"], &record["last_file"]), (&1.into(), &2.into()));
    // Each file has its beginning, an event and a checkpoint.
    assert_eq!(record["last_record"], 6);
    let verified = place.verify();
    let told = &verified.removals[0];
    assert!(told.contains("files 1 to 2 removed, up to record 6 of"), "{told}");
    assert!(told.contains("older than keep_days = 10"), "{told}");
    assert_eq!(verified.findings, []);
}

#[test]
fn whatever_the_file_system_says_of_their_age_files_stay_until_it_is_their_time() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&for_days(10), start);
    for number in 1..=4 {
        place.set_changed(number, SystemTime::UNIX_EPOCH + 365 * 30 * DAY);
    }
    writer.remove_old(start.after(11 * DAY)).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4]);
    drop(writer);
    let mut writer = place.writer_at(&for_days(10), start.after(5 * DAY));
    writer.remove_old(start.after(11 * DAY)).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4, 5]);
    // Nor do they stay longer.
    place.set_changed(1, SystemTime::now() + 1_000 * DAY);
    writer.remove_old(start.after(12 * DAY)).unwrap();
    assert_eq!(place.numbers(), [2, 3, 4, 5]);
}

#[test]
fn bytes_that_the_broker_has_not_written_have_it_remove_nothing() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&one_mib_in_all(), start);
    place.set_length(99_999_999, 20 << 30);
    place.set_length(2, 20 << 30);
    writer.remove_old(start).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4, 99_999_999]);
    drop(writer);
    // With real bytes, which the next start sees.
    for number in [2, 99_999_999] {
        fs::write(place.file(number), "x".repeat(3 << 20)).unwrap();
    }
    let mut writer = place.writer_at(&one_mib_in_all(), start);
    writer.remove_old(start).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4, 99_999_999, 100_000_000]);
}

#[test]
fn a_time_that_somebody_has_written_into_the_last_file_has_it_not_removed() {
    let place = Place::new();
    let start = start();
    drop(place.writer_at(&for_days(10), start));
    let mut lines = place.lines(1);
    let year = format!("{:#}", crate::clock::Moment(start.unix.as_millis() as u64));
    lines[0] = lines[0].replacen(&year[..4], "2000", 1);
    place.put(1, &lines);
    let mut writer = place.writer_at(&for_days(10), start.after(DAY));
    writer.remove_old(start.after(2 * DAY)).unwrap();
    assert_eq!(place.numbers(), [1, 2]);
    writer.remove_old(start.after(11 * DAY + SECOND)).unwrap();
    assert_eq!(place.numbers(), [2]);
}

#[test]
fn a_clock_that_goes_ahead_removes_nothing_for_a_day() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&for_days(10), start);
    // Nobody has set the clock.
    writer.look_at_clock(start.after(9 * DAY));
    let wrong = Now { unix: start.unix + 1_000 * DAY, ..start.after(9 * DAY) };
    writer.look_at_clock(wrong);
    writer.remove_old(wrong).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4]);
    writer.remove_old(wrong.after(DAY - SECOND)).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4]);
    writer.remove_old(wrong.after(DAY)).unwrap();
    assert_eq!(place.numbers(), [4]);
    assert_eq!(place.verify().removals.len(), 1);
}

#[test]
fn nor_does_one_that_went_ahead_while_the_broker_was_down_however_often_that_starts() {
    let place = Place::new();
    let start = start();
    drop(place.of_four_days(&for_days(10), start));
    let wrong = start.after(1_000 * DAY);
    for (run, after) in [0, 1, 23].into_iter().enumerate() {
        let now = wrong.after(after * DAY / 24);
        let mut writer = place.writer_at(&for_days(10), now);
        writer.remove_old(now).unwrap();
        assert_eq!(place.numbers().len(), 5 + run, "{after} hours after");
    }
    let now = wrong.after(DAY);
    place.writer_at(&for_days(10), now).remove_old(now).unwrap();
    assert!(!place.numbers().contains(&1));
    assert_eq!(place.verify().findings, []);
}

#[test]
fn a_clock_that_was_once_wrong_neither_removes_a_file_nor_keeps_it_for_ever() {
    let place = Place::new();
    let start = start();
    let mut writer = place.writer_at(&for_days(10), start);
    for at in [start.unix + DAY, Duration::ZERO, start.unix + 10_000 * DAY, start.unix + 2 * DAY] {
        writer.rotate(at).unwrap();
    }
    writer.remove_old(start.after(11 * DAY)).unwrap();
    assert_eq!(place.numbers(), [1, 2, 3, 4, 5]);
    writer.remove_old(start.after(11 * DAY + SECOND)).unwrap();
    assert_eq!(place.numbers(), [3, 4, 5]);
    writer.remove_old(start.after(12 * DAY + SECOND)).unwrap();
    assert_eq!(place.numbers(), [5]);
}

#[test]
fn a_file_that_somebody_puts_before_the_first_one_changes_nothing() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&for_days(10), start);
    let first = fs::read(place.file(1)).unwrap();
    writer.remove_old(start.after(14 * DAY)).unwrap();
    assert_eq!(place.numbers(), [3, 4]);
    fs::write(place.file(1), &first).unwrap();
    writer.remove_old(start.after(15 * DAY)).unwrap();
    drop(writer);
    fs::write(place.file(1), &first).unwrap();
    let mut writer = place.writer_at(&for_days(10), start.after(5 * DAY));
    writer.remove_old(start.after(5 * DAY)).unwrap();
    assert_eq!(place.verify().findings, []);
}

#[test]
fn files_that_others_have_removed_stay_missing_when_their_time_is_over() {
    let place = Place::new();
    let start = start();
    let mut writer = place.of_four_days(&for_days(10), start);
    fs::remove_file(place.file(1)).unwrap();
    writer.remove_old(start.after(14 * DAY)).unwrap();
    assert_eq!(place.numbers(), [3, 4]);
    drop(writer);
    place.run(2);
    place.run(2);
    let findings = place.verify().findings;
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert!(finding.what.contains("1 of them had been removed by somebody else"), "{finding}");
}

#[test]
fn nothing_is_removed_whose_removal_is_not_on_disk() {
    let place = Place::new();
    let start = start();
    drop(place.of_four_days(&for_days(0), start));
    let keys = Keys::open_or_make(&place.path(), &place.master).unwrap();
    let sync_data = |_: &File| Err(std::io::Error::other("it fails"));
    let disk = Disk { sync_data: Box::new(sync_data), ..Disk::default() };
    let (settings, now) = (for_days(10), start.after(4 * DAY));
    let mut writer =
        Writer::open(&place.path(), keys, &settings, Arc::default(), disk, now).unwrap();
    for days in [14, 15, 16] {
        writer.remove_old(start.after(days * DAY)).unwrap();
    }
    assert_eq!(place.numbers(), [1, 2, 3, 4, 5]);
    assert_eq!(place.verify().removals.len(), 1);
}
