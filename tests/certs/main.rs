//! The real binary makes and shows certificates, as an operator has it do.
#![allow(clippy::unwrap_used, reason = "clippy spares tests, but not what they share")]

mod operator;
mod revocation;

use std::fs;
use std::sync::Arc;

use bastionmq::clock::Now;
use bastionmq::tls::{
    Alpn, ClientAuth, ClientIdentity, MinimumVersion, Revocation, ServerFiles, peer_name,
    read_certificates, server_config,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{ServerName, UnixTime};

use crate::operator::{Operator, mode};

/// Whether a client that trusts `ca/ca.crt` takes `ca/server.crt` for `name`.
fn is_trusted_as(operator: &Operator, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(read_certificates(&operator.path("ca/ca.crt")).unwrap().remove(0)).unwrap();
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let server = read_certificates(&operator.path("ca/server.crt")).unwrap().remove(0);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&server, &[], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn init_makes_an_authority_for_its_owner_only() {
    let operator = Operator::new();
    let said = operator.succeeds(&["init", "--dir", "ca", "--name", "Fleet CA"]);
    assert_eq!(operator.names_in("ca"), ["ca.crt", "ca.key"]);
    assert_eq!(mode(&operator.path("ca")), 0o700);
    assert_eq!(mode(&operator.path("ca/ca.key")), 0o600);
    assert!(said.contains("CN=Fleet CA") && said.contains("days left"), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");
}

#[test]
fn init_never_overwrites_an_authority_not_even_half_of_one() {
    let operator = Operator::with_authority();
    let before = fs::read(operator.path("ca/ca.key")).unwrap();
    let said = operator.fails(&["init", "--dir", "ca"]);
    assert!(said.contains("ca/ca.crt") && said.contains("not overwritten"), "{said}");
    fs::remove_file(operator.path("ca/ca.crt")).unwrap();
    operator.fails(&["init", "--dir", "ca"]);
    assert_eq!(fs::read(operator.path("ca/ca.key")).unwrap(), before);
    assert_eq!(operator.names_in("ca"), ["ca.key"]);
}

#[test]
fn a_server_certificate_holds_for_its_names_and_addresses_and_no_others() {
    let operator = Operator::with_authority();
    operator.succeeds(&[
        "server",
        "--dir",
        "ca",
        "--name",
        "broker.example.com",
        "--name",
        "localhost",
        "--ip",
        "127.0.0.1",
        "--ip",
        "::1",
    ]);
    for name in ["broker.example.com", "localhost", "127.0.0.1", "::1"] {
        assert!(is_trusted_as(&operator, name), "{name}");
    }
    for name in ["example.com", "other.example.com", "127.0.0.2"] {
        assert!(!is_trusted_as(&operator, name), "{name}");
    }
}

#[test]
fn what_is_issued_is_what_a_listener_takes() {
    let operator = Operator::with_authority();
    operator.succeeds(&["server", "--dir", "ca", "--name", "localhost"]);
    let files = ServerFiles {
        certificate: operator.path("ca/server.crt"),
        key: operator.path("ca/server.key"),
        client_auth: ClientAuth::Required,
        client_ca: Some(operator.path("ca/ca.crt")),
        revocation: Revocation::default(),
        client_identity: ClientIdentity::Cn,
        minimum_version: MinimumVersion::Tls13,
        alpn: Alpn::Mqtt,
    };
    assert_eq!(server_config(&files, Now::read()).unwrap().warnings, []);
}

#[test]
fn a_client_certificate_carries_the_name_of_the_client() {
    let operator = Operator::with_authority();
    operator.succeeds(&["client", "--dir", "ca", "sensor-7"]);
    let certificate = read_certificates(&operator.path("ca/sensor-7.crt")).unwrap().remove(0);
    assert_eq!(&*peer_name(&certificate, ClientIdentity::Cn).unwrap(), "sensor-7");
    assert_eq!(mode(&operator.path("ca/sensor-7.key")), 0o600);
    let said = operator.fails(&["client", "--dir", "ca", "sensor-7"]);
    assert!(said.contains("sensor-7.crt"), "{said}");
}

#[test]
fn the_name_of_a_client_does_not_lead_out_of_the_directory() {
    let operator = Operator::with_authority();
    for name in ["../evil", "/tmp/evil", "a/b", "..", "ca", "server", ""] {
        operator.fails(&["client", "--dir", "ca", name]);
    }
    assert_eq!(operator.names_in("ca"), ["ca.crt", "ca.key"]);
    assert_eq!(operator.names_in("."), ["ca"]);
}

#[test]
fn a_server_needs_a_name_that_is_one() {
    let operator = Operator::with_authority();
    assert_eq!(operator.certs(&["server", "--dir", "ca"]).status.code(), Some(2));
    let said = operator.fails(&["server", "--dir", "ca", "--name", "https://broker"]);
    assert!(said.contains("https://broker"), "{said}");
}

#[test]
fn without_an_authority_the_way_to_one_is_shown() {
    let operator = Operator::new();
    let said = operator.fails(&["client", "--dir", "ca", "sensor-7"]);
    assert!(said.contains("bastionmq certs init --dir ca"), "{said}");
}

#[test]
fn the_key_of_another_authority_does_not_sign() {
    let operator = Operator::with_authority();
    operator.succeeds(&["init", "--dir", "other"]);
    fs::copy(operator.path("other/ca.key"), operator.path("ca/ca.key")).unwrap();
    let said = operator.fails(&["client", "--dir", "ca", "sensor-7"]);
    assert!(said.contains("does not belong"), "{said}");
}

#[test]
fn show_says_all_that_there_is_to_know() {
    let operator = Operator::with_authority();
    operator.succeeds(&["server", "--dir", "ca", "--name", "localhost", "--ip", "127.0.0.1"]);
    let said = operator.succeeds(&["show", "ca/server.crt", "ca/ca.crt"]);
    for part in [
        "ca/server.crt\n",
        "subject   CN=localhost\n",
        "names     DNS:localhost, IP:127.0.0.1\n",
        "issuer    CN=Fleet CA\n",
        "for       server\n",
        "key       ECDSA 256 bit\n",
        "ca/ca.crt\n",
        "for       signing certificates (CA)\n",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    // The last of 824 days counts as one only within the second of the signature.
    assert!(said.contains(": 823 days left\n") || said.contains(": 824 days left\n"), "{said}");
    let fingerprint = said.lines().find(|line| line.contains("SHA-256")).unwrap();
    assert_eq!(fingerprint.matches(':').count(), 31, "{fingerprint}");
}

#[test]
fn show_says_who_a_client_is_to_a_broker_and_what_a_policy_can_go_by() {
    let operator = Operator::with_authority();
    operator.succeeds(&["client", "--dir", "ca", "sensor-7"]);
    let said = operator.succeeds(&["show", "ca/sensor-7.crt"]);
    for part in ["principal sensor-7  (client_identity = \"cn\")\n", "says      cn = sensor-7\n"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let der = &read_certificates(&operator.path("ca/sensor-7.crt")).unwrap()[0];
    let fingerprint = peer_name(der, ClientIdentity::Fingerprint).unwrap();
    assert!(
        said.contains(&format!("{fingerprint}  (client_identity = \"fingerprint\")\n")),
        "{said}"
    );
    assert!(said.contains(&format!("fingerprint = {fingerprint}\n")), "{said}");
    assert!(!operator.succeeds(&["show", "ca/ca.crt"]).contains("principal"));
}

#[test]
fn show_says_in_plain_words_that_a_certificate_has_expired() {
    let operator = Operator::new();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 3);
    let expired = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    fs::write(operator.path("old.crt"), expired.pem()).unwrap();
    let said = operator.succeeds(&["show", "old.crt"]);
    assert!(said.contains("to 2020-02-03: EXPIRED"), "{said}");
}

#[test]
fn show_names_the_file_that_it_cannot_read() {
    let operator = Operator::with_authority();
    assert!(operator.fails(&["show", "missing.crt"]).contains("missing.crt"));
    let said = operator.fails(&["show", "ca/ca.key"]);
    assert!(said.contains("ca/ca.key") && said.contains("holds no certificate"), "{said}");
}

#[test]
fn help_teaches_by_example() {
    let said = Operator::new().succeeds(&["--help"]);
    assert!(said.contains("bastionmq certs server --dir certs --name"), "{said}");
}

#[test]
fn addresses_are_checked_before_anything_is_made() {
    let operator = Operator::with_authority();
    let refused = operator.certs(&["server", "--dir", "ca", "--ip", "127.0.0.256"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(operator.names_in("ca"), ["ca.crt", "ca.key"]);
}
