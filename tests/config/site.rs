//! A directory with a configuration and what that may name.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use bastionmq::{
    clock::Now,
    config::{ConfigError, Flags, Loaded, Resolved, Sources},
};
use tempfile::TempDir;

/// What makes a configuration whole, above any sections.
pub(crate) const PLAIN: &str = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n\
    [acl]\npolicy_file = \"policy.toml\"\n[auth]\nallow_anonymous = true\n";

const POLICY: &str = "[[role]]\nname = \"open\"\n\
    rules = [{ allow = [\"publish\", \"subscribe\"], topics = [\"#\"] }]\n\
    [[assign]]\neveryone = true\nroles = [\"open\"]\n";

pub(crate) struct Site {
    home: TempDir,
}

impl Site {
    pub(crate) fn new(config: &str) -> Self {
        let site = Self { home: TempDir::new().unwrap() };
        site.write("bastionmq.toml", config);
        site.write("policy.toml", POLICY);
        site
    }

    /// With `certs/server.crt`, `certs/server.key` and `certs/ca.crt`.
    pub(crate) fn with_certificates(config: &str) -> Self {
        let site = Self::new(config);
        for arguments in [&["init"][..], &["server", "--name", "localhost"]] {
            let status = Command::new(env!("CARGO_BIN_EXE_bastionmq"))
                .arg("certs")
                .args(arguments)
                .args(["--dir", "certs"])
                .current_dir(site.home())
                .output()
                .unwrap();
            assert!(status.status.success(), "{status:?}");
        }
        site
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home().join("bastionmq.toml")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.home().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn sources(&self, environment: &[(&str, &str)], flags: Flags) -> Sources {
        let environment = environment.iter().map(|(k, v)| (k.into(), v.into())).collect();
        Sources { file: Some(self.config()), environment, flags }
    }

    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        Loaded::load(&self.sources(&[], Flags::default()))
    }

    pub(crate) fn resolve(&self) -> Result<Resolved, ConfigError> {
        self.load()?.resolve(Now::read())
    }
}

/// What `result` complains of, one line each, without the directory of the site.
pub(crate) fn complaints<T>(site: &Site, result: Result<T, ConfigError>) -> Vec<String> {
    let home = format!("{}/", site.home().display());
    let Err(error) = result else { panic!("nothing was wrong") };
    error.problems.iter().map(|problem| problem.to_string().replace(&home, "")).collect()
}

/// The only complaint about `config`, whichever step makes it.
pub(crate) fn complaint(config: &str) -> String {
    let site = Site::new(config);
    let complaints = complaints(&site, site.resolve());
    let [only] = complaints.as_slice() else { panic!("{complaints:#?}") };
    only.clone()
}
