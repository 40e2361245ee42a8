//! Who speaks, from where, and how that was proven.

mod client_certificate;
mod network;

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use client_certificate::{ClientCertificate, Evidence};
pub use network::{Network, NetworkError};

use crate::secret::Secret;

/// The client identifier of a session, as the client or the broker chose it. UTF-8, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Keeps `text`, which the decoder has found to be UTF-8 without null characters.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a connection belongs to. Sessions, permissions and logs go by it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular: only where the configuration allows it.
    Anonymous,
    /// A user that proved its password.
    User(Arc<str>),
    /// The name that a verified client certificate carries.
    Certificate(Arc<str>),
    /// The user that the process at the other end of a Unix socket runs as; its number where it has
    /// no name.
    Unix(Arc<str>),
    /// The subject of a token.
    Token(Arc<str>),
    /// A user whom the HTTP service has let in.
    Http(Arc<str>),
}

impl Principal {
    /// The name that `${username}` stands for; an anonymous client has none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(name)
            | Self::Certificate(name)
            | Self::Unix(name)
            | Self::Token(name)
            | Self::Http(name) => Some(name),
        }
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "anonymous" {
            return Some(Self::Anonymous);
        }
        let (kind, name) = text.split_once(':')?;
        Some(match kind {
            "user" => Self::User(name.into()),
            "certificate" => Self::Certificate(name.into()),
            "unix" => Self::Unix(name.into()),
            "token" => Self::Token(name.into()),
            "http" => Self::Http(name.into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Certificate(name) => write!(f, "certificate:{name}"),
            Self::Unix(name) => write!(f, "unix:{name}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Http(name) => write!(f, "http:{name}"),
        }
    }
}

/// What the proof of an identity says of its client beyond the name. Most proofs say nothing more,
/// and that costs a connection nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Option<Arc<[Attribute]>>);

/// One thing that a proof says. A name that has several values is several attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// Which proof says it.
    pub source: AttributeSource,
    /// What it is called there, such as `ou`.
    pub name: Arc<str>,
    /// What it is.
    pub value: Arc<str>,
}

/// Which proof an attribute is from. Each has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttributeSource {
    /// A client certificate: `cn`, `ou`, `o`, `san-dns`, `san-uri`, `san-email`, `serial`, and
    /// `fingerprint` (SHA-256 in lower-case hexadecimal digits).
    Certificate,
    /// The process at the other end of a Unix socket: `user`, `uid`, `group`, `gid`, `pid`,
    /// `executable`.
    Unix,
    /// A token: its claims, by their names.
    Token,
    /// The HTTP service that was asked: `user`, `roles` and `groups`.
    Http,
}

impl AttributeSource {
    const ALL: [Self; 4] = [Self::Certificate, Self::Unix, Self::Token, Self::Http];

    /// As policies and operators write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Unix => "unix",
            Self::Token => "claims",
            Self::Http => "http",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }
}

static NO_ATTRIBUTES: Attributes = Attributes(None);

impl Attributes {
    /// Those of a proof that says no more than a name.
    #[must_use]
    pub fn none() -> &'static Self {
        &NO_ATTRIBUTES
    }

    /// All of them, in the order of the proof.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().flat_map(|attributes| attributes.iter())
    }

    /// These and those of another proof of the same client.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        match (&self.0, &others.0) {
            (None, _) => others.clone(),
            (_, None) => self,
            (Some(these), Some(those)) => these.iter().chain(those.iter()).cloned().collect(),
        }
    }

    /// The values that `source` gives for `name`.
    pub fn values<'a>(
        &'a self,
        source: AttributeSource,
        name: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |attribute| attribute.source == source && *attribute.name == *name)
            .map(|attribute| &*attribute.value)
    }
}

impl FromIterator<Attribute> for Attributes {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        let attributes: Arc<[Attribute]> = attributes.into_iter().collect();
        Self((!attributes.is_empty()).then_some(attributes))
    }
}

/// What is known of the other end of a connection before it has said anything in MQTT.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: PeerAddress,
    /// The URL of the listener that accepted it.
    pub listener: Arc<str>,
    /// What protects the transport.
    pub security: TransportSecurity,
    /// Its client certificate, where it has shown one, here or to a proxy that is believed.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// Over the network.
    Network(SocketAddr),
    /// From a process of this machine, over a Unix socket.
    Unix(Arc<UnixPeer>),
}

impl PeerAddress {
    /// The IP address; none of a process.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

/// The process that connected to a Unix socket, as the kernel knew it at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its number, where the kernel tells it: not of a process in another namespace.
    pub pid: Option<i32>,
    /// The name of its user; its number where it has no name.
    pub user: Arc<str>,
    /// What else is known of it: [`AttributeSource::Unix`].
    pub attributes: Attributes,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Unix(peer) => {
                write!(f, "unix:uid={},gid={}", peer.uid, peer.gid)?;
                peer.pid.map_or(Ok(()), |pid| write!(f, ",pid={pid}"))
            }
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Network(address)
    }
}

/// What protects a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportSecurity {
    /// Nothing.
    Plain,
    /// TLS, server authenticated.
    Tls,
    /// TLS, client authenticated by certificate as well.
    MutualTls,
    /// The kernel: a Unix socket, whose other end it vouches for.
    Unix,
}

impl TransportSecurity {
    const ALL: [Self; 4] = [Self::Plain, Self::Tls, Self::MutualTls, Self::Unix];

    /// As policies and operators write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::MutualTls => "mtls",
            Self::Unix => "unix",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }
}

/// What a CONNECT packet offers as proof.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user name, where one was sent.
    pub user_name: Option<Arc<str>>,
    /// The password, where one was sent.
    pub password: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_read_as_it_is_shown() {
        for text in ["anonymous", "user:a:b", "certificate:", "unix:root", "token:x", "http:x"] {
            let principal = Principal::parse(text).expect(text);
            assert_eq!(principal.to_string(), text);
        }
        for text in ["", "robot:x", "user", "Anonymous"] {
            assert_eq!(Principal::parse(text), None, "{text}");
        }
    }
}
