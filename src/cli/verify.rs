//! `bastionmq verify`: an envelope passes, or does not.

use std::process::ExitCode;

use clap::Args;

use super::ctl::printable;
use super::judging::JudgingArgs;
use crate::clock::Moment;
use crate::envelope::{Signed, Verifier};

const EXAMPLES: &str = "\
Examples:
  bastionmq verify --ring ring --topic plant/7 --sender sensor-7 --in envelope && echo right
  mosquitto_sub -h localhost -t plant/7 -C 1 -N | bastionmq verify --ring ring --topic plant/7 > kept

An envelope that is right goes to standard output as it came; to a terminal, who sealed it and when. One that
is refused gives nothing, exit code 1, and the name of the reason on standard error, as `open` does. A
verify-only key is enough.";

/// Verify an envelope, and pass it on as it is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    judging: JudgingArgs,
}

/// Runs the command.
pub(super) fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let (envelope, said) = args.judging.judge(|ring, check, bytes| {
        let mut verifier = Verifier::default();
        let verified = verifier.verify(ring, check, bytes)?;
        let envelope = verified.envelope;
        let signed = if verified.signed == Signed::Verified { ", signed" } else { "" };
        let sender = printable(envelope.sender());
        let (key, time) = (envelope.key_id(), Moment(envelope.time_ms()));
        Ok(format!("sealed by {sender} at {time} with key {key}{signed}\n"))
    })?;
    let streams = &args.judging.streams;
    streams.write(if streams.is_seen() { said.as_bytes() } else { &envelope })?;
    Ok(ExitCode::SUCCESS)
}
