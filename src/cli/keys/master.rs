//! `bastionmq keys rotate-master`: a new master key in the place of the old one.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::ring::{ChosenRing, RingArgs};

const HELP: &str = "\
Examples:
  bastionmq keys rotate-master --config bastionmq.toml       its ring and its credential cache
  bastionmq keys rotate-master --ring ring                   a ring with a master key beside it
  bastionmq keys rotate-master --config bastionmq.toml other-ring

Name every file that is sealed under the key: what is left out does not open any more. The broker may
run meanwhile. Nothing is lost when the command is killed: both keys hold until it is run again and ends.

A key that systemd or BASTIONMQ_MASTER_KEY hands over is not ours to replace. Put a new one before it, with
a comma or a new line between (`openssl rand -base64 32` makes one), run this, and take the old one away.";

/// Replace the master key, and seal under the new one what was sealed under the old one
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct RotateMasterArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// Other files that are sealed under it
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn rotate(args: &RotateMasterArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ChosenRing { file, loaded } = args.ring.choose()?;
    // Nobody has to have logged in yet.
    let cache = loaded.config.auth.credential_cache_file.filter(|path| path.exists());
    let mut files: Vec<PathBuf> = vec![file.path().to_owned()];
    files.extend(loaded.config.keys.ring_file.filter(|path| path != file.path() && path.exists()));
    files.extend(cache);
    files.extend(args.files.iter().cloned());
    let master = file.master();
    for sealed in master.rotate(&files)? {
        let path = sealed.path.display();
        writeln!(out, "sealed {} anew: {path}", sealed.purpose)?;
    }
    if master.is_changed_by_hand() {
        writeln!(out, "now take the old key away from {master}")?;
    } else {
        writeln!(out, "{master} holds the new master key alone")?;
    }
    Ok(())
}
