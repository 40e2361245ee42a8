//! Where to listen, as an operator writes it: `mqtts://0.0.0.0:8883`, `unix:///run/mqtt/mqtt.sock`.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::unix::MAX_SOCKET_PATH;

/// A parsed listener URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenUrl {
    scheme: Scheme,
    place: Place,
}

/// What can be bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BindAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What is spoken below MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `mqtt://`: plain TCP.
    Mqtt,
    /// `mqtts://`: TLS over TCP.
    Mqtts,
    /// `ws://`: WebSocket over plain TCP.
    Ws,
    /// `wss://`: WebSocket over TLS.
    Wss,
    /// `unix://`: a Unix socket, and no port.
    Unix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Port(Host, u16),
    Path(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

/// Why a text is no listener URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenUrlError {
    /// No `scheme://` in front, or one that is not spoken here.
    #[error(
        "`{0}` must begin with mqtt:// (plain TCP) or mqtts:// (TLS), as in mqtts://0.0.0.0:8883, \
         or with ws:// or wss:// (WebSocket over either), or with unix:// (a Unix socket)"
    )]
    Scheme(String),
    /// Nothing between the scheme and the port.
    #[error(
        "`{0}` names no address: write 127.0.0.1 for this machine alone, 0.0.0.0 for every IPv4 \
         address, [::] for every address"
    )]
    NoHost(String),
    /// The host is neither an address nor a name.
    #[error(
        "`{0}` has a host that is neither an IP address nor a name; IPv6 addresses go in brackets"
    )]
    Host(String),
    /// The port is not a number from 0 to 65535.
    #[error("`{0}` has a bad port: a number from 0 (any free port) to 65535 is needed")]
    Port(String),
    /// Something follows the port.
    #[error(
        "`{0}` must end after the port: user, path and query mean nothing here, and the path of a \
         WebSocket is the listener's `websocket_path`"
    )]
    Trailing(String),
    /// The path of a Unix socket is not absolute and plain, or in no directory of its own.
    #[error(
        "`{0}` must name a socket by its absolute path, in a directory of its own and without `.`, \
         `..`, `//` and control characters, as in unix:///run/bastionmq/mqtt.sock"
    )]
    Path(String),
    /// The path of a Unix socket is longer than the system can bind.
    #[error(
        "`{text}` has a path of {length} bytes; the path of a Unix socket has at most \
         {MAX_SOCKET_PATH}"
    )]
    PathTooLong {
        /// As written.
        text: String,
        /// Bytes of the path.
        length: usize,
    },
}

impl Scheme {
    const ALL: [Self; 5] = [Self::Mqtt, Self::Mqtts, Self::Ws, Self::Wss, Self::Unix];

    /// The scheme that URLs write so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// The scheme as URLs write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    /// The port registered for it; for MQTT over WebSocket there is none, and brokers have agreed
    /// on these. A Unix socket has no port.
    #[must_use]
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Mqtt => Some(1883),
            Self::Mqtts => Some(8883),
            Self::Ws => Some(8083),
            Self::Wss => Some(8084),
            Self::Unix => None,
        }
    }

    /// Whether TLS protects it.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether MQTT travels in WebSocket frames.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

impl ListenUrl {
    /// What is spoken below MQTT.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The address to bind. `localhost` is 127.0.0.1; any other name is looked up, which may wait
    /// for the network, and its first address is taken.
    ///
    /// # Errors
    /// When the name is not known to the resolver.
    pub fn address(&self) -> io::Result<BindAddress> {
        match &self.place {
            Place::Port(host, port) => host.address(*port).map(BindAddress::Tcp),
            Place::Path(path) => Ok(BindAddress::Unix(path.clone())),
        }
    }

    /// The same scheme at the address that was bound: what clients can connect to when the port
    /// was 0.
    #[must_use]
    pub fn bound_to(&self, address: SocketAddr) -> Self {
        let place = Place::Port(Host::Address(address.ip()), address.port());
        Self { scheme: self.scheme, place }
    }

    /// How it is called once it is bound, in the log and in policies, if that can be told before: not of
    /// a port that the system chooses, and not of a name that has to be looked up.
    #[must_use]
    pub fn name_when_bound(&self) -> Option<String> {
        match &self.place {
            Place::Port(_, 0) => None,
            Place::Port(Host::Name(name), _) if !name.eq_ignore_ascii_case("localhost") => None,
            Place::Port(host, port) => Some(self.bound_to(host.address(*port).ok()?).to_string()),
            Place::Path(_) => Some(self.to_string()),
        }
    }
}

impl Host {
    fn address(&self, port: u16) -> io::Result<SocketAddr> {
        match self {
            Self::Address(ip) => Ok(SocketAddr::new(*ip, port)),
            Self::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
            }
            Self::Name(name) => (name.as_str(), port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)),
        }
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(text: &str) -> Result<Self, ListenUrlError> {
        let (scheme, rest) = split_scheme(text)?;
        let Some(default_port) = scheme.default_port() else {
            return Ok(Self { scheme, place: Place::Path(parse_path(text, rest)?) });
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(ListenUrlError::Trailing(text.to_owned()));
        }
        let (host, port) = split_port(text, authority)?;
        let host = parse_host(text, host)?;
        let port = port.map_or(Ok(default_port), |port| parse_port(text, port))?;
        Ok(Self { scheme, place: Place::Port(host, port) })
    }
}

impl TryFrom<String> for ListenUrl {
    type Error = ListenUrlError;

    fn try_from(text: String) -> Result<Self, ListenUrlError> {
        text.parse()
    }
}

impl From<ListenUrl> for String {
    fn from(url: ListenUrl) -> Self {
        url.to_string()
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), ListenUrlError> {
    let parts = text.split_once("://").and_then(|(name, rest)| Some((Scheme::named(name)?, rest)));
    parts.ok_or_else(|| ListenUrlError::Scheme(text.to_owned()))
}

/// Splits at the last colon that is not inside an IPv6 address.
fn split_port<'a>(
    text: &str,
    authority: &'a str,
) -> Result<(&'a str, Option<&'a str>), ListenUrlError> {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (bracketed, rest) = authority.split_at(after_bracket);
    match rest.rfind(':') {
        Some(at) if bracketed.is_empty() => Ok((&rest[..at], Some(&rest[at + 1..]))),
        Some(0) => Ok((bracketed, Some(&rest[1..]))),
        None if bracketed.is_empty() => Ok((rest, None)),
        None if rest.is_empty() => Ok((bracketed, None)),
        _ => Err(ListenUrlError::Host(text.to_owned())),
    }
}

/// A path that means one thing only: nothing is decoded, left out or relative to anything.
fn parse_path(text: &str, path: &str) -> Result<PathBuf, ListenUrlError> {
    if path.len() > MAX_SOCKET_PATH {
        return Err(ListenUrlError::PathTooLong { text: text.to_owned(), length: path.len() });
    }
    let mut parts = path.split('/');
    let is_absolute = parts.next() == Some("");
    let is_plain = parts.all(|part| !matches!(part, "" | "." | ".."));
    let has_directory = Path::new(path).parent().is_some_and(|parent| parent != Path::new("/"));
    if is_absolute && is_plain && has_directory && !path.contains(char::is_control) {
        Ok(path.into())
    } else {
        Err(ListenUrlError::Path(text.to_owned()))
    }
}

fn parse_host(text: &str, host: &str) -> Result<Host, ListenUrlError> {
    if host.is_empty() {
        return Err(ListenUrlError::NoHost(text.to_owned()));
    }
    let bad = || ListenUrlError::Host(text.to_owned());
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(bad)?;
        return Ok(Host::Address(inner.parse::<Ipv6Addr>().map_err(|_| bad())?.into()));
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(ip.into()));
    }
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    // What is all digits and dots was meant as an address: looking it up would only hide the slip.
    let is_broken_address = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_name && !is_broken_address { Ok(Host::Name(host.to_owned())) } else { Err(bad()) }
}

fn parse_port(text: &str, port: &str) -> Result<u16, ListenUrlError> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().ok_or_else(|| ListenUrlError::Port(text.to_owned()))
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        match &self.place {
            Place::Port(Host::Address(ip), port) => write!(f, "{}", SocketAddr::new(*ip, *port)),
            Place::Port(Host::Name(name), port) => write!(f, "{name}:{port}"),
            Place::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListenUrl, ListenUrlError> {
        text.parse()
    }

    #[test]
    fn a_url_without_a_port_means_the_registered_one() {
        assert_eq!(parse("mqtts://0.0.0.0").unwrap().to_string(), "mqtts://0.0.0.0:8883");
        assert_eq!(parse("mqtt://127.0.0.1").unwrap().to_string(), "mqtt://127.0.0.1:1883");
        assert_eq!(parse("mqtts://[::1]").unwrap().to_string(), "mqtts://[::1]:8883");
        assert_eq!(parse("ws://127.0.0.1").unwrap().to_string(), "ws://127.0.0.1:8083");
        assert_eq!(parse("wss://localhost/").unwrap().to_string(), "wss://localhost:8084");
    }

    #[test]
    fn every_form_of_host_is_understood() {
        for text in ["mqtts://[::]:1", "mqtt://10.0.0.1:0", "mqtt://broker.example:65535"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("mqtt://localhost:5/").unwrap().to_string(), "mqtt://localhost:5");
    }

    #[test]
    fn localhost_is_the_ipv4_loopback_address() {
        let address = parse("mqtt://LocalHost:0").unwrap().address().unwrap();
        assert_eq!(address, BindAddress::Tcp("127.0.0.1:0".parse().unwrap()));
    }

    #[test]
    fn an_unknown_scheme_is_told_what_is_spoken() {
        for text in ["", "8883", "0.0.0.0:8883", "ssl://a", "MQTT://a", "mqtt:/a", "wsss://a"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, ListenUrlError::Scheme(text.to_owned()));
            assert!(error.to_string().contains("mqtt:// (plain TCP) or mqtts:// (TLS)"));
        }
    }

    #[test]
    fn a_url_without_a_host_is_refused() {
        for text in ["mqtt://", "mqtt://:1883", "mqtts:///"] {
            assert_eq!(parse(text), Err(ListenUrlError::NoHost(text.to_owned())));
        }
    }

    #[test]
    fn a_bad_port_is_refused() {
        for text in ["mqtt://a:", "mqtt://a:65536", "mqtt://a:-1", "mqtt://a:+1", "mqtt://[::]:x"] {
            assert_eq!(parse(text), Err(ListenUrlError::Port(text.to_owned())));
        }
    }

    #[test]
    fn a_bad_host_is_refused() {
        for text in [
            "mqtt://256.0.0.1:1",
            "mqtt://1.2.3:1",
            "mqtt://::1",
            "mqtt://[::1",
            "mqtt://[::1]x:1",
            "mqtt://x[::1]:1",
            "mqtt://[10.0.0.1]:1",
            "mqtt://a b:1",
            "mqtt://*:1883",
        ] {
            assert_eq!(parse(text), Err(ListenUrlError::Host(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_follows_the_port_is_refused() {
        for text in ["mqtt://a:1/mqtt", "mqtt://u:p@a:1", "mqtt://a:1?x", "mqtt://a:1#x"] {
            assert_eq!(parse(text), Err(ListenUrlError::Trailing(text.to_owned())));
        }
    }

    #[test]
    fn a_bound_url_shows_the_port_that_was_given() {
        let url = parse("mqtts://localhost:0").unwrap();
        let bound = url.bound_to("127.0.0.1:4711".parse().unwrap());
        assert_eq!(bound.to_string(), "mqtts://127.0.0.1:4711");
    }

    #[test]
    fn the_path_of_a_unix_socket_is_absolute_and_in_a_directory_of_its_own() {
        let text = "unix:///run/bastionmq/mqtt.sock";
        let url = parse(text).unwrap();
        assert_eq!((url.scheme(), url.to_string().as_str()), (Scheme::Unix, text));
        let path = BindAddress::Unix("/run/bastionmq/mqtt.sock".into());
        assert_eq!(url.address().unwrap(), path);
        for text in [
            "unix://",
            "unix:///",
            "unix://run/a.sock",
            "unix:///a.sock",
            "unix:///run/a/",
            "unix:///run//a",
            "unix:///run/../a/b",
            "unix:///run/./a",
            "unix:///run/a\n/b",
            "unix:///run/a\0/b",
        ] {
            assert_eq!(parse(text), Err(ListenUrlError::Path(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_path_of_a_unix_socket_fits_its_address() {
        let path = |length: usize| format!("unix:///d/{}", "x".repeat(length - 3));
        assert!(parse(&path(107)).is_ok());
        let error = parse(&path(108)).unwrap_err();
        assert_eq!(error, ListenUrlError::PathTooLong { text: path(108), length: 108 });
        assert!(error.to_string().contains("108 bytes; the path of a Unix socket has at most 107"));
    }
}
