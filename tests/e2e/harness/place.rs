//! A broker whose files are its own, and change under it.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::broker::{Broker, bastionmq, scratch};
use super::process::Stream;
use super::{Site, http};

pub(crate) struct Place {
    pub(crate) broker: Broker,
    directory: PathBuf,
}

impl Place {
    /// With copies of the files of [`Site`].
    pub(crate) fn of_site() -> Self {
        let (site, directory) = (Site::shared(), scratch());
        copy(&["policy.toml", "passwd", "server.crt", "server.key", "ca.crt"], directory.path());
        let config = site.configuration("optional");
        let own = config.replace(
            site.file("").to_str().expect("UTF-8"),
            &format!("{}/", directory.path().display()),
        );
        fs::write(directory.path().join("bastionmq.toml"), own).expect("a configuration");
        Self::serve(directory)
    }

    /// As the `bastionmq.toml` in `directory` says.
    pub(crate) fn serve(directory: TempDir) -> Self {
        let mut command = bastionmq();
        command.args(["serve", "--config", "bastionmq.toml"]);
        let path = directory.path().to_owned();
        Self { broker: Broker::start(command, directory), directory: path }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file")
    }

    /// Replaces a file as it should be done: whole, or not at all, and for nobody else.
    pub(crate) fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let aside = self.file(".aside");
        fs::write(&aside, content).expect("a new file");
        fs::set_permissions(&aside, Permissions::from_mode(0o600)).expect("a mode");
        fs::rename(aside, self.file(name)).expect("renamed");
    }

    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let before = self.text(name);
        assert!(before.contains(from), "{name} has no {from}");
        self.replace(name, before.replace(from, to));
    }

    /// The first line of the log that contains `text`.
    pub(crate) fn log(&self, text: &str) -> String {
        self.broker.process().wait_for_text(Stream::Err, text)
    }

    /// Waits until `what` has been read anew for the first time, and is in force.
    pub(crate) fn reloaded(&self, what: &str) {
        self.reloaded_times(what, 1);
    }

    /// As [`Place::reloaded`], so many times.
    pub(crate) fn reloaded_times(&self, what: &str, times: usize) {
        let is_it =
            |line: &str| line.contains("\"reloaded\"") && line.contains(&format!("\"{what}\""));
        let seen = Cell::new(0);
        self.broker.process().wait_for(Stream::Err, |line| {
            seen.set(seen.get() + usize::from(is_it(line)));
            (seen.get() == times).then_some(())
        });
    }

    /// The value of one series, which is not a number where there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let (_, text) = http::get(self.broker.admin_port(), "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
    }
}

/// Copies files of [`Site`] into `directory`.
pub(crate) fn copy(names: &[&str], directory: &Path) {
    for name in names {
        fs::copy(Site::shared().file(name), directory.join(name)).expect("a copy");
    }
}
