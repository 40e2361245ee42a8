//! `bastionmq sentinel`: tries rules on what has happened before, without a broker.

mod recorded;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use self::recorded::{Line, Recorded};
use crate::clock::Moment;
use crate::config::{Flags, Loaded, Sources};
use crate::sentinel::{Finding, Response, Sentinel};

const EXAMPLES: &str = "\
Examples:
  bastionmq sentinel test bastionmq.toml attack.jsonl
  bastionmq audit search --since 7d --dir audit | bastionmq sentinel test rules.toml -

RULES is a configuration; of it, [sentinel] and [[sentinel.rule]] count. EVENTS has a JSON object on each
line, in the order of time:

  {\"time\": 0, \"event\": \"login_refused.credentials\", \"address\": \"192.0.2.1\", \"times\": 19}
  {\"expect\": []}
  {\"time\": 30, \"event\": \"login_refused.credentials\", \"address\": \"192.0.2.1\"}
  {\"expect\": [\"password-guessing\"]}

The time is in seconds, or as 2026-01-31T12:00:00Z. What is known of an event is its principal, client_id,
address, listener, topic and number. Lines of the audit log are read as they are. `expect` names the rules
that are broken since the last such line: those, and no others.

Exit codes: 0 as expected, 1 not as expected, 2 the rules or the events cannot be read.";

const UNEXPECTED: u8 = 1;
const USAGE: u8 = 2;
/// Bytes of the longest line.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Try rules of the sentinel on what has happened before
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SentinelArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run recorded events through rules, and show which rules they break and when
    #[command(after_help = EXAMPLES)]
    Test {
        /// A configuration with the rules
        rules: PathBuf,
        /// The events, as JSON lines; - for standard input
        events: PathBuf,
    },
}

/// Runs the command that `args` name.
pub(super) fn run(args: SentinelArgs) -> anyhow::Result<ExitCode> {
    let Command::Test { rules, events } = args.command;
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let code = match sentinel_of(&rules).and_then(|sentinel| Ok((sentinel, open(&events)?))) {
        Ok((sentinel, lines)) => {
            let name = events.display().to_string();
            Test::new(sentinel, &name).run(lines, &mut out, &mut err)?
        }
        Err(error) => {
            writeln!(err, "error: {error:#}")?;
            USAGE
        }
    };
    out.flush()?;
    Ok(ExitCode::from(code))
}

/// One that goes by the rules in `file`.
fn sentinel_of(file: &Path) -> anyhow::Result<Sentinel> {
    let mut sources = Sources::of_process(Some(file.to_owned()), Flags::default());
    // What a broker is told in its environment is no business of this command.
    sources.environment.clear();
    Ok(Sentinel::new(Loaded::load(&sources)?.sentinel()?, 0))
}

fn open(events: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if events == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(events).with_context(|| format!("cannot read {}", events.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// A stream of events that is looked at.
struct Test<'a> {
    sentinel: Sentinel,
    /// What the stream is called.
    name: &'a str,
    /// When it begins, in milliseconds: since the Unix epoch, or since whatever its times are counted from.
    begin: Option<u64>,
    /// The rules that were broken since it was last said what is expected.
    broken: Vec<String>,
    events: u64,
    skipped: u64,
    findings: u64,
    expectations: u64,
    failures: u64,
}

impl<'a> Test<'a> {
    fn new(sentinel: Sentinel, name: &'a str) -> Self {
        Self {
            sentinel,
            name,
            begin: None,
            broken: Vec::new(),
            events: 0,
            skipped: 0,
            findings: 0,
            expectations: 0,
            failures: 0,
        }
    }

    fn run(
        mut self,
        mut lines: impl BufRead,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> anyhow::Result<u8> {
        for number in 1_u64.. {
            let mut line = String::new();
            if io::Read::take(&mut lines, MAX_LINE_BYTES).read_line(&mut line)? == 0 {
                break;
            }
            if line.trim().is_empty() {
                continue;
            }
            match recorded::read(&line) {
                Ok(Line::Event(event)) => self.observe(number, &event, out)?,
                Ok(Line::Expect(expected)) => self.compare(number, expected, out)?,
                Ok(Line::Other) => self.skipped += 1,
                Err(error) => {
                    writeln!(err, "error: {}:{number}: {error}", self.name)?;
                    return Ok(USAGE);
                }
            }
        }
        let Self { events, skipped, findings, expectations, failures, .. } = self;
        let others = if skipped > 0 { format!(" ({skipped} other lines)") } else { String::new() };
        writeln!(
            out,
            "{events} events{others}, {findings} findings, {failures} of {expectations} expectations failed"
        )?;
        Ok(if failures == 0 { 0 } else { UNEXPECTED })
    }

    fn observe(
        &mut self,
        number: u64,
        recorded: &Recorded,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let begin = *self.begin.get_or_insert(recorded.ms);
        let since = std::time::Duration::from_millis(recorded.ms.saturating_sub(begin));
        let mut findings = Vec::new();
        for _ in 0..recorded.times {
            self.sentinel.observe(since, &recorded.event, &mut findings);
            self.events += 1;
        }
        for finding in findings {
            self.findings += 1;
            let time = match recorded.is_moment {
                true => Moment(recorded.ms).to_string(),
                false => format!("{} s", recorded.ms as f64 / 1e3),
            };
            writeln!(out, "{}:{number}: {time}  {}", self.name, shown(&finding))?;
            self.broken.push(finding.rule.name.to_string());
        }
        Ok(())
    }

    fn compare(
        &mut self,
        number: u64,
        mut expected: Vec<String>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut broken = std::mem::take(&mut self.broken);
        for names in [&mut broken, &mut expected] {
            names.sort_unstable();
            names.dedup();
        }
        self.expectations += 1;
        if broken != expected {
            self.failures += 1;
            let or_none = |names: &[String]| match names {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let (expected, broken) = (or_none(&expected), or_none(&broken));
            writeln!(
                out,
                "{}:{number}: FAILED: to be broken: {expected}; broken are: {broken}",
                self.name
            )?;
        }
        Ok(())
    }
}

/// `warning  password-guessing  address=192.0.2.1  20 of 20  log, alert, ban address`
fn shown(Finding { rule, key, value, .. }: &Finding) -> String {
    let key: Vec<_> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let response = |response: &Response| match response.target() {
        Some(target) => format!("{} {}", response.name(), target.name()),
        None => response.name().to_owned(),
    };
    let responses: Vec<_> = rule.responses.iter().map(response).collect();
    let tried = if rule.dry_run { "  dry run" } else { "" };
    format!(
        "{}  {}  {}  {} of {}  {}{tried}",
        rule.severity.name(),
        rule.name,
        key.join(" "),
        (value * 1e3).round() / 1e3,
        rule.threshold,
        responses.join(", "),
    )
}
