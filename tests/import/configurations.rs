//! Configurations as people write them: what becomes of listeners, certificates and users.

use crate::site::Site;

/// As `mosquitto_passwd -H sha512` writes it.
const CAROL: &str = "carol:$6$XtwVwqNoI5sWoudp$\
    KV7YSoHUGFsxziQCZtPvNswfOTnx2Dh3XgXy20pq1b+pTRd8VvwrRuXtsc12kHZ3wTFO6wAGKd+56YNlfHECzA==\n";

fn imported(configuration: &str) -> (Site, String) {
    let site = Site::new(configuration);
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!(said.err, "", "{said:?}");
    (site, said.out)
}

#[test]
fn without_a_listener_it_is_this_machine_and_everybody_on_it() {
    let (site, _) = imported("# nothing\n");
    let config = site.read("out/bastionmq.toml");
    assert!(config.contains("url = \"mqtt://127.0.0.1:1883\""), "{config}");
    assert!(config.contains("allow_anonymous = true"), "{config}");
    assert!(site.read("out/policy.toml").contains("topics = [\"#\"]"));
    assert_eq!(site.check().code, Some(0));
}

#[test]
fn listeners_become_urls_and_plaintext_is_owned_up_to() {
    let (site, out) = imported(
        "port 1884\nbind_address 127.0.0.1\nlistener 1883\nlistener 1885 ::1\nlistener 9001 localhost\n\
         protocol websockets\nlistener 1886\nsocket_domain ipv4\nallow_anonymous true\n",
    );
    let config = site.read("out/bastionmq.toml");
    for url in [
        "mqtt://127.0.0.1:1884",
        "mqtt://[::]:1883",
        "mqtt://[::1]:1885",
        "ws://localhost:9001",
        "mqtt://0.0.0.0:1886",
    ] {
        assert!(config.contains(&format!("url = \"{url}\"")), "{url}\n{config}");
    }
    assert_eq!(config.matches("plaintext = \"i-understand\"").count(), 2, "{config}");
    assert!(out.contains("mosquitto.conf:3: note: mqtt://[::]:1883\n    without TLS"), "{out}");
    assert_eq!(site.check().code, Some(0), "{:?}", site.check());
}

#[test]
fn certificates_and_the_users_that_they_name_are_taken_over() {
    let site = Site::new(
        "listener 8883 127.0.0.1\ncertfile certs/server.crt\nkeyfile certs/server.key\n\
         cafile certs/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n\
         tls_version tlsv1.3\nacl_file acl\n\
         listener 8884 127.0.0.1\ncertfile certs/server.crt\nkeyfile certs/server.key\n\
         cafile certs/ca.crt\nrequire_certificate true\npassword_file passwd\n",
    );
    for arguments in [
        &["certs", "init", "--dir", "certs"][..],
        &["certs", "server", "--name", "localhost", "--dir", "certs"],
    ] {
        assert_eq!(site.run(arguments).code, Some(0));
    }
    site.write("acl", "user lamp\ntopic write lamps/lamp\n");
    site.write("passwd", CAROL.replace("carol", "lamp"));
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    let config = site.read("out/bastionmq.toml");
    let (named, gate) = config.split_at(config.rfind("[[listener]]").unwrap());
    for text in [
        "client_auth = \"required\"",
        "/certs/ca.crt\"",
        "client_identity = \"cn\"",
        "tls_min_version = \"1.3\"",
        "authenticators = [\"certificate\"]",
    ] {
        assert!(named.contains(text), "{text}\n{config}");
    }
    // Without use_identity_as_username a certificate lets in, and the password says who it is.
    assert!(gate.contains("authenticators = [\"password\"]"), "{config}");
    assert!(site.read("out/policy.toml").contains("certificates = [\"lamp\"]"));
    assert_eq!(site.check().code, Some(0), "{:?}", site.check());
}

#[test]
fn listeners_that_let_in_others_keep_to_that() {
    let site = Site::new(
        "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\nacl_file acl\n\
         listener 1884 127.0.0.1\npassword_file passwd\nacl_file acl\n\
         listener 1885 127.0.0.1\nacl_file other\nallow_anonymous true\n",
    );
    site.write("acl", "topic read news\n");
    site.write("passwd", CAROL);
    let said = site.import("mosquitto.conf", &[]);
    let config = site.read("out/bastionmq.toml");
    let (first, second) = config.split_at(config.rfind("[[listener]]").unwrap());
    assert!(first.contains("authenticators = [\"password\", \"anonymous\"]"), "{config}");
    assert!(second.contains("authenticators = [\"password\"]"), "{config}");
    assert!(said.out.contains("mosquitto.conf:9: no counterpart: other\n"), "{said:?}");
    assert!(!config.contains("1885"), "{config}");
    assert_eq!(site.check().code, Some(0), "{:?}", site.check());
}

#[test]
fn a_listener_that_would_be_open_without_its_keys_is_left_out() {
    let (site, out) = imported("listener 1883 127.0.0.1\nlistener 8883\npsk_hint x\npsk_file y\n");
    assert!(!site.read("out/bastionmq.toml").contains("8883"));
    assert!(out.contains("mosquitto.conf:2: no counterpart: a listener with PSK"), "{out}");
}

#[test]
fn other_plugins_and_unknown_settings_are_told() {
    let (_, out) = imported(
        "listener 1883 127.0.0.1\nauth_plugin /lib/go-auth.so\nauth_opt_pg_password hush\nfrobnicate 1\n",
    );
    assert!(
        out.contains("mosquitto.conf:2: no counterpart: auth_plugin /lib/go-auth.so\n"),
        "{out}"
    );
    assert!(out.contains("mosquitto.conf:4: no counterpart: frobnicate 1\n"), "{out}");
    assert!(!out.contains("hush"), "{out}");
}

#[test]
fn a_user_whose_password_cannot_be_checked_is_left_out_and_told() {
    let site = Site::new("listener 1883 127.0.0.1\npassword_file passwd\n");
    site.write("passwd", format!("ann:plain-canary\nbob\n# x\n{CAROL}"));
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("passwd:1: no counterpart: the password of user ann\n"), "{said:?}");
    assert!(said.out.contains("passwd:2: no counterpart: a line without a password\n"), "{said:?}");
    assert!(!said.out.contains("canary") && !site.read("out/passwords").contains("canary"));
    assert!(site.read("out/passwords").contains("carol:$6$"));
}
