//! What is found while a configuration is resolved: all of it is told, not the first thing alone.

use std::{fmt::Display, path::Path};

use super::Problem;

/// What is wrong, and what ought to be known.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// What is wrong within the file at `path`.
    pub(super) fn blame<E: Display>(&mut self, path: &Path, errors: &[E]) {
        self.problems.extend(errors.iter().map(|error| Problem::missing(in_file(path, error))));
    }
}

/// Something that is said of the file at `path`.
pub(super) fn in_file(path: &Path, what: impl Display) -> String {
    format!("{}: {what}", path.display())
}
