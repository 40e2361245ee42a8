//! `bastionmq open`: an envelope becomes its payload again.

use std::process::ExitCode;

use clap::Args;

use super::judging::JudgingArgs;
use crate::envelope::Opener;

const EXAMPLES: &str = "\
Examples:
  mosquitto_sub -h localhost -t plant/7 -C 1 -N | bastionmq open --ring ring --topic plant/7
  bastionmq open --ring ring --topic plant/7 --max-age off --in capture --out payload

An envelope that is refused gives nothing, exit code 1, and the name of the reason on standard error:
malformed, unknown_key, wrong_topic, revoked_key, sender_mismatch, bad_tag, not_encrypted, expired_key,
expired, from_future, bad_signature, verify_only_key, decrypt_failed.";

/// Verify an envelope, and print its payload
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenArgs {
    #[command(flatten)]
    judging: JudgingArgs,
}

/// Runs the command.
pub(super) fn run(args: OpenArgs) -> anyhow::Result<ExitCode> {
    let mut payload = zeroize::Zeroizing::new(Vec::new());
    args.judging.judge(|ring, check, envelope| {
        Opener::default().open(ring, check, envelope, &mut payload).map(drop)
    })?;
    args.judging.streams.write(&payload)?;
    Ok(ExitCode::SUCCESS)
}
