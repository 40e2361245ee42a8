//! What `open` and `verify` have in common: by what an envelope is judged.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::keys::now_ms;
use super::pem;
use super::ring::RingArgs;
use super::seal::topic;
use super::streams::StreamArgs;
use crate::envelope::{Check, KeyRing, MAX_PAYLOAD, Refusal, SenderKey};
use crate::keys::sender_key_of;
use crate::topic::TopicName;

/// Bytes of an envelope besides its payload, at most: no MQTT packet carries more of both anyway.
const MAX_OVERHEAD: usize = 64 << 10;
pub(super) const MAX_ENVELOPE: usize = MAX_PAYLOAD + MAX_OVERHEAD;

/// By what an envelope is judged.
#[derive(Debug, Args)]
pub(super) struct JudgingArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The topic that it came on
    #[arg(long, value_parser = topic)]
    topic: TopicName,
    /// Who must have sealed it; without it, anybody
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// The oldest that is taken, in seconds; `off` for what was captured or kept
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    max_age: MaxAge,
    /// How far ahead the clock of the sender may be, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    max_skew: u32,
    /// Refuse what is not encrypted (suite 2)
    #[arg(long)]
    encrypted_only: bool,
    /// The certificate of the sender, PEM, Ed25519 or P-256: it must have signed it
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    #[command(flatten)]
    pub(super) streams: StreamArgs,
}

#[derive(Clone, Copy, Debug)]
struct MaxAge(Option<Duration>);

impl FromStr for MaxAge {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "off" {
            return Ok(Self(None));
        }
        let seconds: u32 = text.parse().map_err(|_| anyhow!("give it in seconds, or as `off`"))?;
        Ok(Self(Some(Duration::from_secs(seconds.into()))))
    }
}

impl JudgingArgs {
    /// Reads an envelope and lets `judge` judge it.
    pub(super) fn judge<T>(
        &self,
        judge: impl FnOnce(&KeyRing, &Check<'_>, &[u8]) -> Result<T, Refusal>,
    ) -> anyhow::Result<(Vec<u8>, T)> {
        let ring = self.ring.file()?.read()?;
        let sender_key = self.cert.as_deref().map(sender_key).transpose()?;
        let envelope = self.streams.input.read(MAX_ENVELOPE)?;
        let check = Check {
            sender: self.sender.as_deref(),
            max_age: self.max_age.0,
            max_skew: Duration::from_secs(self.max_skew.into()),
            // A process that judges one envelope knows of no other.
            once: false,
            encrypted_only: self.encrypted_only,
            sender_key: sender_key.as_ref(),
            signature_required: sender_key.is_some(),
            ..Check::new(self.topic.borrowed(), now_ms())
        };
        let judged = judge(&ring, &check, &envelope).map_err(named)?;
        Ok((envelope.to_vec(), judged))
    }
}

/// The name of the format first, for scripts.
pub(super) fn named(refusal: Refusal) -> anyhow::Error {
    anyhow!("{}: {refusal}", refusal.name())
}

fn sender_key(path: &Path) -> anyhow::Result<SenderKey> {
    sender_key_of(&pem::certificate(path)?)
        .with_context(|| format!("the key in {} is neither Ed25519 nor P-256", path.display()))
}
