//! `bastionmq audit` of logs that lack something, hold bytes that somebody has changed, or are being written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::budgets::until;
use crate::harness::{Process, Stream, bastionmq, scratch};

fn audit(place: &Path, arguments: &[&str]) -> Command {
    let mut command = bastionmq();
    command.arg("audit").args(arguments).arg("--dir").arg(place);
    command
}

fn run(place: &Path, arguments: &[&str]) -> Output {
    audit(place, arguments).output().unwrap()
}

fn follow(place: &Path, arguments: &[&str]) -> Process {
    Process::spawn("audit tail", &mut audit(place, &[&["tail", "-f"], arguments].concat()))
}

fn file(place: &Path, number: u64) -> PathBuf {
    place.join(format!("audit.{number:08}.jsonl"))
}

fn record(seq: u64) -> String {
    format!("{{\"seq\":{seq},\"time\":\"2026-11-21T20:49:20.113Z\",\"event\":\"stopped\"}}")
}

fn records(seqs: impl IntoIterator<Item = u64>) -> String {
    seqs.into_iter().map(|seq| record(seq) + "\n").collect()
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The numbers of the records that were printed.
fn seqs<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<u64> {
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect(line);
    lines.into_iter().map(|line| parse(line)["seq"].as_u64().unwrap()).collect()
}

fn printed(output: &Output) -> Vec<u64> {
    seqs(std::str::from_utf8(&output.stdout).unwrap().lines())
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until it has printed these, each once.
fn expect(process: &Process, expected: &[u64]) {
    process.wait_for(Stream::Out, |line| {
        (seqs([line]) == expected[expected.len() - 1..]).then_some(())
    });
    let lines = process.lines(Stream::Out);
    assert_eq!(seqs(lines.iter().map(String::as_str)), expected);
}

#[test]
fn who_follows_a_log_gets_each_record_once_however_it_is_written() {
    let place = scratch();
    let at = |number| file(place.path(), number);
    append(&at(1), &records(1..4));
    let tail = follow(place.path(), &["-n", "2"]);
    expect(&tail, &[2, 3]);
    // One line in parts.
    let (begin, end) = (&record(4)[..20], &(record(4)[20..].to_owned() + "\n"));
    append(&at(1), begin);
    append(&at(1), end);
    expect(&tail, &[2, 3, 4]);
    // The next file is there before the last record of this one.
    append(&at(2), "");
    append(&at(1), &records([5]));
    append(&at(2), &records([6]));
    expect(&tail, &[2, 3, 4, 5, 6]);
    // Half a line that a crash leaves.
    append(&at(2), "{\"seq\":7,\"ti");
    append(&at(3), &records([7]));
    expect(&tail, &[2, 3, 4, 5, 6, 7]);
    append(&at(4), &records([8]));
    append(&at(5), &records([9]));
    expect(&tail, &[2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(tail.lines(Stream::Err), [""; 0]);
}

#[test]
fn a_file_that_has_only_begun_is_not_where_following_begins() {
    let place = scratch();
    append(&file(place.path(), 1), &records(1..4));
    append(&file(place.path(), 2), "");
    let tail = follow(place.path(), &[]);
    expect(&tail, &[1, 2, 3]);
    append(&file(place.path(), 1), &records([4]));
    append(&file(place.path(), 2), &records([5]));
    expect(&tail, &[1, 2, 3, 4, 5]);
}

#[test]
fn who_follows_a_log_without_a_file_waits_for_the_first() {
    let place = scratch();
    let tail = follow(place.path(), &[]);
    let stat = format!("/proc/{}/stat", tail.id().as_raw_nonzero());
    let state = || fs::read_to_string(&stat).unwrap().rsplit_once(") ").unwrap().1[..1].to_owned();
    until("it sleeps, or has ended", || ["S", "Z"].contains(&&*state()));
    append(&file(place.path(), 1), &records([1, 2]));
    expect(&tail, &[1, 2]);
}

#[test]
fn who_follows_anew_goes_on_after_the_last_record_that_was_printed() {
    let place = scratch();
    for number in 0..4 {
        append(&file(place.path(), number + 1), &records(number * 3 + 1..number * 3 + 4));
    }
    let bytes = fs::read(file(place.path(), 2)).unwrap();
    let compressed = File::create(place.path().join("audit.00000002.jsonl.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(compressed, flate2::Compression::default());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(file(place.path(), 2)).unwrap();
    for after in 0..=12 {
        let output = run(place.path(), &["tail", "--after-seq", &after.to_string()]);
        assert_eq!(printed(&output), (after + 1..13).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", told(&output));
    }
    let tail = follow(place.path(), &["--after-seq", "5"]);
    append(&file(place.path(), 4), &records([13]));
    expect(&tail, &(6..14).collect::<Vec<_>>());
    // What was removed before it was read is told.
    fs::remove_file(file(place.path(), 1)).unwrap();
    let output = run(place.path(), &["tail", "--after-seq", "1"]);
    assert_eq!(printed(&output), (4..14).collect::<Vec<_>>());
    assert!(told(&output).contains("records 2 to 3 are not in the log"), "{}", told(&output));
    assert_eq!(output.status.code(), Some(1));
    let output = run(place.path(), &["tail", "--after-seq", "99"]);
    assert!(told(&output).contains("ends with record 13, before record 99"), "{}", told(&output));
}

#[test]
fn a_byte_that_somebody_has_changed_hides_nothing_but_its_line() {
    let place = scratch();
    let mut bytes = (record(1) + "\n{\"seq\":2,\"x\":\"").into_bytes();
    bytes.extend(b"\xff\xfe\"}\n");
    bytes.extend((record(3) + "\n").bytes());
    bytes.extend(vec![b'x'; 3 << 20]);
    bytes.extend(("\n".to_owned() + &record(5) + "\nno record\n").bytes());
    fs::write(file(place.path(), 1), bytes).unwrap();
    fs::write(place.path().join("audit.00000002.jsonl.gz"), "cut off").unwrap();
    append(&file(place.path(), 3), &records([8]));
    for arguments in [&["search"][..], &["tail", "-n", "100"], &["tail", "--after-seq", "0"]] {
        let output = run(place.path(), arguments);
        assert_eq!(printed(&output), [1, 3, 5, 8], "{arguments:?}");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        for what in ["01.jsonl:2: ", "01.jsonl:4: ", "01.jsonl:6: ", "02.jsonl.gz:1: "] {
            assert!(told(&output).contains(what), "{arguments:?}: {}", told(&output));
        }
    }
    // Those before are not needed.
    let output = run(place.path(), &["tail", "-n", "1"]);
    assert_eq!((printed(&output), output.status.code()), (vec![8], Some(0)));
}

#[test]
fn whoever_is_banned_quarantined_or_answered_by_a_rule_is_found_by_name() {
    let place = scratch();
    let lines = [
        r#"{"seq":1,"event":"banned","kind":"client_id","subject":"client:pump","by":"operator:a"}"#,
        r#"{"seq":2,"event":"quarantined","kind":"principal","subject":"user:ann","by":"rule:r"}"#,
        r#"{"seq":3,"event":"responding","rule":"r","response":"ban","kind":"client","subject":"client:pump"}"#,
        r#"{"seq":4,"event":"alert","key":{"client":"pump","principal":"user:ann"}}"#,
        r#"{"seq":5,"event":"alert","key":{},"responses":[{"target":"client","subject":"client:pump"},
            {"target":"principal","subject":"user:ann"},{"target":"address","subject":"192.0.2.7"}]}"#,
        r#"{"seq":6,"event":"connected","principal":"user:ann","client_id":"pump"}"#,
        r#"{"seq":7,"event":"banned","kind":"principal","subject":"pump","by":"client:pump"}"#,
        r#"{"seq":8,"event":"banned","kind":"client_id","subject":"client:pump2","why":"user:ann"}"#,
    ];
    let text = lines.map(|line| line.replace('\n', " ") + "\n").concat();
    append(&file(place.path(), 1), &text);
    let found = |name: &str, value: &str| printed(&run(place.path(), &["search", name, value]));
    assert_eq!(found("--client-id", "pump"), [1, 3, 4, 5, 6]);
    assert_eq!(found("--principal", "user:ann"), [2, 4, 5, 6]);
    assert_eq!(found("--address", "192.0.2."), [5]);
    let none = run(place.path(), &["search", "--client-id", "nobody"]);
    assert_eq!((printed(&none), none.status.code()), (vec![], Some(0)));
}
