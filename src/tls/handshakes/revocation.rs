//! Tests: certificates that their authorities have taken back.

use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};

use super::chains::{Node, evidence, in_days};
use super::*;
use crate::tls::{Distrust, ListenerTls, RevocationDepth, WithoutAnswer};

/// The revocation list of `issuer`, made and to run out so many days from now.
fn list(issuer: &Node, (made, ends): (i64, i64), serials: &[&[u8]]) -> Vec<u8> {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: in_days(made).into(),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: in_days(made).into(),
        next_update: in_days(ends).into(),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer.issuer()).unwrap().der().to_vec()
}

const NOW: (i64, i64) = (-1, 2);
const NONE: &[&[u8]] = &[];

fn with_serial(serial: u8) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from_slice(&[serial]))
}

impl House {
    /// Puts the lists into the folder in the place of those that were there.
    fn publish(&mut self, lists: &[Vec<u8>]) {
        let folder = self.directory.path().join("crl");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for (index, list) in lists.iter().enumerate() {
            // One in DER, the next in PEM.
            let content =
                if index % 2 == 0 { list.clone() } else { pem("X509 CRL", list).into_bytes() };
            fs::write(folder.join(format!("{index}.crl")), content).unwrap();
        }
        self.files.revocation.lists = Some(folder);
    }

    fn refusal(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

/// A root, an authority below it, and two clients of that.
fn fleet() -> (House, [Node; 4]) {
    let root = Node::authority("root", None, |_| {});
    let between = Node::authority("between", Some(&root), with_serial(1));
    let kept = Node::client(&between, with_serial(2));
    let lost = Node::client(&between, with_serial(3));
    (House::believing(&[&root]), [root, between, kept, lost])
}

#[test]
fn a_client_whose_certificate_is_taken_back_is_refused_and_its_neighbour_is_not() {
    let (mut house, [root, between, kept, lost]) = fleet();
    house.publish(&[list(&root, NOW, NONE), list(&between, NOW, &[&[3]])]);
    assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    assert_eq!(house.judge(&[&lost, &between]), Err(Distrust::Revoked));
}

#[test]
fn all_below_an_authority_that_is_taken_back_are_refused() {
    let (mut house, [root, between, kept, _]) = fleet();
    let lists = [list(&root, NOW, &[&[1]]), list(&between, NOW, NONE)];
    house.publish(&lists);
    assert_eq!(house.judge(&[&kept, &between]), Err(Distrust::Revoked));
    house.files.revocation.depth = RevocationDepth::EndEntity;
    assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    // It is not believed for standing in client_ca either, where its root does as well.
    let mut house = House::believing(&[&between, &root]);
    house.publish(&lists);
    assert_eq!(house.judge(&[&kept]), Err(Distrust::Revoked));
}

#[test]
fn an_issuer_without_a_list_vouches_for_nobody_unless_that_is_allowed() {
    let (mut house, [root, between, kept, _]) = fleet();
    let stranger = Node::authority("stranger", None, |_| {});
    for lists in
        [[list(&root, NOW, NONE)], [list(&between, NOW, NONE)], [list(&stranger, NOW, &[&[2]])]]
    {
        house.publish(&lists);
        house.files.revocation.unknown = WithoutAnswer::Deny;
        assert_eq!(house.judge(&[&kept, &between]), Err(Distrust::StatusUnknown));
        house.files.revocation.unknown = WithoutAnswer::Allow;
        assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    }
    let warnings = house.open().unwrap().warnings;
    assert!(warnings[0].to_string().contains("CN=stranger"), "{warnings:?}");
}

#[test]
fn a_list_that_has_run_out_is_warned_of_and_is_no_answer_unless_that_is_allowed() {
    let (mut house, [root, between, kept, lost]) = fleet();
    house.publish(&[list(&root, NOW, NONE), list(&between, (-3, -1), &[&[3]])]);
    assert_eq!(house.judge(&[&kept, &between]), Err(Distrust::ListExpired));
    let warnings = house.open().unwrap().warnings;
    let has_run_out = |warning: &Warning| warning.to_string().contains("ran out on");
    assert!(warnings.iter().any(has_run_out), "{warnings:?}");
    house.files.revocation.expired = WithoutAnswer::Allow;
    assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    assert_eq!(house.judge(&[&lost, &between]), Err(Distrust::Revoked));
}

#[test]
fn of_two_lists_of_one_authority_the_later_counts() {
    let (mut house, [root, between, kept, _]) = fleet();
    let (old, new) = (list(&between, (-3, 2), NONE), list(&between, (-1, 2), &[&[2]]));
    for lists in [[old.clone(), new.clone()], [new, old]] {
        house.publish(&[list(&root, NOW, NONE), lists[0].clone(), lists[1].clone()]);
        assert_eq!(house.judge(&[&kept, &between]), Err(Distrust::Revoked));
    }
}

#[test]
fn a_list_that_its_authority_has_not_signed_is_an_error_with_its_path() {
    let (mut house, [root, ..]) = fleet();
    let namesake = Node::authority("root", None, |_| {});
    house.publish(&[list(&root, NOW, NONE), list(&namesake, NOW, NONE)]);
    let refusal = house.refusal();
    assert!(refusal.contains("1.crl") && refusal.contains("has not signed it"), "{refusal}");
}

#[test]
fn the_list_of_an_authority_between_is_checked_with_the_key_that_clients_show() {
    let (mut house, [root, between, kept, _]) = fleet();
    let namesake = Node::authority("between", Some(&root), |_| {});
    house.publish(&[list(&root, NOW, NONE), list(&namesake, NOW, NONE)]);
    let verdict = house.judge(&[&kept, &between]);
    assert!(matches!(verdict, Err(Distrust::Other(_))), "{verdict:?}");
}

#[test]
fn an_authority_that_may_not_sign_lists_has_none() {
    let root = Node::authority("root", None, |_| {});
    let mut cannot = Node::authority("root", None, |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    cannot.params.key_usages.clear();
    let mut house = House::believing(&[&cannot, &root]);
    house.publish(&[list(&cannot, NOW, NONE)]);
    assert!(house.refusal().contains("cRLSign"), "{}", house.refusal());
}

#[test]
fn a_folder_holds_lists_and_nothing_else_but_what_is_hidden() {
    let (mut house, [root, between, kept, _]) = fleet();
    let sound = list(&root, NOW, NONE);
    let text = pem("X509 CRL", &sound);
    for (content, said) in [
        (&b""[..], "holds no revocation list"),
        (house.authority_pem.clone().as_bytes(), "holds no revocation list"),
        (&text.as_bytes()[..text.len() / 2], "is not sound PEM"),
        (&sound[..sound.len() / 2], "cannot be read"),
        (&[&sound[..], b"more"].concat(), "cannot be read"),
    ] {
        house.publish(&[sound.clone(), list(&between, NOW, NONE)]);
        let folder = house.files.revocation.lists.clone().unwrap();
        fs::write(folder.join("2.crl"), content).unwrap();
        let refusal = house.refusal();
        assert!(refusal.contains("2.crl") && refusal.contains(said), "{refusal}");
        fs::rename(folder.join("2.crl"), folder.join(".2.crl")).unwrap();
        fs::create_dir(folder.join("old")).unwrap();
        assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    }
    house.publish(&[]);
    assert!(house.refusal().contains("holds no revocation list"));
    house.files.revocation.lists = Some(house.directory.path().join("missing"));
    assert!(house.refusal().contains("missing"));
}

#[test]
fn one_file_may_hold_the_lists_of_several() {
    let (mut house, [root, between, kept, lost]) = fleet();
    let lists = [list(&root, NOW, NONE), list(&between, NOW, &[&[3]])];
    let text: String = lists.iter().map(|list| pem("X509 CRL", list)).collect();
    house.files.revocation.lists = Some(write(&house.directory, "all.pem", text.as_bytes()));
    assert_eq!(house.judge(&[&kept, &between]), Ok(()));
    assert_eq!(house.judge(&[&lost, &between]), Err(Distrust::Revoked));
}

#[tokio::test]
async fn a_list_that_comes_later_ends_who_is_inside_and_keeps_it_out() {
    let (mut house, [root, between, _, lost]) = fleet();
    house.publish(&[list(&root, NOW, NONE), list(&between, NOW, NONE)]);
    let tls = ListenerTls::new(house.open().unwrap());
    let key = PrivateKeyDer::try_from(lost.key.serialize_der()).unwrap();
    let chain = [&lost, &between].map(|node| node.certificate.der().clone()).to_vec();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&house.authority_pem))
        .with_client_auth_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    assert!(connect_to(tls.handshake().0, Arc::clone(&config), "localhost").await.is_ok());
    let inside = evidence(&tls, &[&lost, &between]);

    house.publish(&[list(&root, NOW, NONE), b"rubbish".to_vec()]);
    assert!(tls.read(Now::read()).is_err());
    assert_eq!(tls.judge(&inside, Now::read()), Ok(()));

    house.publish(&[list(&root, NOW, NONE), list(&between, NOW, &[&[3]])]);
    tls.replace(tls.read(Now::read()).unwrap());
    assert_eq!(tls.judge(&inside, Now::read()), Err(Distrust::Revoked));
    let refused = connect_to(tls.handshake().0, config, "localhost").await.err().unwrap();
    let why = refused.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    assert_eq!(why.and_then(Distrust::of_handshake), Some(Distrust::Revoked));
}

#[test]
fn a_list_of_100_000_is_read_and_searched() {
    let (mut house, [root, between, kept, lost]) = fleet();
    let serials: Vec<[u8; 16]> =
        (0..100_000_u128).map(|n| (n + (1 << 120)).to_be_bytes()).collect();
    let mut serials: Vec<&[u8]> = serials.iter().map(|serial| &serial[..]).collect();
    serials.push(&[3]);
    house.publish(&[list(&root, NOW, NONE), list(&between, NOW, &serials)]);
    let tls = ListenerTls::new(house.open().unwrap());
    let judge = |client| tls.judge(&evidence(&tls, &[client, &between]), Now::read());
    assert_eq!(judge(&kept), Ok(()));
    assert_eq!(judge(&lost), Err(Distrust::Revoked));
}

#[test]
fn lists_without_anybody_to_look_for_are_an_error() {
    let mut house = House::new();
    house.files.revocation.lists = Some(house.directory.path().to_owned());
    assert!(matches!(house.open(), Err(TlsError::ClientCrlUnused { .. })));
}
