//! `authenticators` of a listener: the list as written, what stands in for none, and what would let
//! nobody in.

use bastionmq::config::{Flags, Loaded};

use crate::site::{Site, complaint, complaints};

const LISTENER: &str = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n";
const TLS: &str = "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\ntls_cert = \"certs/server.crt\"\n\
    tls_key = \"certs/server.key\"\n";
const POLICY: &str = "[acl]\npolicy_file = \"policy.toml\"\n";
const PASSWORDS: &str = "[auth]\npassword_file = \"passwords\"\n";
const ANYBODY: &str = "[auth]\nallow_anonymous = true\n";

/// With an empty password file.
fn site(config: &str) -> Site {
    let site = Site::with_certificates(config);
    site.write("passwords", "");
    site
}

fn asked(site: &Site) -> Vec<String> {
    let resolved = site.resolve().unwrap();
    resolved.listeners.iter().map(|listener| listener.authenticators.to_string()).collect()
}

#[test]
fn without_a_list_all_are_asked_that_the_rest_makes_possible() {
    let client_auth = |auth| format!("client_auth = \"{auth}\"\nclient_ca = \"certs/ca.crt\"\n");
    let optional = format!("{TLS}{}", client_auth("optional"));
    let required = format!("{TLS}{}", client_auth("required"));
    for (listener, rest, list) in [
        (LISTENER, PASSWORDS, "scram, password"),
        (LISTENER, ANYBODY, "anonymous"),
        (TLS, PASSWORDS, "scram, password"),
        (&*optional, ANYBODY, "certificate, anonymous"),
        (&*required, ANYBODY, "certificate"),
        (&*required, PASSWORDS, "certificate, scram, password"),
    ] {
        assert_eq!(asked(&site(&format!("{listener}{POLICY}{rest}"))), [list], "{listener}{rest}");
    }
}

#[test]
fn a_list_is_kept_in_its_order() {
    let list = "authenticators = [\"anonymous\", \"password\"]\n";
    let both = "[auth]\nallow_anonymous = true\npassword_file = \"passwords\"\n";
    let site = site(&format!("{LISTENER}{list}{POLICY}{both}"));
    assert_eq!(asked(&site), ["anonymous, password"]);
}

#[test]
fn an_authenticator_that_could_let_nobody_in_is_an_error_that_says_what_it_lacks() {
    for (name, lacks) in [
        ("certificate", "set `client_auth` and `client_ca`"),
        ("certificate+password", "set `client_auth` and `client_ca`"),
        ("scram", "set `password_file` in [auth]"),
        ("jwt", "set `key_file` in [jwt]"),
        ("password", "set `password_file` in [auth]"),
    ] {
        let list = format!("authenticators = [\"{name}\"]\n");
        let said = complaint(&format!("{LISTENER}{list}{POLICY}{ANYBODY}"));
        let start = format!(
            "bastionmq.toml:3: mqtt://127.0.0.1:0: `authenticators` has \"{name}\", which could \
             let nobody in: "
        );
        assert!(said.starts_with(&start) && said.ends_with(lacks), "{said}");
    }
    let site = site(&format!("{LISTENER}authenticators = [\"anonymous\"]\n{POLICY}{PASSWORDS}"));
    let [said] = &complaints(&site, site.resolve())[..] else { panic!() };
    assert!(said.contains("set `allow_anonymous = true` there"), "{said}");
}

#[test]
fn a_list_that_contradicts_itself_is_an_error() {
    for (list, complains_of) in [
        ("[]", "an empty list would let nobody in"),
        ("[\"pasword\"]", "\"pasword\" is no authenticator; there are \"certificate\","),
        ("[\"scram\", \"scram\"]", "\"scram\" is in the list twice"),
        ("[\"certificate+password\", \"password\"]", "asks for more: remove one of them"),
        ("7", "a list of authenticators such as"),
    ] {
        let said = complaint(&format!("{LISTENER}authenticators = {list}\n{POLICY}{ANYBODY}"));
        assert!(said.starts_with("bastionmq.toml:3: `listener.authenticators`"), "{said}");
        assert!(said.contains(complains_of), "{said}");
    }
}

#[test]
fn a_listener_at_which_nobody_could_log_in_is_an_error() {
    let auth = "client_auth = \"required\"\nclient_ca = \"certs/ca.crt\"\n";
    let site = site(&format!("{TLS}{auth}{LISTENER}{POLICY}"));
    let [said] = &complaints(&site, site.resolve())[..] else { panic!() };
    assert!(said.contains("mqtt://127.0.0.1:0: nobody could log in here"), "{said}");
}

#[test]
fn another_address_lets_in_nobody_whom_the_file_would_not() {
    let auth = "client_auth = \"optional\"\nclient_ca = \"certs/ca.crt\"\n\
        authenticators = [\"certificate+password\"]\n";
    let site =
        site(&format!("{TLS}{auth}{LISTENER}authenticators = [\"scram\"]\n{POLICY}{PASSWORDS}"));
    let flags = Flags {
        listen: ["mqtts://[::1]:0", "ws://[::1]:0"].map(str::to_owned).into(),
        ..Flags::default()
    };
    let loaded = Loaded::load(&site.sources(&[], flags)).unwrap();
    let resolved = loaded.resolve(bastionmq::clock::Now::read()).unwrap();
    let lists = resolved.listeners.iter().map(|listener| listener.authenticators.to_string());
    assert_eq!(lists.collect::<Vec<_>>(), ["certificate+password", "scram"]);
}
