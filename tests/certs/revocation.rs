//! Certificates are taken back, as an operator does it, and listeners believe the list.

use std::fs;

use bastionmq::clock::Now;
use bastionmq::tls::{
    Alpn, ClientAuth, ClientIdentity, Distrust, ListenerTls, MinimumVersion, Revocation,
    ServerFiles, read_certificates, server_config,
};

use crate::operator::{Operator, mode};

/// With a server, and clients of these names.
fn fleet(names: &[&str]) -> Operator {
    let operator = Operator::with_authority();
    operator.succeeds(&["server", "--dir", "ca", "--name", "localhost"]);
    for name in names {
        operator.succeeds(&["issue", "--dir", "ca", name]);
    }
    operator
}

/// What a listener with the list says of the certificate of `name`.
fn judged(operator: &Operator, name: &str) -> Result<(), Distrust> {
    let lists = Some(operator.path("ca/ca.crl"));
    let files = ServerFiles {
        certificate: operator.path("ca/server.crt"),
        key: operator.path("ca/server.key"),
        client_auth: ClientAuth::Required,
        client_ca: Some(operator.path("ca/ca.crt")),
        revocation: Revocation { lists, ..Revocation::default() },
        client_identity: ClientIdentity::Cn,
        minimum_version: MinimumVersion::Tls13,
        alpn: Alpn::Mqtt,
    };
    let tls = ListenerTls::new(server_config(&files, Now::read()).unwrap());
    let chain = read_certificates(&operator.path(&format!("ca/{name}.crt"))).unwrap();
    let shown = tls.identify(&chain, 0).unwrap();
    tls.judge(&shown.evidence.unwrap(), Now::read())
}

#[test]
fn what_is_taken_back_is_refused_and_nothing_else() {
    let operator = fleet(&["a", "b", "c"]);
    let said = operator.succeeds(&["revoke", "--dir", "ca", "ca/a.crt"]);
    assert!(said.contains("CN=a") && said.contains("client_crl = \"ca/ca.crl\""), "{said}");
    assert_eq!(judged(&operator, "a"), Err(Distrust::Revoked));
    assert_eq!(judged(&operator, "b"), Ok(()));
    assert_eq!(mode(&operator.path("ca/ca.crl")), 0o600);

    // By the number that `show` shows, in any way of writing it.
    let shown = operator.succeeds(&["show", "ca/b.crt"]);
    let serial = shown.lines().find_map(|line| line.trim().strip_prefix("serial = ")).unwrap();
    operator.succeeds(&["revoke", "--dir", "ca", "--serial", &serial.to_uppercase()]);
    for (name, expected) in
        [("a", Err(Distrust::Revoked)), ("b", Err(Distrust::Revoked)), ("c", Ok(()))]
    {
        assert_eq!(judged(&operator, name), expected, "{name}");
    }
    let again = operator.succeeds(&["revoke", "--dir", "ca", "ca/b.crt"]);
    assert!(again.contains("before") && again.contains("2 taken back"), "{again}");
}

#[test]
fn a_list_is_made_renewed_and_keeps_what_it_takes_back() {
    let operator = fleet(&["a"]);
    let said = operator.succeeds(&["crl", "--dir", "ca"]);
    assert!(said.contains("0 taken back"), "{said}");
    assert_eq!(judged(&operator, "a"), Ok(()));
    operator.succeeds(&["revoke", "--dir", "ca", "ca/a.crt"]);
    let renewed = operator.succeeds(&["crl", "--dir", "ca", "--days", "7"]);
    assert!(renewed.contains("1 taken back"), "{renewed}");
    let last_day = |said: &str| {
        said.lines().find_map(|line| line.split("before ").nth(1)?.parse::<String>().ok())
    };
    assert_ne!(last_day(&renewed), last_day(&said));
    // The next one holds as long, unless it is told otherwise.
    assert_eq!(last_day(&operator.succeeds(&["crl", "--dir", "ca"])), last_day(&renewed));
    assert_eq!(judged(&operator, "a"), Err(Distrust::Revoked));
}

#[test]
fn what_the_authority_has_not_issued_it_does_not_take_back() {
    let operator = fleet(&["a"]);
    operator.succeeds(&["init", "--dir", "other"]);
    operator.succeeds(&["client", "--dir", "other", "stranger"]);
    for (file, said) in [
        ("other/stranger.crt", "has not issued it"),
        ("ca/ca.crt", "the CA itself"),
        ("ca/a.key", "holds no certificate"),
        ("missing.crt", "missing.crt"),
    ] {
        // None of them, if not all.
        let error = operator.fails(&["revoke", "--dir", "ca", "ca/a.crt", file]);
        assert!(error.contains(file) && error.contains(said), "{error}");
    }
    assert!(!operator.path("ca/ca.crl").exists());
    for arguments in [&["revoke", "--dir", "ca"][..], &["revoke", "--dir", "ca", "--serial", "x"]] {
        assert_eq!(operator.certs(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let said = operator.fails(&["revoke", "--dir", "nowhere", "--serial", "1"]);
    assert!(said.contains("bastionmq certs init --dir nowhere"), "{said}");
}

#[test]
fn a_list_that_is_damaged_or_of_another_authority_is_left_as_it_is() {
    let operator = fleet(&["a"]);
    operator.succeeds(&["init", "--dir", "other"]);
    operator.succeeds(&["crl", "--dir", "other"]);
    let foreign = fs::read_to_string(operator.path("other/ca.crl")).unwrap();
    for (content, said) in [(&*foreign, "not signed by this CA"), ("rubbish", "damaged")] {
        fs::write(operator.path("ca/ca.crl"), content).unwrap();
        for command in [&["crl", "--dir", "ca"][..], &["revoke", "--dir", "ca", "ca/a.crt"]] {
            let error = operator.fails(command);
            assert!(error.contains("ca.crl") && error.contains(said), "{error}");
        }
        assert_eq!(fs::read_to_string(operator.path("ca/ca.crl")).unwrap(), content);
    }
}
