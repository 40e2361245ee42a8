//! Other people's clients in other languages: scripts of `tests/clients/`, run as processes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{ADMIN, DEVICE1, DEVICE2, PATIENCE, Process, Site};

/// The Python interpreter that `tests/run` has prepared, and nothing for it to run.
pub(crate) fn interpreter() -> Command {
    let mut command = Command::new(prepared("TEST_PYTHON"));
    command.args(["-u", "-B"]).stdin(Stdio::null());
    command
}

/// A Python script.
pub(crate) fn python(name: &str) -> Command {
    let mut command = interpreter();
    command.arg(script(name)).stdin(Stdio::piped());
    command
}

/// Python that is given as text.
pub(crate) fn python_of(text: &str) -> Command {
    let mut command = interpreter();
    command.args(["-c", text]);
    command
}

/// A Node script, with the modules that `tests/run` has installed.
pub(crate) fn node(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name)).stdin(Stdio::piped());
    command.env("TEST_NODE_MODULES", prepared("TEST_NODE_MODULES"));
    command
}

/// A program of mosquitto-clients.
pub(crate) fn mosquitto(program: &str) -> Command {
    // Its standard output is a pipe here, and would keep back what it says.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program]).stdin(Stdio::null());
    command
}

/// Tells a script, on its standard input, where the broker is and who it may be.
pub(crate) fn introduce(process: &mut Process, scheme: &str, port: u16) {
    let users = [ADMIN, DEVICE1, DEVICE2].map(|(user, password)| format!("{user:?}:{password:?}"));
    let ca = Site::shared().ca();
    let line = format!(
        "{{\"scheme\":\"{scheme}\",\"host\":\"localhost\",\"port\":{port},\"ca\":{ca:?},\"users\":{{{}}}}}\n",
        users.join(",")
    );
    process.stdin().expect("left open").write_all(line.as_bytes()).expect("it reads");
    process.close_stdin();
}

/// Runs a script of scenarios, each of which says `ok NAME` or `not ok NAME: WHY`.
pub(crate) fn run_scenarios(name: &str, mut command: Command, scheme: &str, port: u16) {
    let mut process = Process::spawn(name, &mut command);
    introduce(&mut process, scheme, port);
    let status = process.wait_at_most(4 * PATIENCE);
    let transcript = process.transcript();
    assert!(status.success(), "{name}: {status}\n{transcript}");
    assert!(transcript.contains("  ok "), "{name} ran no scenario\n{transcript}");
    eprintln!("{transcript}");
}

/// A file of `tests/clients`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// A file of the modules that `tests/run` has installed.
pub(crate) fn node_module(file: &str) -> PathBuf {
    prepared("TEST_NODE_MODULES").join(file)
}

fn prepared(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.unwrap_or_else(|| panic!("{variable} is not set: run this test by `tests/run`"))
}
