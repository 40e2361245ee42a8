//! The counts that were recorded, in a file beside the benchmarks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::Context;

/// Where the record is.
pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");

const HEAD: &str = "\
# Instructions that each step of a message takes, as `cargo bench --bench instructions` counts them.
# It fails when one takes more than 10% more. After a change that is worth it, or a new compiler:
#
#   cargo bench --bench instructions -- --update

";

/// Instructions by the name of the step.
#[derive(Debug, Default)]
pub(crate) struct Record(BTreeMap<String, f64>);

impl Record {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
        Ok(Self(toml::from_str(&text).with_context(|| format!("{PATH} is no record"))?))
    }

    pub(crate) fn get(&self, step: &str) -> Option<f64> {
        self.0.get(step).copied()
    }

    pub(crate) fn set(&mut self, step: &str, instructions: f64) {
        self.0.insert(step.to_owned(), instructions);
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let mut text = HEAD.to_owned();
        for (step, instructions) in &self.0 {
            let _ = writeln!(text, "{step} = {instructions:.1}");
        }
        fs::write(PATH, text).with_context(|| format!("cannot write {PATH}"))
    }
}
