//! What a certificate says of itself, for people and for the checks at start.

use std::fmt::{self, Write};

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use crate::clock::Now;

const DAY: i64 = 24 * 60 * 60;

/// A certificate that is not X.509, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the certificate cannot be read: it is damaged, or not X.509")]
pub struct Unreadable;

/// What a certificate says, with nothing in it that could steer a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it names: `CN=broker.example.com, O=Example`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Whom it names, DER: what chains go by.
    pub(super) raw_subject: Vec<u8>,
    /// Who signed it, DER.
    pub(super) raw_issuer: Vec<u8>,
    /// Its subject alternative names: `DNS:localhost`, `IP:127.0.0.1`.
    pub names: Vec<String>,
    /// From when to when it holds.
    pub validity: Validity,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// What else it may be used for: `server`, `client`.
    pub purposes: Vec<&'static str>,
    /// The kind of its key: `ECDSA 256 bit`.
    pub key: String,
    /// SHA-256 over the whole certificate, in hexadecimal with colons.
    pub fingerprint: String,
}

impl Certificate {
    /// Whether a client can be known by it.
    #[must_use]
    pub fn is_for_clients(&self) -> bool {
        self.purposes.is_empty() || self.purposes.iter().any(|it| ["client", "any"].contains(it))
    }

    /// Reads one certificate.
    ///
    /// # Errors
    /// It is damaged, or not X.509.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        Ok(Self {
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            raw_subject: parsed.subject().as_raw().to_vec(),
            raw_issuer: parsed.issuer().as_raw().to_vec(),
            names: alternative_names(&parsed)?,
            validity: Validity {
                not_before: parsed.validity().not_before.timestamp(),
                not_after: parsed.validity().not_after.timestamp(),
            },
            is_authority: parsed.is_ca(),
            purposes: purposes(&parsed)?,
            key: key_kind(&parsed),
            fingerprint: with_colons(&fingerprint(der)),
        })
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, Unreadable> {
    let extension = certificate.subject_alternative_name().map_err(|_| Unreadable)?;
    Ok(extension.map_or_else(Vec::new, |extension| {
        extension.value.general_names.iter().map(alternative_name).collect()
    }))
}

fn alternative_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => format!("DNS:{}", printable(name)),
        GeneralName::URI(uri) => format!("URI:{}", printable(uri)),
        GeneralName::RFC822Name(address) => format!("email:{}", printable(address)),
        GeneralName::IPAddress(octets) => format!("IP:{}", ip_address(octets)),
        _ => "another kind of name".to_owned(),
    }
}

fn ip_address(octets: &[u8]) -> String {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return std::net::Ipv4Addr::from(octets).to_string();
    }
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => std::net::Ipv6Addr::from(octets).to_string(),
        Err(_) => "malformed".to_owned(),
    }
}

fn purposes(certificate: &X509Certificate<'_>) -> Result<Vec<&'static str>, Unreadable> {
    let extension = certificate.extended_key_usage().map_err(|_| Unreadable)?;
    let listed = |usage: &ExtendedKeyUsage<'_>| {
        [(usage.any, "any"), (usage.server_auth, "server"), (usage.client_auth, "client")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect()
    };
    Ok(extension.map_or_else(Vec::new, |extension| listed(extension.value)))
}

fn key_kind(certificate: &X509Certificate<'_>) -> String {
    const ED25519: &str = "1.3.101.112";
    let key = certificate.public_key();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {} bit", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("ECDSA {} bit", point.key_size()),
        _ if key.algorithm.algorithm.to_id_string() == ED25519 => "Ed25519".to_owned(),
        _ => format!("algorithm {}", key.algorithm.algorithm.to_id_string()),
    }
}

/// SHA-256 over the whole certificate, in lower-case hexadecimal digits. By way of a cipher suite:
/// rustls offers its hashes nowhere else.
pub(super) fn fingerprint(der: &CertificateDer<'_>) -> String {
    let Some(suite) = TLS13_AES_128_GCM_SHA256.tls13() else { return String::new() };
    let hash = suite.common.hash_provider.hash(der);
    hash.as_ref().iter().fold(String::with_capacity(64), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// As people compare it: `AB:CD:...`.
fn with_colons(fingerprint: &str) -> String {
    let mut text = String::with_capacity(fingerprint.len() * 3 / 2);
    for (position, digit) in fingerprint.chars().enumerate() {
        if position > 0 && position % 2 == 0 {
            text.push(':');
        }
        text.push(digit.to_ascii_uppercase());
    }
    text
}

/// `text` with its control characters escaped: certificates come from strangers, terminals obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        shown
    })
}

/// From when to when a certificate holds, in seconds since the Unix epoch; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

/// Where a moment lies in a validity, in whole days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Before it.
    NotYetValid {
        /// Days until it begins.
        days: i64,
    },
    /// Within it.
    Valid {
        /// Days until it ends.
        days_left: i64,
    },
    /// After it.
    Expired {
        /// Days since it ended.
        days_ago: i64,
    },
}

impl Validity {
    /// For `days` from now, and from yesterday on: the clocks of devices run behind.
    #[must_use]
    pub fn for_days(now: Now, days: u32) -> Self {
        let now = unix_seconds(now);
        Self {
            not_before: now.saturating_sub(DAY),
            not_after: now.saturating_add(i64::from(days).saturating_mul(DAY)),
        }
    }

    /// How the certificate stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Now) -> Standing {
        let now = unix_seconds(now);
        if now < self.not_before {
            return Standing::NotYetValid { days: self.not_before.saturating_sub(now) / DAY };
        }
        if now > self.not_after {
            return Standing::Expired { days_ago: now.saturating_sub(self.not_after) / DAY };
        }
        Standing::Valid { days_left: self.not_after.saturating_sub(now) / DAY }
    }

    /// The day on which it begins, as `2026-11-21` (UTC).
    #[must_use]
    pub fn first_day(&self) -> String {
        day(self.not_before)
    }

    /// The day on which it ends, as `2026-11-21` (UTC).
    #[must_use]
    pub fn last_day(&self) -> String {
        day(self.not_after)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid { days } => write!(f, "NOT YET VALID, begins in {days} days"),
            Self::Valid { days_left } => write!(f, "{days_left} days left"),
            Self::Expired { days_ago } => write!(f, "EXPIRED {days_ago} days ago"),
        }
    }
}

fn unix_seconds(now: Now) -> i64 {
    i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX)
}

fn day(unix: i64) -> String {
    ASN1Time::from_timestamp(unix)
        .map_or_else(|_| unix.to_string(), |time| time.to_datetime().date().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn at(unix: u64) -> Now {
        Now { instant: Instant::now(), unix: Duration::from_secs(unix) }
    }

    #[test]
    fn standing_counts_whole_days_on_either_side_of_the_validity() {
        let validity = Validity { not_before: 10 * DAY, not_after: 20 * DAY };
        assert_eq!(validity.standing(at(9 * 86_400)), Standing::NotYetValid { days: 1 });
        assert_eq!(validity.standing(at(10 * 86_400)), Standing::Valid { days_left: 10 });
        assert_eq!(validity.standing(at(20 * 86_400)), Standing::Valid { days_left: 0 });
        assert_eq!(validity.standing(at(20 * 86_400 + 1)), Standing::Expired { days_ago: 0 });
    }

    #[test]
    fn days_are_written_as_people_write_them() {
        let validity = Validity { not_before: 0, not_after: 1_795_219_200 };
        assert_eq!(validity.first_day(), "1970-01-01");
        assert_eq!(validity.last_day(), "2026-11-21");
    }

    #[test]
    fn control_characters_of_a_subject_do_not_reach_the_terminal() {
        assert_eq!(printable("CN=a\u{1b}[2Jb"), "CN=a\\u{1b}[2Jb");
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        assert_eq!(Certificate::read(&CertificateDer::from(vec![0x30, 0x03])), Err(Unreadable));
    }
}
