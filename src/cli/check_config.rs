//! `bastionmq check-config`: what would be in force, or everything that is wrong.

use std::{
    fmt::Write as _,
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

Prints every setting in force as TOML, and behind each that is not a default where it was written;
and below that, for each listener, who finds out who its clients are.
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
    let asked = resolved.listeners.iter().fold(String::new(), |mut text, listener| {
        // Writing to a text does not fail.
        let _ =
            writeln!(text, "# {} asks, in this order: {}", listener.url, listener.authenticators);
        text
    });
    io::stdout()
        .write_all(format!("{shown}\n{asked}").as_bytes())
        .context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
