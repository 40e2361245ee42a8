//! The code in C of `docs/examples/c`, compiled with every warning an error, and run with the sanitizers
//! that find bytes read or written where there are none.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::exchange::{inputs, tampering};
use crate::harness::scratch;
use crate::vector::{all, hexed, steps, unhexed};

const WARNINGS: [&str; 6] =
    ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion"];
/// What the program is compiled with unless it says otherwise.
const SANITIZERS: [&str; 3] = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// A program of the examples; gone with this.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

/// Compiles sources, which are named from the root of the repository, with the code for envelopes.
pub(crate) fn compiled(arguments: &[&str]) -> Program {
    compiled_with(&[&SANITIZERS, arguments].concat())
}

fn compiled_with(arguments: &[&str]) -> Program {
    let (root, directory) = (Path::new(env!("CARGO_MANIFEST_DIR")), scratch());
    let path = directory.path().join("program");
    let mut command = Command::new("cc");
    command.current_dir(root).args(WARNINGS).arg("-Idocs/examples/c");
    command.arg("docs/examples/c/bmq_envelope.c").args(arguments).arg("-lmbedcrypto");
    let output = command.arg("-o").arg(&path).output().expect("cc runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = "is libmbedtls-dev installed? tests/run installs it";
    assert!(output.status.success() && said.is_empty(), "{hint}\n{said}");
    Program { path, _directory: directory }
}

/// One line for the program `vectors.c`, and what it has to answer.
struct Question {
    name: String,
    line: String,
    answer: String,
}

#[test]
fn the_code_in_c_opens_and_refuses_as_the_vectors_say() {
    let mut questions = Vec::new();
    for vector in all().iter().filter(|vector| is_of_its_kind(vector)) {
        questions.push(new_verifier(vector));
        questions.extend(steps(vector).iter().map(open));
    }
    assert!(questions.len() > 500, "{}", questions.len());
    compare(&questions, "-UBMQ_MOST_STREAMS");
}

#[test]
fn the_code_in_c_seals_as_the_vectors_say() {
    let plain = all().into_iter().filter(|vector| is_of_its_kind(vector) && is_plain(vector));
    let questions = plain.flat_map(|vector| [new_verifier(&vector), seal(&vector)]);
    let questions: Vec<_> = questions.collect();
    assert!(questions.len() > 30, "{}", questions.len());
    compare(&questions, "-UBMQ_MOST_STREAMS");
}

/// It has no bound for each sender.
#[test]
fn the_code_in_c_keeps_as_many_streams_as_it_is_built_for() {
    let limit = |vector: &Value, name: &str| vector["limits"][name].as_u64();
    let limited = all().into_iter().filter(|vector| vector.get("limits").is_some());
    let bounded_in_all = limited.filter(|it| limit(it, "most") == limit(it, "most_of_sender"));
    let vectors: Vec<_> = bounded_in_all.collect();
    assert!(vectors.len() > 1);
    for vector in vectors {
        let mut questions = vec![new_verifier(&vector)];
        questions.extend(steps(&vector).iter().map(open));
        let most = limit(&vector, "most").unwrap();
        compare(&questions, &format!("-DBMQ_MOST_STREAMS={most}"));
    }
}

#[test]
fn the_code_in_c_says_what_rust_says_of_what_was_changed_on_its_way() {
    let mut runner = TestRunner::new(Config::default());
    let mut questions = Vec::new();
    for _ in 0..500 {
        let drawn = (inputs(), tampering()).new_tree(&mut runner).unwrap();
        let (inputs, tampering) = drawn.current();
        let inputs = inputs.unsigned();
        let changed = tampering.of(inputs.seal());
        let (expected, _) = inputs.judge(&changed);
        let mut vector = inputs.for_python();
        vector["name"] = hexed(&changed).into();
        vector["envelope"] = hexed(&changed).into();
        vector["expect"] = expected.into();
        questions.push(new_verifier(&vector));
        questions.extend(steps(&vector).iter().map(open));
    }
    compare(&questions, "-UBMQ_MOST_STREAMS");
}

#[test]
fn the_code_in_c_asks_for_no_memory_while_messages_pass() {
    // A sanitizer has an allocator of its own.
    let program = compiled_with(&["-O1", "tests/envelope_ref/memory.c"]);
    let output = Command::new(&program.path).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// Whether a vector asks for nothing that the code leaves out: it keeps a few keys that are in use, all
/// of them whole, and no public key of a sender; and its buffers are small.
fn is_of_its_kind(vector: &Value) -> bool {
    let beyond = ["mac_root", "signers", "limits", "not_after_ms", "needs_signature", "open"];
    let says = |step: &Map<String, Value>| beyond.iter().any(|name| step.contains_key(*name));
    let is_too_long = vector["name"] == "a private type of 65,534 bytes";
    vector["state"] == "active" && !steps(vector).iter().any(says) && !is_too_long
}

/// Whether it was sealed without anything optional, into a body that has a short length.
fn is_plain(vector: &Value) -> bool {
    let is_short = || unhexed(text(vector, "payload")).len() < 65_519;
    vector["suite"] == 1
        && vector["content_type"].is_null()
        && vector["trace"].is_null()
        && vector["private"] == Value::Array(Vec::new())
        && vector.get("signer").is_none()
        && is_short()
}

fn new_verifier(vector: &Value) -> Question {
    let topics = vector["topics"].as_array().unwrap().iter().map(|topic| topic.as_str().unwrap());
    let words = ["new", text(vector, "key_id"), text(vector, "topic_key")];
    let line = words.into_iter().chain(topics).collect::<Vec<_>>().join("\t");
    Question { name: text(vector, "name").to_owned(), line, answer: "new".to_owned() }
}

fn open(step: &Map<String, Value>) -> Question {
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    let suites = if step.contains_key("encrypted_only") { "encrypted" } else { "any" };
    let number =
        |name: &str| step[name].as_u64().map_or("-".to_owned(), |number| number.to_string());
    let line = [
        "open",
        text("topic").unwrap(),
        text("sender").unwrap_or("-"),
        &number("now_ms"),
        &number("max_age_ms"),
        &number("max_skew_ms"),
        suites,
        &or_dash(hexed(&unhexed(text("envelope").unwrap()))),
    ]
    .join("\t");
    // It keeps one bit of each number, which does not tell a clone from a replay.
    let answer = match text("expect").unwrap() {
        "ok" => format!("ok {}", hexed(&unhexed(text("payload").unwrap()))),
        "stream_reused" => "replayed ".to_owned(),
        name => format!("{name} "),
    };
    Question { name: text("name").unwrap().to_owned(), line, answer }
}

fn seal(vector: &Value) -> Question {
    let number = |name: &str| vector[name].as_u64().unwrap().to_string();
    let line = [
        "seal",
        text(vector, "topic"),
        text(vector, "sealed_by"),
        text(vector, "stream"),
        &number("seq"),
        &number("time_ms"),
        &or_dash(hexed(&unhexed(text(vector, "payload")))),
    ]
    .join("\t");
    let answer = format!("ok {}", hexed(&unhexed(text(vector, "envelope"))));
    Question { name: format!("seal: {}", text(vector, "name")), line, answer }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} of {}", vector["name"]))
}

/// Asks all of them, and fails with every answer that is another.
fn compare(questions: &[Question], definition: &str) {
    let program = compiled(&[definition, "tests/envelope_ref/vectors.c"]);
    let mut command = Command::new(&program.path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().unwrap();
    let lines: String = questions.iter().map(|question| format!("{}\n", question.line)).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{complaints}", output.status);
    writer.join().unwrap().expect("it reads all");
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = answers.lines().collect();
    assert_eq!(answers.len(), questions.len());
    let wrong =
        questions.iter().zip(answers).filter(|(question, answer)| question.answer != **answer);
    let wrong: Vec<_> = wrong
        .map(|(asked, got)| format!("{}: {:.60} instead of {:.60}", asked.name, got, asked.answer))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
