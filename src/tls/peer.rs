//! What a client certificate says of its bearer: who that is to the broker, and until when.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::attributes::attributes;
use super::certificate::fingerprint;
use super::{ClientIdentity, SharedChains};
use crate::identity::{Attribute, AttributeSource, Attributes, ClientCertificate, Evidence};

/// Bytes of the longest name.
pub const MAX_PEER_NAME_BYTES: usize = 128;

/// Bytes of all certificates that one client shows; they are kept as long as its connection.
const MAX_SHOWN_BYTES: usize = 16 << 10;

/// Why a client certificate names nobody. Its bearer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PeerNameError {
    /// Not X.509, an extension twice, or a name in an encoding of the last century.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// The part that the listener asks for is missing.
    #[error("the client certificate lacks the name that client_identity asks for")]
    Missing,
    /// Two names of the kind: which one the authority vouched for cannot be told.
    #[error(
        "the client certificate carries several names of the kind that client_identity asks for"
    )]
    Ambiguous,
    /// Empty, too long, or with control characters.
    #[error(
        "the name in the client certificate is empty, over 128 bytes, or has control characters"
    )]
    Unfit,
    /// More than 16 KiB, or nothing.
    #[error("the client shows certificates of over 16 KiB: those up to its authority are enough")]
    TooLong,
    /// A rule might be meant for one that is left out.
    #[error("the client certificate carries more than 64 names")]
    TooMany,
}

/// What is kept of the certificates that a client has shown, its own first, once they have been
/// verified.
///
/// # Errors
/// Its own holds no such name, several, or one that must not become a principal; or they are too long.
pub(super) fn client_certificate(
    shown: &[CertificateDer<'_>],
    identity: ClientIdentity,
    chains: &SharedChains,
    generation: u64,
) -> Result<ClientCertificate, PeerNameError> {
    let (own, between) = shown.split_first().ok_or(PeerNameError::Unreadable)?;
    if shown.iter().map(|der| der.len()).sum::<usize>() > MAX_SHOWN_BYTES {
        return Err(PeerNameError::TooLong);
    }
    let (_, parsed) = X509Certificate::from_der(own).map_err(|_| PeerNameError::Unreadable)?;
    let last_second = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    Ok(ClientCertificate {
        name: name(&parsed, own, identity)?,
        attributes: attributes(&parsed, own).ok_or(PeerNameError::TooMany)?,
        evidence: Some(Evidence {
            ends: Duration::from_secs(last_second.saturating_add(1)),
            generation,
            own: Box::from(own.as_ref()),
            between: chains.share(between),
        }),
    })
}

/// What is known of a certificate that somebody else has verified, and tells no more of than the common
/// name.
///
/// # Errors
/// It is no text, or one that must not become a principal.
pub fn vouched_certificate(common_name: &[u8]) -> Result<ClientCertificate, PeerNameError> {
    let name = std::str::from_utf8(common_name).map_err(|_| PeerNameError::Unreadable)?;
    if !is_fit(name) {
        return Err(PeerNameError::Unfit);
    }
    let (source, value) = (AttributeSource::Certificate, Arc::<str>::from(name));
    let attribute = Attribute { source, name: Arc::from("cn"), value: Arc::clone(&value) };
    let attributes = Attributes::from_iter([attribute]);
    Ok(ClientCertificate { name: value, attributes, evidence: None })
}

/// The name that `identity` points to in a certificate that has been verified.
///
/// # Errors
/// The certificate holds no such name, several, or one that must not become a principal.
pub fn peer_name(
    certificate: &CertificateDer<'_>,
    identity: ClientIdentity,
) -> Result<Arc<str>, PeerNameError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| PeerNameError::Unreadable)?;
    name(&parsed, certificate, identity)
}

/// The attributes that policies see of a client certificate.
///
/// # Errors
/// It cannot be read, or carries more of them than are kept.
pub fn peer_attributes(certificate: &CertificateDer<'_>) -> Result<Attributes, PeerNameError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| PeerNameError::Unreadable)?;
    attributes(&parsed, certificate).ok_or(PeerNameError::TooMany)
}

fn name(
    parsed: &X509Certificate<'_>,
    der: &CertificateDer<'_>,
    identity: ClientIdentity,
) -> Result<Arc<str>, PeerNameError> {
    let name = match identity {
        ClientIdentity::Cn => common_name(parsed),
        ClientIdentity::SanDns => alternative_name(parsed, |name| match name {
            GeneralName::DNSName(name) => Some(name),
            _ => None,
        }),
        ClientIdentity::SanUri => alternative_name(parsed, |name| match name {
            GeneralName::URI(uri) => Some(uri),
            _ => None,
        }),
        ClientIdentity::SanEmail => alternative_name(parsed, |name| match name {
            GeneralName::RFC822Name(address) => Some(address),
            _ => None,
        }),
        ClientIdentity::Fingerprint => return Ok(Arc::from(fingerprint(der))),
    }?;
    if is_fit(name) { Ok(Arc::from(name)) } else { Err(PeerNameError::Unfit) }
}

fn common_name<'a>(certificate: &'a X509Certificate<'a>) -> Result<&'a str, PeerNameError> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next().ok_or(PeerNameError::Missing)?;
    if names.next().is_some() {
        return Err(PeerNameError::Ambiguous);
    }
    name.as_str().map_err(|_| PeerNameError::Unreadable)
}

fn alternative_name<'a>(
    certificate: &'a X509Certificate<'a>,
    of_kind: impl Fn(&'a GeneralName<'a>) -> Option<&'a str>,
) -> Result<&'a str, PeerNameError> {
    let extension =
        certificate.subject_alternative_name().map_err(|_| PeerNameError::Unreadable)?;
    let extension = extension.ok_or(PeerNameError::Missing)?;
    let mut names = extension.value.general_names.iter().filter_map(of_kind);
    let name = names.next().ok_or(PeerNameError::Missing)?;
    if names.next().is_some() {
        return Err(PeerNameError::Ambiguous);
    }
    Ok(name)
}

/// Whether a name can stand in a log line and in a topic without being taken for something else.
pub(super) fn is_fit(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_PEER_NAME_BYTES && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common_name: Option<&str>, names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(common_name) = common_name {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    #[test]
    fn each_identity_reads_its_own_part_of_the_certificate() {
        let certificate = certificate(
            Some("cn-name"),
            vec![
                dns("dns-name"),
                SanType::URI("urn:device:7".try_into().unwrap()),
                SanType::Rfc822Name("device@example.com".try_into().unwrap()),
            ],
        );
        let name = |identity| peer_name(&certificate, identity).unwrap();
        assert_eq!(&*name(ClientIdentity::Cn), "cn-name");
        assert_eq!(&*name(ClientIdentity::SanDns), "dns-name");
        assert_eq!(&*name(ClientIdentity::SanUri), "urn:device:7");
        assert_eq!(&*name(ClientIdentity::SanEmail), "device@example.com");
    }

    #[test]
    fn a_fingerprint_is_that_which_other_tools_show_without_colons() {
        let certificate = certificate(None, Vec::new());
        let name = peer_name(&certificate, ClientIdentity::Fingerprint).unwrap();
        let shown = crate::tls::Certificate::read(&certificate).unwrap().fingerprint;
        assert_eq!(*name, shown.replace(':', "").to_lowercase());
        assert_eq!(name.len(), 64);
    }

    #[test]
    fn a_certificate_that_somebody_else_has_verified_is_its_common_name() {
        let vouched = vouched_certificate("Gerät 1".as_bytes()).unwrap();
        assert_eq!(&*vouched.name, "Gerät 1");
        let cn: Vec<_> = vouched.attributes.values(AttributeSource::Certificate, "cn").collect();
        assert_eq!(cn, ["Gerät 1"]);
        assert_eq!(vouched.evidence, None);
        for unfit in [&b""[..], b"a\nb", &[b'x'; MAX_PEER_NAME_BYTES + 1]] {
            assert_eq!(vouched_certificate(unfit), Err(PeerNameError::Unfit), "{unfit:x?}");
        }
        assert_eq!(vouched_certificate(b"\xFF"), Err(PeerNameError::Unreadable));
    }

    #[test]
    fn what_a_client_has_shown_is_kept_whole_and_bounded() {
        let own = certificate(Some("a"), Vec::new());
        let read = |shown: &[CertificateDer<'_>]| {
            client_certificate(shown, ClientIdentity::Cn, &SharedChains::default(), 0)
        };
        let between = CertificateDer::from(vec![0; MAX_SHOWN_BYTES - own.len()]);
        let kept = read(&[own.clone(), between.clone()]).unwrap();
        let evidence = kept.evidence.unwrap();
        assert_eq!((&*kept.name, &*evidence.own), ("a", own.as_ref()));
        assert_eq!(evidence.between[0][..], between[..]);
        let end = crate::tls::Certificate::read(&own).unwrap().validity.not_after;
        assert_eq!(evidence.ends.as_secs(), end as u64 + 1);
        let one_more = CertificateDer::from(vec![0]);
        assert_eq!(read(&[own, between, one_more]), Err(PeerNameError::TooLong));
        assert_eq!(read(&[]), Err(PeerNameError::Unreadable));
    }

    #[test]
    fn a_certificate_without_the_name_names_nobody() {
        let bare = certificate(None, vec![dns("a")]);
        assert_eq!(peer_name(&bare, ClientIdentity::Cn), Err(PeerNameError::Missing));
        assert_eq!(peer_name(&bare, ClientIdentity::SanUri), Err(PeerNameError::Missing));
        let plain = certificate(Some("a"), Vec::new());
        assert_eq!(peer_name(&plain, ClientIdentity::SanDns), Err(PeerNameError::Missing));
    }

    #[test]
    fn two_alternative_names_of_the_kind_are_ambiguous() {
        let two = certificate(Some("a"), vec![dns("a"), dns("b")]);
        assert_eq!(peer_name(&two, ClientIdentity::SanDns), Err(PeerNameError::Ambiguous));
    }

    #[test]
    fn two_common_names_are_ambiguous() {
        let doubled = CertificateDer::from(with_two_common_names());
        assert_eq!(peer_name(&doubled, ClientIdentity::Cn), Err(PeerNameError::Ambiguous));
    }

    /// rcgen keeps one value per attribute, so the subject is taken from an `O` renamed to `CN`.
    fn with_two_common_names() -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "admin");
        params.distinguished_name.push(DnType::OrganizationName, "device");
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut der = signed.der().to_vec();
        let (organization, common_name) = ([0x55, 0x04, 0x0a], [0x55, 0x04, 0x03]);
        for start in 0..der.len() - 3 {
            if der[start..start + 3] == organization {
                der[start..start + 3].copy_from_slice(&common_name);
            }
        }
        der
    }

    #[test]
    fn names_that_could_deceive_are_unfit() {
        for name in ["", "a\0b", "a\nb", "a\u{7f}", "a\u{85}", &"x".repeat(129)] {
            let certificate = certificate(Some(name), Vec::new());
            let answer = peer_name(&certificate, ClientIdentity::Cn);
            assert_eq!(answer, Err(PeerNameError::Unfit), "{name:?}");
        }
        let longest = "x".repeat(128);
        let certificate = certificate(Some(&longest), Vec::new());
        assert_eq!(&*peer_name(&certificate, ClientIdentity::Cn).unwrap(), longest);
    }

    #[test]
    fn an_extension_that_appears_twice_is_not_believed() {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        let second = vec![0x30, 0x03, 0x82, 0x01, b'b'];
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], second));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap().into();
        let answer = peer_name(&certificate, ClientIdentity::SanDns);
        assert_eq!(answer, Err(PeerNameError::Unreadable));
    }

    #[test]
    fn rubbish_is_unreadable() {
        let rubbish = CertificateDer::from(vec![0xff; 64]);
        assert_eq!(peer_name(&rubbish, ClientIdentity::Cn), Err(PeerNameError::Unreadable));
    }
}
