//! An authority that issues certificates to clients, and takes them back by revocation lists.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::site::{Site, trusting};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Another one each time, of the same name.
    pub(crate) fn new() -> Self {
        Self::named("fleet")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A client that shows a certificate of `name`, and trusts the authority of [`Site`].
    pub(crate) fn client(&self, name: &str, serial: u64) -> Arc<ClientConfig> {
        self.client_for(name, serial, 24 * 3_600)
    }

    /// As [`Authority::client`], with a certificate that ends in so many seconds.
    pub(crate) fn client_for(&self, name: &str, serial: u64, seconds: u64) -> Arc<ClientConfig> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_after = (SystemTime::now() + Duration::from_secs(seconds)).into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = trusting(&Site::shared().ca()).with_client_auth_cert(chain, key);
        Arc::new(config.expect("a certificate and its key"))
    }

    /// The list that takes back these certificates, and runs out so many days from now; PEM.
    pub(crate) fn list(&self, serials: &[u64], days: i64) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: in_days(-9).into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: in_days(-9).into(),
            next_update: in_days(days).into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }
}

fn in_days(days: i64) -> SystemTime {
    let by = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
}
