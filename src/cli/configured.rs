//! The configuration of a broker, as far as a command is about what that has.

use std::path::PathBuf;

use crate::config::{Flags, Loaded, Sources};

const CONFIG: &str = "BASTIONMQ_CONFIG";

/// The configuration in `file`, or the one that the environment names. Of what else a broker is told there, what
/// is not about `sections` is no business of a command.
pub(super) fn configured(file: Option<PathBuf>, sections: &[&str]) -> anyhow::Result<Loaded> {
    let mut sources = Sources::of_process(file, Flags::default());
    let starts: Vec<_> = sections.iter().map(|section| format!("BASTIONMQ_{section}_")).collect();
    sources.environment.retain(|(name, _)| {
        name.to_str().is_some_and(|name| {
            starts.iter().any(|start| name.starts_with(start)) || name == CONFIG
        })
    });
    Ok(Loaded::load(&sources)?)
}
