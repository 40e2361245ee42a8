//! `--dir`, `--master-key-file`, `--config`: which store a command is about, and what opens it.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use crate::cli::configured::configured;
use crate::clock::Now;
use crate::keys::MasterKeySource;
use crate::store::{Directory, Opened};

/// Where a store is.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The directory of the store; without it, `dir` in [store] of the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The master key that its keys are sealed under. Without it, the credential `bastionmq-master-key` of
    /// systemd, else BASTIONMQ_MASTER_KEY, else `master_key_file` of the configuration
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// A configuration of the broker that names both [env: BASTIONMQ_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A store, whether it is there or not.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) master: MasterKeySource,
}

impl PlaceArgs {
    pub(super) fn choose(&self) -> anyhow::Result<Place> {
        let config = configured(self.config.clone(), &["KEYS", "STORE"])?.config;
        let directory = self.dir.clone().or(config.store.dir);
        let directory = directory.context(
            "which store? Name its directory with --dir DIR, or --config with a configuration in which \
             [store] has a `dir`",
        )?;
        let master = MasterKeySource::find(self.master_key_file.as_deref(), &config.keys);
        let master = master.context(
            "there is no master key: name it with --master-key-file FILE, or --config with a \
             configuration in which [keys] has a `master_key_file`",
        )?;
        Ok(Place { directory, master })
    }
}

impl Place {
    /// Locks and reads it.
    pub(super) fn open(&self) -> anyhow::Result<Opened<Directory>> {
        let path = self.directory.display();
        // It is not for a look at it to make one.
        ensure!(self.directory.is_dir(), "there is no directory {path}");
        let directory = Directory::lock(&self.directory)?;
        ensure!(Opened::is_there(&directory)?, "there is no store in {path}");
        Ok(Opened::open(directory, &self.master.read()?, Now::read().unix)?)
    }
}
