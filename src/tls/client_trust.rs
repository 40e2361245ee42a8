//! Whose certificates a listener believes: one judgement, for handshakes and for those inside.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertRevocationListError, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::clock::Now;
use crate::identity::Evidence;

/// Why a client certificate is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Distrust {
    /// Its issuer has taken it, or a certificate above it, back.
    #[error("the client certificate, or one above it, is revoked")]
    Revoked,
    /// Its time, or that of a certificate above it, is over.
    #[error("the client certificate, or one above it, has expired")]
    Expired,
    /// Its time has not come.
    #[error("the client certificate, or one above it, is not valid yet: check the clocks")]
    NotYetValid,
    /// It leads to none of the authorities.
    #[error(
        "no authority in client_ca vouches for the client certificate; does the client send those \
         between the two as well?"
    )]
    UnknownIssuer,
    /// It was issued for other purposes.
    #[error(
        "the client certificate, or one above it, is not for this purpose: clientAuth is wanted in \
         its extended key usage, and digitalSignature (of a CA: keyCertSign) in its key usage"
    )]
    Purpose,
    /// No list says whether it is revoked.
    #[error(
        "client_crl has no list of an authority that issued the client certificate or one above it"
    )]
    StatusUnknown,
    /// The list that says whether it is revoked is too old.
    #[error("the revocation list of an authority above the client certificate has run out")]
    ListExpired,
    /// The listener does not ask for certificates any more.
    #[error("the listener asks for no client certificates any more")]
    NotAsked,
    /// Anything else, in the words of the library that verifies certificates.
    #[error("the client certificate is not believed: {0}")]
    Other(String),
}

impl Distrust {
    /// What the failure of a handshake says of the client's certificate, if it was that.
    #[must_use]
    pub fn of_handshake(error: &Error) -> Option<Self> {
        use CertificateError as Certificate;
        Some(match error {
            Error::InvalidCertificate(error) => match error {
                Certificate::Revoked => Self::Revoked,
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                // One of the same name with another key has not signed it either.
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::UnknownIssuer,
                Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
                    Self::Purpose
                }
                Certificate::UnknownRevocationStatus => Self::StatusUnknown,
                Certificate::ExpiredRevocationList
                | Certificate::ExpiredRevocationListContext { .. } => Self::ListExpired,
                Certificate::Other(OtherError(error)) => {
                    error.downcast_ref::<Self>().cloned().unwrap_or(Self::Other(error.to_string()))
                }
                error => Self::Other(error.to_string()),
            },
            Error::InvalidCertRevocationList(CertRevocationListError::BadSignature) => {
                Self::Other("the signature of a list in client_crl is wrong".to_owned())
            }
            Error::InvalidCertRevocationList(_) => Self::Other(error.to_string()),
            _ => return None,
        })
    }
}

impl From<Distrust> for Error {
    fn from(distrust: Distrust) -> Self {
        CertificateError::Other(OtherError(Arc::new(distrust))).into()
    }
}

/// The authorities of a listener and what they have taken back, as of one reading of their files.
#[derive(Debug)]
pub struct ClientTrust {
    /// Chains, validity, purposes and revocation.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Certificates of `client_ca` that others there vouch for. They need not be shown, and do not
    /// count for more than what vouches for them.
    pub(super) between: Vec<CertificateDer<'static>>,
}

impl ClientTrust {
    /// Whether a handshake with this certificate would succeed at `now`.
    pub(super) fn judge(&self, evidence: &Evidence, now: Now) -> Result<(), Distrust> {
        let own = CertificateDer::from(&*evidence.own);
        let between: Vec<_> =
            evidence.between.iter().map(|der| CertificateDer::from(&**der)).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix.as_secs()));
        self.verify(&own, &between, now).map_err(|error| {
            Distrust::of_handshake(&error).unwrap_or_else(|| Distrust::Other(error.to_string()))
        })
    }

    fn verify(
        &self,
        own: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.between.is_empty() {
            self.verifier.verify_client_cert(own, shown, now)?;
        } else {
            let both: Vec<_> = shown.iter().chain(&self.between).cloned().collect();
            self.verifier.verify_client_cert(own, &both, now)?;
        }
        // webpki goes by the extended key usage and by basic constraints alone.
        if allows(own, |usage| usage.digital_signature()) && shown.iter().all(may_sign_others) {
            Ok(())
        } else {
            Err(Distrust::Purpose.into())
        }
    }
}

fn may_sign_others(der: &CertificateDer<'_>) -> bool {
    allows(der, |usage| usage.key_cert_sign())
}

/// Whether the key usage of a certificate allows it; one that has none allows everything.
fn allows(
    der: &CertificateDer<'_>,
    use_of_key: impl Fn(&x509_parser::extensions::KeyUsage) -> bool,
) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    match parsed.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| use_of_key(usage.value)),
        Err(_) => false,
    }
}

impl ClientCertVerifier for ClientTrust {
    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
