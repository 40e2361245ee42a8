//! Tests: which client certificates are believed, whatever they are and whoever made them.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};

use super::*;
use crate::identity::Evidence;
use crate::tls::{Distrust, ListenerTls};

/// A certificate and its key, with which it may sign.
pub(super) struct Node {
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
    pub(super) certificate: rcgen::Certificate,
}

impl Node {
    /// An authority, after the changes of `but`.
    pub(super) fn authority(
        name: &str,
        above: Option<&Self>,
        but: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        Self::new(name, above, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            but(params);
        })
    }

    pub(super) fn client(above: &Self, but: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::new("client", Some(above), |params| {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            but(params);
        })
    }

    fn new(name: &str, above: Option<&Self>, but: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from_slice(&[0x11]));
        params.not_before = in_days(-1).into();
        params.not_after = in_days(1).into();
        but(&mut params);
        let certificate = match above {
            None => params.self_signed(&key),
            Some(above) => params.signed_by(&key, &above.issuer()),
        };
        Self { certificate: certificate.unwrap(), params, key }
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub(super) fn pem(&self) -> String {
        self.certificate.pem()
    }
}

/// So many days from now.
pub(super) fn in_days(days: i64) -> SystemTime {
    let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { SystemTime::now() - distance } else { SystemTime::now() + distance }
}

impl House {
    /// Asks for certificates below `authorities`.
    pub(super) fn believing(authorities: &[&Node]) -> Self {
        let mut house = Self::new();
        let bundle: String = authorities.iter().map(|node| node.pem()).collect();
        house.files.client_ca = Some(write(&house.directory, "ca.crt", bundle.as_bytes()));
        house.files.client_auth = ClientAuth::Required;
        house
    }

    /// What becomes of a client that shows these.
    pub(super) fn judge(&self, shown: &[&Node]) -> Result<(), Distrust> {
        let tls = ListenerTls::new(self.open().unwrap());
        tls.judge(&evidence(&tls, shown), Now::read())
    }
}

pub(super) fn evidence(tls: &ListenerTls, shown: &[&Node]) -> Evidence {
    let shown: Vec<_> = shown.iter().map(|node| node.certificate.der().clone()).collect();
    tls.identify(&shown, 0).unwrap().evidence.unwrap()
}

/// A root, an authority below it, and a client below that; each after its changes.
fn family(
    between: impl FnOnce(&mut CertificateParams),
    client: impl FnOnce(&mut CertificateParams),
) -> [Node; 3] {
    let root = Node::authority("root", None, |_| {});
    let between = Node::authority("between", Some(&root), between);
    let client = Node::client(&between, client);
    [root, between, client]
}

#[test]
fn a_chain_is_believed_where_the_client_or_the_bundle_has_all_of_it() {
    let [root, between, client] = family(|_| {}, |_| {});
    for (bundle, shown, verdict) in [
        (&[&root][..], &[&client, &between][..], Ok(())),
        (&[&root, &between], &[&client], Ok(())),
        (&[&between, &root], &[&client, &between], Ok(())),
        (&[&between], &[&client], Ok(())),
        (&[&root], &[&client], Err(Distrust::UnknownIssuer)),
        (&[&root], &[&client, &root], Err(Distrust::UnknownIssuer)),
    ] {
        assert_eq!(House::believing(bundle).judge(shown), verdict);
    }
}

#[tokio::test]
async fn a_client_need_not_show_what_the_bundle_has() {
    let [root, between, client] = family(|_| {}, |_| {});
    let house = House::believing(&[&root, &between]);
    let key = PrivateKeyDer::try_from(client.key.serialize_der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&house.authority_pem))
        .with_client_auth_cert(vec![client.certificate.der().clone()], key)
        .unwrap();
    assert!(house.handshake(config, "localhost").await.is_ok());
}

#[test]
fn an_authority_between_counts_for_no_more_than_what_vouches_for_it() {
    let [root, between, client] = family(|params| params.not_after = in_days(-1).into(), |_| {});
    let verdict = House::believing(&[&root, &between]).judge(&[&client]);
    assert_eq!(verdict, Err(Distrust::Expired));
}

#[test]
fn time_is_looked_at_all_the_way_up() {
    let over = |params: &mut CertificateParams| params.not_after = in_days(-1).into();
    let to_come = |params: &mut CertificateParams| params.not_before = in_days(1).into();
    for ([root, between, client], verdict) in [
        (family(|_| {}, over), Distrust::Expired),
        (family(over, |_| {}), Distrust::Expired),
        (family(|_| {}, to_come), Distrust::NotYetValid),
        (family(to_come, |_| {}), Distrust::NotYetValid),
    ] {
        assert_eq!(House::believing(&[&root]).judge(&[&client, &between]), Err(verdict));
    }
}

#[test]
fn a_certificate_for_other_purposes_is_not_for_clients() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let for_what = |purposes: Vec<ExtendedKeyUsagePurpose>| {
        move |params: &mut CertificateParams| params.extended_key_usages = purposes
    };
    for (family, verdict) in [
        (family(|_| {}, for_what(vec![ServerAuth])), Err(Distrust::Purpose)),
        (family(for_what(vec![ServerAuth]), |_| {}), Err(Distrust::Purpose)),
        (family(|_| {}, for_what(vec![ServerAuth, ClientAuth])), Ok(())),
        (family(|_| {}, for_what(vec![])), Ok(())),
    ] {
        let [root, between, client] = family;
        assert_eq!(House::believing(&[&root]).judge(&[&client, &between]), verdict);
    }
}

#[test]
fn a_key_is_used_for_what_its_certificate_allows() {
    let only = |usage: KeyUsagePurpose| {
        move |params: &mut CertificateParams| params.key_usages = vec![usage]
    };
    for (family, verdict) in [
        (family(|_| {}, only(KeyUsagePurpose::KeyEncipherment)), Err(Distrust::Purpose)),
        (family(only(KeyUsagePurpose::CrlSign), |_| {}), Err(Distrust::Purpose)),
        (family(|_| {}, |params| params.key_usages.clear()), Ok(())),
    ] {
        let [root, between, client] = family;
        assert_eq!(House::believing(&[&root]).judge(&[&client, &between]), verdict);
    }
}

#[test]
fn who_is_no_authority_vouches_for_nobody() {
    let no_authority = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
    let [root, between, client] = family(no_authority, |_| {});
    let verdict = House::believing(&[&root]).judge(&[&client, &between]);
    assert!(matches!(verdict, Err(Distrust::Other(_))), "{verdict:?}");
}

#[test]
fn an_authority_does_not_pass_for_a_client() {
    let [root, between, _] = family(|_| {}, |_| {});
    let verdict = House::believing(&[&root]).judge(&[&between]);
    assert!(matches!(verdict, Err(Distrust::Other(_))), "{verdict:?}");
}

#[test]
fn an_authority_of_bounded_length_has_none_below_it() {
    let no_further = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    let [root, between, _] = family(no_further, |_| {});
    let further = Node::authority("further", Some(&between), |_| {});
    let client = Node::client(&further, |_| {});
    let verdict = House::believing(&[&root]).judge(&[&client, &further, &between]);
    assert!(matches!(verdict, Err(Distrust::Other(_))), "{verdict:?}");
}

#[test]
fn names_stay_within_the_constraints_of_their_authority() {
    let constrained = |params: &mut CertificateParams| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("plant.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    };
    let named = |name: &'static str| {
        move |params: &mut CertificateParams| {
            params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        }
    };
    for (name, is_within) in [("a.plant.example", true), ("a.other.example", false)] {
        let [root, between, client] = family(constrained, named(name));
        let verdict = House::believing(&[&root]).judge(&[&client, &between]);
        assert_eq!(verdict.is_ok(), is_within, "{name}: {verdict:?}");
    }
}
