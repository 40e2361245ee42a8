//! Every statement has a test, or a reason why it has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The standards, as tests and the files of reasons call them, and where their identifiers are.
const STANDARDS: [(&str, &str); 2] =
    [("v311", "mqtt311-statement-ids.txt"), ("v5", "mqtt5-statement-ids.txt")];

/// A standard, and the identifier of one of its statements.
type Statement = (String, String);

#[test]
fn every_statement_has_a_test_or_a_reason_why_it_has_none() {
    let accounted = [tested(), reasons().into_keys().collect()].concat();
    let accounted = accounted.into_iter().collect::<BTreeSet<_>>();
    report("has neither a test nor a reason", statements().difference(&accounted));
}

#[test]
fn every_test_and_every_reason_is_about_a_statement_that_exists() {
    let named = [tested(), reasons().into_keys().collect()].concat();
    let named = named.into_iter().collect::<BTreeSet<_>>();
    report("does not exist", named.difference(&statements()));
}

#[test]
fn no_statement_has_a_test_and_a_reason_why_it_has_none() {
    let tested = tested().into_iter().collect::<BTreeSet<_>>();
    let reasons = reasons();
    report("has a test and a reason", reasons.keys().filter(|it| tested.contains(it)));
}

#[test]
fn every_test_of_a_standard_is_named_after_a_statement() {
    let names = test_names();
    assert!(!names.is_empty(), "no tests found");
    let strays = names.iter().filter(|name| statement_of(name).is_none()).collect::<Vec<_>>();
    assert!(strays.is_empty(), "named after no statement: {strays:#?}");
}

/// Fails with every fault there is.
fn report<'a>(fault: &str, found: impl Iterator<Item = &'a Statement>) {
    let found = found.map(|(standard, id)| format!("{standard} {id} {fault}")).collect::<Vec<_>>();
    assert!(found.is_empty(), "{found:#?}");
}

fn statements() -> BTreeSet<Statement> {
    let of_one = |(standard, file): (&str, &str)| {
        let text = read(&directory().join(file));
        let ids = text.lines().filter(|line| line.starts_with("MQTT-"));
        ids.map(|id| (standard.to_owned(), id.to_owned())).collect::<Vec<_>>()
    };
    STANDARDS.into_iter().flat_map(of_one).collect()
}

fn tested() -> Vec<Statement> {
    test_names().iter().filter_map(|name| statement_of(name)).collect()
}

/// `v5_3_1_2_24_what_it_says` is about MQTT-3.1.2-24 of 5.0, and `v5_4_2_1_what_it_says` about
/// MQTT-4.2-1.
fn statement_of(test: &str) -> Option<Statement> {
    let (standard, rest) = test.split_once('_')?;
    let parts = rest.split('_').collect::<Vec<_>>();
    let numbers = parts.iter().take(4).take_while(|part| part.parse::<u8>().is_ok()).count();
    let (numbers, sentence) = parts.split_at(numbers);
    let (statement, section) = numbers.split_last()?;
    let is_named = section.len() >= 2 && !sentence.is_empty();
    is_named.then(|| (standard.to_owned(), format!("MQTT-{}-{statement}", section.join("."))))
}

/// The statements that no test can assert, each with its reason.
fn reasons() -> BTreeMap<Statement, String> {
    let file = directory().join("not-testable.toml");
    let standards: BTreeMap<String, BTreeMap<String, String>> =
        toml::from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let of_one = |(standard, reasons): (String, BTreeMap<String, String>)| {
        reasons.into_iter().map(move |(id, reason)| ((standard.clone(), id), reason))
    };
    let all = standards.into_iter().flat_map(of_one).collect::<BTreeMap<_, _>>();
    report("has no reason", all.iter().filter(|(_, why)| why.trim().is_empty()).map(|(it, _)| it));
    all
}

/// The names of the tests in the modules of the standards, without those that are ignored. A file
/// that no module declares is not read: what is in it does not run.
fn test_names() -> Vec<String> {
    STANDARDS
        .iter()
        .flat_map(|(standard, _)| test_names_below(&directory().join(standard)))
        .collect()
}

/// The tests of the module at `path` (without extension), and of those that it declares.
fn test_names_below(path: &Path) -> Vec<String> {
    let text = read(&source_file(path));
    let mut names = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        if let Some(module) = module_declared_by(line) {
            names.extend(test_names_below(&path.join(module)));
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
        } else {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = function.and_then(|rest| rest.split_once('(')) {
                if is_test && !is_ignored {
                    names.push(name.to_owned());
                }
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    names
}

fn module_declared_by(line: &str) -> Option<&str> {
    let declaration = line.strip_prefix("pub(super) ").unwrap_or(line);
    declaration.strip_prefix("mod ")?.strip_suffix(';')
}

fn source_file(module: &Path) -> PathBuf {
    let nested = module.join("mod.rs");
    if nested.is_file() { nested } else { module.with_extension("rs") }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
