//! What an authority has taken back: its revocation list (RFC 5280, section 5), read and signed anew.

use std::collections::BTreeMap;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authority::{Authority, AuthorityError, moment};
use super::certificate::{Standing, Validity};
use super::serial::Serial;
use crate::clock::Now;

/// The certificates that an authority has taken back. Why each was, if a list says so, is not kept:
/// brokers do not ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// When each was taken back, in seconds since the Unix epoch.
    entries: BTreeMap<Serial, i64>,
    /// Its number; each list has a higher one than that before it.
    number: BigUint,
    /// For how many seconds it was made; none for one that has never been signed.
    lifetime: Option<i64>,
}

/// A list that has been signed.
#[derive(Clone, Debug)]
pub struct SignedList {
    /// The list.
    pub pem: String,
    /// From when to when it holds; then it is to be signed anew.
    pub validity: Validity,
}

/// Why a list is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// It is none, or damaged.
    #[error("it cannot be read: it is damaged, or no revocation list in PEM")]
    Unreadable,
    /// Another authority's, or a forged one.
    #[error("it is not signed by this CA")]
    NotOurs,
}

/// Why a certificate cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotIssued {
    /// It is damaged, or not X.509.
    #[error("the certificate cannot be read: it is damaged, or not X.509")]
    Unreadable,
    /// It was issued by somebody else, who alone can take it back.
    #[error("this CA has not issued it, and cannot take it back")]
    Foreign,
    /// It is that of the authority itself.
    #[error("it is the certificate of the CA itself: take it out of client_ca instead")]
    Authority,
}

impl RevocationList {
    /// Takes a certificate back; says whether it was not taken back before.
    pub fn revoke(&mut self, serial: Serial, now: Now) -> bool {
        let now = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
        let before = self.entries.len();
        self.entries.entry(serial).or_insert(now);
        self.entries.len() > before
    }

    /// How many certificates have been taken back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none has been.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Authority {
    /// The serial number of a certificate that this authority has issued.
    ///
    /// # Errors
    /// It has not, or the certificate is its own.
    pub fn serial_of(&self, certificate: &CertificateDer<'_>) -> Result<Serial, NotIssued> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| NotIssued::Unreadable)?;
        if *certificate == self.certificate {
            return Err(NotIssued::Authority);
        }
        let (_, own) =
            X509Certificate::from_der(&self.certificate).map_err(|_| NotIssued::Foreign)?;
        let is_named = parsed.issuer().as_raw() == own.subject().as_raw();
        if !is_named || parsed.verify_signature(Some(own.public_key())).is_err() {
            return Err(NotIssued::Foreign);
        }
        Ok(Serial::of(&parsed))
    }

    /// Reads the list that this authority has signed last, PEM.
    ///
    /// # Errors
    /// It is damaged, or another's.
    pub fn read_list(&self, pem: &[u8]) -> Result<RevocationList, ListError> {
        let der =
            CertificateRevocationListDer::from_pem_slice(pem).map_err(|_| ListError::Unreadable)?;
        let (rest, list) =
            CertificateRevocationList::from_der(&der).map_err(|_| ListError::Unreadable)?;
        if !rest.is_empty() {
            return Err(ListError::Unreadable);
        }
        let (_, own) =
            X509Certificate::from_der(&self.certificate).map_err(|_| ListError::NotOurs)?;
        if list.verify_signature(own.public_key()).is_err() {
            return Err(ListError::NotOurs);
        }
        let entries = list.iter_revoked_certificates().map(|entry| {
            (Serial::from_bytes(entry.raw_serial()), entry.revocation_date.timestamp())
        });
        let made = list.last_update().timestamp();
        Ok(RevocationList {
            entries: entries.collect(),
            number: list.crl_number().cloned().unwrap_or_default(),
            lifetime: list.next_update().map(|next| next.timestamp().saturating_sub(made)),
        })
    }

    /// Signs a list that holds for `days`, or as long as the one before, or as long as the authority;
    /// never longer than that.
    ///
    /// # Errors
    /// The authority is not valid now.
    pub fn sign_list(
        &self,
        list: &RevocationList,
        now: Now,
        days: Option<u32>,
    ) -> Result<SignedList, AuthorityError> {
        let Standing::Valid { .. } = self.validity.standing(now) else {
            return Err(AuthorityError::NotValid(self.validity));
        };
        let made = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
        let last = match (days, list.lifetime) {
            (Some(days), _) => Validity::for_days(now, days).not_after,
            (None, Some(lifetime)) => made.saturating_add(lifetime),
            (None, None) => i64::MAX,
        };
        let validity = Validity { not_before: made, not_after: last.min(self.validity.not_after) };
        let revoked = list.entries.iter().map(|(serial, at)| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial.as_bytes()),
                revocation_time: moment(*at)?.to_datetime(),
                reason_code: None,
                invalidity_date: None,
            })
        });
        let number = (&list.number + 1_u8).to_bytes_be();
        let params = CertificateRevocationListParams {
            this_update: moment(validity.not_before)?.to_datetime(),
            next_update: moment(validity.not_after)?.to_datetime(),
            crl_number: SerialNumber::from_slice(&number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, AuthorityError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = params.signed_by(&self.issuer)?.pem()?;
        Ok(SignedList { pem, validity })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tls::Issued;

    const DAY: i64 = 86_400;

    fn authority() -> (Authority, Issued) {
        let made = Authority::create("Test CA", Now::read(), 3_650).unwrap();
        (Authority::open(made.certificate.as_bytes(), &made.key).unwrap(), made)
    }

    fn issued(authority: &Authority, name: &str) -> CertificateDer<'static> {
        let issued = authority.issue_client(name, Now::read(), 30).unwrap();
        CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_taken_back_is_kept_from_list_to_list() {
        let (authority, _) = authority();
        let now = Now::read();
        let mut list = RevocationList::default();
        for name in ["a", "b"] {
            let serial = authority.serial_of(&issued(&authority, name)).unwrap();
            assert!(list.revoke(serial.clone(), now));
            let later = now.after(Duration::from_secs(9));
            assert!(!list.revoke(serial, later), "it is the first time that counts");
            let signed = authority.sign_list(&list, now, Some(30)).unwrap();
            let read = authority.read_list(signed.pem.as_bytes()).unwrap();
            assert_eq!(read.entries, list.entries);
            assert_eq!(read.number, &list.number + 1_u8);
            list = read;
        }
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn a_list_holds_as_long_as_it_is_told_or_as_the_one_before_and_never_beyond_its_authority() {
        // Read first: the authority begins no earlier, and so holds for all of the days.
        let now = Now::read();
        let (authority, _) = authority();
        let days = |list: &RevocationList, days| {
            let validity = authority.sign_list(list, now, days).unwrap().validity;
            (validity.not_after - validity.not_before) / DAY
        };
        let new = RevocationList::default();
        assert_eq!(days(&new, None), 3_650);
        assert_eq!(days(&new, Some(30)), 30);
        assert_eq!(days(&new, Some(36_500)), 3_650);
        let signed = authority.sign_list(&new, now, Some(30)).unwrap();
        let read = authority.read_list(signed.pem.as_bytes()).unwrap();
        assert_eq!(days(&read, None), 30);
        assert_eq!(days(&read, Some(7)), 7);
    }

    #[test]
    fn nobody_takes_back_what_another_has_issued_nor_itself() {
        let ((one, made), (other, _)) = (authority(), authority());
        assert_eq!(one.serial_of(&issued(&other, "a")), Err(NotIssued::Foreign));
        let own = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        assert_eq!(one.serial_of(&own), Err(NotIssued::Authority));
        let damaged = CertificateDer::from(vec![0x30, 0x03]);
        assert_eq!(one.serial_of(&damaged), Err(NotIssued::Unreadable));
    }

    #[test]
    fn the_list_of_another_authority_is_not_added_to() {
        let ((one, _), (other, _)) = (authority(), authority());
        let list = RevocationList::default();
        let foreign = other.sign_list(&list, Now::read(), None).unwrap().pem;
        assert_eq!(one.read_list(foreign.as_bytes()), Err(ListError::NotOurs));
        for damaged in ["", "rubbish", &foreign[..foreign.len() / 2]] {
            assert_eq!(one.read_list(damaged.as_bytes()), Err(ListError::Unreadable));
        }
    }
}
