//! Password files: that of the clients, and that of the operators.

use std::path::Path;

use super::{
    ConfigError, Loaded, Origin,
    findings::{Findings, in_file},
};
use crate::auth::{MAX_PASSWORD_FILE_BYTES, PasswordFile};

impl Loaded {
    /// Reads the password file anew, where there is one, and what ought to be known of it.
    ///
    /// # Errors
    /// That it is missing, unreadable or broken, and where.
    pub fn passwords(&self) -> Result<(Option<PasswordFile>, Vec<String>), ConfigError> {
        let mut findings = Findings::default();
        let passwords = self.read_passwords(&mut findings);
        match findings.problems.is_empty() {
            true => Ok((passwords, findings.warnings)),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Reads the password file of operators anew, where there is one, and what ought to be known of it.
    ///
    /// # Errors
    /// That it is missing, unreadable or broken, and where.
    pub fn operators(&self) -> Result<(Option<PasswordFile>, Vec<String>), ConfigError> {
        let mut findings = Findings::default();
        let operators = self.read_operators(&mut findings);
        match findings.problems.is_empty() {
            true => Ok((operators, findings.warnings)),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    pub(super) fn read_passwords(&self, findings: &mut Findings) -> Option<PasswordFile> {
        let path = self.config.auth.password_file.as_deref()?;
        self.read_password_file(path, "auth.password_file", findings)
    }

    /// Devices must not be operators by having a password, so the files are two.
    pub(super) fn read_operators(&self, findings: &mut Findings) -> Option<PasswordFile> {
        const SETTING: &str = "admin.password_file";
        let path = self.config.admin.password_file.as_deref()?;
        let of_clients = self.config.auth.password_file.as_deref();
        if of_clients.is_some_and(|of_clients| is_same_file(of_clients, path)) {
            let message = format!(
                "`{SETTING}` is the password file of the clients, and would let each of them see the \
                 administrative page: make one for operators with `bastionmq passwd add FILE USER`"
            );
            findings.problems.push(self.problem(SETTING, message));
            return None;
        }
        // Turned off by a flag or a variable it is for this run alone, and meant so.
        let is_written = matches!(self.origins.get("admin.address"), Some(Origin::File { .. }));
        if self.config.admin.address.socket_address().is_none() && is_written {
            let message = format!("`{SETTING}` has no effect: `address` in [admin] is off");
            findings.problems.push(self.problem(SETTING, message));
        }
        self.read_password_file(path, SETTING, findings)
    }

    fn read_password_file(
        &self,
        path: &Path,
        setting: &str,
        findings: &mut Findings,
    ) -> Option<PasswordFile> {
        let text = self.text_of(path, MAX_PASSWORD_FILE_BYTES, setting, findings)?;
        if is_exposed(path) {
            findings.warnings.push(in_file(path, "everybody can read or write it: chmod 600 it"));
        }
        match PasswordFile::parse(&text) {
            Ok(passwords) => Some(passwords),
            Err(errors) => {
                findings.blame(path, &errors);
                None
            }
        }
    }
}

/// Whether both names lead to one file, by whatever way.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// Whether others than its owner and group may read or write the file.
#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const OTHERS: u32 = 0o007;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &Path) -> bool {
    false
}
