//! `--ring`, `--master-key-file`, `--config`: which key ring a command is about, and what opens it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::configured::configured;
use crate::config::Loaded;
use crate::keys::{MasterKeySource, RingFile, Settings};

/// Where keys are.
#[derive(Debug, Args)]
pub(super) struct RingArgs {
    /// The key ring; without it, `ring_file` in [keys] of the configuration
    #[arg(long, value_name = "FILE")]
    ring: Option<PathBuf>,
    /// The master key that the ring is sealed under. Without it, the credential `bastionmq-master-key` of
    /// systemd, else BASTIONMQ_MASTER_KEY, else `master_key_file` of the configuration, else
    /// FILE.master-key beside the ring, made with the ring
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// A configuration of the broker that names both [env: BASTIONMQ_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A ring, and the rest of what is set for keys.
pub(super) struct ChosenRing {
    pub(super) file: RingFile,
    pub(super) loaded: Loaded,
}

impl RingArgs {
    /// The ring that is meant.
    pub(super) fn file(&self) -> anyhow::Result<RingFile> {
        Ok(self.choose()?.file)
    }

    pub(super) fn choose(&self) -> anyhow::Result<ChosenRing> {
        let loaded = configured(self.config.clone(), &["KEYS"])?;
        let ring = self.ring.clone().or_else(|| loaded.config.keys.ring_file.clone());
        let ring = ring.context(
            "which key ring? Name it with --ring FILE, or --config with a configuration in which \
             [keys] has a `ring_file`",
        )?;
        let settings = Settings { ring_file: Some(ring.clone()), ..loaded.config.keys.clone() };
        let master = MasterKeySource::find(self.master_key_file.as_deref(), &settings);
        let master = master.context("there is no master key")?;
        Ok(ChosenRing { file: RingFile::new(ring, master), loaded })
    }
}
