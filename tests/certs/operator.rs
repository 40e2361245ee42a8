//! An operator who types `bastionmq certs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// An operator in an empty directory.
pub(crate) struct Operator {
    home: TempDir,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().unwrap() }
    }

    /// With a CA in `ca`.
    pub(crate) fn with_authority() -> Self {
        let operator = Self::new();
        operator.succeeds(&["init", "--dir", "ca", "--name", "Fleet CA"]);
        operator
    }

    pub(crate) fn certs(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bastionmq"))
            .arg("certs")
            .args(arguments)
            .current_dir(self.home.path())
            .output()
            .unwrap()
    }

    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.certs(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The message; it must come with exit code 1 and nothing on stdout.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.certs(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
