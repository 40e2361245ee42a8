//! The implementation in Python, as a process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::clients::interpreter;
use crate::harness::{PATIENCE, Process};
use crate::vector::{hexed, unhexed};

/// Its own tests, and the vectors: it makes them, and they come out as they say.
#[test]
fn the_reference_passes_its_own_tests_and_makes_the_vectors() {
    let discover = ["-m", "unittest", "discover", "-v", "-t", ".", "-s", "envelope_ref"];
    let mut process = Process::spawn("the reference", python().args(discover));
    let status = process.wait_at_most(4 * PATIENCE);
    let transcript = process.transcript();
    assert!(status.success(), "the reference: {status}\n{transcript}");
    for test in ["test_each_vector_comes_out_as_it_says", "test_it_judges_as_the_vectors_say"] {
        assert!(transcript.contains(test), "{test} did not run\n{transcript}");
    }
}

/// Seals and judges one envelope after the other.
pub(crate) struct Reference {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    pub(crate) fn start() -> Self {
        let mut command = python();
        command.args(["-m", "envelope_ref.exchange"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// The envelope that these inputs make.
    pub(crate) fn seal(&mut self, inputs: &Value) -> Vec<u8> {
        let answer = self.ask(&json!({ "seal": inputs }));
        unhexed(answer["envelope"].as_str().unwrap())
    }

    /// What it makes of `envelope` under a vector's conditions: `ok` and the payload, or a refusal.
    pub(crate) fn judge(&mut self, conditions: &Value, envelope: &[u8]) -> (String, Vec<u8>) {
        let mut vector = conditions.clone();
        vector["envelope"] = hexed(envelope).into();
        let answer = self.ask(&json!({ "judge": vector }));
        let [name, payload] = answer["answers"][0].as_array().unwrap().as_slice() else {
            panic!("{answer}")
        };
        (name.as_str().unwrap().to_owned(), unhexed(payload.as_str().unwrap_or_default()))
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.child.stdin.as_ref().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} to {request}"))
    }
}

impl Drop for Reference {
    /// The end of its input is the end of it.
    fn drop(&mut self) {
        self.child.stdin.take();
        let _ = self.child.wait();
    }
}

fn python() -> Command {
    let mut command = interpreter();
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    command
}
