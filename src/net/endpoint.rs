//! What a listener offers, and what becomes of its clients when it offers something else.

use std::sync::Arc;

use super::{BindAddress, ListenUrl, ProxySettings, WebSocketSettings};
use crate::auth::Authenticators;
use crate::tls::{ClientAuth, ClientIdentity, ListenerTls};
use crate::unix::{UnixAccess, UnixSettings};

/// What a listener offers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// As configured.
    pub url: ListenUrl,
    /// Where to bind.
    pub address: BindAddress,
    /// What a Unix socket has to heed, and nothing else.
    pub unix: UnixSettings,
    /// The proxies that its connections come by, unless they come directly.
    pub proxy: Option<ProxySettings>,
    /// TLS, unless it is plain.
    pub tls: Option<Arc<ListenerTls>>,
    /// WebSocket, unless MQTT is spoken without it.
    pub websocket: Option<WebSocketSettings>,
    /// Who finds out who its clients are.
    pub authenticators: Arc<Authenticators>,
}

/// How far the settings of a listener are others than they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// They are the same.
    None,
    /// They concern those who connect from now on.
    Handshakes,
    /// They decide who may be connected, and as whom: everybody has to come again.
    Admission,
}

/// What decides who may connect, and as whom.
#[derive(PartialEq)]
struct Admission<'a> {
    scheme: &'static str,
    proxy: Option<&'a ProxySettings>,
    unix: &'a UnixAccess,
    certificates: Option<(ClientAuth, ClientIdentity)>,
    authenticators: &'a Authenticators,
}

impl Endpoint {
    /// How far it is another one than at first.
    pub(super) fn difference(&self, earlier: &Self) -> Difference {
        if self.admission() != earlier.admission() {
            return Difference::Admission;
        }
        let files = |it: &Self| it.tls.as_ref().map(|tls| tls.files());
        let is_same = files(self) == files(earlier)
            && self.websocket == earlier.websocket
            && self.unix == earlier.unix;
        if is_same { Difference::None } else { Difference::Handshakes }
    }

    fn admission(&self) -> Admission<'_> {
        let certificates = self.tls.as_ref().map(|tls| {
            let files = tls.files();
            (files.client_auth, files.client_identity)
        });
        Admission {
            scheme: self.url.scheme().name(),
            proxy: self.proxy.as_ref(),
            unix: &self.unix.access,
            certificates,
            authenticators: &self.authenticators,
        }
    }
}
