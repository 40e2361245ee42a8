//! Who speaks, from where, and how that was proven.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

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
}

impl Principal {
    /// The name that `${username}` stands for; an anonymous client has none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::User(name) | Self::Certificate(name) => Some(name),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Certificate(name) => write!(f, "certificate:{name}"),
        }
    }
}

/// What is known of the other end of a connection before it has said anything in MQTT.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// The URL of the listener that accepted it.
    pub listener: Arc<str>,
    /// What protects the transport.
    pub security: TransportSecurity,
    /// The name in its client certificate, which the listener's CA has vouched for.
    pub certificate: Option<Arc<str>>,
}

/// What protects a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportSecurity {
    /// Nothing.
    Plain,
    /// TLS, server authenticated.
    Tls,
    /// TLS, client authenticated by certificate as well.
    MutualTls,
}

/// What a CONNECT packet offers as proof.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user name, where one was sent.
    pub user_name: Option<Arc<str>>,
    /// The password, where one was sent.
    pub password: Option<Secret>,
}
