//! What somebody can do about a directory that cannot be made or used.

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Error, anyhow};

use super::super::with_causes;
use crate::config::{ConfigError, Origin};
use crate::server::ServerError;

/// Adds how to mend it to an error of a first run, where the system has said enough for that.
pub(super) fn of_first_run(error: Error) -> Error {
    let remedy = match kind(&error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "make room there, or choose another --dir"
        }
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            "choose another --dir, where you may write"
        }
        Some(ErrorKind::NotADirectory | ErrorKind::AlreadyExists) => {
            "a file is in the way: choose another --dir"
        }
        _ => return error,
    };
    anyhow!("{}; {remedy}. Nothing half made is left", with_causes(&error))
}

/// Adds to an error of a directory that was made before what can be done about it.
pub(super) fn of_later_run(error: Error, directory: &Path) -> Error {
    let remedy = match kind(&error) {
        _ if is_of_files(&error) => "put back what is missing and mend what is wrong",
        _ if !is_of_what_is_kept(&error) => return error,
        Some(ErrorKind::NotFound) => {
            "put that file back, without which nobody can read what is kept there"
        }
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => "make room there",
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            "run this as the user whose it is"
        }
        _ => return error,
    };
    anyhow!(
        "{}\n{} was made earlier: {remedy}. Or move it away, and quickstart makes a new one",
        with_causes(&error),
        directory.display()
    )
}

/// Of what kind what the system says is, if it says something.
fn kind(error: &Error) -> Option<ErrorKind> {
    error.chain().find_map(|it| it.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Whether the configuration and its files are wrong, and not what was typed.
fn is_of_files(error: &Error) -> bool {
    error.downcast_ref::<ConfigError>().is_some_and(|it| {
        let mut origins = it.problems.iter().map(|problem| &problem.origin);
        origins.all(|it| matches!(it, None | Some(Origin::File { .. })))
    })
}

fn is_of_what_is_kept(error: &Error) -> bool {
    use ServerError::{Audit, Credentials, MasterKey, Store};
    matches!(error.downcast_ref(), Some(Store(_) | Audit(_) | Credentials(_) | MasterKey(_)))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;
    use crate::config::Problem;
    use crate::keys::MasterKeyError;

    #[test]
    fn a_full_disk_and_a_place_where_nobody_may_write_are_told_with_what_to_do() {
        let told = |code| {
            let error = Error::new(io::Error::from_raw_os_error(code)).context("cannot write x");
            of_first_run(error).to_string()
        };
        let [full, forbidden, read_only] = [28, 13, 30].map(told);
        assert!(full.starts_with("cannot write x: No space left"), "{full}");
        assert!(full.contains("; make room there, or choose another --dir"), "{full}");
        assert!(forbidden.contains("where you may write"), "{forbidden}");
        assert!(read_only.contains("where you may write"), "{read_only}");
    }

    #[test]
    fn what_needs_no_word_of_ours_stays_as_it_is() {
        let error = anyhow!("no random bytes").context("cannot make a key");
        assert_eq!(with_causes(&of_first_run(error)), "cannot make a key: no random bytes");
        let error = of_later_run(anyhow!("the port is taken"), Path::new("/data"));
        assert_eq!(error.to_string(), "the port is taken");
    }

    #[test]
    fn a_file_that_is_missing_is_to_be_put_back_and_a_wrong_flag_is_not() {
        let of = |origin| {
            let problem = Problem { origin, message: "cannot read passwords".to_owned() };
            let error = Err::<(), _>(ConfigError { problems: vec![problem] }).context("x");
            of_later_run(error.err().unwrap(), Path::new("/data")).to_string()
        };
        let missing = of(None);
        assert!(missing.contains("\n/data was made earlier"), "{missing}");
        assert!(!of(Some(Origin::Flag("--listen"))).contains("/data"));
    }

    #[test]
    fn a_master_key_that_is_gone_is_to_be_put_back_and_other_faults_are_told_as_they_are() {
        let gone = crate::private_file::read_bounded(Path::new("/nowhere/master.key"), 1);
        let error = ServerError::MasterKey(MasterKeyError::File(gone.unwrap_err()));
        let said = of_later_run(error.into(), Path::new("/data")).to_string();
        assert!(said.contains("\n/data was made earlier: put that file back"), "{said}");
        let busy = ServerError::NoRandomness(ErrorKind::NotFound.into());
        assert!(!of_later_run(busy.into(), Path::new("/data")).to_string().contains("/data"));
    }
}
