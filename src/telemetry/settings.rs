//! `[log]`: what is logged, and in which form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The log on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// What is logged.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

/// `info`, or per part of the program: `info,bastionmq::net=debug`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogLevel(String);

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The text is no log level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no log level: write off, error, warn, info, debug or trace, also per module, as in \
     info,bastionmq::net=debug"
)]
pub struct LogLevelError(String);

impl LogLevel {
    /// The directives, as `EnvFilter` reads them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        if text.split(',').all(is_directive) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LogLevelError(text.to_owned()))
        }
    }
}

/// Stricter than `EnvFilter`, which takes `debgu` for the name of a module.
fn is_directive(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_path_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    match text.split_once('=') {
        None => LEVELS.contains(&text),
        Some((module, level)) => {
            !module.is_empty() && module.bytes().all(is_path_byte) && LEVELS.contains(&level)
        }
    }
}

impl TryFrom<String> for LogLevel {
    type Error = LogLevelError;

    fn try_from(text: String) -> Result<Self, LogLevelError> {
        text.parse()
    }
}

impl From<LogLevel> for String {
    fn from(level: LogLevel) -> Self {
        level.0
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_given_for_all_and_per_module() {
        for text in ["off", "info", "warn,bastionmq::net=trace", "error,rustls=off"] {
            assert_eq!(text.parse::<LogLevel>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_level_is_refused_and_not_taken_for_a_module() {
        for text in ["", "debgu", "INFO ", "info,", "=info", "net=loud", "a[b]=info", "info;warn"] {
            assert_eq!(text.parse::<LogLevel>(), Err(LogLevelError(text.to_owned())));
        }
    }
}
