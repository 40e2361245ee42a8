//! A directory of its own, in which commands are run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bastionmq");
/// The key of most tests.
pub(crate) const ID: &str = "00112233445566aa";
/// What may stand in the environment of whoever runs the tests.
const VARIABLES: [&str; 6] = [
    "BASTIONMQ_MASTER_KEY",
    "BASTIONMQ_CONFIG",
    "BASTIONMQ_KEYS_RING_FILE",
    "BASTIONMQ_KEYS_MASTER_KEY_FILE",
    "BASTIONMQ_KEYS_WRAPPED_DIR",
    "CREDENTIALS_DIRECTORY",
];

pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a key for `plant/#` in `ring`.
    pub(crate) fn with_key() -> Self {
        let desk = Self::new();
        said(&desk.run(&["keys", "create", "--ring", "ring", "--id", ID, "--topic", "plant/#"]));
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    /// The names in it, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.0.path());
        for name in VARIABLES {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn start(&self, words: &[&str], input: &[u8]) -> Child {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails before it reads has closed the pipe.
        let _ = child.stdin.take().unwrap().write_all(input);
        child
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.run_with(words, b"")
    }

    pub(crate) fn run_with(&self, words: &[&str], input: &[u8]) -> Output {
        self.start(words, input).wait_with_output().unwrap()
    }

    /// A command about keys, in `ring` unless it says otherwise.
    pub(crate) fn keys(&self, words: &[&str]) -> Output {
        self.run(&[&["keys", words[0], "--ring", "ring"], &words[1..]].concat())
    }

    /// The envelope of `hello` on `plant/7`, by `sensor-7`.
    pub(crate) fn sealed(&self) -> Vec<u8> {
        let words = ["seal", "--ring", "ring", "--sender", "sensor-7", "--topic", "plant/7"];
        let output = self.run_with(&words, b"hello");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    pub(crate) fn open(&self, more: &[&str], envelope: &[u8]) -> Output {
        let words = ["open", "--ring", "ring", "--topic", "plant/7"];
        self.run_with(&[&words, more].concat(), envelope)
    }
}

pub(crate) fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command that failed has said, and nothing but an error.
pub(crate) fn complained(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("error: ") && !text.contains("panicked"), "{text}");
    text
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
