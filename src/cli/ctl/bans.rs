//! `bastionmq ctl ban` and `ctl quarantine`: who is kept out or apart, for how long and why.

use std::io::Write;
use std::num::NonZeroU32;

use clap::{ArgGroup, Args, Subcommand};

use super::show::{ago, printable, span};
use super::{FAILED, strange, write_json};
use crate::clock::Now;
use crate::control::{Answer, Conversation, Request, SanctionKept, SanctionRequest, SanctionRow};

#[derive(Debug, Subcommand)]
pub(super) enum BanCommand {
    /// Keep somebody out, and end the connections that it has. An address is refused before TLS;
    /// others when they connect, with 0x8A (banned). Exit code 1 where `allow` in [bans] keeps it from that
    Add(AddArgs),
    /// List who is banned, by whom, until when and why
    List {
        /// The most that are shown
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: u32,
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Lift a ban: exit code 1 when there was none
    Lift(LiftArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum QuarantineCommand {
    /// Publish what somebody publishes to $bastion/quarantine/CLIENT_ID in place of its topics; it stays
    /// connected, and notices nothing. Exit code 1 where `allow` in [bans] keeps it from that
    Add(AddArgs),
    /// List who is in quarantine, by whom, until when and why
    List {
        /// The most that are shown
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: u32,
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Let somebody out of quarantine: exit code 1 when nobody was in it
    Lift(LiftArgs),
}

/// What differs between the two.
struct Words {
    /// What a subject is.
    is: &'static str,
    /// What has become of its connections.
    connections: &'static str,
    one: &'static str,
    many: &'static str,
}

const BAN: Words = Words { is: "banned", connections: "ended", one: "ban", many: "bans" };
const QUARANTINE: Words =
    Words { is: "in quarantine", connections: "affected", one: "quarantine", many: "quarantines" };

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// An address (192.0.2.1), a network (192.0.2.0/24, 2001:db8::/56), a principal as logs show it
    /// (user:NAME, certificate:NAME, token:NAME, unix:NAME, http:NAME, anonymous), client:ID, or a
    /// certificate by fingerprint:SHA256 or serial:NUMBER, in hexadecimal digits
    #[arg(value_name = "WHOM")]
    subject: String,
    /// For how long, such as 90s, 30m, 12h or 7d; for good without it
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    seconds: Option<NonZeroU32>,
    /// Why, for those who read the list and the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Print what holds now as JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("meant").required(true))]
pub(super) struct LiftArgs {
    /// Whom, as `ctl ban list` shows it
    #[arg(value_name = "WHOM", group = "meant")]
    pub(super) subject: Option<String>,
    /// Everybody
    #[arg(long, group = "meant")]
    all: bool,
}

/// Reads `12h`.
pub(super) fn seconds(text: &str) -> Result<NonZeroU32, String> {
    let wrong = || "a number and s, m, h or d, such as 90s or 12h, of at most 136 years".to_owned();
    let (number, unit) = text.split_at(text.len() - text.ends_with(['s', 'm', 'h', 'd']) as usize);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 86_400,
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).and_then(NonZeroU32::new).ok_or_else(wrong)
}

pub(super) fn ban(
    broker: &mut Conversation,
    command: BanCommand,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    match command {
        BanCommand::Add(args) => {
            let json = args.json;
            add(broker, Request::Ban(args.into()), json, &BAN, out)
        }
        BanCommand::List { limit, json } => list(broker, Request::Bans { limit }, json, &BAN, out),
        BanCommand::Lift(LiftArgs { subject, all: _ }) => {
            lift(broker, Request::LiftBan { subject }, &BAN, out)
        }
    }
}

pub(super) fn quarantine(
    broker: &mut Conversation,
    command: QuarantineCommand,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    match command {
        QuarantineCommand::Add(args) => {
            let json = args.json;
            add(broker, Request::Quarantine(args.into()), json, &QUARANTINE, out)
        }
        QuarantineCommand::List { limit, json } => {
            list(broker, Request::Quarantines { limit }, json, &QUARANTINE, out)
        }
        QuarantineCommand::Lift(LiftArgs { subject, all: _ }) => {
            lift(broker, Request::LiftQuarantine { subject }, &QUARANTINE, out)
        }
    }
}

impl From<AddArgs> for SanctionRequest {
    fn from(args: AddArgs) -> Self {
        let AddArgs { subject, seconds, why, json: _ } = args;
        Self { subject, seconds, why }
    }
}

fn add(
    broker: &mut Conversation,
    request: Request,
    json: bool,
    words: &Words,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let answer = broker.ask(request)?;
    let Answer::Sanctioned { sanction, connections, kept } = &answer else {
        return Err(strange());
    };
    if json {
        let whole = serde_json::json!({
            "sanction": sanction,
            "connections": connections,
            "kept": kept,
        });
        write_json(out, &whole)?;
        return Ok(0);
    }
    let (subject, until) = (printable(&sanction.subject), until(sanction, Now::read()));
    let Words { is, connections: what, one, .. } = words;
    let noun = if *connections == 1 { "connection" } else { "connections" };
    writeln!(out, "{subject} is {is} {until}; {connections} {noun} {what}")?;
    say_where(*kept, &format!("the {one}"), out)?;
    Ok(0)
}

fn list(
    broker: &mut Conversation,
    request: Request,
    json: bool,
    words: &Words,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let now = Now::read();
    let (shown, of) = broker.list(request, |answer| {
        let Answer::Sanction(row) = answer else { return Err(strange()) };
        if json { write_json(out, &row) } else { show(out, &row, now) }
    })?;
    if !json {
        writeln!(out, "{shown} of {of} {}", words.many)?;
    }
    Ok(0)
}

fn show(out: &mut impl Write, row: &SanctionRow, now: Now) -> anyhow::Result<()> {
    let SanctionRow { subject, by, why, since, refused, .. } = row;
    let (subject, by, why) = (printable(subject), printable(by), printable(why));
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let (since, until) = (ago(*since, now), until(row, now));
    Ok(writeln!(out, "{subject}  {until}  by {by} {since}{why}  ({refused} refused)")?)
}

fn lift(
    broker: &mut Conversation,
    request: Request,
    words: &Words,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let answer = broker.ask(request)?;
    let Answer::SanctionsLifted { count, kept } = answer else { return Err(strange()) };
    writeln!(out, "{count} {} lifted", if count == 1 { words.one } else { words.many })?;
    if count > 0 {
        say_where(kept, "that", out)?;
    }
    Ok(if count == 0 { FAILED } else { 0 })
}

pub(super) fn until(row: &SanctionRow, now: Now) -> String {
    match row.until {
        None => "for good".to_owned(),
        Some(until) => format!("for {}", span(until.saturating_sub(now.unix.as_secs()))),
    }
}

fn say_where(kept: SanctionKept, what: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let where_it_is = match kept {
        SanctionKept::OnDisk => return Ok(()),
        SanctionKept::InMemory => {
            "is kept in memory alone: this broker has no store, or its disk is ill, so a restart forgets it"
        }
        SanctionKept::SoonOnDisk => "is not on disk yet: a crash of the broker would forget it",
    };
    Ok(writeln!(out, "{what} {where_it_is}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        for (text, wanted) in
            [("90", 90), ("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)]
        {
            assert_eq!(seconds(text).map(NonZeroU32::get), Ok(wanted), "{text}");
        }
        for text in ["", "s", "0", "0d", "-1h", "1w", "1.5h", "99999999d", "1é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
