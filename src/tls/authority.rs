//! A small certificate authority, for development and for fleets that have no other.
//!
//! ECDSA on P-256 throughout: every client library verifies it, and handshakes stay cheap.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, DnsName};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::certificate::{Certificate, Standing, Validity};
use super::peer;
use crate::clock::Now;
use crate::secret::Secret;

/// Bytes of the longest common name ([RFC 5280], `ub-common-name`).
pub const MAX_NAME_BYTES: usize = 64;

/// The most names that one server certificate carries.
const MAX_SERVER_NAMES: usize = 100;

/// Why the authority does not issue.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The CA's certificate is not one, or not PEM.
    #[error("the CA certificate cannot be read, or is not that of a CA")]
    Certificate,
    /// The CA's key is not one that signs here.
    #[error("the CA key cannot be read: an unencrypted PKCS#8 key in PEM is wanted")]
    Key,
    /// The CA's key and certificate are not a pair.
    #[error("the CA key does not belong to the CA certificate")]
    Mismatch,
    /// The CA has expired, or the clock of this machine is wrong.
    #[error(
        "the CA certificate is valid from {} to {} only: check the clock, or make a new CA",
        .0.first_day(),
        .0.last_day()
    )]
    NotValid(Validity),
    /// A name that cannot stand in a certificate as the common name.
    #[error("a name of 1 to 64 bytes without control characters is wanted, not {0:?}")]
    Name(String),
    /// A host name that is not one.
    #[error("{0:?} is not a host name: letters, digits, '-' and '.' are, perhaps after '*.'")]
    HostName(String),
    /// No name at all, or too many.
    #[error("a server certificate carries 1 to 100 names, not {0}")]
    NameCount(usize),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
    /// What rcgen refuses.
    #[error("the certificate cannot be made: {0}")]
    Refused(#[from] rcgen::Error),
}

/// A certificate and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: Secret,
}

/// The names that a server answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// Host names; `*.` at the front stands for one label.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ip: Vec<IpAddr>,
}

impl ServerNames {
    /// Adds a host name or an IP address, once; says whether `name` is one of them.
    pub fn add(&mut self, name: &str) -> bool {
        if let Ok(address) = name.parse() {
            push_once(&mut self.ip, address);
            return true;
        }
        let is_host_name = host_name(name).is_ok();
        if is_host_name {
            push_once(&mut self.dns, name.to_owned());
        }
        is_host_name
    }
}

fn push_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// An authority that can issue.
pub struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) validity: Validity,
}

impl Authority {
    /// Makes a new authority for `days`: a self-signed certificate that may sign servers and
    /// clients, and no further authority.
    ///
    /// # Errors
    /// The name does not fit, or the system gives no randomness.
    pub fn create(name: &str, now: Now, days: u32) -> Result<Issued, AuthorityError> {
        let mut params = parameters(name, Validity::for_days(now, days))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Issued { certificate, key: Secret::from(key.serialize_pem().as_str()) })
    }

    /// Opens the authority that [`Authority::create`] has made; both arguments are PEM.
    ///
    /// # Errors
    /// The certificate or key is damaged, not that of an authority, or the two are not a pair.
    pub fn open(certificate: &[u8], key: &Secret) -> Result<Self, AuthorityError> {
        let der =
            CertificateDer::from_pem_slice(certificate).map_err(|_| AuthorityError::Certificate)?;
        let details = Certificate::read(&der).map_err(|_| AuthorityError::Certificate)?;
        if !details.is_authority {
            return Err(AuthorityError::Certificate);
        }
        let key = std::str::from_utf8(key.expose())
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or(AuthorityError::Key)?;
        if !belongs_to(&key, &der) {
            return Err(AuthorityError::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { issuer, certificate: der, validity: details.validity })
    }

    /// Issues a certificate to a server, for `days` at most. Its common name is its first name.
    ///
    /// # Errors
    /// A name is not one, or the authority is not valid now.
    pub fn issue_server(
        &self,
        names: &ServerNames,
        now: Now,
        days: u32,
    ) -> Result<Issued, AuthorityError> {
        let alternatives = server_names(names)?;
        let mut params =
            parameters(&server_common_name(names), self.validity_of_issue(now, days)?)?;
        params.subject_alt_names = alternatives;
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a certificate to a client, for `days` at most. Its common name becomes the principal.
    ///
    /// # Errors
    /// The name does not fit, or the authority is not valid now.
    pub fn issue_client(&self, name: &str, now: Now, days: u32) -> Result<Issued, AuthorityError> {
        let params = parameters(name, self.validity_of_issue(now, days)?)?;
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// No certificate outlives the authority that vouches for it.
    fn validity_of_issue(&self, now: Now, days: u32) -> Result<Validity, AuthorityError> {
        let Standing::Valid { .. } = self.validity.standing(now) else {
            return Err(AuthorityError::NotValid(self.validity));
        };
        let asked = Validity::for_days(now, days);
        Ok(Validity { not_after: asked.not_after.min(self.validity.not_after), ..asked })
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, AuthorityError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: Secret::from(key.serialize_pem().as_str()) })
    }
}

/// What the certificates of an authority and of those it serves have in common.
fn parameters(name: &str, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    if name.len() > MAX_NAME_BYTES || !peer::is_fit(name) {
        return Err(AuthorityError::Name(name.to_owned()));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = moment(validity.not_before)?.to_datetime();
    params.not_after = moment(validity.not_after)?.to_datetime();
    params.serial_number = Some(serial_number()?);
    Ok(params)
}

/// 128 random bits, of which the first two make it positive and of full length.
fn serial_number() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(AuthorityError::Randomness)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// In the date type of rcgen, which the parser shares.
pub(super) fn moment(unix: i64) -> Result<ASN1Time, AuthorityError> {
    ASN1Time::from_timestamp(unix).map_err(|_| AuthorityError::Refused(rcgen::Error::Time))
}

fn server_names(names: &ServerNames) -> Result<Vec<SanType>, AuthorityError> {
    let count = names.dns.len() + names.ip.len();
    if count == 0 || count > MAX_SERVER_NAMES {
        return Err(AuthorityError::NameCount(count));
    }
    let addresses = names.ip.iter().map(|address| Ok(SanType::IpAddress(*address)));
    names.dns.iter().map(|name| host_name(name)).chain(addresses).collect()
}

fn host_name(name: &str) -> Result<SanType, AuthorityError> {
    let refused = || AuthorityError::HostName(name.to_owned());
    DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)).map_err(|_| refused())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| refused())?))
}

/// Clients go by the alternative names; the common name is for people, and has less room.
fn server_common_name(names: &ServerNames) -> String {
    let first = names.dns.first().cloned();
    let first = first.or_else(|| names.ip.first().map(IpAddr::to_string)).unwrap_or_default();
    if first.len() > MAX_NAME_BYTES { "server".to_owned() } else { first }
}

fn belongs_to(key: &KeyPair, certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().raw == key.subject_public_key_info())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u32 = 365;

    fn made() -> Issued {
        Authority::create("Test CA", Now::read(), 10 * YEAR).unwrap()
    }

    fn opened(made: &Issued) -> Authority {
        Authority::open(made.certificate.as_bytes(), &made.key).unwrap()
    }

    fn details(issued: &Issued) -> Certificate {
        Certificate::read(&CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap())
            .unwrap()
    }

    #[test]
    fn the_authority_may_sign_and_says_so() {
        let now = Now::read();
        let authority = details(&Authority::create("Test CA", now, 3_650).unwrap());
        assert!(authority.is_authority);
        assert_eq!(authority.subject, "CN=Test CA");
        assert_eq!(authority.key, "ECDSA 256 bit");
        assert_eq!(authority.validity.standing(now), Standing::Valid { days_left: 3650 });
    }

    #[test]
    fn a_server_certificate_carries_all_of_its_names_and_one_purpose() {
        let names = ServerNames {
            dns: vec!["localhost".to_owned(), "*.fleet.example.com".to_owned()],
            ip: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        };
        let issued = opened(&made()).issue_server(&names, Now::read(), YEAR).unwrap();
        let server = details(&issued);
        assert_eq!(server.subject, "CN=localhost");
        assert_eq!(server.issuer, "CN=Test CA");
        let shown = ["DNS:localhost", "DNS:*.fleet.example.com", "IP:127.0.0.1", "IP:::1"];
        assert_eq!(server.names, shown);
        assert_eq!(server.purposes, ["server"]);
        assert!(!server.is_authority);
    }

    #[test]
    fn a_client_certificate_carries_the_name_that_becomes_the_principal() {
        let issued = opened(&made()).issue_client("sensor 7/ä", Now::read(), YEAR).unwrap();
        let client = details(&issued);
        assert_eq!(client.purposes, ["client"]);
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let name = peer::peer_name(&der, crate::tls::ClientIdentity::Cn).unwrap();
        assert_eq!(&*name, "sensor 7/ä");
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let made = Authority::create("Test CA", Now::read(), 10).unwrap();
        let issued = opened(&made).issue_client("a", Now::read(), YEAR).unwrap();
        let end = details(&made).validity.not_after;
        assert_eq!(details(&issued).validity.not_after, end);
    }

    #[test]
    fn an_expired_authority_issues_nothing() {
        let made = Authority::create("Test CA", Now::read(), 10).unwrap();
        let later = Now::read().after(std::time::Duration::from_secs(11 * 86_400));
        let refused = opened(&made).issue_client("a", later, YEAR).unwrap_err();
        assert!(matches!(refused, AuthorityError::NotValid(_)), "{refused}");
    }

    #[test]
    fn serial_numbers_are_positive_of_full_length_and_do_not_repeat() {
        let serials: std::collections::HashSet<_> =
            (0..100).map(|_| serial_number().unwrap().to_bytes()).collect();
        assert_eq!(serials.len(), 100);
        assert!(serials.iter().all(|serial| serial.len() == 16 && serial[0] & 0xc0 == 0x40));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let authority = opened(&made());
        for name in [
            "",
            "a\0b",
            "a
b",
            &"x".repeat(65),
        ] {
            assert!(authority.issue_client(name, Now::read(), YEAR).is_err(), "{name:?}");
        }
        for name in ["", "a b", "a..b", "-a", "*.", "*", "a.*.b", "ä.example", "http://a"] {
            let names = ServerNames { dns: vec![name.to_owned()], ip: Vec::new() };
            let refused = authority.issue_server(&names, Now::read(), YEAR);
            assert!(matches!(refused, Err(AuthorityError::HostName(_))), "{name:?}");
        }
        let none = authority.issue_server(&ServerNames::default(), Now::read(), YEAR);
        assert!(matches!(none, Err(AuthorityError::NameCount(0))));
    }

    #[test]
    fn names_are_sorted_into_hosts_and_addresses_and_kept_once() {
        let mut names = ServerNames::default();
        for name in ["localhost", "::1", "127.0.0.1", "localhost", "127.0.0.1"] {
            assert!(names.add(name), "{name}");
        }
        assert!(!names.add("not a name"));
        assert_eq!(names.dns, ["localhost"]);
        assert_eq!(names.ip.len(), 2);
    }

    #[test]
    fn an_authority_opens_only_with_its_own_key() {
        let (one, other) = (made(), made());
        let opened = Authority::open(one.certificate.as_bytes(), &other.key);
        assert!(matches!(opened, Err(AuthorityError::Mismatch)));
        let garbage = Authority::open(one.certificate.as_bytes(), &Secret::from("rubbish"));
        assert!(matches!(garbage, Err(AuthorityError::Key)));
    }

    #[test]
    fn a_certificate_that_was_issued_is_no_authority() {
        let issued = opened(&made()).issue_client("a", Now::read(), YEAR).unwrap();
        let opened = Authority::open(issued.certificate.as_bytes(), &issued.key);
        assert!(matches!(opened, Err(AuthorityError::Certificate)));
    }
}
