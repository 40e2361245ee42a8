//! The TLS of a listener that is open: one whole value, which every new handshake takes as it is then.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;

use super::client_trust::Distrust;
use super::peer::client_certificate;
use super::server::server_config;
use super::{PeerNameError, ServerFiles, ServerTls, SharedChains, TlsError};
use crate::clock::Now;
use crate::identity::{ClientCertificate, Evidence};

/// Certificate, key, authorities and revocation lists in force at one listener.
///
/// To reload: [`Self::read`], which changes nothing, and [`Self::replace`] with its result, once
/// everything else that is to change with it has been read as well. Then judge who is connected by
/// [`Self::judge`]. A handshake that began under the earlier value may end after that: whoever lets
/// its client in compares [`Self::generation`] with that of the certificate.
#[derive(Debug)]
pub struct ListenerTls {
    current: ArcSwap<InForce>,
    chains: SharedChains,
}

#[derive(Debug)]
struct InForce {
    tls: ServerTls,
    generation: u64,
}

impl ListenerTls {
    /// Puts `tls` in force.
    #[must_use]
    pub fn new(tls: ServerTls) -> Self {
        let current = ArcSwap::from_pointee(InForce { tls, generation: 0 });
        Self { current, chains: SharedChains::default() }
    }

    /// What a handshake that begins now goes by, and its generation for [`Self::identify`].
    #[must_use]
    pub fn handshake(&self) -> (Arc<ServerConfig>, u64) {
        let current = self.current.load();
        (Arc::clone(&current.tls.config), current.generation)
    }

    /// Counts how often it has been replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// Reads the files of the value in force anew. Changes nothing; waits for files.
    ///
    /// # Errors
    /// A file that is missing, damaged, exposed, or does not fit the others; the error names it.
    pub fn read(&self, now: Now) -> Result<ServerTls, TlsError> {
        server_config(&self.files(), now)
    }

    /// Puts `tls` in force for every handshake from now on. Clients cannot resume what they agreed on
    /// under the earlier value: its tickets are worth nothing any more.
    pub fn replace(&self, tls: ServerTls) {
        self.current.rcu(|current| InForce {
            tls: tls.clone(),
            generation: current.generation.wrapping_add(1),
        });
    }

    /// Puts in force what is in force at `other`, which nobody uses yet.
    pub fn take_up(&self, other: &Self) {
        self.replace(other.current.load().tls.clone());
    }

    /// What the value in force was made of.
    #[must_use]
    pub fn files(&self) -> ServerFiles {
        self.current.load().tls.files.clone()
    }

    /// Who the client is that has shown these certificates, its own first, in a handshake under
    /// `generation`.
    ///
    /// # Errors
    /// They name nobody, or are too long.
    pub fn identify(
        &self,
        shown: &[CertificateDer<'_>],
        generation: u64,
    ) -> Result<ClientCertificate, PeerNameError> {
        let identity = self.current.load().tls.files.client_identity;
        client_certificate(shown, identity, &self.chains, generation)
    }

    /// Whether a handshake with this certificate would succeed now, under the authorities and the
    /// revocation lists in force. Verifies signatures: some 100 microseconds.
    ///
    /// # Errors
    /// Why it would not. Where certificates are not asked for any more, none is believed.
    pub fn judge(&self, evidence: &Evidence, now: Now) -> Result<(), Distrust> {
        let current = self.current.load();
        let trust = current.tls.trust.as_ref().ok_or(Distrust::NotAsked)?;
        trust.judge(evidence, now)
    }
}
