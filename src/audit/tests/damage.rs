//! A log that others have cut off does not become whole by going on; one that was killed has lost nothing.

use super::*;

type Tampering = (&'static str, fn(&Place));

/// What somebody does to the head of a log.
const TAMPERINGS: [Tampering; 4] = [
    ("removed", |place| fs::remove_file(place.head()).unwrap()),
    ("emptied", |place| fs::write(place.head(), "").unwrap()),
    ("forged", |place| {
        let text = fs::read_to_string(place.head()).unwrap();
        fs::write(place.head(), text.replacen("1 1 ", "1 2 ", 1)).unwrap();
    }),
    ("made large", |place| fs::write(place.head(), "1 ".repeat(10_000)).unwrap()),
];

impl Place {
    fn head(&self) -> PathBuf {
        self.path().join("head")
    }

    fn findings(&self) -> Vec<String> {
        self.verify().findings.into_iter().map(|finding| finding.to_string()).collect()
    }

    /// Asserts that `what` is found however often the broker runs again, with the secret of the log and
    /// without.
    fn is_found_ever_after(&self, case: &str, what: &str) {
        for _ in 0..3 {
            self.run(2);
            let public = self.verify_signatures().findings;
            let public = public.into_iter().map(|finding| finding.to_string()).collect();
            for findings in [self.findings(), public] {
                assert!(findings.iter().any(|it| it.contains(what)), "{case}: {findings:?}");
            }
        }
    }

    /// As it is now, elsewhere.
    pub(super) fn copied(&self) -> Self {
        let other = Self::new();
        fs::create_dir(other.path()).unwrap();
        for entry in fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), other.path().join(entry.file_name())).unwrap();
        }
        let source = MasterKeySource::File(self.directory.path().join("master"));
        Self { master: source.read().unwrap(), ..other }
    }
}

#[test]
fn an_end_that_is_missing_with_what_says_so_is_found_ever_after() {
    for (case, tamper) in TAMPERINGS {
        let place = Place::new();
        place.run(5);
        place.run(5);
        let lines = place.lines(2);
        place.put(2, &lines[..3]);
        tamper(&place);
        place.is_found_ever_after(case, "what came after record 10 may have been removed");
    }
}

#[test]
fn a_newest_file_that_is_missing_with_what_says_so_is_found_ever_after() {
    for (case, tamper) in TAMPERINGS {
        let place = Place::new();
        place.run(5);
        place.run(5);
        fs::remove_file(place.file(2)).unwrap();
        tamper(&place);
        place.is_found_ever_after(case, "what came after record 7 may have been removed");
    }
}

#[test]
fn a_log_that_is_gone_but_for_its_secret_is_found_ever_after() {
    let place = Place::new();
    place.run(5);
    let bytes = fs::read(place.head()).unwrap();
    for name in [place.file(1), place.head()] {
        fs::remove_file(name).unwrap();
    }
    assert_ne!(place.findings(), Vec::<String>::new());
    place.is_found_ever_after("both", "what came after record 0 may have been removed");

    for number in 1..=3 {
        fs::remove_file(place.file(number)).unwrap();
    }
    fs::write(place.head(), bytes).unwrap();
    place.is_found_ever_after("files", "records 1 to 7 were missing");
}

#[test]
fn an_end_that_is_missing_is_found_ever_after() {
    let place = Place::new();
    place.run(5);
    let lines = place.lines(1);
    place.put(1, &lines[..3]);
    place.is_found_ever_after("cut", "records 4 to 7 were missing");
}

#[test]
fn files_without_the_secret_they_were_written_with_are_found_ever_after() {
    let place = Place::new();
    place.run(5);
    for name in ["key", "head"] {
        fs::remove_file(place.path().join(name)).unwrap();
    }
    place.is_found_ever_after("secret", "line 1 of file 1 was not as it was written");
}

#[test]
fn what_was_found_cannot_be_removed_unnoticed() {
    let place = Place::new();
    place.run(5);
    fs::remove_file(place.head()).unwrap();
    place.run(5);
    let lines = place.lines(2);
    let damaged = "\"event\":\"damaged\",\"damage\":\"head_missing\",\"found\":7";
    assert!(lines[1].contains(damaged), "{lines:?}");
    let mut without = lines;
    without.remove(1);
    place.put(2, &without);
    assert_ne!(place.findings(), Vec::<String>::new());
    // Nor by having it go the same way.
    for name in [place.file(2), place.head()] {
        fs::remove_file(name).unwrap();
    }
    place.is_found_ever_after("again", "what came after record 7 may have been removed");
}

#[test]
fn what_is_found_is_counted_at_the_start_that_finds_it() {
    let place = Place::new();
    place.run(5);
    fs::remove_file(place.head()).unwrap();
    let damage = || place.open(&Settings::default()).figures().damage;
    assert_eq!([damage(), damage()], [1, 0]);
}

#[test]
fn nothing_is_signed_at_a_start_that_others_have_written() {
    let place = Place::new();
    place.killed_run(5);
    let mut changed = place.lines(1);
    changed[3] = changed[3].replacen("publish", "receive", 1);
    place.put(1, &changed);
    place.is_found_ever_after("changed", "line 4 of file 1 was not as it was written");
    assert_eq!(place.lines(1), changed);
}

#[test]
fn a_file_that_a_kill_has_left_open_is_closed_at_the_next_start() {
    let place = Place::new();
    place.killed_run(5);
    place.run(1);
    let lines = place.lines(1);
    assert!(lines.len() == 7 && lines[6].contains("checkpoint"), "{lines:?}");
    // So whoever has no secret sees what is changed at its end.
    let mut changed = lines.clone();
    changed[5] = changed[5].replacen("publish", "receive", 1);
    place.put(1, &changed);
    assert_ne!(place.verify_signatures().findings, []);
    place.put(1, &lines[..6]);
    let findings = place.verify_signatures().findings;
    assert!(findings.iter().any(|it| it.what.contains("no checkpoint")), "{findings:?}");
}

/// What a kill can leave, and whether it is whole before the next start, too.
fn left_by_kills() -> Vec<(&'static str, Place, bool)> {
    let mut left = Vec::new();
    let mut add = |name, place: &Place, is_whole| left.push((name, place.copied(), is_whole));
    let place = Place::new();
    Keys::open_or_make(&place.path(), &place.master).unwrap();
    add("a secret", &place, true);
    fs::write(place.path().join(".head.new"), "1 1 ").unwrap();
    add("half a head", &place, true);
    fs::write(place.file(1), "").unwrap();
    add("an empty file", &place, true);
    fs::write(place.file(1), "{\"seq\":1,\"ti").unwrap();
    add("half a line", &place, true);
    fs::remove_file(place.path().join("key")).unwrap();
    fs::remove_file(place.file(1)).unwrap();
    add("a head without a secret", &place, false);
    fs::write(place.path().join(".key.new"), "ha").unwrap();
    add("half a secret", &place, false);

    let place = Place::new();
    place.killed_run(0);
    add("a file that has begun", &place, true);
    place.killed_run(3);
    add("another that goes on", &place, true);
    fs::write(place.file(3), "").unwrap();
    add("the next one made", &place, true);
    place.run(3);
    fs::write(place.file(5), "").unwrap();
    add("the next one made after a checkpoint", &place, true);
    let mut writer = place.writer(&Settings::default());
    writer.add(Entry { at: Now::read().unix, event: denied(1) });
    writer.rotate(Now::read().unix).unwrap();
    add("a full file that is not compressed yet", &place, true);
    fs::write(place.path().join("audit.00000007.jsonl.gz.part"), "ha").unwrap();
    add("the next one compressed in part", &place, true);
    writer.write_head();
    add("a head that has come as far", &place, true);
    drop(writer);
    left
}

#[test]
fn nothing_that_a_kill_leaves_is_taken_for_damage() {
    for (name, place, is_whole) in left_by_kills() {
        let none = Vec::<String>::new();
        if is_whole {
            assert_eq!(place.findings(), none, "{name}");
        }
        // Killed again as it begins, and then not.
        place.killed_run(0);
        assert_eq!(place.findings(), none, "{name}, killed again");
        place.run(3);
        assert_eq!(place.findings(), none, "{name}, and went on");
        let public = place.verify_signatures();
        assert_eq!((public.findings, public.unsigned), (Vec::new(), 0), "{name}");
    }
}

#[test]
fn a_file_that_was_compressed_and_not_removed_is_whole() {
    let place = Place::new();
    place.run(3);
    let bytes = fs::read(place.file(1)).unwrap();
    let compressed = files::compressed_path_of(&place.path(), 1);
    crate::private_file::compress(&place.file(1), &compressed).unwrap();
    fs::write(place.file(1), bytes).unwrap();
    place.run(3);
    assert_eq!(place.findings(), Vec::<String>::new());
}
