//! Answers of a broker as people read them.

use std::io::{self, Write};

use crate::clock::Now;
use crate::control::{FileStatus, LockoutRow, SessionRow, SessionState, Status, TopicRows};

const UNKNOWN: &str = "?";

/// Whatever a client calls itself, it does not steer the terminal.
pub(in crate::cli) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// How the broker is.
pub(super) fn show_status(out: &mut impl Write, status: &Status, now: Now) -> io::Result<()> {
    let stopping = if status.stopping { ", stopping" } else { "" };
    writeln!(out, "version        {} (process {}){stopping}", status.version, status.pid)?;
    writeln!(out, "up for         {}", span(status.uptime_seconds))?;
    for (number, url) in status.listeners.iter().enumerate() {
        writeln!(out, "{:<14} {url}", if number == 0 { "listening on" } else { "" })?;
    }
    if let Some(url) = &status.metrics {
        writeln!(out, "metrics on     {url}")?;
    }
    writeln!(out, "connected      {}", status.connected)?;
    writeln!(out, "sessions       {}", status.sessions)?;
    writeln!(out, "subscriptions  {}", status.subscriptions)?;
    writeln!(out, "retained       {} ({} bytes)", status.retained_messages, status.retained_bytes)?;
    writeln!(out, "locked out     {}", status.lockouts)?;
    writeln!(out)?;
    show_files(out, &status.files, now)
}

/// What is known of each kind of file.
pub(super) fn show_files(out: &mut impl Write, files: &[FileStatus], now: Now) -> io::Result<()> {
    for FileStatus { what, files, read_at, fault, notes, changes } in files {
        if files.is_empty() {
            writeln!(out, "{what:<14} none")?;
            continue;
        }
        let since = ago(*read_at, now);
        match fault {
            None => writeln!(out, "{what:<14} in force, read {since}")?,
            Some(why) => {
                writeln!(out, "{what:<14} BROKEN; in force is what was read {since}")?;
                write_indented(out, why)?;
            }
        }
        for change in changes {
            write_indented(out, &format!("changed: {change}"))?;
        }
        for note in notes {
            write_indented(out, &format!("note: {note}"))?;
        }
    }
    Ok(())
}

fn write_indented(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "    {}", printable(line)))
}

/// One session: a line, and what it uses below.
pub(super) fn show_session(out: &mut impl Write, row: &SessionRow, now: Now) -> io::Result<()> {
    let SessionRow { client_id, principal, state, address, listener, connected_at, .. } = row;
    let text = |text: &Option<String>| text.as_deref().map_or(UNKNOWN.to_owned(), printable);
    let number = |count: Option<u64>| count.map_or(UNKNOWN.to_owned(), |count| count.to_string());
    let since = connected_at.map_or(UNKNOWN.to_owned(), |at| ago(at, now));
    let standing = match state {
        SessionState::Connected => format!("connected {since}"),
        SessionState::Away => format!("away, connected last {since}"),
        SessionState::Waiting => "waits for its session".to_owned(),
    };
    writeln!(
        out,
        "{}  {}  {standing}  from {} by {}  {} subscriptions, {} queued",
        printable(client_id),
        printable(principal),
        text(address),
        text(listener),
        number(row.subscriptions),
        number(row.queued),
    )?;
    let Some(TopicRows { filters, published, is_cut, .. }) = &row.topics else { return Ok(()) };
    for filter in filters {
        writeln!(out, "    subscribes  {}", printable(filter))?;
    }
    for topic in published {
        writeln!(out, "    publishes   {}", printable(topic))?;
    }
    if *is_cut {
        writeln!(out, "    and more")?;
    }
    Ok(())
}

/// One lock-out.
pub(super) fn show_lockout(out: &mut impl Write, row: &LockoutRow) -> io::Result<()> {
    let LockoutRow { user, address, failures, seconds } = row;
    let who = user.as_deref().map_or("everybody".to_owned(), |user| format!("user {user:?}"));
    let seconds = span(*seconds);
    writeln!(out, "{who} from {address}: {failures} failures, locked out for {seconds}")
}

pub(super) fn ago(at: u64, now: Now) -> String {
    format!("{} ago", span(now.unix.as_secs().saturating_sub(at)))
}

/// A time in its two largest units.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_its_two_largest_units() {
        for (seconds, shown) in
            [(0, "0 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (200_000, "2 d 7 h")]
        {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn a_broken_file_shows_with_its_reason_and_a_name_does_not_steer_the_terminal() {
        let now = Now::read();
        let files = [FileStatus {
            what: "policy".to_owned(),
            files: vec!["policy.toml".to_owned()],
            read_at: now.unix.as_secs() - 5,
            fault: Some("policy.toml:1: \u{1b}[2J\nand more".to_owned()),
            notes: vec!["a note".to_owned()],
            changes: vec!["a change".to_owned()],
        }];
        let mut out = Vec::new();
        show_files(&mut out, &files, now).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "policy         BROKEN; in force is what was read 5 s ago\n    policy.toml:1: \u{fffd}[2J\n    \
             and more\n    changed: a change\n    note: a note\n"
        );
    }
}
