//! `bastionmq quickstart`: from nothing to a running broker, and what to type to talk to it.

mod banner;
mod first_run;
mod passwords;
mod remedy;

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
/// The password file of those who may see the page.
const OPERATORS: &str = "operators";
const CERTIFICATES: &str = "certs";
/// What the broker keeps, and its audit log: it makes them itself.
const STORE: &str = "store";
const AUDIT: &str = "audit";
/// The control socket: the shorter, the deeper may the directory be that all of this is in.
const CONTROL: &str = "control/ctl.sock";
/// The user that may do everything, and the one that is kept to its own topics.
const ADMIN: &str = "admin";
const DEVICE: &str = "device1";
/// Who may see the page.
const OPERATOR: &str = "operator";
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
  passwords        hashed passwords of clients; bastionmq passwd changes them
  operators        the same of those who may see the page
  certs/           a small certificate authority, the broker's certificate, one for a client

What the broker keeps there, for nobody else to read:
  store/           retained messages, sessions and what waits for them, encrypted
  audit/           who came and what was decided; bastionmq audit verify --config DIR/bastionmq.toml
  master.key       the key of all that is encrypted
  control/         where `bastionmq ctl` speaks to the broker, while it runs

A later run uses what is there and makes nothing anew. The passwords are shown when they are made and
never again: only their hashes are kept.";

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
    /// Give `admin`, `device1` and `operator` new passwords, and show them.
    #[arg(long)]
    new_passwords: bool,
}

/// Runs the command: prepares the directory, then serves until told to stop.
pub(super) fn run(args: QuickstartArgs) -> Result<ExitCode> {
    let directory = std::path::absolute(&args.dir)
        .with_context(|| format!("cannot tell where {} is", args.dir.display()))?;
    let state = state(&directory)?;
    let passwords = prepare(&directory, &state, &args)?;
    let banner = Banner {
        directory: directory.clone(),
        device_password: passwords.map(|passwords| passwords.device),
    };
    let served = serve(ServeOptions {
        config: Some(directory.join(CONFIG)),
        listen: args.listen,
        admin: args.admin,
        banner: Some(Box::new(move |listeners, page| banner.text(listeners, page))),
        ..ServeOptions::default()
    });
    match state {
        State::New => served,
        State::Made(_) => served.map_err(|error| remedy::of_later_run(error, &directory)),
    }
}

/// Makes what is missing altogether, and shows passwords at once: if the port turns out to be taken
/// there is no later.
fn prepare(directory: &Path, state: &State, args: &QuickstartArgs) -> Result<Option<Passwords>> {
    let passwords = match state {
        State::New => {
            let made = first_run::make(directory, &args.listen);
            let passwords = made.map_err(remedy::of_first_run)?;
            writeln!(io::stdout(), "Made {}.", directory.display())?;
            passwords
        }
        State::Made(found) => {
            writeln!(
                io::stdout(),
                "Using {} as it is: {}.",
                directory.display(),
                found.join(", ")
            )?;
            if !args.new_passwords {
                return Ok(None);
            }
            passwords::replace(directory)?
        }
    };
    write!(io::stdout(), "{passwords}")?;
    Ok(Some(passwords))
}

#[derive(Debug)]
enum State {
    New,
    /// With these parts.
    Made(Vec<&'static str>),
}

fn state(directory: &Path) -> Result<State> {
    let place = directory.display();
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::New),
        Err(error) => bail!("cannot read {place}: {error}; choose another --dir"),
    };
    let parts = [CONFIG, POLICY, PASSWORDS, OPERATORS, CERTIFICATES, STORE, AUDIT];
    let found: Vec<_> = parts.into_iter().filter(|part| directory.join(part).exists()).collect();
    if found.contains(&CONFIG) {
        return Ok(State::Made(found));
    }
    if entries.next().is_none() {
        return Ok(State::New);
    }
    if found.contains(&CERTIFICATES) && found.contains(&POLICY) {
        bail!(
            "{place} has {}, and no {CONFIG}: put that back, or move the directory away, and \
             quickstart makes a new one",
            found.join(", ")
        );
    }
    bail!(
        "{place} is neither empty nor made by quickstart (it has no {CONFIG}): choose another --dir, \
         or write {CONFIG} there"
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
        let Ok(State::Made(found)) = state(directory.path()) else { panic!("it is made") };
        assert_eq!(found, [CONFIG]);
    }

    #[test]
    fn a_directory_of_something_else_and_a_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = state(directory.path()).err().unwrap();
        assert!(refused.to_string().contains("choose another --dir"), "{refused}");
        let refused = state(&file).err().unwrap();
        assert!(refused.to_string().contains("choose another --dir"), "{refused}");
    }

    #[test]
    fn a_directory_that_has_lost_its_configuration_is_told_from_one_of_something_else() {
        let directory = tempfile::tempdir().unwrap();
        for part in [POLICY, CERTIFICATES, STORE] {
            fs::create_dir(directory.path().join(part)).unwrap();
        }
        let refused = state(directory.path()).err().unwrap().to_string();
        let expected = "has policy.toml, certs, store, and no bastionmq.toml: put that back";
        assert!(refused.contains(expected), "{refused}");
    }
}
