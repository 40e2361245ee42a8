//! What a client certificate says of its bearer beyond the name: roles can be given by it.

use std::sync::{Arc, LazyLock};

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::AttributeTypeAndValue;

use super::certificate::fingerprint;
use super::serial::Serial;
use crate::identity::{Attribute, AttributeSource, Attributes};

/// Bytes of the longest value.
const MAX_VALUE_BYTES: usize = 512;
/// The most attributes that one certificate has.
pub(super) const MAX_ATTRIBUTES: usize = 64;

/// The names of attributes, which all connections share.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    cn: Arc::from("cn"),
    ou: Arc::from("ou"),
    o: Arc::from("o"),
    san_dns: Arc::from("san-dns"),
    san_uri: Arc::from("san-uri"),
    san_email: Arc::from("san-email"),
    fingerprint: Arc::from("fingerprint"),
    serial: Arc::from("serial"),
});

struct Names {
    cn: Arc<str>,
    ou: Arc<str>,
    o: Arc<str>,
    san_dns: Arc<str>,
    san_uri: Arc<str>,
    san_email: Arc<str>,
    fingerprint: Arc<str>,
    serial: Arc<str>,
}

/// The attributes of a certificate that has been verified; `None` if it has more than
/// [`MAX_ATTRIBUTES`]. A value that is empty, over 512 bytes, not UTF-8 or has control characters is
/// none: nobody could write a rule for it.
pub(super) fn attributes(
    parsed: &X509Certificate<'_>,
    der: &CertificateDer<'_>,
) -> Option<Attributes> {
    let names = &*NAMES;
    let (fingerprint, serial) = (fingerprint(der), Serial::of(parsed).to_string());
    let subject = parsed.subject();
    let of_subject = text_of(subject.iter_common_name(), &names.cn)
        .chain(text_of(subject.iter_organizational_unit(), &names.ou))
        .chain(text_of(subject.iter_organization(), &names.o));
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|it| &it.value.general_names);
    let of_alternative = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((&names.san_dns, *name)),
        GeneralName::URI(uri) => Some((&names.san_uri, *uri)),
        GeneralName::RFC822Name(address) => Some((&names.san_email, *address)),
        _ => None,
    });
    let of_itself = [(&names.fingerprint, &*fingerprint), (&names.serial, &*serial)];
    let all = of_subject.chain(of_alternative).filter(|(_, value)| is_fit(value)).chain(of_itself);
    let mut count = 0_usize;
    let attributes = all
        .inspect(|_| count += 1)
        .take(MAX_ATTRIBUTES + 1)
        .map(|(name, value)| Attribute {
            source: AttributeSource::Certificate,
            name: Arc::clone(name),
            value: Arc::from(value),
        })
        .collect();
    (count <= MAX_ATTRIBUTES).then_some(attributes)
}

fn text_of<'a>(
    values: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>,
    name: &'a Arc<str>,
) -> impl Iterator<Item = (&'a Arc<str>, &'a str)> {
    values.filter_map(move |value| Some((name, value.as_str().ok()?)))
}

fn is_fit(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE_BYTES && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};
    use x509_parser::prelude::FromDer;

    use super::*;

    fn read(params: &CertificateParams) -> Option<Vec<(String, String)>> {
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let attributes = attributes(&parsed, certificate.der())?;
        let all =
            attributes.iter().inspect(|it| assert_eq!(it.source, AttributeSource::Certificate));
        Some(all.map(|it| (it.name.to_string(), it.value.to_string())).collect())
    }

    fn named(names: &[(DnType, &str)]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params
    }

    #[test]
    fn each_part_of_a_certificate_is_an_attribute_of_its_own() {
        let mut params = named(&[
            (DnType::CommonName, "sensor-7"),
            (DnType::OrganizationalUnitName, "plant 3"),
            (DnType::OrganizationName, "Example"),
            (DnType::CountryName, "DE"),
        ]);
        params.serial_number = Some(SerialNumber::from_slice(&[0xab, 0x00, 0x0f]));
        params.subject_alt_names = vec![
            SanType::DnsName("a.example".try_into().unwrap()),
            SanType::DnsName("b.example".try_into().unwrap()),
            SanType::URI("urn:device:7".try_into().unwrap()),
            SanType::Rfc822Name("a@example.com".try_into().unwrap()),
        ];
        let read = read(&params).unwrap();
        let but_the_fingerprint: Vec<_> =
            read.iter().filter(|(name, _)| name != "fingerprint").collect();
        let wanted = [
            ("cn", "sensor-7"),
            ("ou", "plant 3"),
            ("o", "Example"),
            ("san-dns", "a.example"),
            ("san-dns", "b.example"),
            ("san-uri", "urn:device:7"),
            ("san-email", "a@example.com"),
            ("serial", "ab000f"),
        ];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(but_the_fingerprint, wanted.iter().collect::<Vec<_>>());
        let fingerprint = &read.iter().find(|(name, _)| name == "fingerprint").unwrap().1;
        assert!(fingerprint.len() == 64 && *fingerprint == fingerprint.to_lowercase());
    }

    #[test]
    fn what_nobody_could_write_a_rule_for_is_no_attribute() {
        for value in ["", "a\nb", "a\u{1b}", &"x".repeat(MAX_VALUE_BYTES + 1)] {
            let read = read(&named(&[(DnType::OrganizationName, value)])).unwrap();
            let names: Vec<_> = read.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["fingerprint", "serial"], "{value:?}");
        }
    }

    #[test]
    fn a_certificate_with_too_many_is_not_cut_short() {
        for (names, is_read) in [(MAX_ATTRIBUTES - 2, true), (MAX_ATTRIBUTES - 1, false)] {
            let mut params = named(&[]);
            params.subject_alt_names =
                (0..names).map(|n| SanType::URI(format!("urn:{n}").try_into().unwrap())).collect();
            assert_eq!(read(&params).is_some(), is_read, "{names}");
        }
    }
}
