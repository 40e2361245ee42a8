//! `bastionmq ctl log`: what the broker logs.

use std::io::Write;
use std::num::NonZeroU32;

use clap::Args;

use super::bans::seconds;
use super::show::{printable, span};
use super::{strange, write_json};
use crate::control::{Answer, Conversation, LogLevelRow, Request};
use crate::telemetry::LogLevel;

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// off, error, warn, info, debug or trace, also per module, such as info,bastionmq::net=debug: in force at
    /// once, until the broker reads its configuration anew or ends
    #[arg(value_name = "LEVELS")]
    level: Option<LogLevel>,
    /// For how long, such as 90s, 10m or 1h, of 30d at most; then it is as the configuration says
    #[arg(long = "for", value_name = "TIME", value_parser = seconds, requires = "level")]
    seconds: Option<NonZeroU32>,
    /// Log what the configuration says again
    #[arg(long, conflicts_with = "level")]
    restore: bool,
    /// Print what is in force now as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn log(
    broker: &mut Conversation,
    args: LogArgs,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let LogArgs { level, seconds, restore, json } = args;
    let request = match level {
        Some(level) => Request::SetLogLevel { level: level.to_string(), seconds },
        None if restore => Request::RestoreLogLevel,
        None => Request::LogLevel,
    };
    let Answer::LogLevel(row) = broker.ask(request)? else { return Err(strange()) };
    if json {
        write_json(out, &row)?;
    } else {
        writeln!(out, "{}", shown(&row))?;
    }
    Ok(0)
}

fn shown(row: &LogLevelRow) -> String {
    let LogLevelRow { level, configured, seconds } = row;
    let (level, configured) = (printable(level), printable(configured));
    match seconds {
        Some(seconds) => format!("{level}, for {}; then {configured}", span(*seconds)),
        None if level == configured => format!("{level}, as the configuration says"),
        None => format!("{level}, until the configuration is read anew; then {configured}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_shown_with_what_comes_after_it() {
        let row = |level: &str, seconds| {
            let (level, configured) = (level.to_owned(), "info".to_owned());
            shown(&LogLevelRow { level, configured, seconds })
        };
        assert_eq!(row("info", None), "info, as the configuration says");
        assert_eq!(row("debug", None), "debug, until the configuration is read anew; then info");
        assert_eq!(row("debug", Some(600)), "debug, for 10 min 0 s; then info");
    }
}
