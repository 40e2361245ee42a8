//! `bastionmq certs`: a small certificate authority for development and small fleets.

mod revocation;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use rustls_pki_types::CertificateDer;

use self::revocation::{CrlArgs, RevokeArgs};
use crate::clock::Now;
use crate::private_file;
use crate::secret::Secret;
use crate::tls::{
    Authority, Certificate, ClientIdentity, Issued, MAX_NAME_BYTES, ServerNames, peer_attributes,
    peer_name, read_certificates,
};

const AUTHORITY: &str = "ca";
const SERVER: &str = "server";
/// Ten years. The certificates below it end sooner; renewing the CA means visiting every device.
pub(super) const AUTHORITY_DAYS: u32 = 3_650;
/// With the day before today 825, the most that Apple's systems accept of a server.
pub(super) const ISSUED_DAYS: u32 = 824;
/// A century: dates stay within what every client parses.
const MAX_DAYS: i64 = 36_500;
/// Bytes of the largest `ca.crt` and `ca.key` that are read.
const MAX_PEM_BYTES: u64 = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  bastionmq certs init --dir certs
  bastionmq certs server --dir certs --name broker.example.com --name localhost --ip 127.0.0.1
  bastionmq certs client --dir certs sensor-7
  bastionmq certs show certs/*.crt
  bastionmq certs revoke certs/sensor-7.crt

Then serve with them, and connect:
  bastionmq serve --listen mqtts://0.0.0.0:8883 \\
      --tls-cert certs/server.crt --tls-key certs/server.key
  mosquitto_pub --cafile certs/ca.crt --cert certs/sensor-7.crt --key certs/sensor-7.key \\
      -h broker.example.com -p 8883 -t devices/sensor-7/up -m hello

Whoever has ca.key can name any device and any server: keep it off the broker's machine once the
certificates are made. Every file is written with mode 0600; ca.crt may be handed to anybody.";

/// Make and show certificates: a small authority (CA) for development and small fleets.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CertsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the authority: ca.crt, which clients trust, and ca.key, which signs.
    Init(InitArgs),
    /// Issue a certificate to a broker: server.crt and server.key.
    Server(ServerArgs),
    /// Issue a certificate to a client: NAME.crt and NAME.key.
    #[command(visible_alias = "issue")]
    Client(ClientArgs),
    Revoke(RevokeArgs),
    Crl(CrlArgs),
    /// Show whom certificates name, who signed them, how long they are valid, and what a policy can go
    /// by.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The name that the authority goes by.
    #[arg(long, value_name = "CN", default_value = "BastionMQ development CA")]
    name: String,
    /// Days until it ends.
    #[arg(long, default_value_t = AUTHORITY_DAYS, value_parser = days())]
    days: u32,
}

#[derive(Debug, Args)]
struct ServerArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// A host name that clients connect to; may be repeated, `*.` stands for one label.
    #[arg(long = "name", value_name = "HOST", required_unless_present = "addresses")]
    names: Vec<String>,
    /// An IP address that clients connect to; may be repeated.
    #[arg(long = "ip", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// Days until it ends, or the authority does.
    #[arg(long, default_value_t = ISSUED_DAYS, value_parser = days())]
    days: u32,
}

#[derive(Debug, Args)]
struct ClientArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// The client's name: its principal on the broker, and the name of its files.
    name: String,
    /// Days until it ends, or the authority does.
    #[arg(long, default_value_t = ISSUED_DAYS, value_parser = days())]
    days: u32,
}

#[derive(Debug, Args)]
struct DirectoryArgs {
    /// Where the authority lives; made with mode 0700 when missing.
    #[arg(long = "dir", value_name = "DIR", default_value = "certs")]
    path: PathBuf,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Certificates or bundles, PEM.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=MAX_DAYS)
}

/// Runs the command.
pub(super) fn run(args: CertsArgs) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    match args.command {
        Command::Init(args) => init(args, &mut out)?,
        Command::Server(args) => server(args, &mut out)?,
        Command::Client(args) => client(args, &mut out)?,
        Command::Revoke(args) => revocation::revoke(args, &mut out)?,
        Command::Crl(args) => revocation::crl(args, &mut out)?,
        Command::Show(args) => args.files.iter().try_for_each(|file| show(file, &mut out))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn init(args: InitArgs, out: &mut impl Write) -> Result<()> {
    let directory = AuthorityDirectory::new(args.directory.path);
    let certificate = directory.create(&args.name, args.days)?;
    show(&certificate, out)?;
    writeln!(out, "Keep ca.key secret. Next: bastionmq certs server --help")?;
    Ok(())
}

fn server(args: ServerArgs, out: &mut impl Write) -> Result<()> {
    let names = ServerNames { dns: args.names, ip: args.addresses };
    show(&AuthorityDirectory::new(args.directory.path).issue_server(&names, args.days)?, out)
}

fn client(args: ClientArgs, out: &mut impl Write) -> Result<()> {
    show(&AuthorityDirectory::new(args.directory.path).issue_client(&args.name, args.days)?, out)
}

/// The directory of an authority: its own files, and those that it has issued.
pub(super) struct AuthorityDirectory {
    path: PathBuf,
}

impl AuthorityDirectory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes the directory and a new authority in it, with which `issue_server` and `issue_client`
    /// work. Gives the path of the certificate, as they do.
    pub(super) fn create(&self, name: &str, days: u32) -> Result<PathBuf> {
        let made = Authority::create(name, Now::read(), days)?;
        private_file::create_dir(&self.path)?;
        self.write(AUTHORITY, &made)
    }

    /// Issues `server.crt` and `server.key`.
    pub(super) fn issue_server(&self, names: &ServerNames, days: u32) -> Result<PathBuf> {
        let issued = self.open()?.issue_server(names, Now::read(), days)?;
        self.write(SERVER, &issued)
    }

    /// Issues `NAME.crt` and `NAME.key`.
    pub(super) fn issue_client(&self, name: &str, days: u32) -> Result<PathBuf> {
        check_file_name(name)?;
        let issued = self.open()?.issue_client(name, Now::read(), days)?;
        self.write(name, &issued)
    }

    fn open(&self) -> Result<Authority> {
        let [certificate, key] = self.pair(AUTHORITY);
        let missing = || {
            let directory = self.path.display();
            format!(
                "there is no authority in {directory}: run 'bastionmq certs init --dir {directory}'"
            )
        };
        let read = |path| private_file::read_bounded(path, MAX_PEM_BYTES).with_context(missing);
        let (certificate, key) = (read(&certificate)?, Secret::new(read(&key)?));
        Authority::open(&certificate, &key)
            .with_context(|| format!("cannot use the authority in {}", self.path.display()))
    }

    /// Writes both files or, where one of them exists, neither.
    fn write(&self, stem: &str, issued: &Issued) -> Result<PathBuf> {
        let [certificate, key] = self.pair(stem);
        for path in [&certificate, &key] {
            ensure!(
                path.symlink_metadata().is_err(),
                "{} exists already and is not overwritten: move it away first, or use another --dir",
                path.display()
            );
        }
        private_file::create_new(&key, issued.key.expose())?;
        private_file::create_new(&certificate, issued.certificate.as_bytes())?;
        Ok(certificate)
    }

    fn pair(&self, stem: &str) -> [PathBuf; 2] {
        [self.path.join(format!("{stem}.crt")), self.path.join(format!("{stem}.key"))]
    }
}

/// A client's name becomes a file name: it must not lead out of the directory, hide, be taken for
/// an option, or pass for the authority or a server.
fn check_file_name(name: &str) -> Result<()> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if [AUTHORITY, SERVER].iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        bail!("the name '{name}' is kept for the files of the {name} itself: choose another");
    }
    ensure!(
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(is_safe)
            && !name.starts_with(['.', '-']),
        "{name:?} cannot name a client and its files: use 1 to {MAX_NAME_BYTES} of A-Z a-z 0-9 \
         '-' '_' '.' '@', beginning with neither '.' nor '-'"
    );
    Ok(())
}

fn show(path: &Path, out: &mut impl Write) -> Result<()> {
    let now = Now::read();
    for der in read_certificates(path)? {
        let certificate = Certificate::read(&der).with_context(|| path.display().to_string())?;
        writeln!(out, "{}", path.display())?;
        write_details(&certificate, now, out)?;
        if !certificate.is_authority && certificate.is_for_clients() {
            write_principals(&der, out)?;
        }
    }
    Ok(())
}

/// Who its bearer is to a broker, after each way of naming it, and what roles can be given by.
fn write_principals(der: &CertificateDer<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut label = "principal";
    for (identity, word) in ClientIdentity::ALL {
        if let Ok(name) = peer_name(der, identity) {
            writeln!(out, "  {label:<9} {name}  (client_identity = \"{word}\")")?;
            label = "";
        }
    }
    let Ok(attributes) = peer_attributes(der) else {
        return writeln!(out, "  says      more than a broker keeps: it is refused");
    };
    label = "says";
    for attribute in attributes.iter() {
        writeln!(out, "  {label:<9} {} = {}", attribute.name, attribute.value)?;
        label = "";
    }
    Ok(())
}

fn write_details(certificate: &Certificate, now: Now, out: &mut impl Write) -> io::Result<()> {
    let mut line = |label, value: &str| writeln!(out, "  {label:<9} {value}");
    line("subject", &certificate.subject)?;
    if !certificate.names.is_empty() {
        line("names", &certificate.names.join(", "))?;
    }
    line("issuer", &certificate.issuer)?;
    let validity = certificate.validity;
    let standing = validity.standing(now);
    line("valid", &format!("{} to {}: {standing}", validity.first_day(), validity.last_day()))?;
    line("for", &purposes(certificate))?;
    line("key", &certificate.key)?;
    line("SHA-256", &certificate.fingerprint)
}

fn purposes(certificate: &Certificate) -> String {
    if certificate.is_authority {
        return "signing certificates (CA)".to_owned();
    }
    match &certificate.purposes[..] {
        [] => "anything".to_owned(),
        listed => listed.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_no_client() {
        for name in [
            "", ".", "..", "../a", "a/b", "/a", "a\\b", ".a", "-a", "a\0", "a b", "ä", "ca", "CA",
            "server", "a\n",
        ] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
        assert!(check_file_name(&"x".repeat(65)).is_err());
    }

    #[test]
    fn ordinary_names_are_clients() {
        for name in ["client1", "sensor-7", "a.b_c@example.com", &"x".repeat(64)] {
            assert!(check_file_name(name).is_ok(), "{name:?}");
        }
    }
}
