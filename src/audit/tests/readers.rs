//! What whoever checks a log is told of one that lacks something, and of one that is written meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::private_file::compress;

const DAY: Duration = Duration::from_secs(86_400);

fn told(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_start_or_an_end_that_is_missing_is_found_by_the_public_key_alone() {
    let cut = |place: &Place, number, lines: usize| {
        let kept = place.lines(number);
        place.put(number, &kept[..lines]);
    };
    type Case<'c> = (&'c str, &'c dyn Fn(&Place), &'c str);
    let cases: [Case; 7] = [
        ("the first", &|it| fs::remove_file(it.file(1)).unwrap(), "files 1 to 1 are missing"),
        ("the newest", &|it| fs::remove_file(it.file(3)).unwrap(), "the end is missing: records"),
        (
            "all but the first",
            &|it| [2, 3].map(|at| fs::remove_file(it.file(at)).unwrap()).into_iter().collect(),
            "the end is missing: records 1004 to 3009",
        ),
        ("all", &|it| (1..4).for_each(|at| fs::remove_file(it.file(at)).unwrap()), "the end is"),
        // The line before is a checkpoint.
        ("after a checkpoint", &|it| cut(it, 3, 1_001), "the end is missing: records"),
        (
            "the head",
            &|it| fs::remove_file(it.path().join("head")).unwrap(),
            "the file `head` is missing",
        ),
        (
            "what the head says",
            &|it| fs::write(it.path().join("head"), "1 3 3 ab cd ef").unwrap(),
            "the file `head` was changed",
        ),
    ];
    let whole = Place::new();
    for _ in 0..3 {
        whole.run(1_000);
    }
    assert!(whole.verify_signatures().is_whole());
    for (case, tamper, expected) in cases {
        let place = whole.copied();
        tamper(&place);
        for verified in [place.verify_signatures(), place.verify()] {
            let findings = told(&verified.findings);
            assert!(findings.iter().any(|it| it.contains(expected)), "{case}: {findings:?}");
            assert!(!verified.is_whole());
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let verified = verify(directory.path(), None, whole.keys().public_key()).unwrap();
    assert!(told(&verified.findings)[0].contains("the file `head` is missing"));
}

#[test]
fn a_log_without_a_record_is_not_whole_and_not_damaged() {
    let place = Place::new();
    Keys::open_or_make(&place.path(), &place.master).unwrap();
    for verified in [place.verify(), place.verify_signatures()] {
        assert_eq!((told(&verified.findings), verified.is_whole()), (vec![], false));
    }
}

#[test]
fn what_no_checkpoint_covers_yet_is_covered_by_the_head() {
    let place = Place::new();
    let mut writer = place.writer(&Settings::default());
    for number in 0..5 {
        writer.add(Entry { at: Now::read().unix, event: denied(number) });
    }
    writer.flush();
    writer.write_head();
    writer.add(Entry { at: Now::read().unix, event: denied(5) });
    writer.flush();
    drop(writer);
    let verified = place.verify_signatures();
    assert_eq!((told(&verified.findings), verified.unsigned), (vec![], 1));
    let mut lines = place.lines(1);
    lines[3] = lines[3].replacen("publish", "receive", 1);
    place.put(1, &lines);
    let findings = told(&place.verify_signatures().findings);
    assert!(findings[0].contains("when `head` was written"), "{findings:?}");
}

#[test]
fn an_older_copy_of_all_of_it_is_found_by_who_has_kept_how_far_it_went() {
    let place = Place::new();
    place.run(3);
    let older = place.copied();
    place.run(3);
    let kept = place.verify().seq;
    assert_eq!(kept, 10);
    let mut verified = older.verify_signatures();
    assert!(verified.is_whole(), "nobody can know that");
    verified.expect_seq(&older.path(), kept);
    assert!(told(&verified.findings)[0].contains("ends with record 5"), "{verified:?}");
    let mut verified = place.verify_signatures();
    verified.expect_seq(&place.path(), kept);
    assert!(verified.is_whole());
}

#[test]
fn a_part_of_a_line_is_a_note_in_the_end_and_a_finding_before_it() {
    let place = Place::new();
    place.run(3);
    let half = |number| {
        let mut bytes = fs::read(place.file(number)).unwrap();
        bytes.extend(b"{\"seq\":6,\"time\":\"20");
        fs::write(place.file(number), &bytes).unwrap();
    };
    half(1);
    for verified in [place.verify(), place.verify_signatures()] {
        assert_eq!(told(&verified.findings), [""; 0]);
        assert!(verified.is_whole() && told(&verified.notes)[0].contains("within a line"));
    }
    // The next one was only begun.
    fs::write(place.file(2), "").unwrap();
    assert!(place.verify().is_whole());
    fs::remove_file(place.file(2)).unwrap();
    place.run(3);
    half(1);
    assert_ne!(told(&place.verify().findings), [""; 0]);
}

#[test]
fn the_compressed_form_of_a_file_says_the_same_as_the_other_one() {
    let place = Place::new();
    place.run(3);
    let bytes = fs::read(place.file(1)).unwrap();
    let compressed = files::compressed_path_of(&place.path(), 1);
    let forge = |text: &[u8]| {
        fs::write(place.file(1), text).unwrap();
        compress(&place.file(1), &compressed).unwrap();
        fs::write(place.file(1), &bytes).unwrap();
        told(&place.verify().findings)
    };
    assert_eq!(forge(&bytes), [""; 0]);
    let other = String::from_utf8(bytes.clone()).unwrap().replacen("publish", "receive", 1);
    for text in [other.as_bytes(), &bytes[..100], b"", &[&bytes[..], b"more\n"].concat()] {
        let findings = forge(text);
        assert!(findings[0].contains("does not say what"), "{findings:?}");
        assert!(findings[0].contains("audit.00000001.jsonl.gz"), "{findings:?}");
    }
    fs::write(&compressed, "no such form").unwrap();
    assert!(told(&place.verify().findings)[0].contains("cannot be read"));
}

#[test]
fn only_what_the_broker_calls_so_is_a_file_of_the_log() {
    let place = Place::new();
    place.run(3);
    let strays = [
        "audit.1.jsonl",
        "audit.+0000001.jsonl",
        "audit.000000001.jsonl",
        "audit.00000000.jsonl",
        "audit.00000001.jsonl.gz.gz",
        "audit.00000001.jsonl.part",
        "audit.2.jsonl.gz.part",
        "audit.00000002.jsonl~",
        "audit.\u{1b}[2J",
    ];
    for name in strays {
        fs::copy(place.file(1), place.path().join(name)).unwrap();
    }
    // One that was being compressed, and others that have nothing to do with it.
    for name in ["audit.00000002.jsonl.gz.part", "notes", "audit"] {
        fs::write(place.path().join(name), "x").unwrap();
    }
    let (directory, link) = ("audit.00000002.jsonl", "audit.00000003.jsonl.gz");
    fs::create_dir(place.path().join(directory)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.path().join(link)).unwrap();
    let verified = place.verify();
    assert!(verified.is_whole() && verified.files == 1, "{verified:?}");
    let notes = told(&verified.notes);
    assert_eq!(notes.len(), strays.len() + 2, "{notes:?}");
    assert!(!notes.concat().contains('\u{1b}'), "{notes:?}");
    for name in strays.into_iter().chain([directory, link]) {
        assert!(notes.iter().any(|it| it.contains(&format!("{name:?} is not"))), "{name}");
    }
    let long = files::path_of(&place.path(), 123_456_789);
    fs::rename(place.file(1), long).unwrap();
    assert_eq!(files_of(&place.path()).unwrap()[0].number, 123_456_789);
}

#[test]
fn a_log_is_whole_while_files_begin_are_compressed_and_go() {
    let place = Place::new();
    drop(place.open(&Settings::default()));
    let (keys, path) = (place.keys(), place.path());
    let (public, is_done) = (keys.public_key(), AtomicBool::new(false));
    let settings = Settings { keep_days: 1, ..Settings::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = place.writer(&settings);
            let start = Now::read();
            for number in 0..120 {
                let now = start.after(number * DAY / 2);
                for _ in 0..20 {
                    writer.add(Entry { at: now.unix, event: denied(number.into()) });
                    writer.flush();
                }
                writer.rotate(now.unix).unwrap();
                writer.compress_for_test();
                writer.write_head();
                if number % 3 == 0 {
                    writer.remove_old(now).unwrap();
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let mut looks = 0;
        while !is_done.load(Ordering::Relaxed) {
            for keys in [Some(&keys), None] {
                let verified = verify(&path, keys, public).unwrap();
                assert!(verified.is_whole(), "{verified:?}");
            }
            looks += 1;
        }
        assert!(looks > 1);
        assert!(!place.verify().removals.is_empty(), "none went");
    });
}
