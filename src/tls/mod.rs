//! TLS: what a listener proves, whom it believes, whom the broker believes where it is the client, and
//! the small authority that issues for all of them.
//!
//! The cryptography is aws-lc-rs, named wherever rustls wants a provider: a second provider in the
//! dependency tree can then neither be picked by accident nor make rustls panic over the choice.

mod attributes;
mod authority;
mod certificate;
mod client;
mod client_trust;
mod crl;
mod error;
mod listener_tls;
mod negotiated;
mod peer;
mod pem;
mod revocation_list;
mod serial;
mod server;
mod settings;
mod shared_chains;
mod signature_memo;
mod warning;

pub use authority::{Authority, AuthorityError, Issued, MAX_NAME_BYTES, ServerNames};
pub use certificate::{Certificate, Standing, Unreadable, Validity};
pub use client::{ClientFiles, client_config};
pub use client_trust::{ClientTrust, Distrust};
pub use error::TlsError;
pub use listener_tls::ListenerTls;
pub use negotiated::Negotiated;
pub use peer::{
    MAX_PEER_NAME_BYTES, PeerNameError, peer_attributes, peer_name, vouched_certificate,
};
pub use pem::read_certificates;
pub use revocation_list::{ListError, NotIssued, RevocationList, SignedList};
pub use serial::{NotASerial, Serial};
pub use server::{Alpn, Revocation, ServerFiles, ServerTls, server_config};
pub use settings::{ClientAuth, ClientIdentity, MinimumVersion, RevocationDepth, WithoutAnswer};
pub use warning::Warning;

use shared_chains::SharedChains;

#[cfg(test)]
mod handshakes;
