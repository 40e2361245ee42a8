//! `bastionmq seal`: a payload becomes an envelope.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;

use super::keys::{draw, find, key_id, now_ms};
use super::pem;
use super::ring::RingArgs;
use super::streams::StreamArgs;
use crate::envelope::{Key, KeyId, KeyRing, MAX_PAYLOAD, Options, Sealer, Signer, Suite};
use crate::keys::signer_of;
use crate::topic::TopicName;

const EXAMPLES: &str = "\
Examples:
  bastionmq seal --ring ring --sender sensor-7 --topic plant/7 --in payload --out envelope
  echo -n 21.5 | bastionmq seal --ring ring --sender sensor-7 --topic plant/7 |
      mosquitto_pub -h localhost -t plant/7 -s

The topic and the sender are sealed with it: publish it to that topic, and as that principal where the
broker verifies. Each run is a stream of its own.";

/// Seal a payload for a topic
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SealArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The key; without it, the newest one that is active and for this topic
    #[arg(long, value_name = "ID", value_parser = key_id)]
    key: Option<KeyId>,
    /// The principal that it is published as: a name of at most 128 bytes
    #[arg(long, value_name = "NAME")]
    sender: String,
    /// The topic that it is published to
    #[arg(long, value_parser = topic)]
    topic: TopicName,
    /// 1 encrypts, 2 leaves the payload readable and only protects it from change
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    suite: u8,
    /// What the payload is, such as application/json; readable by all
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A W3C traceparent; readable by all
    #[arg(long, value_name = "TRACEPARENT")]
    trace: Option<String>,
    /// Sign it with this private key of the sender as well: PEM, Ed25519 or P-256
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    streams: StreamArgs,
}

/// A topic name.
pub(super) fn topic(text: &str) -> anyhow::Result<TopicName> {
    Ok(TopicName::parse(text)?)
}

/// Runs the command.
pub(super) fn run(args: SealArgs) -> anyhow::Result<ExitCode> {
    let ring = args.ring.file()?;
    let keys = ring.read()?;
    let key = match args.key {
        Some(id) => find(&keys, id, ring.path())?,
        None => args.newest(&keys)?,
    };
    let signer = args.sign_key.as_deref().map(signer).transpose()?;
    let options = Options {
        suite: if args.suite == 1 { Suite::Sealed } else { Suite::Signed },
        content_type: args.content_type.as_deref(),
        trace: args.trace.as_deref(),
        signer: signer.as_ref(),
        ..Options::default()
    };
    let mut sealer = Sealer::new(key, &args.sender, draw()?)?;
    let payload = args.streams.input.read(MAX_PAYLOAD)?;
    let envelope = sealer.seal(args.topic.borrowed(), now_ms(), &payload, &options)?;
    args.streams.write(&envelope)?;
    Ok(ExitCode::SUCCESS)
}

impl SealArgs {
    fn newest<'a>(&self, keys: &'a KeyRing) -> anyhow::Result<&'a Key> {
        keys.sealing_key_for(&self.topic, now_ms()).ok_or_else(|| {
            anyhow!(
                "no key of the ring seals for this topic: `bastionmq keys list` shows which there are, \
                 and `bastionmq keys create` makes one"
            )
        })
    }
}

fn signer(path: &Path) -> anyhow::Result<Signer> {
    let key = pem::private_key(path)?;
    signer_of(&key)
        .with_context(|| format!("the key in {} is neither Ed25519 nor P-256", path.display()))
}
