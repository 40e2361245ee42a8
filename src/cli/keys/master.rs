//! `bastionmq keys rotate-master`: a new master key in the place of the old one.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::ring::{ChosenRing, RingArgs};

const HELP: &str = "\
Examples:
  bastionmq keys rotate-master --config bastionmq.toml          1. its ring and credential cache
  systemctl restart bastionmq                                   2. what it keeps besides
  bastionmq keys rotate-master --config bastionmq.toml --finish 3. the old key goes

  bastionmq keys rotate-master --ring ring && bastionmq keys rotate-master --ring ring --finish

Until the last step both keys hold, the new one seals, and nothing can be lost: whoever was killed takes
the same step again. With --finish, name every file that is sealed under the key and not in the
configuration: what is left out, and what a broker keeps that has not been started again since the first
step, does not open any more.

A key that systemd or BASTIONMQ_MASTER_KEY hands over is not ours to replace. Put a new one before it, with
a comma or a new line between (`openssl rand -base64 32` makes one), take the steps, and take the old one
away.";

/// Replace the master key, and seal under the new one what was sealed under the old one
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct RotateMasterArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// Take the old key away, as the last step
    #[arg(long)]
    finish: bool,
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
    let resealed =
        if args.finish { master.finish_rotation(&files)? } else { master.rotate(&files)? };
    for sealed in resealed {
        writeln!(out, "sealed {} anew: {}", sealed.purpose, sealed.path.display())?;
    }
    match (args.finish, master.is_changed_by_hand()) {
        (false, _) => writeln!(
            out,
            "{master} holds the new master key and the old one; start brokers that use it again, then \
             run this with --finish"
        )?,
        (true, false) => writeln!(out, "{master} holds the new master key alone")?,
        (true, true) => writeln!(out, "now take the old key away from {master}")?,
    }
    Ok(())
}
