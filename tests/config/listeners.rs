//! Listeners: what they need, what they may not, and what replaces them.

use bastionmq::{
    clock::Now,
    config::{Flags, Loaded},
    net::WebSocketSettings,
    tls::ClientAuth,
    unix::{SocketMode, accounts},
};

use crate::site::{PLAIN, Site, complaint, complaints};

const REST: &str = "[acl]\npolicy_file = \"policy.toml\"\n[auth]\nallow_anonymous = true\n";
const TLS: &str = "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\ntls_cert = \"certs/server.crt\"\n\
    tls_key = \"certs/server.key\"\nclient_auth = \"optional\"\nclient_ca = \"certs/ca.crt\"\n";

fn listen(urls: &[&str]) -> Flags {
    Flags { listen: urls.iter().map(ToString::to_string).collect(), ..Flags::default() }
}

#[test]
fn a_configuration_without_listener_policy_or_login_is_told_all_three() {
    let site = Site::new("");
    let said = complaints(&site, site.resolve());
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("there is no listener: add [[listener]]"), "{said:#?}");
    assert!(said[1].starts_with("there is no policy"), "{said:#?}");
    assert!(said[2].starts_with("nobody could log in"), "{said:#?}");
}

#[test]
fn plaintext_off_loopback_wants_consent() {
    for url in [
        "mqtt://0.0.0.0:0",
        "mqtt://[::]:0",
        "mqtt://192.0.2.1",
        "mqtt://[::ffff:10.0.0.1]",
        "ws://0.0.0.0:0",
    ] {
        let listener = format!("[[listener]]\nurl = \"{url}\"\n");
        let said = complaint(&format!("{listener}{REST}"));
        assert!(said.starts_with(&format!("bastionmq.toml:2: {url}")), "{said}");
        assert!(said.contains("plaintext = \"i-understand\""), "{said}");
        let consenting = format!("{listener}plaintext = \"i-understand\"\n{REST}");
        assert!(Site::new(&consenting).resolve().is_ok(), "{url}");
    }
}

#[test]
fn plaintext_on_loopback_wants_none() {
    for url in ["mqtt://127.0.0.1:0", "ws://localhost:0", "mqtt://[::1]:0", "mqtt://127.9.9.9:0"] {
        let site = Site::new(&format!("[[listener]]\nurl = \"{url}\"\n{REST}"));
        assert!(site.resolve().is_ok(), "{url}");
    }
}

#[test]
fn consent_in_other_words_is_none() {
    let said = complaint(&format!("[[listener]]\nurl = \"mqtt://[::]\"\nplaintext = true\n{REST}"));
    assert!(said.starts_with("bastionmq.toml:3: `listener.plaintext`"), "{said}");
    let said =
        complaint(&format!("[[listener]]\nurl = \"mqtt://[::]\"\nplaintext = \"yes\"\n{REST}"));
    assert!(said.contains("`i-understand`"), "{said}");
}

#[test]
fn a_tls_listener_needs_certificate_and_key() {
    let site = Site::new(&format!("[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\n{REST}"));
    let said = complaints(&site, site.resolve());
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("bastionmq.toml:2: mqtts://127.0.0.1:0 is TLS"), "{said:#?}");
    assert!(said[0].contains("`tls_cert` is not set (--tls-cert)"), "{said:#?}");
    assert!(said[1].contains("`tls_key` is not set (--tls-key)"), "{said:#?}");
}

#[test]
fn a_tls_listener_with_all_it_needs_is_ready() {
    let resolved = Site::with_certificates(&format!("{TLS}{REST}")).resolve().unwrap();
    let [listener] = resolved.listeners.as_slice() else { panic!("{resolved:?}") };
    assert!(listener.tls.is_some());
    assert_eq!(listener.client_auth, ClientAuth::Optional);
    assert_eq!(resolved.warnings, [""; 0]);
}

#[test]
fn a_setting_that_means_nothing_for_its_listener_is_an_error() {
    for (key, value) in [
        ("tls_cert", "a.pem"),
        ("tls_key", "a.pem"),
        ("client_ca", "a.pem"),
        ("client_auth", "required"),
        ("client_identity", "cn"),
        ("tls_min_version", "1.3"),
        ("websocket_path", "/mqtt"),
        ("websocket_origins", "https://app.example.com"),
    ] {
        let said = complaint(&format!(
            "[[listener]]\nurl = \"mqtt://[::1]:0\"\n{key} = \"{value}\"\n{REST}"
        ));
        assert!(said.starts_with(&format!("bastionmq.toml:3: `{key}` means nothing")), "{said}");
    }
    let site = Site::with_certificates(&format!("{TLS}plaintext = \"i-understand\"\n{REST}"));
    let said = complaints(&site, site.resolve());
    assert!(said[0].starts_with("bastionmq.toml:7: `plaintext` means nothing"), "{said:?}");
}

#[test]
fn r16_a_listener_behind_a_proxy_says_which_proxy_that_is() {
    let with = |keys: &str| format!("[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n{keys}{REST}");
    let keys = "proxy_protocol = true\nproxy_from = [\"10.0.0.0/8\", \"fd00::1\"]\n";
    let resolved = Site::new(&with(keys)).resolve().unwrap();
    let proxy = resolved.listeners[0].proxy.clone().unwrap();
    assert!(proxy.from.contain("10.1.2.3".parse().unwrap()) && !proxy.certificates);
    assert_eq!(Site::new(&with("")).resolve().unwrap().listeners[0].proxy, None);
    for (keys, at, text) in [
        ("proxy_protocol = true\n", 3, "`proxy_protocol` needs `proxy_from`"),
        ("proxy_protocol = true\nproxy_from = []\n", 3, "`proxy_protocol` needs `proxy_from`"),
        ("proxy_from = [\"10.0.0.1\"]\n", 3, "has no effect without `proxy_protocol = true`"),
        ("proxy_certificates = true\n", 3, "has no effect without `proxy_protocol = true`"),
        ("proxy_protocol = true\nproxy_from = [\"0.0.0.0/0\"]\n", 4, "it would be everybody"),
        ("proxy_protocol = true\nproxy_from = [\"10.0.0.1/8\"]\n", 4, "\"10.0.0.1/8\" is neither"),
        ("proxy_protocol = true\nproxy_from = [7]\n", 4, "a list of addresses such as"),
    ] {
        let said = complaint(&with(keys));
        assert!(said.starts_with(&format!("bastionmq.toml:{at}: ")), "{keys}: {said}");
        assert!(said.contains(text), "{keys}: {said}");
    }
}

#[test]
fn a_unix_socket_has_no_proxy_in_front() {
    let keys = "proxy_protocol = true\n";
    let site =
        Site::new(&format!("[[listener]]\nurl = \"unix:///no/where/mqtt.sock\"\n{keys}{REST}"));
    let said = complaints(&site, site.resolve());
    let of_proxy: Vec<_> = said.iter().filter(|line| line.contains("proxy")).collect();
    assert_eq!(of_proxy.len(), 1, "{said:?}");
    assert!(of_proxy[0].contains("`proxy_protocol` means nothing for unix://"), "{said:?}");
}

#[test]
fn one_certificate_names_a_client_and_not_two() {
    let proxy = "proxy_protocol = true\nproxy_from = [\"10.0.0.1\"]\nproxy_certificates = true\n";
    let site = Site::with_certificates(&format!("{TLS}{proxy}{REST}"));
    let said = complaints(&site, site.resolve());
    assert!(said[0].contains("and `client_auth` by the one that is shown here"), "{said:?}");
}

#[test]
fn where_a_proxy_is_believed_its_clients_may_log_in_by_certificate_alone() {
    let proxy = "proxy_protocol = true\nproxy_from = [\"10.0.0.1\"]\nproxy_certificates = true\n";
    let certificate = "authenticators = [\"certificate\"]\n";
    let rest = "[acl]\npolicy_file = \"policy.toml\"\n";
    let with = |keys: &str| format!("[[listener]]\nurl = \"ws://127.0.0.1:0\"\n{keys}{rest}");
    assert!(Site::new(&with(&format!("{proxy}{certificate}"))).resolve().is_ok());
    assert!(Site::new(&with(proxy)).resolve().is_ok());
    let site = Site::new(&with(&proxy.replace("proxy_certificates = true\n", "")));
    assert!(complaints(&site, site.resolve())[0].starts_with("nobody could log in"));
}

#[test]
fn a_websocket_listener_has_a_path_and_origins() {
    let listener = "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n";
    let resolved = Site::new(&format!("{listener}{REST}")).resolve().unwrap();
    let default = resolved.listeners[0].websocket.clone().unwrap();
    assert_eq!(default, WebSocketSettings::default());
    assert_eq!(default.path.as_str(), "/mqtt");
    let keys = "websocket_path = \"/\"\nwebsocket_origins = [\"https://app.example.com\"]\n";
    let resolved = Site::new(&format!("{listener}{keys}{REST}")).resolve().unwrap();
    let settings = resolved.listeners[0].websocket.clone().unwrap();
    assert_eq!(settings.path.as_str(), "/");
    assert!(settings.origins.admit("https://app.example.com"));
    assert!(!settings.origins.admit("https://evil.example"));
    let plain = Site::new(PLAIN).resolve().unwrap();
    assert_eq!(plain.listeners[0].websocket, None);
}

#[test]
fn a_path_or_origin_that_is_none_is_an_error() {
    for (key, value, wanted) in [
        ("websocket_path", "\"mqtt\"", "begins with `/`"),
        ("websocket_path", "7", "a text in quotes is needed"),
        ("websocket_origins", "[\"app.example.com\"]", "is no origin"),
        ("websocket_origins", "[\"https://app.example.com/page\"]", "is no origin"),
        ("websocket_origins", "[7]", "a list of origins such as"),
    ] {
        let said = complaint(&format!(
            "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n{key} = {value}\n{REST}"
        ));
        assert!(said.starts_with(&format!("bastionmq.toml:3: `listener.{key}`")), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn listen_flags_and_variables_reach_the_listeners_that_they_mean() {
    let ws = "[[listener]]\nurl = \"ws://127.0.0.1:0\"\nwebsocket_path = \"/a\"\n";
    let site = Site::with_certificates(&format!("{TLS}{ws}{REST}"));
    let flags = listen(&["wss://127.0.0.1:0", "mqtts://127.0.0.1:0", "ws://127.0.0.1:0"]);
    let variables = [("BASTIONMQ_WEBSOCKET_ORIGINS", "https://a.example, https://b.example")];
    let loaded = Loaded::load(&site.sources(&variables, flags)).unwrap();
    let resolved = loaded.resolve(Now::read()).unwrap();
    let [wss, mqtts, ws] = resolved.listeners.as_slice() else { panic!("{resolved:?}") };
    assert!(wss.tls.is_some() && mqtts.tls.is_some() && ws.tls.is_none());
    assert_eq!(mqtts.websocket, None);
    for listener in [wss, ws] {
        let settings = listener.websocket.as_ref().unwrap();
        assert_eq!(settings.path.as_str(), "/a");
        assert!(settings.origins.admit("https://b.example"));
    }
    let sources = Site::new(PLAIN);
    let sources = sources.sources(&[("BASTIONMQ_WEBSOCKET_PATH", "/a")], Flags::default());
    let said = Loaded::load(&sources).unwrap_err().to_string();
    assert!(said.contains("there is no ws:// or wss:// listener to set"), "{said}");
}

#[test]
fn a_listener_without_url_is_an_error() {
    let said = complaint(&format!("[[listener]]\nclient_auth = \"off\"\n{REST}"));
    assert!(said.starts_with("bastionmq.toml:2: listener 1 has no `url`"), "{said}");
}

#[test]
fn a_name_that_nobody_knows_is_an_error() {
    let said = complaint(&format!("[[listener]]\nurl = \"mqtt://nowhere.invalid\"\n{REST}"));
    assert!(said.contains("cannot find the address of mqtt://nowhere.invalid:1883"), "{said}");
}

#[test]
fn two_listeners_at_one_address_are_an_error_and_two_at_port_0_are_not() {
    let listener = |port| format!("[[listener]]\nurl = \"mqtt://127.0.0.1:{port}\"\n");
    let twice = |port| format!("{}{}{REST}", listener(port), listener(port));
    let said = complaint(&twice(1883));
    assert!(said.starts_with("two listeners at one address"), "{said}");
    assert_eq!(Site::new(&twice(0)).resolve().unwrap().listeners.len(), 2);
}

#[test]
fn listen_flags_replace_the_listeners_of_the_file_and_take_over_their_tls() {
    let site = Site::with_certificates(&format!("{TLS}{REST}"));
    let flags = listen(&["mqtt://127.0.0.1:0", "mqtts://[::1]:0"]);
    let loaded = Loaded::load(&site.sources(&[], flags)).unwrap();
    let resolved = loaded.resolve(Now::read()).unwrap();
    let urls: Vec<_> = resolved.listeners.iter().map(|each| each.url.to_string()).collect();
    assert_eq!(urls, ["mqtt://127.0.0.1:0", "mqtts://[::1]:0"]);
    assert!(resolved.listeners[0].tls.is_none());
    assert!(resolved.listeners[1].tls.is_some());
    assert_eq!(resolved.listeners[1].client_auth, ClientAuth::Optional);
}

#[test]
fn a_listen_flag_does_not_take_over_consent_to_plaintext() {
    let site = Site::new(&format!(
        "[[listener]]\nurl = \"mqtt://[::]:0\"\nplaintext = \"i-understand\"\n{REST}"
    ));
    let sources = site.sources(&[], listen(&["mqtt://0.0.0.0:0"]));
    let said = complaints(&site, Loaded::load(&sources).unwrap().resolve(Now::read()));
    assert!(
        said[0].starts_with("--listen: mqtt://0.0.0.0:0 is plain TCP off loopback"),
        "{said:?}"
    );
}

#[test]
fn certificate_flags_count_before_the_file() {
    let site = Site::new(&format!("{TLS}{REST}"));
    let flags = Flags { tls_cert: Some("other.crt".to_owned()), ..Flags::default() };
    let sources = site.sources(&[("BASTIONMQ_TLS_KEY", "other.key")], flags);
    let config = Loaded::load(&sources).unwrap().config;
    assert_eq!(config.listener[0].tls_cert, Some("other.crt".into()));
    assert_eq!(config.listener[0].tls_key, Some("other.key".into()));
}

#[test]
fn a_tls_setting_without_a_tls_listener_is_an_error() {
    let site = Site::new(PLAIN);
    let sources = site.sources(&[("BASTIONMQ_CLIENT_AUTH", "required")], Flags::default());
    let said = complaints(&site, Loaded::load(&sources));
    assert_eq!(said, ["BASTIONMQ_CLIENT_AUTH: there is no mqtts:// or wss:// listener to set"]);
}

#[test]
fn the_administrative_port_stays_on_loopback() {
    for address in ["0.0.0.0:9883", "[::]:9883", "192.0.2.1:9883"] {
        let said = complaint(&format!("{PLAIN}[admin]\naddress = \"{address}\"\n"));
        assert!(said.starts_with("bastionmq.toml:8: `admin.address` is"), "{said}");
    }
    let off = Site::new(&format!("{PLAIN}[admin]\naddress = \"off\"\n")).resolve().unwrap();
    assert_eq!(off.admin, None);
}

/// What is said to a Unix listener in a directory of the test, with these keys.
fn of_unix(keys: &str) -> Result<bastionmq::config::Resolved, String> {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("unix://{}/run/mqtt.sock", directory.path().display());
    let site = Site::new(&format!(
        "[[listener]]\nurl = \"{url}\"\n{keys}\n[acl]\npolicy_file = \"policy.toml\"\n"
    ));
    let resolved = site.resolve();
    assert!(!directory.path().join("run").exists(), "the check has made something");
    resolved.map_err(|error| error.to_string())
}

#[test]
fn a_unix_listener_is_login_enough_and_lets_in_its_own_user() {
    let resolved = of_unix("").unwrap();
    let unix = &resolved.listeners[0].unix;
    assert_eq!(unix.mode, SocketMode::OWNER);
    assert_eq!(unix.access.uids, [accounts::own_uid()].into());
    assert!(unix.access.gids.is_empty() && unix.access.executables.is_empty());
    assert_eq!(resolved.listeners[0].authenticators.to_string(), "unix");
    assert_eq!(resolved.warnings, [""; 0]);
}

#[test]
fn names_of_users_and_groups_become_numbers() {
    let keys = "unix_group = \"root\"\nunix_allow_users = [\"root\"]\nunix_allow_uids = [7, 8]\n\
                unix_allow_executables = [\"/proc/self/exe\"]\nunix_allow_processes = [\"gateway\"]";
    let unix = of_unix(keys).unwrap().listeners[0].unix.clone();
    assert_eq!((unix.mode, unix.gid), (SocketMode::GROUP, Some(0)));
    assert_eq!(unix.access.uids, [0, 7, 8].into());
    // Whoever is listed is all who is let in.
    assert!(unix.access.gids.is_empty());
    assert_eq!(unix.access.executables, [std::env::current_exe().unwrap()].into());
    assert_eq!(unix.access.processes, ["gateway".to_owned()].into());
    let unix = of_unix("unix_group = \"root\"").unwrap().listeners[0].unix.clone();
    assert_eq!(unix.access.gids, [0].into());
}

#[test]
fn what_a_unix_listener_cannot_mean_is_told() {
    for (keys, complaint) in [
        ("unix_group = \"no such group\"", "this machine has no group \"no such group\""),
        ("unix_allow_users = [\"root\", \"no such user\"]", "no user \"no such user\""),
        ("unix_allow_groups = [\"no such group\"]", "no group \"no such group\""),
        ("unix_allow_executables = [\"sh\"]", "\"sh\" is no absolute path"),
        ("unix_allow_executables = [\"/no/such\"]", "cannot find \"/no/such\""),
        ("unix_allow_processes = [\"\"]", "a process has a name"),
        ("unix_allow_processes = [\"a\\nb\"]", "holds a control character"),
        ("unix_allow_processes = [\"sixteen-letters-\"]", "longer than the 15 bytes"),
        ("unix_mode = \"0777\"", "\"0777\" is no mode of a socket"),
        ("unix_allow_uids = [-1]", "a list of such values is needed"),
        ("plaintext = \"i-understand\"", "`plaintext` means nothing"),
        ("tls_cert = \"a\"", "`tls_cert` means nothing"),
        ("websocket_path = \"/a\"", "`websocket_path` means nothing"),
        ("authenticators = [\"anonymous\"]", "`authenticators` has \"anonymous\""),
    ] {
        let said = of_unix(keys).unwrap_err();
        assert!(said.contains("bastionmq.toml:3: ") && said.contains(complaint), "{said}");
    }
    let said = complaint(&format!(
        "[[listener]]\nurl = \"mqtt://[::1]:0\"\nunix_allow_uids = [1]\n{REST}"
    ));
    assert!(said.contains("it is for unix:// listeners"), "{said}");
    let said = complaint(&format!(
        "[[listener]]\nurl = \"mqtt://[::1]:0\"\nauthenticators = [\"unix\"]\n{REST}"
    ));
    assert!(said.contains("only at a unix:// listener"), "{said}");
}

#[test]
fn a_unix_listener_that_nobody_could_reach_is_warned_of() {
    for (keys, warnings) in [
        ("unix_allow_users = [\"root\"]", 0),
        ("unix_allow_uids = [4242]", 1),
        ("unix_allow_uids = [4242]\nunix_mode = \"0666\"", 0),
        ("unix_allow_groups = [\"root\"]", 1),
        ("unix_allow_groups = [\"root\"]\nunix_group = \"root\"", 0),
    ] {
        assert_eq!(of_unix(keys).unwrap().warnings.len(), warnings, "{keys}");
    }
}

#[test]
fn a_directory_that_a_socket_cannot_be_in_is_told_before_the_start() {
    let said = complaint(&format!("[[listener]]\nurl = \"unix:///tmp/mqtt.sock\"\n{REST}"));
    assert!(said.contains("bastionmq.toml:2: everybody may write to /tmp"), "{said}");
    let said = complaint(&format!("[[listener]]\nurl = \"unix:///no/such/mqtt.sock\"\n{REST}"));
    assert!(said.contains("there is no directory /no: make it first"), "{said}");
}

#[test]
fn a_rule_about_a_listener_that_does_not_exist_is_warned_of() {
    const POLICY: &str = "[[role]]\nname = \"open\"\n\
        rules = [{ allow = [\"publish\"], topics = [\"#\"] }]\n\
        [[assign]]\neveryone = true\nlisteners = [\"mqtt://127.0.0.1:1884\"]\nroles = [\"open\"]\n";
    for (url, is_warned) in [
        ("mqtt://127.0.0.1:1883", true),
        ("mqtt://localhost:1884", false),
        // Which port it gets nobody knows.
        ("mqtt://127.0.0.1:0", false),
    ] {
        let site = Site::new(&format!("[[listener]]\nurl = \"{url}\"\n{REST}"));
        site.write("policy.toml", POLICY);
        let warnings = site.resolve().expect("it holds").warnings;
        let says = |warning: &String| {
            warning.contains("policy.toml: line 4") && warning.contains("mqtt://127.0.0.1:1884")
        };
        assert_eq!(warnings.iter().any(says), is_warned, "{url}: {warnings:?}");
    }
}
