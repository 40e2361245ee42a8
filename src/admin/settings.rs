//! `[admin]`: where metrics, health and the page are served, and who may see the page.

use std::{
    fmt,
    net::{AddrParseError, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::broker::OperatorLogins;

/// The administrative port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it listens, or `off`.
    pub address: Address,
    /// Connections that are served at once, each for one request; more wait.
    pub max_connections: NonZeroU32,
    /// How long a connection may take, from being accepted to the last byte of its answer.
    pub connection_timeout_seconds: NonZeroU32,
    /// The password file of the operators who may see the page; without one there is no page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Logins at the page that may wait for their password to be checked; others are told to try again.
    pub max_waiting_logins: NonZeroU32,
    /// How long a login lasts when nothing is asked.
    pub login_idle_seconds: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Address::default(),
            max_connections: NonZeroU32::MIN.saturating_add(63),
            connection_timeout_seconds: NonZeroU32::MIN.saturating_add(9),
            password_file: None,
            max_waiting_logins: NonZeroU32::MIN.saturating_add(7),
            login_idle_seconds: NonZeroU32::MIN.saturating_add(299),
        }
    }
}

impl Settings {
    /// How operators log in.
    #[must_use]
    pub fn logins(&self) -> OperatorLogins {
        OperatorLogins {
            max_waiting: self.max_waiting_logins,
            idle: Duration::from_secs(self.login_idle_seconds.get().into()),
        }
    }

    /// How long a connection may take.
    pub(super) fn connection_timeout(&self) -> Duration {
        Duration::from_secs(self.connection_timeout_seconds.get().into())
    }
}

/// An address to serve metrics and health at, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// `"off"`: nothing listens.
    Off,
    /// This address; port 0 is any free one.
    At(SocketAddr),
}

/// The text is neither an address with a port nor `off`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: write ADDRESS:PORT, as in 127.0.0.1:9883, or off")]
pub struct AddressError(String);

impl Address {
    /// The address, unless it is off.
    #[must_use]
    pub fn socket_address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 9883)))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        // Who writes localhost means the loopback address, whatever a resolver would make of it.
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self::At)
            .map_err(|_: AddrParseError| AddressError(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_off_or_has_a_port() {
        assert_eq!("off".parse(), Ok(Address::Off));
        assert_eq!("[::1]:0".parse::<Address>().unwrap().to_string(), "[::1]:0");
        assert_eq!("localhost:9883".parse(), Ok(Address::default()));
        for text in ["", "127.0.0.1", ":9883", "Off", "example.org:1", "localhost:"] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, AddressError(text.to_owned()));
        }
    }
}
