//! Files that a configuration names: each that is missing or broken closes the start.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::site::{PLAIN, Site, complaints};

const WITH_PASSWORDS: &str = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[acl]\n\
    policy_file = \"policy.toml\"\n[auth]\npassword_file = \"passwords\"\n";

#[test]
fn a_missing_policy_is_an_error_at_the_line_that_names_it() {
    let site = Site::new(PLAIN);
    fs::remove_file(site.home().join("policy.toml")).unwrap();
    let said = complaints(&site, site.resolve());
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("bastionmq.toml:4: "), "{said:?}");
    assert!(said[0].contains("policy.toml: No such file"), "{said:?}");
}

#[test]
fn every_error_of_a_broken_policy_is_told_with_file_and_line() {
    let site = Site::new(PLAIN);
    site.write("policy.toml", "[[role]]\nname = \"a\"\nrulse = []\n[[assgn]]\n");
    let said = complaints(&site, site.resolve());
    assert!(said.len() >= 2, "{said:#?}");
    assert!(said.iter().all(|line| line.starts_with("policy.toml: line ")), "{said:#?}");
}

#[test]
fn an_empty_policy_is_an_error_and_not_an_open_door() {
    for text in ["", "# nothing\n", "\u{feff}"] {
        let site = Site::new(PLAIN);
        site.write("policy.toml", text);
        assert!(site.resolve().is_err(), "{text:?}");
    }
}

#[test]
fn a_broken_password_file_is_an_error_that_does_not_show_its_line() {
    let site = Site::new(WITH_PASSWORDS);
    site.write("passwords", "alice:hunter2-canary\n");
    let said = complaints(&site, site.resolve());
    assert!(said[0].starts_with("passwords: line 1"), "{said:?}");
    assert!(!said[0].contains("hunter2-canary"), "{said:?}");
}

#[test]
fn a_missing_password_file_is_an_error_at_the_line_that_names_it() {
    let site = Site::new(WITH_PASSWORDS);
    let said = complaints(&site, site.resolve());
    assert!(said[0].starts_with("bastionmq.toml:6: "), "{said:?}");
}

#[test]
fn a_password_file_that_everybody_can_read_is_a_warning() {
    let site = Site::new(WITH_PASSWORDS);
    site.write("passwords", "");
    assert_eq!(site.resolve().unwrap().warnings, [""; 0]);
    let path = site.home().join("passwords");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = site.resolve().unwrap().warnings;
    assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
}

#[test]
fn a_broken_certificate_is_an_error_with_the_line_of_its_listener() {
    let site = Site::with_certificates(
        "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\ntls_cert = \"certs/server.crt\"\n\
         tls_key = \"certs/server.key\"\n[acl]\npolicy_file = \"policy.toml\"\n\
         [auth]\nallow_anonymous = true\n",
    );
    site.write("certs/server.crt", "no certificate");
    let said = complaints(&site, site.resolve());
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].starts_with("bastionmq.toml:2: mqtts://127.0.0.1:0: "), "{said:#?}");
    assert!(said[0].contains("certs/server.crt"), "{said:#?}");
}

#[test]
fn a_key_ring_that_does_not_open_is_an_error_at_the_line_that_names_it() {
    let site = Site::new(&format!("{PLAIN}[keys]\nring_file = \"ring\"\n"));
    let said = complaints(&site, site.resolve());
    assert!(said[0].starts_with("bastionmq.toml:8: there is no key ring"), "{said:?}");
    site.write("ring", "not a ring");
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("ring.master-key"), "{said:?}");
    site.write("ring.master-key", "0".repeat(64));
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("not written by BastionMQ"), "{said:?}");
}

#[test]
fn every_file_is_looked_for_beside_the_configuration() {
    let section = "[jwt]\nkey_file = \"issuer.pem\"\nissuer = \"x\"\n[keys]\nring_file = \"ring\"\n\
                   wrapped_dir = \"wrapped\"\nmaster_key_file = \"master.key\"\n";
    let site = Site::new(&format!("{PLAIN}{section}"));
    let config = site.load().unwrap().config;
    let keys = config.keys;
    for (path, name) in [
        (config.jwt.key_file, "issuer.pem"),
        (keys.ring_file, "ring"),
        (keys.wrapped_dir, "wrapped"),
        (keys.master_key_file, "master.key"),
    ] {
        assert_eq!(path, Some(site.home().join(name)));
    }
}

/// What is said to `[admin]` with these keys, above a password file of clients that is there.
fn of_operators(keys: &str, prepare: impl Fn(&Site)) -> Vec<String> {
    let site = Site::new(&format!("{WITH_PASSWORDS}[admin]\n{keys}\n"));
    site.write("passwords", "");
    prepare(&site);
    complaints(&site, site.resolve())
}

#[test]
fn the_passwords_of_clients_are_not_those_of_operators_by_whatever_way_they_are_named() {
    for (file, is_link) in [("passwords", false), ("./passwords", false), ("link", true)] {
        let said = of_operators(&format!("password_file = \"{file}\""), |site| {
            if is_link {
                std::os::unix::fs::symlink("passwords", site.home().join("link")).unwrap();
            }
        });
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("bastionmq.toml:8: `admin.password_file` is the"), "{said:?}");
    }
}

#[test]
fn a_password_file_of_operators_that_is_missing_broken_or_of_no_use_is_an_error() {
    let said = of_operators("password_file = \"operators\"", |_| {});
    assert!(said[0].starts_with("bastionmq.toml:8: "), "{said:?}");
    assert!(said[0].contains("operators: No such file"), "{said:?}");
    let said = of_operators("password_file = \"operators\"", |site| {
        site.write("operators", "anna:hunter2-canary\n");
    });
    assert!(said[0].starts_with("operators: line 1"), "{said:?}");
    assert!(!said[0].contains("hunter2-canary"), "{said:?}");
    let said = of_operators("address = \"off\"\npassword_file = \"operators\"", |site| {
        site.write("operators", "");
    });
    assert!(
        said[0].starts_with("bastionmq.toml:9: `admin.password_file` has no effect"),
        "{said:?}"
    );
}
