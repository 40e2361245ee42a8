//! `[log]`: what is logged, where to, and in which form.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{LogTargets, SyslogAddress, SyslogFacility, SyslogFormat};

/// The log, and each of its targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Where it goes.
    pub targets: LogTargets,
    /// What is logged.
    pub level: LogLevel,
    /// In which form, on standard error and in the file.
    pub format: LogFormat,
    /// The file, mode 0600; its directory is made with mode 0700 where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// MiB of the file before it is set aside and the next one is begun.
    pub max_file_mib: NonZeroU32,
    /// Whether that is done as well when a day has passed.
    pub rotate: LogRotation,
    /// Whether files that were set aside are compressed.
    pub compress: bool,
    /// How many of them are kept; 0 is any number.
    pub keep_files: u32,
    /// Days that they are kept; 0 is for ever.
    pub keep_days: u32,
    /// MiB that all files of the log may take, of which the oldest are removed above that; 0 is any number.
    pub max_total_mib: u32,
    /// The syslog daemon.
    pub syslog: SyslogAddress,
    /// What its lines look like.
    pub syslog_format: SyslogFormat,
    /// As which kind of program the broker speaks to it.
    pub syslog_facility: SyslogFacility,
    /// The socket of journald.
    pub journald_socket: PathBuf,
}

/// When the file is set aside, however small it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogRotation {
    /// Never.
    #[default]
    Never,
    /// With the first line of a new day, in UTC.
    Daily,
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
     info,bastionmq::net=debug, in at most {MAX_LEVEL_BYTES} bytes"
)]
pub struct LogLevelError(String);

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            targets: LogTargets::default(),
            level: LogLevel::default(),
            format: LogFormat::default(),
            file: None,
            max_file_mib: NonZeroU32::MIN.saturating_add(63),
            rotate: LogRotation::default(),
            compress: true,
            keep_files: 0,
            keep_days: 90,
            max_total_mib: 1_024,
            syslog: SyslogAddress::default(),
            syslog_format: SyslogFormat::default(),
            syslog_facility: SyslogFacility::default(),
            journald_socket: PathBuf::from("/run/systemd/journal/socket"),
        }
    }
}

impl LogSettings {
    pub(super) fn max_file_bytes(&self) -> u64 {
        u64::from(self.max_file_mib.get()) << 20
    }

    /// Bytes that all files may take, unless any number.
    pub(super) fn max_total_bytes(&self) -> Option<u64> {
        (self.max_total_mib > 0).then(|| u64::from(self.max_total_mib) << 20)
    }

    /// How many files that were set aside are kept, unless any number.
    pub(super) fn max_files(&self) -> Option<usize> {
        (self.keep_files > 0).then(|| usize::try_from(self.keep_files).unwrap_or(usize::MAX))
    }

    /// How long they are kept, unless for ever.
    pub(super) fn keep(&self) -> Option<Duration> {
        const DAY: u64 = 86_400;
        (self.keep_days > 0).then(|| Duration::from_secs(DAY * u64::from(self.keep_days)))
    }
}

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

/// Bytes of the longest: each directive is compared with each place that logs.
const MAX_LEVEL_BYTES: usize = 1_024;

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        if text.len() <= MAX_LEVEL_BYTES && text.split(',').all(is_directive) {
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
        let long = vec!["info"; 300].join(",");
        let bad = ["", "debgu", "INFO ", "info,", "=info", "net=loud", "a[b]=info", "info;warn"];
        for text in bad.into_iter().chain([&*long]) {
            assert_eq!(text.parse::<LogLevel>(), Err(LogLevelError(text.to_owned())));
        }
    }
}
