//! What is wrong with a configuration, and where.

use std::fmt::{self, Write};

use super::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written, if it was written at all.
    pub origin: Option<Origin>,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What stands in a file comes first, from top to bottom.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// A problem of something written at `origin`.
    pub(super) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self { origin: Some(origin.clone()), message: message.into() }
    }

    /// A problem of something that is missing.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self { origin: None, message: message.into() }
    }
}

impl ConfigError {
    pub(super) fn of(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match problem.origin {
            Some(Origin::File { line, .. }) => line,
            _ => usize::MAX,
        });
        Self { problems }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match &self.origin {
            Some(origin) => format!("{origin}: {}", self.message),
            None => self.message.clone(),
        };
        // It quotes what files and variables hold, and terminals obey.
        said.chars().try_for_each(|character| match character {
            '\n' => f.write_char(character),
            _ if character.is_control() => character.escape_unicode().fmt(f),
            _ => f.write_char(character),
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return only.fmt(f);
        }
        write!(f, "the configuration has {} errors", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_origin_nor_message_steers_a_terminal() {
        let origin = Origin::Environment("BASTIONMQ_\u{1b}[2J".to_owned());
        let said = Problem::at(&origin, "one\u{7}\ntwo\u{9b}").to_string();
        assert_eq!(said, "BASTIONMQ_\\u{1b}[2J: one\\u{7}\ntwo\\u{9b}");
    }
}
