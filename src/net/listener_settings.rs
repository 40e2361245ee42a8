//! `[[listener]]`: one address to listen at, and who may speak there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ListenUrl, WebSocketOrigins, WebSocketPath};
use crate::auth::Authenticators;
use crate::tls::{ClientAuth, ClientIdentity, MinimumVersion, RevocationDepth, WithoutAnswer};

/// One listener, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerSettings {
    /// `mqtts://address:port`, or `mqtt://`, `wss://` or `ws://`; port 0 is any free one.
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
    /// The path at which WebSockets are opened.
    pub websocket_path: WebSocketPath,
    /// The pages whose scripts may open WebSockets.
    pub websocket_origins: WebSocketOrigins,
}

/// The words that stand for consent: nobody writes them by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaintextConsent {
    /// `plaintext = "i-understand"`.
    #[serde(rename = "i-understand")]
    IUnderstand,
}
