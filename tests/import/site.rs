//! A directory with what Mosquitto is configured with, and the command that translates it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::bastionmq;

pub(crate) struct Site {
    home: TempDir,
}

/// What `bastionmq import mosquitto` said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Site {
    /// With `mosquitto.conf`.
    pub(crate) fn new(configuration: &str) -> Self {
        let site = Self { home: tempfile::tempdir().unwrap() };
        site.write("mosquitto.conf", configuration);
        site
    }

    /// With the files of `tests/import/site`. Mosquitto 2.0.11 made `passwd` and
    /// `dynamic-security.json`: `mosquitto_passwd -b`, once with `-H sha512`, and `mosquitto_ctrl`.
    pub(crate) fn recorded() -> Self {
        let site = Self { home: tempfile::tempdir().unwrap() };
        copy(&recorded_files(), site.home());
        site
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Translates `file` into `out`.
    pub(crate) fn import(&self, file: &str, flags: &[&str]) -> Said {
        self.run(&[&["import", "mosquitto", file, "--output", "out"], flags].concat())
    }

    /// As [`Self::import`], where no file can be longer than `kib`; a signal would end it otherwise.
    pub(crate) fn import_on_a_full_disk(&self, kib: u32, file: &str, flags: &[&str]) -> Said {
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(bastionmq().get_program());
        shell.args(["import", "mosquitto", file, "--output", "out"]).args(flags);
        self.said(&mut shell)
    }

    /// Runs `bastionmq` here.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.said(bastionmq().args(arguments))
    }

    fn said(&self, command: &mut Command) -> Said {
        let output = command.current_dir(self.home()).output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Whether `check-config` finds `out/bastionmq.toml` valid.
    pub(crate) fn check(&self) -> Said {
        self.run(&["check-config", "out/bastionmq.toml"])
    }
}

pub(crate) fn recorded_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/site")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
