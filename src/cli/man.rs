//! `bastionmq man`: the manual, one page for each command.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::Cli;

const EXAMPLES: &str = "\
Examples:
  bastionmq man /usr/local/share/man/man1
  bastionmq man ./man && man ./man/bastionmq-serve.1";

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Where to; made if it is not there
    dir: PathBuf,
}

/// Writes the pages.
pub(super) fn run(args: ManArgs) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir))
        .with_context(|| format!("cannot write manual pages to {}", args.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command() {
        let dir = tempfile::tempdir().unwrap();
        run(ManArgs { dir: dir.path().join("man1") }).unwrap();
        for page in ["bastionmq.1", "bastionmq-serve.1", "bastionmq-acl-explain.1"] {
            assert!(dir.path().join("man1").join(page).exists(), "{page}");
        }
    }
}
