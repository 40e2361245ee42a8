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
    let tests = tests();
    assert!(!tests.is_empty(), "no tests found");
    let strays = tests.iter().filter(|test| statement_of(test.name()).is_none());
    let strays = strays.map(|test| &test.path).collect::<Vec<_>>();
    assert!(strays.is_empty(), "named after no statement: {strays:#?}");
}

#[test]
fn the_report_names_every_statement_with_its_tests_or_its_reason() {
    let mut accounts = BTreeMap::<_, Vec<_>>::new();
    for (statement, reason) in reasons() {
        accounts.entry(statement).or_default().push(reason);
    }
    for test in tests() {
        let statement = statement_of(test.name()).expect("named after a statement");
        accounts.entry(statement).or_default().push(format!("`{}`", test.path));
    }
    let reported = reported();
    let outdated =
        accounts.iter().filter(|(it, account)| reported.get(it) != Some(&account.join("<br>")));
    report(
        "is not so in REPORT.md, which tests/conformance/report writes",
        outdated.map(|(it, _)| it),
    );
    report("is in REPORT.md alone", reported.keys().filter(|it| !accounts.contains_key(it)));
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
    tests().iter().filter_map(|test| statement_of(test.name())).collect()
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

/// The last column of REPORT.md, statement by statement: tests, or the reason why there is none.
fn reported() -> BTreeMap<Statement, String> {
    let text = read(&directory().join("REPORT.md"));
    let mut standard = "";
    let mut reported = BTreeMap::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            standard = if heading == "MQTT 5.0" { "v5" } else { "v311" };
        }
        let cells = line.split(" | ").collect::<Vec<_>>();
        if let (Some(id), [_, _, account]) = (line.strip_prefix("| MQTT-"), &cells[..]) {
            let id = id.split(' ').next().unwrap_or_default();
            let account = account.trim_end_matches(" |").to_owned();
            reported.insert((standard.to_owned(), format!("MQTT-{id}")), account);
        }
    }
    reported
}

/// A test, as its runner names it: `v5::connect::v5_3_1_0_1_what_it_says`.
struct Test {
    path: String,
}

impl Test {
    fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or(&self.path)
    }
}

/// The tests in the modules of the standards, in the order of their paths, without those that are
/// ignored. A file that no module declares is not read: what is in it does not run.
fn tests() -> Vec<Test> {
    let mut tests =
        STANDARDS.iter().flat_map(|(module, _)| tests_of_module(module)).collect::<Vec<_>>();
    tests.sort_by(|one, other| one.path.cmp(&other.path));
    tests
}

/// The tests of the module with this path, and of those that it declares.
fn tests_of_module(module: &str) -> Vec<Test> {
    let text = read(&source_file(&directory().join(module.replace("::", "/"))));
    let mut tests = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        if let Some(inner) = module_declared_by(line) {
            tests.extend(tests_of_module(&format!("{module}::{inner}")));
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
        } else {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = function.and_then(|rest| rest.split_once('(')) {
                if is_test && !is_ignored {
                    tests.push(Test { path: format!("{module}::{name}") });
                }
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    tests
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
