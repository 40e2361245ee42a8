//! `bastionmq ctl sentinel`: the rules in force, what they have found, and whom they have slowed down.

use std::io::Write;

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::bans::{LiftArgs, until};
use super::show::{ago, printable};
use super::{FAILED, strange, write_json};
use crate::clock::Now;
use crate::control::{Answer, Conversation, Request, RuleRow};

#[derive(Debug, Subcommand)]
pub(super) enum SentinelCommand {
    /// List the rules in force: what they do, how often they were broken and when last, and how many keys
    /// they remember
    Rules {
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show the last alerts, the latest one last; those of rules that are only tried are among them. The
    /// broker remembers 256
    Alerts {
        /// The most that are shown
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Have a rule only tried, or in earnest, until the broker reads its configuration anew. What it remembers
    /// stays
    DryRun {
        /// Its name
        rule: String,
        /// Whether it is only tried
        state: Switch,
    },
    /// List who may publish less for a time, by which rule, until when and why
    Tightened {
        /// The most that are shown
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: u32,
        /// As JSON, one object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Let somebody publish as before: exit code 1 when nobody was slowed down
    Loosen(LiftArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    /// What the rule finds is reported, and nothing is done
    On,
    /// It does what it says
    Off,
}

pub(super) fn sentinel(
    broker: &mut Conversation,
    command: SentinelCommand,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    match command {
        SentinelCommand::Rules { json } => rules(broker, json, out),
        SentinelCommand::Alerts { limit, json } => alerts(broker, limit, json, out),
        SentinelCommand::DryRun { rule, state } => {
            let dry_run = state == Switch::On;
            let answer = broker.ask(Request::SentinelDryRun { rule, dry_run })?;
            let Answer::Rule(row) = answer else { return Err(strange()) };
            show_rule(out, &row, Now::read())?;
            Ok(0)
        }
        SentinelCommand::Tightened { limit, json } => tightened(broker, limit, json, out),
        SentinelCommand::Loosen(args) => {
            let answer = broker.ask(Request::SentinelLoosen { subject: args.subject })?;
            let Answer::SanctionsLifted { count, .. } = answer else { return Err(strange()) };
            writeln!(out, "{count} limit{} lifted", if count == 1 { "" } else { "s" })?;
            Ok(if count == 0 { FAILED } else { 0 })
        }
    }
}

fn rules(broker: &mut Conversation, json: bool, out: &mut impl Write) -> anyhow::Result<u8> {
    let now = Now::read();
    let (shown, _) = broker.list(Request::SentinelRules, |answer| {
        let Answer::Rule(row) = answer else { return Err(strange()) };
        if json { write_json(out, &row) } else { show_rule(out, &row, now) }
    })?;
    if !json {
        writeln!(out, "{shown} rules in force")?;
    }
    Ok(0)
}

fn show_rule(out: &mut impl Write, row: &RuleRow, now: Now) -> anyhow::Result<()> {
    let RuleRow { name, severity, responses, dry_run, found, last, keys, .. } = row;
    let tried = if *dry_run { "  dry run" } else { "" };
    let last = last.map_or(String::new(), |last| format!(", last {}", ago(last, now)));
    let responses = responses.join(", ");
    Ok(writeln!(
        out,
        "{:<24} {:<8} {responses}{tried}  found {found}{last}, {keys} keys",
        printable(name),
        printable(severity),
    )?)
}

fn alerts(
    broker: &mut Conversation,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let (shown, _) = broker.list(Request::SentinelAlerts { limit }, |answer| {
        let Answer::Alert(alert) = answer else { return Err(strange()) };
        if json { write_json(out, &alert) } else { show_alert(out, &alert) }
    })?;
    if !json {
        writeln!(out, "{shown} alerts")?;
    }
    Ok(0)
}

/// `2026-01-31T12:00:00Z  warning  password-guessing  address=192.0.2.1  20 of 20  ban 192.0.2.1: done`
fn show_alert(out: &mut impl Write, alert: &Value) -> anyhow::Result<()> {
    let text = |value: &Value| printable(value.as_str().unwrap_or_default());
    let key = alert["key"].as_object().into_iter().flatten();
    let key: Vec<_> = key.map(|(name, value)| format!("{name}={}", text(value))).collect();
    let responses = alert["responses"].as_array().into_iter().flatten().map(|response| {
        let subject = response.get("subject").unwrap_or(&response["target"]);
        let [response, subject, outcome] =
            [&response["response"], subject, &response["outcome"]].map(text);
        format!("  {response} {subject}: {outcome}")
    });
    let [time, severity, rule] = ["time", "severity", "rule"].map(|name| text(&alert[name]));
    let tried = if alert["dry_run"] == true { "  dry run" } else { "" };
    let (key, responses) = (key.join(" "), responses.collect::<String>());
    let (value, threshold) = (&alert["value"], &alert["threshold"]);
    writeln!(out, "{time}  {severity}  {rule}  {key}  {value} of {threshold}{responses}{tried}")?;
    Ok(())
}

fn tightened(
    broker: &mut Conversation,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let now = Now::read();
    let (shown, of) = broker.list(Request::SentinelTightened { limit }, |answer| {
        let Answer::Sanction(row) = answer else { return Err(strange()) };
        if json {
            return write_json(out, &row);
        }
        let (subject, by, why) = (printable(&row.subject), printable(&row.by), printable(&row.why));
        let (since, until) = (ago(row.since, now), until(&row, now));
        Ok(writeln!(out, "{subject}  {until}  by {by} {since}: {why}")?)
    })?;
    if !json {
        writeln!(out, "{shown} of {of} slowed down")?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_shows_on_one_line_what_was_found_and_done() {
        let alert = serde_json::json!({
            "time": "2026-01-31T12:00:00Z", "severity": "warning", "rule": "guessing",
            "key": { "address": "192.0.2.1" }, "value": 20.0, "threshold": 20.0, "dry_run": true,
            "responses": [{
                "response": "ban", "target": "address", "subject": "192.0.2.1", "outcome": "dry_run"
            }],
        });
        let mut out = Vec::new();
        show_alert(&mut out, &alert).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-01-31T12:00:00Z  warning  guessing  address=192.0.2.1  20.0 of 20.0  ban 192.0.2.1: \
             dry_run  dry run\n"
        );
    }
}
