//! `[[listener]]`: one address to listen at, and who may speak there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{List, ListenUrl, Networks, Scheme, WebSocketOrigins, WebSocketPath};
use crate::auth::Authenticators;
use crate::tls::{ClientAuth, ClientIdentity, MinimumVersion, RevocationDepth, WithoutAnswer};
use crate::unix::SocketMode;

/// One listener, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerSettings {
    /// `mqtts://address:port`, or `mqtt://`, `wss://` or `ws://`; port 0 is any free one. Or the path
    /// of a Unix socket: `unix:///run/bastionmq/mqtt.sock`.
    pub url: Option<ListenUrl>,
    /// PEM file: the server's certificate and those between it and its root.
    pub tls_cert: Option<PathBuf>,
    /// PEM file: the key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// PEM file: the authorities that client certificates are checked against.
    pub client_ca: Option<PathBuf>,
    /// File or folder, PEM or DER: which client certificates, and authorities below those of
    /// `client_ca`, have been taken back.
    pub client_crl: Option<PathBuf>,
    /// Which certificates of a chain are looked for in `client_crl`.
    pub client_crl_depth: RevocationDepth,
    /// What becomes of clients whose issuers have no list in `client_crl`.
    pub client_crl_unknown: WithoutAnswer,
    /// What becomes of clients whose issuers' lists have run out.
    pub client_crl_expired: WithoutAnswer,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// Which field of a client certificate names its principal.
    pub client_identity: ClientIdentity,
    /// The oldest version of TLS that is spoken.
    pub tls_min_version: MinimumVersion,
    /// Who finds out who the clients are, in the order in which they are asked. Without it, all that
    /// the rest of the configuration has to offer, in the order of `Authenticator::ALL`.
    pub authenticators: Option<Authenticators>,
    /// Consent to passwords and messages that everybody on the network can read: without it no
    /// `mqtt://` and no `ws://` listener opens off loopback.
    pub plaintext: Option<PlaintextConsent>,
    /// Whether connections come by proxies that say where from, by the PROXY protocol.
    pub proxy_protocol: bool,
    /// Those proxies; nobody else may connect.
    pub proxy_from: Networks,
    /// Whether they are believed whose certificate they have verified.
    pub proxy_certificates: bool,
    /// The path at which WebSockets are opened.
    pub websocket_path: WebSocketPath,
    /// The pages whose scripts may open WebSockets.
    pub websocket_origins: WebSocketOrigins,
    /// The mode of the socket; 0660 where it has a `unix_group`, 0600 where not.
    pub unix_mode: Option<SocketMode>,
    /// The group that the socket belongs to.
    pub unix_group: Option<String>,
    /// Users whose processes may connect. Without this list and the three below, these are the user
    /// that the broker runs as and the members of `unix_group`.
    pub unix_allow_users: List<String>,
    /// Groups whose members' processes may connect.
    pub unix_allow_groups: List<String>,
    /// As `unix_allow_users`, by number.
    pub unix_allow_uids: List<u32>,
    /// As `unix_allow_groups`, by number.
    pub unix_allow_gids: List<u32>,
    /// The programs that those processes must run; without a list, any. Tells programs of one user
    /// apart that mean no harm; it keeps nobody out who may run a program as that user.
    pub unix_allow_executables: List<String>,
    /// What those processes must call themselves, as `ps -o comm` shows it; without a list, anything. A
    /// process chooses its name: this keeps out mistakes, and nobody who means harm.
    pub unix_allow_processes: List<String>,
}

impl ListenerSettings {
    /// Whether it is a Unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        self.url.as_ref().is_some_and(|url| url.scheme() == Scheme::Unix)
    }
}

/// The words that stand for consent: nobody writes them by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaintextConsent {
    /// `plaintext = "i-understand"`.
    #[serde(rename = "i-understand")]
    IUnderstand,
}
