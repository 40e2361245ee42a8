//! Commands as they are typed: what they print, where they fail, and how they say so.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::harness::site::add_user;
use crate::harness::{Site, bastionmq, scratch};

/// Runs `bastionmq` with `arguments` in `directory` to its end.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    let output = bastionmq().args(arguments).current_dir(directory).output();
    output.expect("bastionmq starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must fail with exit code 1, and says what it wrote to standard error.
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
    errors
}

/// Writes a configuration that holds, with `change` made to it.
fn configuration(directory: &Path, change: impl Fn(String) -> String) {
    let config = change(Site::shared().configuration("optional"));
    fs::write(directory.join("bastionmq.toml"), config).expect("a configuration file");
}

// ── serve ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_taken_port_is_named_with_exit_code_1() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let directory = scratch();
    configuration(directory.path(), |config| config);
    let listen = format!("mqtt://127.0.0.1:{port}");
    let serve = ["serve", "--config", "bastionmq.toml"];
    let error = refused(directory.path(), &[&serve[..], &["--listen", &listen]].concat());
    assert!(error.contains(&listen) && error.contains("taken"), "{error}");
    let admin = format!("127.0.0.1:{port}");
    let error = refused(directory.path(), &[&serve[..], &["--admin", &admin]].concat());
    assert!(error.contains(&admin) && error.contains("taken"), "{error}");
}

#[test]
fn a_file_that_is_missing_or_broken_is_named_with_exit_code_1() {
    let directory = scratch();
    let at = directory.path();
    fs::write(at.join("broken"), "\u{1}\u{2}:$%&").expect("a file");
    let site = Site::shared().file("").display().to_string();
    for file in ["server.crt", "server.key", "ca.crt", "passwd", "policy.toml"] {
        for replacement in ["missing", "broken", "."] {
            let there = format!("{site}{file}");
            configuration(at, |config| config.replace(&there, replacement));
            let error = refused(at, &["serve", "--config", "bastionmq.toml"]);
            assert!(error.contains(replacement), "{file} is {replacement}: {error}");
        }
    }
    let error = refused(at, &["serve", "--config", "nowhere.toml"]);
    assert!(error.contains("nowhere.toml"), "{error}");
}

#[test]
fn plain_tcp_off_loopback_wants_consent() {
    let directory = scratch();
    configuration(directory.path(), |config| {
        config.replace("mqtt://127.0.0.1:0", "mqtt://0.0.0.0:0")
    });
    let error = refused(directory.path(), &["serve", "--config", "bastionmq.toml"]);
    assert!(error.contains("i-understand"), "{error}");
}

#[test]
fn an_unknown_variable_of_the_environment_is_an_error() {
    let directory = scratch();
    configuration(directory.path(), |config| config);
    let mut command = bastionmq();
    command.args(["check-config", "bastionmq.toml"]).current_dir(directory.path());
    let output = command.env("BASTIONMQ_MQTT_MAX_PACKET_SIZ", "1").output().expect("it starts");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("BASTIONMQ_MQTT_MAX_PACKET_SIZ"), "{errors}");
}

// ── check-config ───────────────────────────────────────────────────────────────────────────────

#[test]
fn check_config_shows_what_is_in_force_and_no_secret() {
    let directory = scratch();
    configuration(directory.path(), |config| config + "\n[mqtt]\nreceive_maximum = 17\n");
    let output = run(directory.path(), &["check-config", "bastionmq.toml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("receive_maximum = 17"), "{shown}");
    assert!(!shown.contains("argon2"), "{shown}");
}

#[test]
fn check_config_names_every_error_with_its_line_and_a_suggestion() {
    let directory = scratch();
    let config = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n\n[mqtt]\nreceive_maximun = 7\n\
                  max_packet_size = \"big\"\n\n[acll]\npolicy_file = \"x\"\n";
    fs::write(directory.path().join("bad.toml"), config).expect("a file");
    let errors = refused(directory.path(), &["check-config", "bad.toml"]);
    for expected in ["bad.toml:5", "receive_maximum", "bad.toml:6", "max_packet_size", "bad.toml:8"]
    {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    fs::write(directory.path().join("bad.toml"), "[mqtt\n").expect("a file");
    let errors = refused(directory.path(), &["check-config", "bad.toml"]);
    assert!(errors.contains("bad.toml:1"), "{errors}");
}

#[test]
fn the_open_configuration_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(root, &["check-config", "tests/configs/open.toml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

// ── passwd, acl, and the rest ──────────────────────────────────────────────────────────────────

#[test]
fn a_password_is_added_listed_verified_and_removed_and_never_shown() {
    let directory = scratch();
    let file = directory.path().join("passwd");
    add_user(&file, "ann", "correct horse");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).expect("a text").contains("correct horse"));

    let listed = run(directory.path(), &["passwd", "list", "passwd"]);
    assert!(text(&listed.stdout).contains("ann"), "{listed:?}");
    for (password, code) in [("correct horse", 0), ("wrong horse", 1)] {
        let mut command = bastionmq();
        command.args(["passwd", "verify", "--stdin", "passwd", "ann"]);
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("it reads");
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{password}");
    }
    assert!(run(directory.path(), &["passwd", "remove", "passwd", "ann"]).status.success());
    assert!(!fs::read_to_string(&file).expect("a text").contains("ann"));
    refused(directory.path(), &["passwd", "remove", "passwd", "ann"]);
}

#[test]
fn acl_explain_names_the_rule_and_its_line() {
    let policy = Site::shared().file("policy.toml").display().to_string();
    let explain = |user: &str, action: &str, topic: &str| {
        let arguments = ["acl", "explain", "--policy", &policy, "--user", user, action, topic];
        let output = run(Path::new("."), &arguments);
        (output.status.code(), text(&output.stdout))
    };
    let (code, allowed) = explain("device1", "publish", "devices/device1/x");
    assert_eq!(code, Some(0), "{allowed}");
    assert!(allowed.contains("policy.toml:13"), "{allowed}");
    let (code, denied) = explain("device1", "publish", "devices/device2/x");
    assert_eq!(code, Some(1), "{denied}");
    let (code, denied) = explain("device1", "publish", "devices/device1/read-only");
    assert_eq!(code, Some(1), "{denied}");
    assert!(denied.contains("policy.toml:15"), "{denied}");
    assert!(run(Path::new("."), &["acl", "check", &policy]).status.success());
}

#[test]
fn a_broken_policy_is_refused_with_the_line() {
    let directory = scratch();
    let policy = "[[role]]\nname = \"x\"\nrules = [ { allow = [\"publsh\"], topics = [\"#\"] } ]\n";
    fs::write(directory.path().join("policy.toml"), policy).expect("a file");
    let error = refused(directory.path(), &["acl", "check", "policy.toml"]);
    assert!(error.contains('3') && error.contains("publsh"), "{error}");
}

#[test]
fn every_command_helps_and_completions_and_man_pages_are_made() {
    let directory = scratch();
    for command in ["quickstart", "serve", "check-config", "passwd", "certs", "acl", "ctl"] {
        let output = run(directory.path(), &[command, "--help"]);
        assert!(output.status.success() && output.stdout.len() > 200, "{command}: {output:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = run(directory.path(), &["completions", shell]);
        assert!(text(&output.stdout).contains("quickstart"), "{shell}: {output:?}");
    }
    let output = run(directory.path(), &["man", "--help"]);
    assert!(output.status.success(), "{output:?}");
}
