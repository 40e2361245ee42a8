//! Which syslog daemon is told, and how.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest path of a Unix socket (`sun_path` of unix(7), less the zero at its end).
const MAX_SOCKET_PATH: usize = 107;
/// The longest name of a host (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// Where a syslog daemon listens: `unix:///dev/log`, `udp://HOST:PORT` or `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SyslogAddress {
    /// A datagram socket on this machine.
    Unix(PathBuf),
    /// Over the network, in plain text (RFC 5426).
    Udp {
        /// An address or a name.
        host: String,
        /// Its port.
        port: u16,
    },
    /// As [`Self::Udp`], over a connection, each message with its length (RFC 6587 section 3.4.1).
    Tcp {
        /// An address or a name.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFormat {
    /// `local` on a Unix socket, RFC 5424 elsewhere.
    #[default]
    Auto,
    /// RFC 5424.
    Rfc5424,
    /// What `syslog(3)` writes, and all daemons understand on `/dev/log`; it has no time and no host, which
    /// the daemon adds.
    Local,
}

/// What kind of program speaks (RFC 5424 section 6.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFacility {
    /// Users' programs.
    User,
    /// Services.
    #[default]
    Daemon,
    /// Security.
    Auth,
    /// Security, for few eyes.
    Authpriv,
    /// What the site makes of it.
    Local0,
    /// As [`Self::Local0`].
    Local1,
    /// As [`Self::Local0`].
    Local2,
    /// As [`Self::Local0`].
    Local3,
    /// As [`Self::Local0`].
    Local4,
    /// As [`Self::Local0`].
    Local5,
    /// As [`Self::Local0`].
    Local6,
    /// As [`Self::Local0`].
    Local7,
}

/// The text names no syslog daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address of a syslog daemon: write unix:///dev/log, with the absolute path of a socket \
     of at most {MAX_SOCKET_PATH} bytes, udp://HOST:PORT or tcp://HOST:PORT"
)]
pub struct SyslogAddressError(String);

impl SyslogAddress {
    /// Whether what is sent there leaves this machine, for all that its name says.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Udp { host, .. } | Self::Tcp { host, .. } => match bare(host).parse::<IpAddr>() {
                Ok(address) => !address.to_canonical().is_loopback(),
                Err(_) => host != "localhost",
            },
        }
    }
}

impl SyslogFacility {
    /// Its number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::Authpriv => 10,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

impl Default for SyslogAddress {
    fn default() -> Self {
        Self::Unix(PathBuf::from("/dev/log"))
    }
}

impl FromStr for SyslogAddress {
    type Err = SyslogAddressError;

    fn from_str(text: &str) -> Result<Self, SyslogAddressError> {
        let parsed = match text.split_once("://") {
            Some(("unix", path)) => is_socket_path(path).then(|| Self::Unix(PathBuf::from(path))),
            Some(("udp", place)) => {
                host_and_port(place).map(|(host, port)| Self::Udp { host, port })
            }
            Some(("tcp", place)) => {
                host_and_port(place).map(|(host, port)| Self::Tcp { host, port })
            }
            _ => None,
        };
        parsed.ok_or_else(|| SyslogAddressError(text.to_owned()))
    }
}

fn is_socket_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= MAX_SOCKET_PATH && !path.contains(char::is_control)
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = place.rsplit_once(':')?;
    let is_name = |host: &str| {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        (1..=MAX_HOST).contains(&host.len()) && host.bytes().all(is_known)
    };
    let is_host = match bare(host) {
        inner if inner.len() < host.len() => inner.parse::<IpAddr>().is_ok_and(|it| it.is_ipv6()),
        name => is_name(name),
    };
    let port = port.parse().ok().filter(|port| is_host && *port > 0)?;
    Some((host.to_owned(), port))
}

/// Without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl TryFrom<String> for SyslogAddress {
    type Error = SyslogAddressError;

    fn try_from(text: String) -> Result<Self, SyslogAddressError> {
        text.parse()
    }
}

impl From<SyslogAddress> for String {
    fn from(address: SyslogAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_was_written() {
        for (text, is_remote) in [
            ("unix:///dev/log", false),
            ("udp://127.0.0.1:514", false),
            ("udp://localhost:514", false),
            ("udp://[::1]:514", false),
            ("udp://logs.example.com:5514", true),
            ("udp://[2001:db8::1]:514", true),
            ("tcp://[::1]:601", false),
            ("tcp://logs.example.com:601", true),
        ] {
            let address: SyslogAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_remote(), is_remote, "{text}");
        }
        assert_eq!(SyslogAddress::default().to_string(), "unix:///dev/log");
    }

    #[test]
    fn what_is_no_address_says_so() {
        let long = format!("unix:///{}", "x".repeat(200));
        for text in [
            "",
            "/dev/log",
            "unix://dev/log",
            "unix:///a\nb",
            &long,
            "udp://host",
            "udp://host:0",
            "udp://:514",
            "udp://a b:514",
            "udp://::1:514",
            "udp://[host]:514",
            "udp://host:70000",
            "tcp://host",
            "tls://host:514",
        ] {
            assert_eq!(text.parse::<SyslogAddress>(), Err(SyslogAddressError(text.to_owned())));
        }
    }
}
