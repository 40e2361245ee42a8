//! `bastionmq completions`: what a shell needs to complete the commands.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;

const EXAMPLES: &str = "\
Examples:
  bastionmq completions bash > /etc/bash_completion.d/bastionmq
  bastionmq completions zsh > \"${fpath[1]}/_bastionmq\"
  bastionmq completions fish > ~/.config/fish/completions/bastionmq.fish";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "bastionmq", &mut script);
    io::stdout().write_all(&script).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
