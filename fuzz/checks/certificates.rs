//! Any bytes as a file of certificates or as one certificate: no panic, and nothing in what is shown
//! or becomes a name that could steer a terminal or pass for something else.

use bastionmq::tls::{Certificate, ClientIdentity, MAX_PEER_NAME_BYTES, peer_name};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const IDENTITIES: [ClientIdentity; 4] =
    [ClientIdentity::Cn, ClientIdentity::SanDns, ClientIdentity::SanUri, ClientIdentity::SanEmail];

pub(crate) fn check(bytes: &[u8]) {
    check_certificate(&CertificateDer::from(bytes));
    // As the reader of certificate files takes them.
    for certificate in CertificateDer::pem_slice_iter(bytes).map_while(Result::ok) {
        check_certificate(&certificate);
    }
}

fn check_certificate(der: &CertificateDer<'_>) {
    if let Ok(shown) = Certificate::read(der) {
        let texts = [&shown.subject, &shown.issuer, &shown.key, &shown.fingerprint];
        for text in texts.into_iter().chain(&shown.names) {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        assert!(!shown.validity.first_day().is_empty() && !shown.validity.last_day().is_empty());
    }
    for identity in IDENTITIES {
        if let Ok(name) = peer_name(der, identity) {
            assert!((1..=MAX_PEER_NAME_BYTES).contains(&name.len()), "{name:?}");
            assert!(!name.contains(char::is_control), "{name:?}");
        }
    }
}
