//! `bastionmq audit`: reads the security audit log, and checks that nobody has changed it.

use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::configured::configured;
use crate::audit::{AuditFile, Keys, PublicKey, as_recorded, files_of, lines_of, verify};
use crate::clock::{End, Moment, Now};
use crate::config::Loaded;
use crate::keys::MasterKeySource;

const EXAMPLES: &str = "\
Examples:
  bastionmq audit verify --config bastionmq.toml            every record, by the secret of the log
  bastionmq audit verify --dir copy --public-key 1f2e...    what its signatures cover, without the secret
  bastionmq audit tail -n 20 -f --config bastionmq.toml
  bastionmq audit search --event login_refused --since 1d --dir /var/log/bastionmq/audit
  bastionmq audit search --principal user:ann --text plant/ --dir audit | jq .

Exit codes: 0 done, 1 it was not or the log was changed, 2 a mistake in the command line.";

/// How often a log that is followed is looked at.
const FOLLOW: Duration = Duration::from_millis(250);

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

/// Say whether any record was changed, removed, added or moved; exit code 1 if so
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
}

/// Print the last records
#[derive(Debug, Args)]
struct TailArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
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
    /// Such as user:ann; of a refused login, the user name
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// The client identifier; in a log with `mask` as well, where the master key is there
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
        Command::Verify(args) => return check(&args, &mut out),
        Command::Tail(args) => tail(&args, &mut out)?,
        Command::Search(args) => search(&args, &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
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
    let verified = verify(&directory, keys.as_ref(), public)?;
    for finding in &verified.findings {
        writeln!(out, "{finding}")?;
    }
    if verified.more > 0 {
        writeln!(out, "and {} more", verified.more)?;
    }
    if verified.earlier_removals > 0 {
        writeln!(out, "the broker has removed files {} times before", verified.earlier_removals)?;
    }
    for removal in &verified.removals {
        writeln!(out, "{removal}")?;
    }
    let files = verified.files;
    writeln!(out, "{} records in {files} files", verified.records)?;
    if let (Some(first), Some(last)) = (&verified.first, &verified.last) {
        writeln!(out, "from {first} to {last}")?;
    }
    if keys.is_none() && verified.unsigned > 0 {
        writeln!(
            out,
            "the last {} are not signed yet: nothing is known of them",
            verified.unsigned
        )?;
    }
    writeln!(out, "public key {public}")?;
    let is_whole = verified.findings.is_empty();
    writeln!(out, "{}", if is_whole { "whole" } else { "NOT as it was written" })?;
    out.flush()?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tail(args: &TailArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (directory, _) = args.place.choose()?;
    let files = files_of(&directory)?;
    let mut last = Vec::new();
    for file in files.iter().rev() {
        let lines = whole_lines(file)?.collect::<io::Result<Vec<_>>>()?;
        let missing = args.lines.saturating_sub(last.len());
        last.splice(0..0, lines.iter().skip(lines.len().saturating_sub(missing)).cloned());
        if last.len() >= args.lines {
            break;
        }
    }
    for line in last {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    match files.last().filter(|_| args.follow) {
        Some(file) => follow(&directory, file, out),
        None => Ok(()),
    }
}

/// Prints what is added, in this file and those after it. Never returns but with an error.
fn follow(directory: &Path, file: &AuditFile, out: &mut impl Write) -> anyhow::Result<()> {
    let mut number = file.number;
    let mut opened = std::fs::File::open(&file.path)?;
    opened.seek(SeekFrom::End(0))?;
    let mut lines: Box<dyn BufRead> = Box::new(io::BufReader::new(opened));
    let mut line = String::new();
    loop {
        if lines.read_line(&mut line)? > 0 {
            if line.ends_with('\n') {
                write!(out, "{line}")?;
                line.clear();
            }
            continue;
        }
        out.flush()?;
        // What was written there since it was last read is read before the next file is looked for.
        let next = files_of(directory)?.into_iter().find(|it| it.number > number);
        if let Some(next) = next
            && lines.read_line(&mut line)? == 0
        {
            number = next.number;
            lines = lines_of(&next)?;
        }
        thread::sleep(FOLLOW);
    }
}

fn search(args: &SearchArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (directory, loaded) = args.place.choose()?;
    let masked = args.masked(&directory, &loaded)?;
    let now_ms = u64::try_from(Now::read().unix.as_millis()).unwrap_or(u64::MAX);
    let moment = |end: Option<End>| match end? {
        End::At(moment) => Some(format!("{moment:#}")),
        End::AfterDays(days) => {
            let ago = u64::from(days).saturating_mul(86_400_000);
            Some(format!("{:#}", Moment(now_ms.saturating_sub(ago))))
        }
    };
    let (since, until) = (moment(args.since), moment(args.until));
    for file in files_of(&directory)? {
        for line in whole_lines(&file)? {
            let line = line?;
            if args.text.as_deref().is_some_and(|text| !line.contains(text)) {
                continue;
            }
            let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
            let time = text_of(&record, "time");
            // Times of one length are in order as texts are.
            let is_in_time = since.as_deref().is_none_or(|since| time >= since)
                && until.as_deref().is_none_or(|until| time < until);
            if is_in_time && args.wants(&record, &masked) {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(())
}

/// What is searched for, as a log with `mask` has it.
#[derive(Default)]
struct Masked {
    client_id: Option<String>,
    address: Option<String>,
}

impl SearchArgs {
    /// Nothing, where there is no master key.
    fn masked(&self, directory: &Path, loaded: &Loaded) -> anyhow::Result<Masked> {
        let source = MasterKeySource::find(self.master_key_file.as_deref(), &loaded.config.keys);
        let (Some(source), true) = (source, self.client_id.is_some() || self.address.is_some())
        else {
            return Ok(Masked::default());
        };
        let opened = source.read().map_err(anyhow::Error::from);
        let keys = match opened.and_then(|master| Ok(Keys::open(directory, &master)?)) {
            Err(error) if self.master_key_file.is_none() => {
                writeln!(io::stderr(), "what is masked is not searched for: {error:#}")?;
                return Ok(Masked::default());
            }
            keys => keys?,
        };
        Ok(Masked {
            client_id: self.client_id.as_deref().map(|it| keys.masked(it)),
            address: self.address.as_deref().map(|it| keys.masked_address(it)),
        })
    }

    fn wants(&self, record: &Value, masked: &Masked) -> bool {
        let is = |asked: &Option<String>, names: [&str; 2]| {
            asked.as_deref().is_none_or(|asked| {
                let cut = as_recorded(asked);
                let is_it = |found: &str| found == asked || found == cut;
                names.iter().any(|name| is_it(text_of(record, name)))
            })
        };
        let event = text_of(record, "event");
        (self.events.is_empty() || self.events.iter().any(|it| it == event))
            && is(&self.principal, ["principal", "user"])
            && (is(&self.client_id, ["client_id", "client_id"])
                || masked.client_id.as_deref() == Some(text_of(record, "client_id")))
            && is(&self.correlation, ["correlation", "correlation"])
            && self.address.as_deref().is_none_or(|asked| {
                places_of(record)
                    .any(|it| it.starts_with(asked) || masked.address.as_deref() == Some(it))
            })
    }
}

/// The addresses and networks that a record is about.
fn places_of(record: &Value) -> impl Iterator<Item = &str> {
    let is_place = ["address", "prefix"].contains(&text_of(record, "kind"));
    let key = record.get("key").unwrap_or(&Value::Null);
    let subject = if is_place { text_of(record, "subject") } else { "" };
    [text_of(record, "address"), subject, text_of(key, "address"), text_of(key, "prefix")]
        .into_iter()
        .filter(|place| !place.is_empty())
}

fn text_of<'r>(record: &'r Value, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The lines of a file; one that is being written is not among them.
fn whole_lines(file: &AuditFile) -> anyhow::Result<impl Iterator<Item = io::Result<String>>> {
    let mut lines = lines_of(file)?;
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(_) => line.strip_suffix('\n').map(|line| Ok(line.to_owned())),
            Err(error) => Some(Err(error)),
        }
    }))
}
