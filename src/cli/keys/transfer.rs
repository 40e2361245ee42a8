//! `bastionmq keys export`, `import`, `wrap` and `unwrap`: keys on their way from ring to ring.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{ArgGroup, Args};

use super::{find, key_id, prepare};
use crate::cli::ctl::printable;
use crate::cli::pem;
use crate::cli::ring::RingArgs;
use crate::cli::streams;
use crate::envelope::{Key, KeyId};
use crate::keys::{self, Absent, Extent, MAX_RING_BYTES, MAX_WRAPPED_BYTES, Recipient, WrappedKey};
use crate::tls::{ClientIdentity, peer_name};

/// Print a key as JSON, the key itself included: `key_id`, `topics`, `topic_key`
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The key
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,
    /// Only what verifies (`mac_root`, in the place of `topic_key`): whoever has it cannot read what is
    /// sealed
    #[arg(long)]
    verify_only: bool,
    /// Where to: a file, mode 0600; without it, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Put exported keys into a ring, one or several; it is made, if there is none yet
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// What `keys export` or `keys unwrap` has printed; without it, or as -, standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace keys of the same id; otherwise that is an error
    #[arg(long)]
    replace: bool,
}

const WRAP_HELP: &str = "\
The key of an RSA certificate is used with RSA-OAEP-SHA-256, any other with HPKE: P-256 as it is,
Ed25519 by its X25519 form. docs/envelope-keys.md is the format, for whoever unwraps it elsewhere.

Nothing is checked of the certificate but its key: make sure that it is the device's. Whoever can write
to DIR decides which keys devices are given.";

/// Wrap a key for one device: only its private key opens it
#[derive(Debug, Args)]
#[command(after_help = WRAP_HELP)]
#[command(group = ArgGroup::new("recipient").required(true))]
pub(super) struct WrapArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The key
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,
    /// The certificate of the device, PEM; of a chain the first
    #[arg(long, value_name = "FILE", group = "recipient")]
    cert: Option<PathBuf>,
    /// A public key of the device, PEM, where it has no certificate or another key for this
    #[arg(long, value_name = "FILE", group = "recipient", requires = "device")]
    public_key: Option<PathBuf>,
    /// The name of the device's principal; without it, the common name of the certificate
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Only what verifies
    #[arg(long)]
    verify_only: bool,
    /// Put it into this directory, `wrapped_dir` in [keys] of a broker, which hands it to the device;
    /// without it, print it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Unwrap a key by the private key of the device, and print it as `keys export` does
#[derive(Debug, Args)]
pub(super) struct UnwrapArgs {
    /// The private key of the device, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What `keys wrap` has made; without it, or as -, standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where to: a file, mode 0600; without it, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn extent(verify_only: bool) -> Extent {
    if verify_only { Extent::VerifyOnly } else { Extent::Whole }
}

fn write_exported(key: &Key, extent: Extent, out: Option<&PathBuf>) -> anyhow::Result<()> {
    let json = keys::export(key, extent).context("add --verify-only")?;
    let line = zeroize::Zeroizing::new([json.expose(), b"\n"].concat());
    streams::write(out.map(PathBuf::as_path), &line)
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let ring = args.ring.file()?;
    let keys = ring.read()?;
    let key = find(&keys, args.id, ring.path())?;
    write_exported(key, extent(args.verify_only), args.out.as_ref())
}

pub(super) fn import(args: &ImportArgs, now_ms: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let limit = usize::try_from(MAX_RING_BYTES).unwrap_or(usize::MAX);
    let text = streams::read(args.file.as_deref(), limit)?;
    let imported = keys::import(&text, now_ms)?;
    ensure!(!imported.is_empty(), "there is no key in what was read");
    let ring = args.ring.file()?;
    prepare(&ring)?;
    let place = ring.path().display();
    ring.change(Absent::Make, |keys| {
        imported.iter().try_for_each(|key| {
            let id = key.id;
            let before = keys.insert(key.clone());
            ensure!(
                before.is_none() || args.replace,
                "there is a key {id} in {place} already; --replace replaces it"
            );
            Ok(())
        })
    })?;
    imported.iter().try_for_each(|key| {
        let topics = super::list_of(&key.topics);
        Ok(writeln!(out, "imported key {} for {topics} into {place}", key.id)?)
    })
}

pub(super) fn wrap(args: &WrapArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (recipient, named) = args.recipient()?;
    let device = args.device.clone().or(named).context("name the device with --device")?;
    let ring = args.ring.file()?;
    let keys = ring.read()?;
    let key = find(&keys, args.id, ring.path())?;
    let wrapped = WrappedKey::wrap(key, extent(args.verify_only), &device, &recipient)?;
    let Some(dir) = &args.out else { return Ok(writeln!(out, "{wrapped}")?) };
    let path = keys::deposit(dir, &wrapped)?;
    let (id, device) = (args.id, printable(&device));
    Ok(writeln!(out, "wrapped key {id} for {device} in {}", path.display())?)
}

impl WrapArgs {
    /// The public key, and the name that a certificate gives it.
    fn recipient(&self) -> anyhow::Result<(Recipient, Option<String>)> {
        if let Some(path) = &self.public_key {
            let recipient = Recipient::of_public_key(&pem::public_key(path)?);
            return Ok((recipient.with_context(|| path.display().to_string())?, None));
        }
        let path = self.cert.as_ref().context("name the certificate with --cert")?;
        let certificate = pem::certificate(path)?;
        let recipient = Recipient::of_certificate(&certificate);
        let recipient = recipient.with_context(|| path.display().to_string())?;
        // A certificate without such a name is no error where the device is named otherwise.
        let name = peer_name(&certificate, ClientIdentity::default());
        Ok((recipient, name.ok().map(|name| name.to_string())))
    }
}

pub(super) fn unwrap(args: &UnwrapArgs, now_ms: u64) -> anyhow::Result<()> {
    let text = streams::read(args.file.as_deref(), MAX_WRAPPED_BYTES)?;
    let private = pem::private_key(&args.key)?;
    let key = WrappedKey::parse(&text)?.unwrap(&private, now_ms)?;
    let extent = match key.material {
        crate::envelope::KeyMaterial::Topic(_) => Extent::Whole,
        crate::envelope::KeyMaterial::VerifyOnly(_) => Extent::VerifyOnly,
    };
    write_exported(&key, extent, args.out.as_ref())
}
