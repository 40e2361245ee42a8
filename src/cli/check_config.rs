//! `bastionmq check-config`: what would be in force, or everything that is wrong.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use crate::{
    clock::Now,
    config::{Flags, Loaded, Sources},
};

const EXAMPLES: &str = "\
Examples:
  bastionmq check-config bastionmq.toml
  BASTIONMQ_LOG_LEVEL=debug bastionmq check-config bastionmq.toml
  bastionmq check-config bastionmq.toml && systemctl restart bastionmq

Prints every setting in force as TOML, and behind each that is not a default where it was written.
Environment variables count as they do for `serve`. Policy, password and certificate files are read
and checked as well; what they hold is not shown.";

/// Check a configuration, and show what would be in force
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckConfigArgs {
    /// The configuration file
    file: PathBuf,
}

/// Runs the command; everything that is wrong is one error.
pub(super) fn run(args: CheckConfigArgs) -> anyhow::Result<ExitCode> {
    let loaded = Loaded::load(&Sources::of_process(Some(args.file), Flags::default()))?;
    let shown = loaded.to_string();
    let resolved = loaded.resolve(Now::read())?;
    for warning in &resolved.warnings {
        // Where nobody listens there is nobody to warn.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    io::stdout().write_all(shown.as_bytes()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
