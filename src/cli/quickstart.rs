//! `bastionmq quickstart`: from nothing to a running broker, and what to type to talk to it.

mod banner;
mod first_run;
mod passwords;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::banner::Banner;
use self::passwords::Passwords;
use super::serve::{ServeOptions, serve};

const CONFIG: &str = "bastionmq.toml";
const POLICY: &str = "policy.toml";
const PASSWORDS: &str = "passwords";
const CERTIFICATES: &str = "certs";
/// The control socket: the shorter, the deeper may the directory be that all of this is in.
const CONTROL: &str = "control/ctl.sock";
/// The user that may do everything, and the one that is kept to its own topics.
const ADMIN: &str = "admin";
const DEVICE: &str = "device1";
/// The client that proves itself by certificate.
const CLIENT: &str = "client1";

const EXAMPLES: &str = "\
Examples:
  bastionmq quickstart
  bastionmq quickstart --dir /var/lib/bastionmq
  bastionmq quickstart --listen mqtts://127.0.0.1:0 --admin 127.0.0.1:0

What the first run makes in DIR, for you to keep and edit:
  bastionmq.toml   the configuration; later: bastionmq serve --config DIR/bastionmq.toml
  policy.toml      who may publish and subscribe to what
  passwords        hashed passwords; bastionmq passwd changes them
  certs/           a small certificate authority, the broker's certificate, one for a client
  control/         where `bastionmq ctl` speaks to the broker, while it runs

The passwords are shown when they are made and never again: only their hashes are kept.";

/// Start a broker from nothing: certificates, users and a policy are made on the first run.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct QuickstartArgs {
    /// Where everything is kept; made with mode 0700 on the first run, left as it is later.
    #[arg(long, value_name = "DIR", default_value = "bastionmq-data")]
    dir: PathBuf,
    /// Listen here instead of where the configuration says; may be repeated, port 0 is any free one.
    #[arg(long, value_name = "URL")]
    listen: Vec<String>,
    /// Serve metrics and health here instead.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Give `admin` and `device1` new passwords, and show them.
    #[arg(long)]
    new_passwords: bool,
}

/// Runs the command: prepares the directory, then serves until told to stop.
pub(super) fn run(args: QuickstartArgs) -> Result<ExitCode> {
    let directory = std::path::absolute(&args.dir)
        .with_context(|| format!("cannot tell where {} is", args.dir.display()))?;
    let passwords = prepare(&directory, &args)?;
    let config = directory.join(CONFIG);
    let banner = Banner { directory, device_password: passwords.map(|passwords| passwords.device) };
    serve(ServeOptions {
        config: Some(config),
        listen: args.listen,
        admin: args.admin,
        banner: Some(Box::new(move |listeners, _| banner.text(listeners))),
        ..ServeOptions::default()
    })
}

/// Makes what is missing altogether, and shows passwords at once: if the port turns out to be taken
/// there is no later.
fn prepare(directory: &Path, args: &QuickstartArgs) -> Result<Option<Passwords>> {
    let passwords = match state(directory)? {
        State::New => {
            let passwords = first_run::make(directory, &args.listen)?;
            writeln!(io::stdout(), "Made {}.", directory.display())?;
            passwords
        }
        State::Made if args.new_passwords => passwords::replace(&directory.join(PASSWORDS))?,
        State::Made => return Ok(None),
    };
    write!(io::stdout(), "{passwords}")?;
    Ok(Some(passwords))
}

enum State {
    New,
    Made,
}

fn state(directory: &Path) -> Result<State> {
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::New),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", directory.display()));
        }
    };
    if directory.join(CONFIG).exists() {
        return Ok(State::Made);
    }
    if entries.next().is_none() {
        return Ok(State::New);
    }
    bail!(
        "{} is neither empty nor made by quickstart (it has no {CONFIG}): choose another --dir, \
         or write {CONFIG} there",
        directory.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_directory_is_new_and_one_with_a_configuration_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(state(&directory.path().join("missing")), Ok(State::New)));
        assert!(matches!(state(directory.path()), Ok(State::New)));
        fs::write(directory.path().join(CONFIG), "").unwrap();
        assert!(matches!(state(directory.path()), Ok(State::Made)));
    }

    #[test]
    fn a_directory_of_something_else_and_a_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = state(directory.path()).err().unwrap();
        assert!(refused.to_string().contains("choose another --dir"), "{refused}");
        assert!(state(&file).is_err());
    }
}
