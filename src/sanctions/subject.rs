//! Whom a sanction is about.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::identity::{AttributeSource, ClientCertificate, ClientId, Network, Principal};

/// Whom a sanction is about. Its text is `user:anna` and the like for a principal, `client:pump-7`,
/// `192.0.2.1`, `2001:db8::/56`, `fingerprint:` or `serial:` and hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Whoever has proven to be this one.
    Principal(Principal),
    /// Whoever calls itself so.
    ClientId(ClientId),
    /// Whoever connects from there.
    Network(Network),
    /// Whoever shows the certificate with this SHA-256, in lower-case hexadecimal digits.
    Fingerprint(Arc<str>),
    /// Whoever shows a certificate with this serial number, in lower-case hexadecimal digits.
    Serial(Arc<str>),
}

/// Kinds of them, as metrics tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A principal.
    Principal,
    /// A client identifier.
    ClientId,
    /// One address.
    Address,
    /// All addresses of a network.
    Prefix,
    /// A client certificate.
    Certificate,
}

/// A client that somebody may have meant.
#[derive(Clone, Copy, Debug)]
pub struct Suspect<'a> {
    /// Who it is.
    pub principal: &'a Principal,
    /// What it calls itself.
    pub client_id: &'a ClientId,
    /// Where it connects from, if that is over the network.
    pub address: Option<IpAddr>,
    /// The certificate that it has shown.
    pub certificate: Option<&'a ClientCertificate>,
}

/// A text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names nobody: write an address (192.0.2.1), a network (192.0.2.0/24, 2001:db8::/56; no bits \
     behind the length), a principal as logs show it (user:NAME, certificate:NAME, token:NAME, unix:NAME, \
     http:NAME, anonymous), client:ID, fingerprint: and 64 hexadecimal digits, or serial: and up to 40"
)]
pub struct SubjectError(String);

/// Hexadecimal digits of a SHA-256.
const FINGERPRINT_DIGITS: usize = 64;
/// Hexadecimal digits of the longest serial number (RFC 5280 section 4.1.2.2).
const MOST_SERIAL_DIGITS: usize = 40;

impl Subject {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Principal(_) => Kind::Principal,
            Self::ClientId(_) => Kind::ClientId,
            Self::Network(network) if network.is_address() => Kind::Address,
            Self::Network(_) => Kind::Prefix,
            Self::Fingerprint(_) | Self::Serial(_) => Kind::Certificate,
        }
    }

    /// Whether `suspect` is meant.
    #[must_use]
    pub fn means(&self, suspect: &Suspect<'_>) -> bool {
        match self {
            Self::Principal(principal) => principal == suspect.principal,
            Self::ClientId(client_id) => client_id == suspect.client_id,
            Self::Network(network) => suspect.address.is_some_and(|it| network.contains(it)),
            Self::Fingerprint(_) | Self::Serial(_) => suspect.marks().any(|mark| mark == *self),
        }
    }

    /// The one certificate that this is, where whoever has judged it shows its fingerprint.
    #[must_use]
    pub fn of_certificate(certificate: &ClientCertificate) -> Option<Self> {
        let mut fingerprints =
            certificate.attributes.values(AttributeSource::Certificate, "fingerprint");
        fingerprints.next().map(|digits| Self::Fingerprint(digits.into()))
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(client_id) = text.strip_prefix("client:") {
            return (!client_id.is_empty()).then(|| Self::ClientId(ClientId::new(client_id)));
        }
        if let Some(digits) = text.strip_prefix("fingerprint:") {
            let digits = hexadecimal(digits)?;
            return (digits.len() == FINGERPRINT_DIGITS).then(|| Self::Fingerprint(digits.into()));
        }
        if let Some(digits) = text.strip_prefix("serial:") {
            return serial(&hexadecimal(digits)?).map(Self::Serial);
        }
        if let Some(principal) = Principal::parse(text) {
            return Some(Self::Principal(principal));
        }
        text.parse().ok().map(Self::Network)
    }
}

/// In lower case, without the colons between.
fn hexadecimal(text: &str) -> Option<String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)
}

/// Two digits for each byte, none of them in front a zero, as the `serial` of a certificate has them.
fn serial(digits: &str) -> Option<Arc<str>> {
    if digits.is_empty() || digits.len() > MOST_SERIAL_DIGITS {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    Some(match digits.len() {
        0 => "00".into(),
        odd if odd % 2 == 1 => format!("0{digits}").into(),
        _ => digits.into(),
    })
}

impl Suspect<'_> {
    /// What its certificate goes by.
    pub(super) fn marks(&self) -> impl Iterator<Item = Subject> {
        let values = |name| {
            let attributes = self.certificate.into_iter().map(|shown| &shown.attributes);
            attributes.flat_map(move |it| it.values(AttributeSource::Certificate, name))
        };
        let fingerprints = values("fingerprint").map(|it| Subject::Fingerprint(it.into()));
        fingerprints.chain(values("serial").map(|it| Subject::Serial(it.into())))
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        Self::parse(text).ok_or_else(|| SubjectError(text.to_owned()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => principal.fmt(f),
            Self::ClientId(client_id) => write!(f, "client:{client_id}"),
            Self::Network(network) => network.fmt(f),
            Self::Fingerprint(digits) => write!(f, "fingerprint:{digits}"),
            Self::Serial(digits) => write!(f, "serial:{digits}"),
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Principal, Self::ClientId, Self::Address, Self::Prefix, Self::Certificate];

    /// As operators read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::ClientId => "client_id",
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Certificate => "certificate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_shown() {
        let fingerprint = format!("fingerprint:{}", "ab".repeat(32));
        for (text, kind) in [
            ("user:anna", Kind::Principal),
            ("anonymous", Kind::Principal),
            ("certificate:pump", Kind::Principal),
            ("client:a:b c", Kind::ClientId),
            ("192.0.2.1", Kind::Address),
            ("192.0.2.0/24", Kind::Prefix),
            ("2001:db8::1", Kind::Address),
            ("2001:db8::/56", Kind::Prefix),
            (&*fingerprint, Kind::Certificate),
            ("serial:0abc", Kind::Certificate),
            ("serial:00", Kind::Certificate),
        ] {
            let subject: Subject = text.parse().expect(text);
            assert_eq!((&*subject.to_string(), subject.kind()), (text, kind));
        }
    }

    #[test]
    fn digits_are_read_however_people_write_them() {
        for (text, shown) in [
            ("serial:AB:00:0F", "serial:ab000f"),
            ("serial:00abc", "serial:0abc"),
            ("serial:0", "serial:00"),
        ] {
            assert_eq!(text.parse::<Subject>().expect(text).to_string(), shown);
        }
        let colons = vec!["AB"; 32].join(":");
        assert!(format!("fingerprint:{colons}").parse::<Subject>().is_ok());
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in [
            "",
            "anna",
            "client:",
            "0.0.0.0/0",
            "10.0.0.1/8",
            "serial:",
            "serial:xy",
            "fingerprint:ab",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
