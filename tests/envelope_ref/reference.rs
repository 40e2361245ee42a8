//! The implementation in Python, as a process.

use std::path::Path;
use std::process::Command;

use crate::harness::{PATIENCE, Process};

/// Runs Python in `tests/` until it ends well, and gives what it said.
pub(crate) fn run(arguments: &[&str]) -> String {
    let mut process = Process::spawn("the reference", python().args(arguments));
    let status = process.wait_at_most(4 * PATIENCE);
    let transcript = process.transcript();
    assert!(status.success(), "the reference: {status}\n{transcript}");
    transcript
}

fn python() -> Command {
    let mut command = crate::harness::clients::interpreter();
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    command
}
