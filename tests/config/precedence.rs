//! Flag before variable before file before default.

use bastionmq::{
    clock::Now,
    config::{Flags, Loaded, Sources},
};

use crate::site::{PLAIN, Site, complaints};

const LEVEL: (&str, &str) = ("BASTIONMQ_LOG_LEVEL", "warn");

fn level(site: &Site, environment: &[(&str, &str)], flags: Flags) -> String {
    let loaded = Loaded::load(&site.sources(environment, flags)).unwrap();
    loaded.config.log.level.to_string()
}

#[test]
fn a_flag_counts_before_a_variable_before_the_file_before_the_default() {
    let flags = || Flags { log_level: Some("trace".to_owned()), ..Flags::default() };
    let (bare, file) = (Site::new(""), Site::new("[log]\nlevel = \"error\"\n"));
    assert_eq!(level(&bare, &[], Flags::default()), "info");
    assert_eq!(level(&file, &[], Flags::default()), "error");
    assert_eq!(level(&file, &[LEVEL], Flags::default()), "warn");
    assert_eq!(level(&file, &[LEVEL], flags()), "trace");
}

#[test]
fn variables_are_read_as_the_type_of_their_setting() {
    let site = Site::new(PLAIN);
    let environment = [
        ("BASTIONMQ_MQTT_MAX_PACKET_SIZE", "2048"),
        ("BASTIONMQ_AUTH_ALLOW_ANONYMOUS", "false"),
        // A file name that looks like a number is a file name all the same.
        ("BASTIONMQ_AUTH_PASSWORD_FILE", "42"),
        ("BASTIONMQ_BROKER_SHARED_SUBSCRIPTIONS", "round-robin"),
        ("BASTIONMQ_ADMIN_ADDRESS", "off"),
    ];
    let config = Loaded::load(&site.sources(&environment, Flags::default())).unwrap().config;
    assert_eq!(config.mqtt.max_packet_size.get(), 2048);
    assert!(!config.auth.allow_anonymous);
    assert_eq!(config.auth.password_file, Some("42".into()));
    assert_eq!(config.broker.shared_subscriptions, bastionmq::broker::ShareStrategy::RoundRobin);
    assert_eq!(config.admin.address, bastionmq::admin::Address::Off);
}

#[test]
fn a_bad_value_names_the_variable_or_the_flag_that_it_came_by() {
    let site = Site::new(PLAIN);
    let flags = Flags { admin: Some("here".to_owned()), ..Flags::default() };
    let environment = [("BASTIONMQ_MQTT_MAX_INFLIGHT", "many")];
    let said = complaints(&site, Loaded::load(&site.sources(&environment, flags)));
    assert_eq!(
        said[0],
        "BASTIONMQ_MQTT_MAX_INFLIGHT: `mqtt.max_inflight` is \"many\"; a whole number from 1 to \
         65535 is needed"
    );
    assert!(said[1].starts_with("--admin: `admin.address`: `here` is no address"), "{said:?}");
}

#[test]
fn the_file_may_be_named_by_a_variable_and_a_flag_counts_before_it() {
    let (one, other) =
        (Site::new("[log]\nlevel = \"error\"\n"), Site::new("[log]\nlevel = \"off\"\n"));
    let variable = ("BASTIONMQ_CONFIG".into(), one.config().into_os_string());
    let mut sources = Sources { environment: vec![variable], ..Sources::default() };
    assert_eq!(Loaded::load(&sources).unwrap().config.log.level.as_str(), "error");
    sources.file = Some(other.config());
    assert_eq!(Loaded::load(&sources).unwrap().config.log.level.as_str(), "off");
}

#[test]
fn without_a_file_variables_are_enough() {
    let site = Site::new("");
    let policy = site.home().join("policy.toml");
    let variables = [
        ("BASTIONMQ_LISTEN", "mqtt://127.0.0.1:0,mqtt://[::1]:0"),
        ("BASTIONMQ_ACL_POLICY_FILE", policy.to_str().unwrap()),
        ("BASTIONMQ_AUTH_ALLOW_ANONYMOUS", "true"),
    ];
    let mut sources = site.sources(&variables, Flags::default());
    sources.file = None;
    let resolved = Loaded::load(&sources).unwrap().resolve(Now::read()).unwrap();
    assert_eq!(resolved.listeners.len(), 2);
}

#[test]
fn paths_are_relative_to_the_file_that_they_stand_in() {
    let site = Site::new(
        "[[listener]]\nurl = \"mqtts://127.0.0.1:0\"\ntls_cert = \"a\"\ntls_key = \"/b\"\n\
         client_ca = \"c\"\n[auth]\npassword_file = \"d\"\n[acl]\npolicy_file = \"e\"\n",
    );
    let config = site.load().unwrap().config;
    let [listener] = config.listener.as_slice() else { panic!("{config:?}") };
    assert_eq!(listener.tls_cert, Some(site.home().join("a")));
    assert_eq!(listener.tls_key, Some("/b".into()));
    assert_eq!(listener.client_ca, Some(site.home().join("c")));
    assert_eq!(config.auth.password_file, Some(site.home().join("d")));
    assert_eq!(config.acl.policy_file, Some(site.home().join("e")));
}

#[test]
fn what_is_shown_is_the_configuration_again_and_says_where_it_was_written() {
    let site = Site::new(&format!("{PLAIN}[mqtt]\nmax_inflight = 7\n"));
    let loaded = Loaded::load(&site.sources(&[LEVEL], Flags::default())).unwrap();
    let shown = loaded.to_string();
    assert!(shown.contains("level = \"warn\"  # BASTIONMQ_LOG_LEVEL\n"), "{shown}");
    assert!(shown.contains("max_inflight = 7  # "), "{shown}");
    assert!(shown.contains("bastionmq.toml:8\n"), "{shown}");
    assert!(shown.contains("\nreceive_maximum = 256\n"), "{shown}");
    assert!(shown.contains("\n# password_file is not set\n"), "{shown}");

    site.write("bastionmq.toml", &shown);
    assert_eq!(site.load().unwrap().config, loaded.config);
}
