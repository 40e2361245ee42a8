//! The command line: one file per command.

mod acl;
mod audit;
mod certs;
mod check_config;
mod completions;
mod configured;
mod ctl;
mod import;
mod inspect;
mod judging;
mod keys;
mod man;
mod open;
mod open_files;
mod passwd;
mod pem;
mod quickstart;
mod ring;
mod seal;
mod sentinel;
mod serve;
mod small_pages;
mod store;
mod streams;
mod verify;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  bastionmq quickstart                       from nothing to a running broker over TLS
  bastionmq check-config bastionmq.toml      what would be in force, or everything that is wrong
  bastionmq serve --config bastionmq.toml    run it
  bastionmq acl explain --user device1 publish devices/device1/up
  bastionmq ctl status                       how the running one is
  bastionmq store check --config bastionmq.toml            what it keeps on disk, whether it is whole
  bastionmq keys create --ring ring --topic 'plant/#'      to seal payloads from device to device

Exit codes: 0 done, 1 an error (said on standard error), 2 a mistake in the command line.";

/// A security-first MQTT 3.1, 3.1.1 and 5.0 broker.
#[derive(Debug, Parser)]
#[command(name = "bastionmq", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::QuickstartArgs),
    Serve(serve::ServeArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Passwd(passwd::PasswdArgs),
    Certs(certs::CertsArgs),
    Acl(acl::AclArgs),
    Ctl(ctl::CtlArgs),
    Keys(keys::KeysArgs),
    Audit(audit::AuditArgs),
    Sentinel(sentinel::SentinelArgs),
    Store(store::StoreArgs),
    Seal(Box<seal::SealArgs>),
    Open(Box<open::OpenArgs>),
    Verify(Box<verify::VerifyArgs>),
    Inspect(inspect::InspectArgs),
    Import(import::ImportArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Quickstart(args) => quickstart::run(args),
            Self::Serve(args) => serve::run(args),
            Self::CheckConfig(args) => check_config::run(args),
            Self::Passwd(args) => passwd::run(args),
            Self::Certs(args) => certs::run(args),
            Self::Acl(args) => acl::run(args),
            Self::Ctl(args) => ctl::run(args),
            Self::Keys(args) => keys::run(args),
            Self::Audit(args) => audit::run(args),
            Self::Sentinel(args) => sentinel::run(args),
            Self::Store(args) => store::run(args),
            Self::Seal(args) => seal::run(*args),
            Self::Open(args) => open::run(*args),
            Self::Verify(args) => verify::run(*args),
            Self::Inspect(args) => inspect::run(args),
            Self::Import(args) => import::run(args),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args),
        }
    }
}

/// Parses the arguments and runs the command they name. A mistake in them ends the process with
/// exit code 2.
#[must_use]
pub fn main() -> ExitCode {
    Cli::parse().command.run().unwrap_or_else(|error| {
        // Where standard error is closed, the exit code alone has to tell.
        let _ = writeln!(io::stderr(), "error: {}", with_causes(&error));
        ExitCode::FAILURE
    })
}

/// The error and its causes, less those that the error above them has told already.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |mut told, cause| {
        if !told.ends_with(&cause) {
            told.extend([if told.is_empty() { "" } else { ": " }, &cause]);
        }
        told
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn a_mistake_in_the_command_line_is_exit_code_2() {
        for mistake in [
            &["bastionmq", "serv"][..],
            &["bastionmq", "serve", "--listn", "x"],
            &["bastionmq", "check-config"],
            &["bastionmq"],
        ] {
            assert_eq!(Cli::try_parse_from(mistake).unwrap_err().exit_code(), 2, "{mistake:?}");
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read a: no such file");
        assert_eq!(with_causes(&error), "cannot read a: no such file");
        let error = anyhow::anyhow!("no such file").context("cannot read a").context("no users");
        assert_eq!(with_causes(&error), "no users: cannot read a: no such file");
    }

    #[test]
    fn help_and_version_are_not_errors() {
        for (flag, kind) in
            [("--help", ErrorKind::DisplayHelp), ("--version", ErrorKind::DisplayVersion)]
        {
            let shown = Cli::try_parse_from(["bastionmq", flag]).unwrap_err();
            assert_eq!((shown.kind(), shown.exit_code()), (kind, 0));
        }
    }
}
