//! `bastionmq import`: the configuration of another broker becomes one of this broker.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::clock::Now;
use crate::config::{Loaded, Sources};
use crate::import::{self, Files, Finding, Imported, Mapping, Weight};
use crate::private_file::{LockedDirectory, create_dir};

const COMPLETE: u8 = 0;
const INCOMPLETE: u8 = 1;
const FAILED: u8 = 2;

const CONFIG: &str = "bastionmq.toml";
const POLICY: &str = "policy.toml";
const PASSWORDS: &str = "passwords";

const EXAMPLES: &str = "\
Examples:
  bastionmq import mosquitto /etc/mosquitto/mosquitto.conf
  bastionmq import mosquitto mosquitto.conf --output broker
  bastionmq import mosquitto config/mosquitto.conf --map /mosquitto/config=config

Reads the configuration with all that it names: included files, the ACL file, the password file and
the file of the dynamic security plugin. Writes bastionmq.toml, policy.toml and passwords, readable
by their owner only, and overwrites nothing unless --force is given; what was there then stays beside
it, as bastionmq.toml~ and so on. Users keep their passwords.

What has no counterpart is listed with its file and line, and with what to do instead. Whatever cannot
be said in the same way permits less than before.

Exit codes: 0 all of it was translated, 1 it was written, but something has no counterpart or is not
valid yet, 2 an error, and nothing was written.";

/// Turn the configuration of another broker into one of this broker
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Translate a mosquitto.conf and the files that it names
    Mosquitto(MosquittoArgs),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct MosquittoArgs {
    /// The mosquitto.conf; relative paths in it are relative to its directory
    file: PathBuf,
    /// The directory to write to
    #[arg(long, value_name = "DIR", default_value = "bastionmq-data")]
    output: PathBuf,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
    /// Where files are whose path in the configuration begins with FROM, as in a container
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<Mapping>,
}

/// Runs the command.
pub(super) fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let Command::Mosquitto(args) = args.command;
    let code = execute(&args, &mut io::stdout().lock()).unwrap_or_else(|error| {
        // Where nobody listens the exit code alone has to tell.
        let told = super::with_causes(&error);
        // Whatever a file holds, it does not steer the terminal.
        let told = told.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
        let _ = writeln!(io::stderr(), "error: {told}");
        FAILED
    });
    Ok(ExitCode::from(code))
}

fn execute(args: &MosquittoArgs, out: &mut impl Write) -> anyhow::Result<u8> {
    let Imported { files, findings } = import::mosquitto(&args.file, &args.map)?;
    write(args, &files)?;
    let is_valid =
        report(args, &files, &findings, out).context("cannot write to standard output")?;
    let is_complete = findings.iter().all(|finding| finding.weight == Weight::Note);
    Ok(if is_complete && is_valid { COMPLETE } else { INCOMPLETE })
}

/// The names of the files and what is to be in them.
fn named(files: &Files) -> impl Iterator<Item = (&'static str, &str)> {
    let always = [(CONFIG, &*files.config), (POLICY, &*files.policy)];
    always.into_iter().chain(files.passwords.as_deref().map(|text| (PASSWORDS, text)))
}

fn write(args: &MosquittoArgs, files: &Files) -> anyhow::Result<()> {
    for (name, _) in named(files).filter(|_| !args.force) {
        let path = args.output.join(name);
        // A link to nowhere is there as well.
        if fs::symlink_metadata(&path).is_ok() {
            bail!(
                "{} exists already, and nothing was written: choose another --output, or give \
                 --force to overwrite it",
                path.display()
            );
        }
    }
    create_dir(&args.output)?;
    let directory = LockedDirectory::lock(&args.output)?;
    // All of them are on disk before the first has its name: a disk that is full changes nothing.
    let stage = |(name, text): (&str, &str)| directory.stage(name.as_ref(), text.as_bytes());
    let staged = named(files).map(stage).collect::<Result<Vec<_>, _>>()?;
    // The configuration comes last: what it names is there.
    for file in staged.into_iter().rev() {
        if args.force { file.replace_and_keep()? } else { file.create()? }
    }
    Ok(())
}

/// Says what is not as before, and whether the broker would start with what was written.
fn report(
    args: &MosquittoArgs,
    files: &Files,
    findings: &[Finding],
    out: &mut impl Write,
) -> io::Result<bool> {
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    for (name, _) in named(files) {
        writeln!(out, "wrote {}", args.output.join(name).display())?;
    }
    if is_exposed(&args.output) {
        let directory = args.output.display();
        writeln!(out, "note: others can look into {directory}: chmod 700 it")?;
    }
    let config = args.output.join(CONFIG);
    let is_valid = check(&config, out)?;
    let missing = findings.iter().filter(|it| it.weight == Weight::Missing).count();
    let notes = findings.len() - missing;
    writeln!(out, "{missing} without a counterpart, {notes} to know of")?;
    writeln!(out, "next: bastionmq serve --config {}", config.display())?;
    Ok(is_valid)
}

/// Whether the configuration at `path` is valid; what is wrong with it goes to `out`.
fn check(path: &Path, out: &mut impl Write) -> io::Result<bool> {
    let sources = Sources { file: Some(path.to_owned()), ..Sources::default() };
    let now = Now::read();
    match Loaded::load(&sources).and_then(|loaded| loaded.resolve(now)) {
        Ok(resolved) => {
            for warning in resolved.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            Ok(true)
        }
        Err(error) => {
            writeln!(out, "the configuration needs a hand before it is valid:\n{error}")?;
            Ok(false)
        }
    }
}

fn is_exposed(directory: &Path) -> bool {
    const OTHERS: u32 = 0o077;
    fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & OTHERS != 0)
}
