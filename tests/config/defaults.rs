//! `bastionmq.toml`: the whole configuration, every value its default.

use std::path::Path;

use bastionmq::{
    config::{Config, Loaded, ResolvedListener, Sources},
    net::{BindAddress, ListenerSettings},
};
use toml::Table;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(file: &str) -> Loaded {
    let file = Some(root().join(file));
    Loaded::load(&Sources { file, ..Sources::default() }).unwrap()
}

#[test]
fn every_value_of_the_commented_configuration_is_its_default() {
    let mut config = load("bastionmq.toml").config;
    assert_eq!(config.acl.policy_file.take(), Some(root().join("acl/policy.toml")));
    for listener in std::mem::take(&mut config.listener) {
        let ListenerSettings { url, tls_cert, tls_key, .. } = listener.clone();
        assert!(url.is_some());
        assert_eq!(listener, ListenerSettings { url, tls_cert, tls_key, ..Default::default() });
    }
    assert_eq!(config, Config::default());
}

#[test]
fn every_key_appears_in_the_commented_configuration() {
    let text = std::fs::read_to_string(root().join("bastionmq.toml")).unwrap();
    let shown = load("bastionmq.toml").to_string();
    let mut section = "";
    let mut keys = 0;
    for line in shown.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            section = line;
            assert!(text.contains(section), "{section}");
            continue;
        }
        let key = line.trim_start_matches("# ").split(' ').next().unwrap();
        let written = |start: &str| text.lines().any(|line| line.starts_with(start));
        assert!(
            written(&format!("{key} = ")) || written(&format!("# {key} = ")),
            "{key} of {section}"
        );
        keys += 1;
    }
    assert!(keys > 30, "{shown}");
}

#[test]
fn what_is_commented_out_would_be_understood() {
    let text = std::fs::read_to_string(root().join("bastionmq.toml")).unwrap();
    let is_setting = |line: &str| {
        let is_key = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        is_key || ["[[listener]]", "[[throttle]]", "[[sentinel.rule]]"].contains(&line)
    };
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let table: Table = uncommented.parse().unwrap();
    assert!(table["auth"].get("password_file").is_some());
    let site = crate::site::Site::new(&uncommented);
    let listeners = site.load().unwrap().config.listener;
    assert!(listeners[0].client_ca.is_some() && listeners[1].plaintext.is_some());
    assert!(!listeners[3].unix_allow_executables.is_empty());
}

#[test]
fn the_configurations_of_suites_let_everybody_in_on_loopback_alone() {
    for file in ["open", "paho"] {
        let loaded = load(&format!("tests/configs/{file}.toml"));
        let resolved = loaded.resolve(bastionmq::clock::Now::read()).unwrap();
        assert!(resolved.auth.allow_anonymous, "{file}");
        let is_local = |listener: &ResolvedListener| matches!(listener.address, BindAddress::Tcp(address) if address.ip().is_loopback());
        assert!(resolved.listeners.iter().all(is_local), "{file}");
        assert_eq!(resolved.admin.map(|address| address.port()), Some(0), "{file}");
        assert_eq!(resolved.warnings, [""; 0], "{file}");
    }
}
