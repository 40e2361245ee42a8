//! The log as it is written, and as others leave it.

mod damage;
mod failing_disk;
mod files_in_time;
mod long_names;
mod masks;
mod readers;
mod removal;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::keys::{MasterKey, MasterKeySource};

struct Place {
    directory: TempDir,
    master: MasterKey,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = MasterKeySource::File(directory.path().join("master"));
        let (master, _) = source.read_or_make().unwrap();
        Self { directory, master }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn keys(&self) -> Keys {
        Keys::open(&self.path(), &self.master).unwrap()
    }

    fn open(&self, settings: &Settings) -> AuditLog {
        let keys = Keys::open_or_make(&self.path(), &self.master).unwrap();
        AuditLog::open(&self.path(), keys, settings, Now::read()).unwrap()
    }

    fn writer(&self, settings: &Settings) -> Writer {
        let keys = Keys::open_or_make(&self.path(), &self.master).unwrap();
        Writer::open(&self.path(), keys, settings, Arc::default(), Disk::default(), Now::read())
            .unwrap()
    }

    /// Writes so many events in one run of a broker that is killed before it has noted how far it came.
    fn killed_run(&self, events: u64) {
        let mut writer = self.writer(&Settings::default());
        for number in 0..events {
            writer.add(Entry { at: Now::read().unix, event: denied(number) });
        }
        writer.flush();
    }

    /// Writes so many events in one run of a broker.
    fn run(&self, events: u64) {
        let log = self.open(&Settings::default());
        for number in 0..events {
            log.record(Now::read(), denied(number));
        }
    }

    fn verify(&self) -> Verified {
        let keys = self.keys();
        verify(&self.path(), Some(&keys), keys.public_key()).unwrap()
    }

    /// As whoever has the public key alone.
    fn verify_signatures(&self) -> Verified {
        verify(&self.path(), None, self.keys().public_key()).unwrap()
    }

    fn file(&self, number: u64) -> PathBuf {
        files::path_of(&self.path(), number)
    }

    fn lines(&self, number: u64) -> Vec<String> {
        let text = fs::read_to_string(self.file(number)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn put(&self, number: u64, lines: &[String]) {
        fs::write(self.file(number), lines.join("\n") + "\n").unwrap();
    }
}

fn subject(number: u64) -> Subject {
    Subject {
        principal: "user:ann".to_owned(),
        client_id: format!("client \"{number}\""),
        address: "192.0.2.7:1883".to_owned(),
        listener: "mqtts://0.0.0.0:8883".to_owned(),
        since: 1_795_294_160,
    }
}

fn denied(number: u64) -> Event {
    Event::Denied {
        who: subject(number),
        action: "publish",
        topic: "plant/é".to_owned(),
        rule: "role device, rule 3".to_owned(),
    }
}

#[test]
fn what_was_written_is_whole_over_several_runs() {
    let place = Place::new();
    for events in [0, 1, 2_500] {
        place.run(events);
    }
    let verified = place.verify();
    assert_eq!(verified.findings, []);
    // Each file has a first record and a last checkpoint; two thousands of events have one more each.
    assert_eq!((verified.files, verified.records), (3, 2_501 + 3 * 2 + 2));
    assert_eq!(verified.unsigned, 0);
    assert_eq!(place.verify_signatures().findings, []);
}

#[test]
fn a_line_is_json_and_says_who_what_and_why() {
    let place = Place::new();
    place.run(1);
    let line: serde_json::Value = serde_json::from_str(&place.lines(1)[1]).unwrap();
    assert_eq!(line["event"], "denied");
    assert_eq!(line["client_id"], "client \"0\"");
    assert_eq!(line["rule"], "role device, rule 3");
    assert_eq!(line["seq"], 2);
    assert_eq!(line["correlation"].as_str().unwrap().len(), 16);
}

#[test]
fn every_line_that_is_changed_removed_moved_or_doubled_is_found() {
    let place = Place::new();
    place.run(20);
    let lines = place.lines(1);
    let is_found = |what: &str, changed: &[String]| {
        place.put(1, changed);
        assert_ne!(place.verify().findings, [], "{what}");
        assert_ne!(place.verify_signatures().findings, [], "{what}, by signatures");
        place.put(1, &lines);
        assert_eq!(place.verify().findings, []);
    };
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        changed[at] = changed[at].replacen("20", "21", 1);
        is_found("changed", &changed);
        let mut changed = lines.clone();
        changed.remove(at);
        is_found("removed", &changed);
        let mut changed = lines.clone();
        changed.insert(at, lines[at].clone());
        is_found("doubled", &changed);
        if at + 2 < lines.len() {
            let mut changed = lines.clone();
            changed.swap(at, at + 1);
            is_found("moved", &changed);
        }
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let place = Place::new();
    place.run(1);
    let bytes = fs::read(place.file(1)).unwrap();
    let keys = place.keys();
    // A bit of each byte: to look at all of them takes a minute.
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(place.file(1), &changed).unwrap();
        let verified = verify(&place.path(), Some(&keys), keys.public_key()).unwrap();
        assert_ne!(verified.findings, [], "byte {at}");
    }
}

#[test]
fn a_missing_end_start_or_file_is_found() {
    let place = Place::new();
    for _ in 0..3 {
        place.run(3);
    }
    let lines = place.lines(3);
    place.put(3, &lines[..lines.len() - 2]);
    assert!(place.verify().findings[0].what.contains("the end is missing"));
    place.put(3, &lines);
    for number in [1, 2, 3] {
        let bytes = fs::read(place.file(number)).unwrap();
        fs::remove_file(place.file(number)).unwrap();
        assert_ne!(place.verify().findings, [], "file {number}");
        fs::write(place.file(number), bytes).unwrap();
    }
    fs::remove_file(place.path().join("head")).unwrap();
    assert!(place.verify().findings[0].what.contains("head"));
}

#[test]
fn an_end_that_was_cut_off_while_the_broker_was_down_stays_missing() {
    let place = Place::new();
    place.run(5);
    let lines = place.lines(1);
    place.put(1, &lines[..3]);
    place.run(5);
    let findings = place.verify().findings;
    assert!(findings.iter().any(|it| it.what.contains("does not go on")), "{findings:?}");
}

#[test]
fn a_file_that_was_only_begun_when_the_broker_was_killed_is_no_loss() {
    let place = Place::new();
    place.run(3);
    fs::write(place.file(2), "").unwrap();
    assert_eq!(place.verify().findings, []);
    place.run(3);
    assert_eq!(place.verify().findings, []);
}

#[test]
fn half_a_line_that_a_power_loss_has_left_is_cut_off() {
    let place = Place::new();
    // As if it had been killed: nothing is written at its end.
    let log = place.open(&Settings::default());
    log.close();
    let mut bytes = fs::read(place.file(1)).unwrap();
    bytes.extend(b"{\"seq\":9,\"ti");
    fs::write(place.file(1), &bytes).unwrap();
    let verified = place.verify();
    assert_eq!(verified.findings, []);
    assert!(verified.notes[0].what.contains("ends within a line"), "{:?}", verified.notes);
    place.run(1);
    let verified = place.verify();
    assert_eq!((verified.findings, verified.notes), (vec![], vec![]));
}

#[test]
fn a_full_file_is_compressed_and_goes_on_in_the_next() {
    let place = Place::new();
    let log = place.open(&Settings::default());
    log.close();
    let mut writer = place.writer(&Settings::default());
    writer.rotate_for_test();
    drop(writer);
    let files = files_of(&place.path()).unwrap();
    assert_eq!(
        files.iter().map(|it| (it.number, it.is_compressed)).collect::<Vec<_>>(),
        [(1, false), (2, true), (3, false)]
    );
    assert_eq!(place.verify().findings, []);
}

#[test]
fn what_a_strict_log_says_to_be_on_disk_is() {
    let place = Place::new();
    let log = place.open(&Settings { strict: true, ..Settings::default() });
    for number in 0..20 {
        let ticket = log.record(Now::read(), denied(number)).unwrap();
        assert_eq!(Ticket::take_last_here(), Some(ticket));
        assert!(log.is_written_within(ticket, Duration::from_secs(60)));
        // One line is the beginning of the file.
        assert_eq!(place.lines(1).len() as u64, number + 2);
    }
    assert_eq!(Ticket::take_last_here(), None);
    log.close();
    let late = log.record(Now::read(), denied(99)).unwrap();
    assert!(!log.is_written_within(late, Duration::from_secs(3_600)), "nobody writes it");
    assert_eq!(place.verify().findings, []);
}

#[tokio::test]
async fn who_waits_for_a_strict_log_is_woken() {
    let place = Place::new();
    let log = place.open(&Settings { strict: true, ..Settings::default() });
    let tickets = (0..500).map(|number| log.record(Now::read(), denied(number)).unwrap());
    for ticket in tickets.collect::<Vec<_>>() {
        log.until_written(ticket).await;
    }
    assert_eq!(place.lines(1).len(), 501);
}

#[test]
fn what_is_written_is_counted_and_so_is_what_finds_no_place() {
    let place = Place::new();
    let log = place.open(&Settings { strict: true, ..Settings::default() });
    let ticket = log.record(Now::read(), denied(1)).unwrap();
    assert!(log.is_written_within(ticket, Duration::from_secs(60)));
    let figures = log.figures();
    assert_eq!((figures.records, figures.lost), (2, 0), "its event, and that a file has begun");
    assert_eq!(figures.condition, Condition::Well);
    log.progress.note_lost();
    let ticket = log.record(Now::read(), denied(2)).unwrap();
    assert!(log.is_written_within(ticket, Duration::from_secs(60)));
    let figures = log.figures();
    assert_eq!((figures.records, figures.lost), (4, 1), "and that one was lost");
    assert!(place.lines(1)[2].contains("\"event\":\"lost\",\"count\":1"));
}

#[test]
fn a_disk_that_has_once_failed_to_sync_is_not_believed_again() {
    let place = Place::new();
    let keys = Keys::open_or_make(&place.path(), &place.master).unwrap();
    let log = AuditLog::strict_on_failing_disk(&place.path(), keys, 2);
    let decide = |number| {
        let ticket = log.record(Now::read(), denied(number)).unwrap();
        (ticket, log.is_written_within(ticket, Duration::from_millis(1_500)))
    };
    // The second sync is of one of these two, as time has it.
    let [_, second] = [1, 2].map(decide);
    assert!(!second.1, "{second:?}");
    assert_eq!(log.figures().condition, Condition::Unsynced);
    // The disk would take it now, and has lost what nobody knows.
    assert!(!decide(3).1);
    assert!(!log.is_written_within(second.0, Duration::ZERO));
}

#[test]
fn a_log_that_is_not_strict_has_nothing_to_wait_for() {
    let place = Place::new();
    let log = place.open(&Settings::default());
    assert_eq!(log.record(Now::read(), denied(1)), None);
}

#[test]
fn the_oldest_files_go_when_all_together_are_too_many_and_what_is_left_is_whole() {
    let place = Place::new();
    drop(place.open(&Settings::default()));
    // Random names are as large compressed.
    let settings = Settings { max_total_mib: 1, ..Settings::default() };
    let mut writer = place.writer(&settings);
    let noise = |seed: u64| {
        (0..40).fold(String::new(), |text, at| {
            format!("{text}{:016x}", (seed * 40 + at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        })
    };
    for file in 0..12_u64 {
        for number in 0..400 {
            let event =
                Event::BanExpired { kind: "client_id", subject: noise(file * 400 + number) };
            writer.add(Entry { at: Now::read().unix, event });
        }
        writer.rotate_for_test();
        let files = files_of(&place.path()).unwrap();
        let total: u64 = files.iter().map(|it| fs::metadata(&it.path).unwrap().len()).sum();
        assert!(total <= 1 << 20, "{total} bytes");
    }
    let files = files_of(&place.path()).unwrap();
    assert!(files[0].number > 1 && files.len() > 1, "{files:?}");
    drop(writer);
    assert_eq!(place.verify().findings, []);
}

#[test]
fn masked_names_are_the_same_for_the_same_client_and_tell_nothing() {
    let place = Place::new();
    let log = place.open(&Settings { mask: true, ..Settings::default() });
    for number in [1, 2, 1] {
        log.record(Now::read(), denied(number));
    }
    log.close();
    let text = fs::read_to_string(place.file(1)).unwrap();
    assert!(!text.contains("192.0.2.7") && !text.contains("client \\\""), "{text}");
    let lines = place.lines(1);
    let client = |at: usize| {
        let line: serde_json::Value = serde_json::from_str(&lines[at]).unwrap();
        line["client_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(client(1), client(3));
    assert_ne!(client(1), client(2));
}

#[test]
fn whom_the_sentinel_has_answered_is_masked_as_well() {
    let place = Place::new();
    let log = place.open(&Settings { mask: true, ..Settings::default() });
    let responded = |target, subject: &str| Responded {
        response: "ban",
        target,
        subject: Some(subject.to_owned()),
        seconds: Some(60),
        outcome: "done",
        connections: 0,
    };
    log.record(
        Now::read(),
        Event::Alert {
            rule: "r".to_owned(),
            severity: "warning",
            key: [("address", "192.0.2.7".to_owned())].into(),
            value: 1.0,
            threshold: 1.0,
            what: "denied".to_owned(),
            principal: Some("user:ann".to_owned()),
            client_id: Some("pump".to_owned()),
            address: Some("192.0.2.7".to_owned()),
            responses: vec![
                responded("address", "192.0.2.7"),
                responded("client", "client:pump"),
                responded("principal", "user:ann"),
            ],
            dry_run: false,
            untold: 0,
        },
    );
    log.close();
    let text = fs::read_to_string(place.file(1)).unwrap();
    assert!(!text.contains("192.0.2.7") && !text.contains("pump"), "{text}");
    assert_eq!(text.matches("user:ann").count(), 2, "{text}");
}

#[test]
fn a_second_broker_does_not_write_into_the_same_log() {
    let place = Place::new();
    let _log = place.open(&Settings::default());
    let keys = Keys::open_or_make(&place.path(), &place.master).unwrap();
    let second = AuditLog::open(&place.path(), keys, &Settings::default(), Now::read());
    assert!(matches!(second, Err(AuditError::InUse(_))));
}

#[test]
fn another_master_key_does_not_open_it() {
    let (place, other) = (Place::new(), Place::new());
    place.run(1);
    let opened = Keys::open(&place.path(), &other.master);
    assert!(matches!(opened, Err(AuditError::Key { .. })));
}

#[test]
fn files_and_directory_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    place.run(1);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.path()), 0o700);
    for entry in fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
}
