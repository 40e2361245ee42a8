//! The table and the tree agree: each row is named by a test, or by `pending.toml`, never by both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("README.md");
const PENDING: &str = include_str!("pending.toml");

#[test]
fn each_row_has_a_test_or_waits_for_something() {
    let (rows, tested, pending) = (rows(), tested(), pending());
    let both: Vec<_> = tested.intersection(&pending).collect();
    assert!(both.is_empty(), "tested, and still in pending.toml: {both:?}");
    let covered: BTreeSet<_> = tested.union(&pending).cloned().collect();
    let forgotten: Vec<_> = rows.difference(&covered).collect();
    assert!(forgotten.is_empty(), "neither tested nor in pending.toml: {forgotten:?}");
    let unknown: Vec<_> = covered.difference(&rows).collect();
    assert!(unknown.is_empty(), "not in README.md: {unknown:?}");
}

#[test]
fn the_rows_are_numbered_without_a_gap() {
    let of = |letter, last| (1..=last).map(move |number| format!("{letter}{number:02}"));
    assert_eq!(rows(), of('r', 30).chain(of('u', 15)).collect());
}

#[test]
fn a_name_bears_the_numbers_that_it_begins_with() {
    assert_eq!(numbers("r12_r26_a_will_is_not_sent"), ["r12", "r26"]);
    assert_eq!(numbers("u01_r2_x"), ["u01"]);
    assert_eq!(numbers("run_until_r07_"), [""; 0]);
}

/// `| r01 | …`
fn rows() -> BTreeSet<String> {
    let first_cell =
        |line: &str| Some(line.strip_prefix('|')?.split('|').next()?.trim().to_owned());
    TABLE.lines().filter_map(first_cell).filter(|cell| is_number(cell)).collect()
}

fn pending() -> BTreeSet<String> {
    let pending: BTreeMap<String, String> = toml::from_str(PENDING).expect("pending.toml");
    assert!(pending.values().all(|reason| !reason.is_empty()), "a row waits for nothing");
    pending.into_keys().collect()
}

/// The rows that functions marked as tests bear in their names.
fn tested() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tested = BTreeSet::new();
    for directory in ["src", "tests"] {
        visit(&root.join(directory), &mut |text| tested.extend(tests_of(text)));
    }
    tested
}

fn visit(directory: &Path, see: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            see(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// A test is a function below an attribute that ends in `test`, with or without arguments.
fn tests_of(text: &str) -> Vec<String> {
    let mut is_marked = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let attribute = line.strip_prefix("#[").and_then(|rest| rest.split(['(', ']']).next());
        if let Some(attribute) = attribute {
            is_marked |= attribute.ends_with("test");
        } else if let Some((_, name)) = line.split_once("fn ") {
            if is_marked {
                found.extend(numbers(name));
            }
            is_marked = false;
        }
    }
    found
}

fn numbers(name: &str) -> Vec<String> {
    name.split('_').take_while(|part| is_number(part)).map(str::to_owned).collect()
}

fn is_number(text: &str) -> bool {
    matches!(text.as_bytes(), [b'r' | b'u', tens, units]
        if tens.is_ascii_digit() && units.is_ascii_digit())
}
