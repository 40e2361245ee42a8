//! Where the log goes: one target or several.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Label;

/// A place that takes the lines of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// A file of its own, which is rotated.
    File,
    /// A syslog daemon.
    Syslog,
    /// The journal of systemd, by its own protocol.
    Journald,
}

/// Some of them, each once, and one at least. Written as a list, or as one text with commas between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<LogTarget>")]
pub struct LogTargets(Vec<LogTarget>);

/// The text names no targets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogTargetError {
    /// Nobody knows it.
    #[error("`{0}` is no target of the log: write stderr, file, syslog or journald")]
    Unknown(String),
    /// Every line would be written twice.
    #[error("`{0}` is there twice")]
    Twice(LogTarget),
    /// There are none.
    #[error("name one target at least; whoever wants no log sets `level = \"off\"`")]
    None,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list such as [\"stderr\", \"file\"] is needed")]
enum Written {
    List(Vec<String>),
    Text(String),
}

impl LogTarget {
    const ALL: [Self; 4] = [Self::Stderr, Self::File, Self::Syslog, Self::Journald];

    /// As it is written, and as metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::File => "file",
            Self::Syslog => "syslog",
            Self::Journald => "journald",
        }
    }
}

impl LogTargets {
    /// Whether `target` is one of them.
    #[must_use]
    pub fn contain(&self, target: LogTarget) -> bool {
        self.0.contains(&target)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = LogTarget> + '_ {
        self.0.iter().copied()
    }
}

impl Default for LogTargets {
    fn default() -> Self {
        Self(vec![LogTarget::Stderr])
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LogTarget {
    type Err = LogTargetError;

    fn from_str(text: &str) -> Result<Self, LogTargetError> {
        let mut all = Self::ALL.into_iter();
        all.find(|it| it.name() == text).ok_or_else(|| LogTargetError::Unknown(text.to_owned()))
    }
}

impl TryFrom<String> for LogTarget {
    type Error = LogTargetError;

    fn try_from(text: String) -> Result<Self, LogTargetError> {
        text.parse()
    }
}

impl From<LogTarget> for String {
    fn from(target: LogTarget) -> Self {
        target.name().to_owned()
    }
}

impl TryFrom<Written> for LogTargets {
    type Error = LogTargetError;

    fn try_from(written: Written) -> Result<Self, LogTargetError> {
        let names = match written {
            Written::List(names) => names,
            Written::Text(text) if text.trim().is_empty() => Vec::new(),
            Written::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        let mut targets = Vec::new();
        for name in names {
            let target = name.parse()?;
            if targets.contains(&target) {
                return Err(LogTargetError::Twice(target));
            }
            targets.push(target);
        }
        if targets.is_empty() { Err(LogTargetError::None) } else { Ok(Self(targets)) }
    }
}

impl From<LogTargets> for Vec<LogTarget> {
    fn from(targets: LogTargets) -> Self {
        targets.0
    }
}

impl Label for LogTarget {
    const COUNT: usize = Self::ALL.len();

    fn at(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn pairs(self) -> Vec<metrics::Label> {
        vec![metrics::Label::from_static_parts("target", self.name())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Vec<LogTarget>, String> {
        let mut table: toml::Table = format!("it = {value}").parse().unwrap();
        let targets: Result<LogTargets, _> = table.remove("it").unwrap().try_into();
        targets.map(Into::into).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn targets_are_a_list_or_a_text_with_commas() {
        let both = Ok(vec![LogTarget::Stderr, LogTarget::File]);
        assert_eq!(parse("[\"stderr\", \"file\"]"), both);
        assert_eq!(parse("\"stderr, file\""), both);
        assert_eq!(parse("\"journald\""), Ok(vec![LogTarget::Journald]));
    }

    #[test]
    fn what_is_no_target_is_named() {
        for (value, told) in [
            ("\"sdterr\"", "`sdterr` is no target"),
            ("[\"file\", \"file\"]", "`file` is there twice"),
            ("[]", "name one target at least"),
            ("\"\"", "name one target at least"),
            ("1", "a list such as"),
        ] {
            let said = parse(value).unwrap_err();
            assert!(said.contains(told), "{value}: {said}");
        }
    }

    #[test]
    fn each_has_its_place_among_the_labels() {
        for (index, target) in LogTarget::ALL.into_iter().enumerate() {
            assert_eq!((target.index(), LogTarget::at(index)), (index, Some(target)));
        }
    }
}
