//! `bastionmq certs revoke` and `certs crl`: what the authority has taken back.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::{AuthorityDirectory, DirectoryArgs, days};
use crate::clock::Now;
use crate::private_file::{self, Change};
use crate::tls::{Authority, Certificate, RevocationList, Serial, read_certificates};

/// Bytes of the largest list that is read: as many as a broker takes.
const MAX_LIST_BYTES: u64 = 32 << 20;

const REVOKE_EXAMPLES: &str = "\
Examples:
  bastionmq certs revoke certs/sensor-7.crt
  bastionmq certs revoke --serial 4f00a1

The list is DIR/ca.crl. A broker that has it as client_crl ends the client's session within a
second, and lets it in no more. Whom a list names stays on it: a certificate cannot be given
back, only issued anew.";

const CRL_EXAMPLES: &str = "\
Examples:
  bastionmq certs crl                # makes certs/ca.crl, which takes back nothing so far
  bastionmq certs crl --days 7       # to be run every few days, where the list travels to brokers

A list that has run out says nothing of anybody: brokers then let in no client that needs it, unless
client_crl_expired = \"allow\". Without --days it holds as long as the one before it, the first one as
long as the authority.";

/// Take back certificates of clients: they are added to the revocation list of the authority.
#[derive(Debug, Args)]
#[command(after_long_help = REVOKE_EXAMPLES)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Certificates, PEM; of a chain the first.
    #[arg(value_name = "FILE", required_unless_present = "serials")]
    files: Vec<PathBuf>,
    /// The serial number of a certificate that is not at hand; may be repeated.
    #[arg(long = "serial", value_name = "HEX")]
    serials: Vec<Serial>,
    /// Days until the list must be renewed; without it, as many as it had.
    #[arg(long, value_parser = days())]
    days: Option<u32>,
}

/// Make the revocation list, or renew it: what it takes back stays, when it runs out changes.
#[derive(Debug, Args)]
#[command(after_long_help = CRL_EXAMPLES)]
pub(super) struct CrlArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Days until it must be renewed; without it, as many as it had.
    #[arg(long, value_parser = days())]
    days: Option<u32>,
}

pub(super) fn revoke(args: RevokeArgs, out: &mut impl Write) -> Result<()> {
    let directory = AuthorityDirectory::new(args.directory.path);
    let authority = directory.open()?;
    let mut serials = Vec::new();
    for file in &args.files {
        serials.push(of_file(&authority, file)?);
    }
    serials.extend(args.serials.into_iter().map(|serial| (serial.to_string(), serial)));
    directory.change_list(&authority, args.days, out, |list, out| {
        for (name, serial) in serials {
            let is_new = list.revoke(serial, Now::read());
            let what = if is_new { "is taken back" } else { "had been taken back before" };
            writeln!(out, "{name} {what}")?;
        }
        Ok(())
    })
}

pub(super) fn crl(args: CrlArgs, out: &mut impl Write) -> Result<()> {
    let directory = AuthorityDirectory::new(args.directory.path);
    let authority = directory.open()?;
    directory.change_list(&authority, args.days, out, |_, _| Ok(()))
}

/// What a certificate is called, and its serial number.
fn of_file(authority: &Authority, file: &Path) -> Result<(String, Serial)> {
    let of_file = || file.display().to_string();
    let chain = read_certificates(file)?;
    let own = chain.first().with_context(of_file)?;
    let serial = authority.serial_of(own).with_context(of_file)?;
    let subject = Certificate::read(own).with_context(of_file)?.subject;
    Ok((format!("{subject}, serial {serial},"), serial))
}

impl AuthorityDirectory {
    /// Makes the revocation list of a new authority, which takes back nothing.
    pub(in crate::cli) fn create_list(&self) -> Result<PathBuf> {
        let path = self.list();
        let signed = self.open()?.sign_list(&RevocationList::default(), Now::read(), None)?;
        private_file::create_new(&path, signed.pem.as_bytes())?;
        Ok(path)
    }

    /// Signs the list anew after `change`, if there is one or not. Of two that change it at once, none
    /// is lost.
    fn change_list<W: Write>(
        &self,
        authority: &Authority,
        days: Option<u32>,
        out: &mut W,
        change: impl FnOnce(&mut RevocationList, &mut W) -> Result<()>,
    ) -> Result<()> {
        let path = self.list();
        let mut file = Change::begin(&path)?;
        let mut list = match file.read(MAX_LIST_BYTES) {
            Ok(pem) => authority.read_list(&pem).with_context(|| path.display().to_string())?,
            Err(error) if error.is_not_found() => RevocationList::default(),
            Err(error) => return Err(error.into()),
        };
        change(&mut list, out)?;
        let signed = authority.sign_list(&list, Now::read(), days)?;
        file.write(signed.pem.as_bytes())?;
        let (path, last_day) = (path.display(), signed.validity.last_day());
        writeln!(out, "{path}: {} taken back; to be renewed before {last_day}", list.len())?;
        writeln!(out, "Brokers with client_crl = \"{path}\" take it up by themselves.")?;
        Ok(())
    }

    fn list(&self) -> PathBuf {
        self.path.join("ca.crl")
    }
}
