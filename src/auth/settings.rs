//! `[auth]`: who may connect, and what finding that out may cost.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How clients prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// File of `user:hash` lines, as `bastionmq passwd` writes it. Without one no password is
    /// accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether a client that offers neither a user name nor a certificate may connect.
    pub allow_anonymous: bool,
    /// Threads that check passwords, and nothing else. Each takes the memory of one hash while it
    /// works, 19 MiB by default.
    pub hashing_threads: NonZeroU32,
    /// Logins that may wait for a hashing thread; beyond them a client is told that the server is
    /// busy. The default is what two threads check, at 17 ms each, within the 10 seconds that a
    /// client has to connect; one that waits longer waits in vain. Each holds its password,
    /// 64 KiB at most.
    pub max_waiting_logins: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            password_file: None,
            allow_anonymous: false,
            hashing_threads: NonZeroU32::MIN.saturating_add(1),
            max_waiting_logins: NonZeroU32::MIN.saturating_add(1_023),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_in_by_default() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings, Settings::default());
        assert!(!settings.allow_anonymous);
        assert_eq!(settings.password_file, None);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(toml::from_str::<Settings>("allow_anonymus = true").is_err());
    }

    #[test]
    fn zero_threads_or_places_are_errors() {
        assert!(toml::from_str::<Settings>("hashing_threads = 0").is_err());
        assert!(toml::from_str::<Settings>("max_waiting_logins = 0").is_err());
    }

    #[test]
    fn settings_survive_being_written_and_read() {
        let settings = Settings { password_file: Some("passwd".into()), ..Settings::default() };
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
    }
}
