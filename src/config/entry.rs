//! One setting as somebody wrote it, and where they did.

use std::{collections::BTreeMap, fmt, sync::Arc};

use toml::Value;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// The file, as it was named.
        file: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// In a command-line flag.
    Flag(&'static str),
}

/// A value with its origin.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Written,
    pub(super) origin: Origin,
}

/// A value as written.
#[derive(Clone, Debug)]
pub(super) enum Written {
    /// In TOML, which knows numbers from texts.
    Toml(Value),
    /// In an environment variable or flag, which do not.
    Text(String),
}

/// The settings of one section by key.
pub(super) type Entries = BTreeMap<String, Entry>;

/// What file, environment and flags say, before anybody asked what it means.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) sections: BTreeMap<&'static str, Entries>,
    pub(super) listeners: Vec<Entries>,
    pub(super) throttles: Vec<Entries>,
    pub(super) sentinel_rules: Vec<Entries>,
}

impl Entry {
    pub(super) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { value: Written::Text(text.into()), origin }
    }

    /// What the value may mean, likeliest first: `5` in an environment variable is a number where
    /// one is wanted, and a file name where that is.
    pub(super) fn meanings(&self) -> Vec<Value> {
        match &self.value {
            Written::Toml(value) => vec![value.clone()],
            Written::Text(text) => {
                let number = text.parse().map(Value::Integer).ok();
                let switch = text.parse().map(Value::Boolean).ok();
                number.or(switch).into_iter().chain([Value::String(text.clone())]).collect()
            }
        }
    }

    /// The value if it is a text, or was written where everything is.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Written::Toml(value) => value.as_str(),
            Written::Text(text) => Some(text),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}
