//! `bastionmq ctl`: speaks to a broker that runs.

mod bans;
mod log;
mod sentinel;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use self::bans::{BanCommand, QuarantineCommand};
use self::log::LogArgs;
use self::sentinel::SentinelCommand;
pub(super) use self::show::printable;
use self::show::{show_files, show_lockout, show_session, show_status};
use crate::auth::Origin;
use crate::clock::Now;
use crate::control::{
    Answer, ControlError, Conversation, KickOutcome, Lifted, Request, SessionQuery,
};

/// Where quickstart has it.
pub(super) const DEFAULT_SOCKET: &str = "bastionmq-data/control/ctl.sock";

const EXAMPLES: &str = "\
Examples:
  bastionmq ctl status                          how the broker is, and its files
  bastionmq ctl reload                          read all files anew, and say what is broken
  bastionmq ctl sessions --principal 'user:plant-*'
  bastionmq ctl kick pump-7                     end its connection; it may come back
  bastionmq ctl kick --forget pump-7            end its session as well
  bastionmq ctl lockouts
  bastionmq ctl lift anna                       let her log in again at once
  bastionmq ctl ban add 2001:db8::/56 --for 12h --why 'guesses passwords'
  bastionmq ctl ban add user:anna               for good: she is disconnected at once
  bastionmq ctl ban list
  bastionmq ctl ban lift user:anna
  bastionmq ctl quarantine add client:pump-7 --for 1h
  bastionmq ctl sentinel alerts                 what was out of the ordinary lately
  bastionmq ctl sentinel dry-run flapping on    only report what this rule finds
  bastionmq ctl log info,bastionmq::net=debug --for 10m
  bastionmq ctl store backup /var/backups/bastionmq/monday
  bastionmq ctl --socket /run/bastionmq/ctl.sock status --json

The broker listens where `socket` in [control] of its configuration says, and only to the user
that it runs as, to root and to the `group` there. Whoever does something is named in its log.

To take from somebody what it may do, take its password, certificate or roles from the files: the broker
reads them anew by itself, and ends the sessions that are not allowed any more.

Exit codes: 0 done, 1 it was not, or something is broken, 2 a mistake in the command line.";

/// Ask a running broker how it is, and tell it what to do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CtlArgs {
    /// The control socket of the broker
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "BASTIONMQ_CONTROL_SOCKET",
        default_value = DEFAULT_SOCKET
    )]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show version, uptime, listeners, connections, sessions, and when each file was last read and
    /// whether what is in it now is in force
    Status {
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Read all files anew and wait for it: exit code 0 when all of them are in force, 1 when
    /// something is broken, which then changes nothing
    Reload {
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// List sessions, in order of their client identifiers
    Sessions(SessionsArgs),
    /// End the connection of a client, which is told that an administrator did (reason code 0x98)
    Kick {
        /// The client identifier
        client_id: String,
        /// End its session as well: its subscriptions, and the messages that wait for it
        #[arg(long)]
        forget: bool,
    },
    /// List who is locked out after failed logins
    Lockouts {
        /// The most that are shown
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: u32,
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Lift lock-outs, and forget the failures that led to them: exit code 1 when there were none
    Lift(LiftArgs),
    /// Keep somebody out for a time or for good: an address or network, a principal, a client identifier or
    /// a certificate
    #[command(subcommand)]
    Ban(BanCommand),
    /// Set apart what somebody publishes, for a time or for good: see `ctl ban` for whom
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// What the sentinel looks for, what it has found, and whom it has slowed down
    #[command(subcommand)]
    Sentinel(SentinelCommand),
    /// Show what the broker logs, or have it log more or less for a time
    Log(LogArgs),
    /// What concerns the store of the broker
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Copy the store while the broker goes on: all that is kept when this is asked for. The copy is
    /// encrypted as the store is, and opens with the same master key; to use it, name it as `dir` of
    /// [store]. The broker writes it, as the user that it runs as
    Backup {
        /// The directory to copy to: made with mode 0700, or empty
        path: PathBuf,
        /// Print what was copied as JSON, for scripts
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct SessionsArgs {
    /// Only clients whose identifier is like this: `*` is any text, `?` any character
    #[arg(long, value_name = "GLOB")]
    client_id: Option<String>,
    /// Only those of principals like this, as logs show them: user:NAME, certificate:NAME, unix:NAME,
    /// token:NAME, http:NAME, anonymous
    #[arg(long, value_name = "GLOB")]
    principal: Option<String>,
    /// The most that are shown
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: u32,
    /// Go on behind this client identifier: the last one of an earlier list
    #[arg(long, value_name = "CLIENT_ID")]
    after: Option<String>,
    /// Show the filters that they are subscribed to and the topics that they publish to as well
    #[arg(long)]
    topics: bool,
    /// As JSON, one object a line, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("meant").required(true))]
struct LiftArgs {
    /// An address, or a /64, as `ctl lockouts` shows it: whoever failed there; or else a user, wherever
    /// it failed
    #[arg(value_name = "USER|PREFIX", group = "meant")]
    whom: Option<String>,
    /// A user, whatever the name looks like
    #[arg(long, value_name = "NAME", group = "meant")]
    user: Option<String>,
    /// Everybody
    #[arg(long, group = "meant")]
    all: bool,
}

/// What is not done, or not well.
const FAILED: u8 = 1;

/// Runs the command.
pub(super) fn run(args: CtlArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let code = execute(&args.socket, args.command, &mut out)?;
    out.flush()?;
    Ok(ExitCode::from(code))
}

fn execute(socket: &Path, command: Command, out: &mut impl Write) -> anyhow::Result<u8> {
    let mut broker = Conversation::open(socket)?;
    match command {
        Command::Status { json } => status(&mut broker, json, out),
        Command::Reload { json } => reload(&mut broker, json, out),
        Command::Sessions(args) => sessions(&mut broker, args, out),
        Command::Kick { client_id, forget } => kick(&mut broker, client_id, forget, out),
        Command::Lockouts { limit, json } => lockouts(&mut broker, limit, json, out),
        Command::Lift(args) => lift(&mut broker, args, out),
        Command::Ban(command) => bans::ban(&mut broker, command, out),
        Command::Quarantine(command) => bans::quarantine(&mut broker, command, out),
        Command::Sentinel(command) => sentinel::sentinel(&mut broker, command, out),
        Command::Log(args) => log::log(&mut broker, args, out),
        Command::Store(StoreCommand::Backup { path, json }) => {
            back_up(&mut broker, &path, json, out)
        }
    }
}

fn status(broker: &mut Conversation, json: bool, out: &mut impl Write) -> anyhow::Result<u8> {
    let Answer::Status(status) = broker.ask(Request::Status)? else { return Err(strange()) };
    if json {
        write_json(out, &status)?;
    } else {
        show_status(out, &status, Now::read())?;
    }
    Ok(0)
}

fn reload(broker: &mut Conversation, json: bool, out: &mut impl Write) -> anyhow::Result<u8> {
    let Answer::Reloaded(files) = broker.ask(Request::Reload)? else { return Err(strange()) };
    if json {
        write_json(out, &files)?;
    } else {
        show_files(out, &files, Now::read())?;
    }
    let is_whole = files.iter().all(|file| file.fault.is_none());
    Ok(if is_whole { 0 } else { FAILED })
}

fn sessions(
    broker: &mut Conversation,
    args: SessionsArgs,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let SessionsArgs { client_id, principal, limit, after, topics, json } = args;
    let query = SessionQuery { client_id, principal, after, limit, with_topics: topics };
    let now = Now::read();
    let mut last = None;
    let (shown, of) = broker.list(Request::Sessions(query), |answer| {
        let Answer::Session(row) = answer else { return Err(strange()) };
        if json {
            write_json(out, &row)?;
        } else {
            show_session(out, &row, now)?;
        }
        last = Some(row.client_id);
        anyhow::Ok(())
    })?;
    if !json {
        writeln!(out, "{shown} of {of} sessions")?;
        if let Some(last) = last.filter(|_| shown < of) {
            writeln!(out, "more of them: add --after '{}'", printable(&last))?;
        }
    }
    Ok(0)
}

fn kick(
    broker: &mut Conversation,
    client_id: String,
    forget: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let named = printable(&client_id);
    let Answer::Kicked(outcome) = broker.ask(Request::Kick { client_id, forget })? else {
        return Err(strange());
    };
    let (told, code) = match outcome {
        KickOutcome::Unknown => ("has no session here", FAILED),
        KickOutcome::Away => {
            ("is not connected; its session waits: --forget would end that as well", FAILED)
        }
        KickOutcome::AwayAndForgotten => ("was not connected; its session has ended", 0),
        KickOutcome::Disconnected => ("is disconnected; its session waits for it", 0),
        KickOutcome::DisconnectedAndForgotten => ("is disconnected, and its session has ended", 0),
        KickOutcome::Pending => ("has been told to end its connection, and has not yet", FAILED),
    };
    writeln!(out, "{named} {told}")?;
    Ok(code)
}

fn lockouts(
    broker: &mut Conversation,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let (shown, of) = broker.list(Request::Lockouts { limit }, |answer| {
        let Answer::Lockout(row) = answer else { return Err(strange()) };
        if json { write_json(out, &row) } else { Ok(show_lockout(out, &row)?) }
    })?;
    if !json {
        writeln!(out, "{shown} of {of} lock-outs")?;
    }
    Ok(0)
}

fn lift(broker: &mut Conversation, args: LiftArgs, out: &mut impl Write) -> anyhow::Result<u8> {
    let LiftArgs { whom, user, all: _ } = args;
    let whom = match (whom, user) {
        (Some(text), _) if text.parse::<Origin>().is_ok() => Lifted::Address(text),
        (Some(user), _) | (None, Some(user)) => Lifted::User(user),
        (None, None) => Lifted::All,
    };
    let Answer::Lifted { count } = broker.ask(Request::Lift(whom))? else { return Err(strange()) };
    writeln!(out, "{count} lock-out{} lifted", if count == 1 { "" } else { "s" })?;
    Ok(if count == 0 { FAILED } else { 0 })
}

fn back_up(
    broker: &mut Conversation,
    path: &Path,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let path = std::path::absolute(path)?;
    broker.list(Request::BackUp { path: path.clone() }, |answer| {
        let (segments, bytes) = match answer {
            Answer::Copying => return Ok(()),
            Answer::BackedUp { segments, bytes } => (segments, bytes),
            _ => return Err(strange()),
        };
        if json {
            return write_json(out, &serde_json::json!({ "segments": segments, "bytes": bytes }));
        }
        let path = path.display();
        Ok(writeln!(out, "copied {bytes} bytes in {segments} segments to {path}")?)
    })?;
    Ok(0)
}

fn write_json(out: &mut impl Write, what: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    Ok(writeln!(out)?)
}

/// An answer to something else.
fn strange() -> anyhow::Error {
    ControlError::Unintelligible("it is about something else".to_owned()).into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        ctl: CtlArgs,
    }

    fn parse(words: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from([&["ctl"], words].concat())
    }

    #[test]
    fn the_socket_can_be_named_before_and_behind_the_command() {
        for words in [["--socket", "/s", "status"], ["status", "--socket", "/s"]] {
            assert_eq!(parse(&words).unwrap().ctl.socket, Path::new("/s"));
        }
    }

    #[test]
    fn one_must_say_whose_lock_outs_are_lifted() {
        for words in [&["lift"][..], &["lift", "anna", "--all"], &["lift", "anna", "--user", "x"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        for words in [&["lift", "anna"][..], &["lift", "--user", "192.0.2.1"], &["lift", "--all"]] {
            assert!(parse(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn without_a_broker_one_is_told_where_it_was_looked_for_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("ctl.sock");
        let refused =
            execute(&socket, Command::Status { json: false }, &mut Vec::new()).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains(socket.to_str().unwrap()) && told.contains("[control]"), "{told}");
    }
}
