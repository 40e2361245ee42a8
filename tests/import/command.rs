//! The command: what it writes, what it says, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::site::Site;

const MAP: [&str; 2] = ["--map", "/mosquitto/config=."];
const SMALL: &str = "listener 1883 127.0.0.1\nallow_anonymous true\nacl_file acl\n";

fn small() -> Site {
    let site = Site::new(SMALL);
    site.write("acl", "topic read news/#\n");
    site
}

#[test]
fn what_is_all_translated_is_exit_code_0() {
    let site = small();
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("0 without a counterpart"), "{said:?}");
    assert_eq!(site.check().code, Some(0), "{:?}", site.check());
}

#[test]
fn what_has_no_counterpart_is_told_with_its_line_and_what_to_do() {
    let site = Site::recorded();
    let said = site.import("mosquitto.conf", &MAP);
    assert_eq!((said.code, &*said.err), (Some(1), ""), "{said:?}");
    for told in [
        "mosquitto.conf:4: no counterpart: persistence true\n    retained messages and sessions",
        "mosquitto.conf:6: note: log_dest file /var/log/mosquitto/mosquitto.log\n    it is written as JSON",
        "mosquitto.conf:3: note: pid_file /run/mosquitto/mosquitto.pid\n    ",
        "mosquitto.conf:14: note: message_size_limit 100000\n    ",
        "conf.d/20-bridge.conf:1: no counterpart: connection cloud\n    there are no bridges",
        "2 without a counterpart, ",
    ] {
        assert!(said.out.contains(told), "{told}\n{}", said.out);
    }
    let check = site.check();
    assert_eq!((check.code, &*check.err), (Some(0), ""), "{check:?}");
    for line in [
        "max_inflight = 40  # out/bastionmq.toml:",
        "receive_maximum = 40",
        "max_packet_size = 166560",
        "max_keep_alive_seconds = 600",
        "max_session_expiry_seconds = 1209600",
        "max_queued_messages = 500",
        "max_connections = 100000",
        "sys_interval_seconds = 30",
        "level = \"warn\"",
        "targets = [\"file\"]",
        "file = \"/var/log/mosquitto/mosquitto.log\"",
        "allow_anonymous = true",
        "url = \"ws://localhost:8080\"",
        "websocket_origins = [\"https://app.example.com\"]",
    ] {
        assert!(check.out.contains(line), "{line}\n{}", check.out);
    }
}

#[test]
fn r24_secrets_of_the_configuration_are_neither_shown_nor_written() {
    let site = Site::recorded();
    let said = site.import("mosquitto.conf", &MAP);
    let files = ["bastionmq.toml", "policy.toml", "passwords"]
        .map(|name| site.read(&format!("out/{name}")));
    for text in files.iter().chain([&said.out, &said.err]) {
        assert!(!text.contains("a-canary"), "{text}");
    }
    assert!(!said.out.contains("$7$") && !said.err.contains("$7$"), "{said:?}");
}

#[test]
fn r04_files_are_for_their_owner_only() {
    let site = Site::recorded();
    assert_eq!(site.import("mosquitto.conf", &MAP).code, Some(1));
    let mode = |name: &str| fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("out"), 0o700);
    for name in ["out/bastionmq.toml", "out/policy.toml", "out/passwords"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn nothing_is_overwritten_unless_it_is_forced() {
    let site = small();
    fs::create_dir(site.path("out")).unwrap();
    site.write("out/policy.toml", "mine");
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("out/policy.toml exists already"), "{said:?}");
    assert!(!site.path("out/bastionmq.toml").exists());
    assert_eq!(site.read("out/policy.toml"), "mine");
    assert_eq!(site.import("mosquitto.conf", &["--force"]).code, Some(0));
    assert!(site.read("out/policy.toml").contains("news/#"));
}

#[test]
fn u13_what_is_overwritten_stays_beside_it() {
    let site = small();
    assert_eq!(site.import("mosquitto.conf", &[]).code, Some(0));
    assert!(!site.path("out/policy.toml~").exists());
    let config = site.read("out/bastionmq.toml");
    site.write("out/policy.toml", "mine");
    assert_eq!(site.import("mosquitto.conf", &["--force"]).code, Some(0));
    assert_eq!(site.read("out/policy.toml~"), "mine");
    assert_eq!(site.read("out/bastionmq.toml~"), config);
}

#[test]
fn u13_on_a_full_disk_nothing_is_written() {
    let site = Site::recorded();
    assert_eq!(site.import("mosquitto.conf", &MAP).code, Some(1));
    let files = || {
        let entries = fs::read_dir(site.path("out")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    // The smaller ones of the three files fit, and are staged first.
    for kib in [0, 1] {
        let said =
            site.import_on_a_full_disk(kib, "mosquitto.conf", &[&MAP[..], &["--force"]].concat());
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("cannot write out/"), "{said:?}");
        assert_eq!(files(), before);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it_and_nothing_is_written() {
    for (configuration, told) in [
        ("listener 1883\nacl_file missing\n", "mosquitto.conf:2: cannot read missing"),
        ("include_dir missing\n", "mosquitto.conf:1: cannot read the directory missing"),
        (
            "\n\npersistence true\nmax_keepalive soon\n",
            "mosquitto.conf:4: `max_keepalive` takes a whole number",
        ),
        ("listener 99999\n", "mosquitto.conf:1: `listener` takes a port from 1 to 65535"),
        ("allow_anonymous maybe\n", "mosquitto.conf:1: `allow_anonymous` takes true or false"),
        ("listener 8883\ncertfile a\n", "mosquitto.conf:2: `certfile` has no `keyfile` beside it"),
    ] {
        let site = Site::new(configuration);
        let said = site.import("mosquitto.conf", &[]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(told), "{told}\n{said:?}");
        assert!(!site.path("out").exists());
    }
    let said = small().import("no.conf", &[]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("cannot read no.conf: No such file"), "{said:?}");
}

#[test]
fn a_broken_acl_file_is_an_error_with_each_line() {
    let site = small();
    site.write("acl", "topic reed a\ntopic read a/#/b\n");
    let said = site.import("mosquitto.conf", &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("acl:1:7: \"reed\" is no access"), "{said:?}");
    assert!(said.err.contains("\nacl:2:12: topic \"a/#/b\""), "{said:?}");
}
