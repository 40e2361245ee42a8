//! `bastionmq audit`: reads the security audit log, and checks that nobody has changed it.

mod records;
mod search;
mod tail;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use super::configured::configured;
use crate::audit::{Keys, PublicKey, Verified, verify};
use crate::clock::End;
use crate::config::Loaded;
use crate::keys::MasterKeySource;

const EXAMPLES: &str = "\
Examples:
  bastionmq audit verify --config bastionmq.toml            every record, by the secret of the log
  bastionmq audit verify --dir copy --public-key 1f2e...    what its signatures cover, without the secret
  bastionmq audit tail -n 20 -f --config bastionmq.toml
  bastionmq audit tail -f --after-seq 18204 --config bastionmq.toml     all records after that one, and on
  bastionmq audit search --event login_refused --since 1d --dir /var/log/bastionmq/audit
  bastionmq audit search --principal user:ann --text plant/ --dir audit | jq .

Exit codes: 0 done, also where nothing matches; 1 it was not, or only in part since something of the log
cannot be read, or the log is not whole; 2 a mistake in the command line.";

/// Read the security audit log, and check that nobody has changed it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(VerifyArgs),
    Tail(TailArgs),
    Search(SearchArgs),
}

/// Where a log is.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// The directory of the log; without it, `dir` in [audit] of the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A configuration of the broker that names it [env: BASTIONMQ_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Say whether any record was changed, removed, added or moved; exit code 1 if so, or if there is none
#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The master key that the secret of the log is sealed under. Without it, the credential
    /// `bastionmq-master-key` of systemd, else BASTIONMQ_MASTER_KEY, else `master_key_file` of the
    /// configuration
    #[arg(long, value_name = "FILE", conflicts_with = "public_key")]
    master_key_file: Option<PathBuf>,
    /// Check signatures alone, by the key that an earlier `verify` has printed: for whoever must not be
    /// able to write such a log
    #[arg(long, value_name = "HEX")]
    public_key: Option<PublicKey>,
    /// The `last seq` that an earlier `verify` has printed, kept where nobody changes it: the log is to go
    /// as far as that. Without it, nobody can tell an older copy of the log from the log
    #[arg(long, value_name = "SEQ")]
    at_least_seq: Option<u64>,
}

/// Print the last records
#[derive(Debug, Args)]
struct TailArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// All records after the one with this number, instead of so many: the last one that was printed before
    #[arg(long, value_name = "SEQ", conflicts_with = "lines")]
    after_seq: Option<u64>,
    /// Go on printing what is added
    #[arg(short, long)]
    follow: bool,
}

/// Print the records that match all that is asked for
#[derive(Debug, Args)]
struct SearchArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Such as connected, disconnected, login_refused, denied or revoked; may be repeated
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Such as user:ann, also where it is banned and the like; of a refused login, the user name
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// The client identifier, also where it is banned and the like; in a log with `mask` as well, where the
    /// master key is there
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// How the address begins. A whole one, or a network, is found in a log with `mask` as well, where
    /// the master key is there
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The master key, to search a log with `mask`. Without it, the one that `verify` takes
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// All records of one connection
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// What the line contains anywhere
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// From when on: 2026-01-31, 2026-01-31T12:00:00Z, or 7d for days ago
    #[arg(long, value_name = "WHEN")]
    since: Option<End>,
    /// Until when, as --since
    #[arg(long, value_name = "WHEN")]
    until: Option<End>,
}

/// Runs the command.
pub(super) fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match args.command {
        Command::Verify(args) => check(&args, &mut out),
        Command::Tail(args) => tail::run(&args, &mut out),
        Command::Search(args) => search::run(&args, &mut out),
    }
}

impl PlaceArgs {
    fn choose(&self) -> anyhow::Result<(PathBuf, Loaded)> {
        let loaded = configured(self.config.clone(), &["KEYS", "AUDIT"])?;
        let directory = self.dir.clone().or_else(|| loaded.config.audit.dir.clone());
        let directory = directory.context(
            "which log? Name its directory with --dir DIR, or --config with a configuration in which \
             [audit] has a `dir`",
        )?;
        ensure!(directory.is_dir(), "there is no directory {}", directory.display());
        Ok((directory, loaded))
    }
}

fn check(args: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (directory, loaded) = args.place.choose()?;
    let keys = match args.public_key {
        Some(_) => None,
        None => {
            let source =
                MasterKeySource::find(args.master_key_file.as_deref(), &loaded.config.keys);
            let source = source.context(
                "there is no master key: name it with --master-key-file FILE, or check signatures alone \
                 with --public-key",
            )?;
            Some(Keys::open(&directory, &source.read()?)?)
        }
    };
    let public = args.public_key.or(keys.as_ref().map(Keys::public_key)).context("no key")?;
    let mut verified = verify(&directory, keys.as_ref(), public)?;
    if let Some(seq) = args.at_least_seq {
        verified.expect_seq(&directory, seq);
    }
    print(&verified, keys.is_some(), out)?;
    writeln!(out, "public key {public}")?;
    let (verdict, code) = match (verified.is_whole(), verified.records) {
        (true, _) => ("whole", ExitCode::SUCCESS),
        (false, 0) if verified.findings.is_empty() => ("there is no record", ExitCode::FAILURE),
        (false, _) => ("NOT as it was written", ExitCode::FAILURE),
    };
    writeln!(out, "{verdict}")?;
    out.flush()?;
    Ok(code)
}

fn print(verified: &Verified, has_secret: bool, out: &mut impl Write) -> io::Result<()> {
    for finding in &verified.findings {
        writeln!(out, "{finding}")?;
    }
    if verified.more > 0 {
        writeln!(out, "and {} more", verified.more)?;
    }
    for note in &verified.notes {
        writeln!(out, "note: {note}")?;
    }
    if verified.more_notes > 0 {
        writeln!(out, "note: and {} more", verified.more_notes)?;
    }
    if verified.earlier_removals > 0 {
        writeln!(out, "the broker has removed files {} times before", verified.earlier_removals)?;
    }
    for removal in &verified.removals {
        writeln!(out, "{removal}")?;
    }
    let files = if verified.files == 1 { "file" } else { "files" };
    writeln!(out, "{} records in {} {files}", verified.records, verified.files)?;
    if let (Some(first), Some(last)) = (&verified.first, &verified.last) {
        writeln!(out, "from {first} to {last}")?;
        writeln!(out, "last seq {}", verified.seq)?;
    }
    if !has_secret && verified.unsigned > 0 {
        writeln!(
            out,
            "the last {} are not signed yet: nothing is known of them",
            verified.unsigned
        )?;
    }
    Ok(())
}
