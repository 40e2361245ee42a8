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
    /// Logins of one address (IPv4, or the first 64 bits of IPv6) that may be under way, from CONNECT to the
    /// answer, however they are checked; beyond them a client is told that the server is busy. 0 is any
    /// number. By default an address can keep half of the places in which logins wait.
    pub max_logins_per_address: u32,
    /// The same of one prefix (/24, or /56): three quarters.
    pub max_logins_per_prefix: u32,
    /// The same of all.
    pub max_logins: u32,
    /// Seconds that a verified password is remembered for, so that it need not be hashed again at
    /// the next login; 0 remembers none. What is remembered is forgotten as soon as its user's line
    /// in the password file changes.
    pub credential_cache_seconds: u32,
    /// File in which that is kept over a restart, sealed under the master key. Without one it is in
    /// memory only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_cache_file: Option<PathBuf>,
    /// Failed logins of one user from one address after which it is locked out there; 0 is never.
    pub lockout_failures: u32,
    /// Failed logins from one address, whoever the users, after which everybody there is locked out
    /// who has not logged in from there before; 0 is never.
    pub lockout_address_failures: u32,
    /// Seconds of the first lock-out. Each further failure doubles them.
    pub lockout_seconds: u32,
    /// Seconds of the longest.
    pub lockout_max_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            password_file: None,
            allow_anonymous: false,
            hashing_threads: NonZeroU32::MIN.saturating_add(1),
            max_waiting_logins: NonZeroU32::MIN.saturating_add(1_023),
            max_logins_per_address: 512,
            max_logins_per_prefix: 768,
            max_logins: 4_096,
            credential_cache_seconds: 30 * 86_400,
            credential_cache_file: None,
            lockout_failures: 5,
            lockout_address_failures: 100,
            lockout_seconds: 1,
            lockout_max_seconds: 900,
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
