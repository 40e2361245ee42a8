//! Commands as they are typed: what they print, where they fail, and how they say so.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::site::add_user;
use crate::harness::{Broker, Process, Site, Stream, bastionmq, http, scratch};

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

// ── quickstart ─────────────────────────────────────────────────────────────────────────────────

/// `bastionmq quickstart` in `directory`, ready.
fn quickstart(directory: &Path) -> Process {
    let mut command = bastionmq();
    command.args(["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let process = Process::spawn("quickstart", command.current_dir(directory));
    process.wait_for(Stream::Out, |line| (line == "ready").then_some(()));
    process
}

/// The first printed line that runs `program`, as it would be pasted.
fn printed(process: &Process, program: &str) -> String {
    let lines = process.lines(Stream::Out);
    let line = lines.iter().find(|line| line.trim_start().starts_with(program));
    line.unwrap_or_else(|| panic!("no {program} line in {lines:#?}")).trim().to_owned()
}

fn pasted(directory: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(directory).stdin(Stdio::null());
    command
}

#[test]
fn what_quickstart_prints_delivers_a_message_over_tls_when_pasted() {
    let directory = scratch();
    let broker = quickstart(directory.path());
    // Debug output shows when the subscription stands; -C 1 ends it with the first message.
    let subscribe = printed(&broker, "mosquitto_sub");
    assert!(subscribe.contains("--cafile"), "{subscribe}");
    let subscribe = format!("stdbuf -oL {subscribe} -d -C 1");
    let mut subscriber = Process::spawn("pasted sub", &mut pasted(directory.path(), &subscribe));
    subscriber.wait_for_text(Stream::Out, "received SUBACK");
    let publish = printed(&broker, "mosquitto_pub");
    let mut publisher = Process::spawn("pasted pub", &mut pasted(directory.path(), &publish));
    assert!(publisher.wait().success(), "{publish}: {}", publisher.transcript());
    assert!(subscriber.wait().success(), "{subscribe}: {}", subscriber.transcript());
    let arrived = subscriber.lines(Stream::Out).iter().any(|line| line.contains("hello"));
    assert!(arrived, "{}", subscriber.transcript());

    // A wrong password, and a topic of somebody else.
    let password = publish.split(" -P ").nth(1).and_then(|rest| rest.split(' ').next());
    let password = password.unwrap_or_else(|| panic!("no password in {publish}"));
    let wrong = publish.replace(password, "'wrong'");
    assert!(!Process::spawn("wrong", &mut pasted(directory.path(), &wrong)).wait().success());
    let foreign = format!("{} -q 1 -V 5 -d", publish.replace("devices/device1", "devices/device2"));
    let mut foreign = Process::spawn("foreign", &mut pasted(directory.path(), &foreign));
    foreign.wait();
    let said = foreign.transcript();
    assert!(said.contains("135") || said.to_lowercase().contains("not authori"), "{said}");
}

#[test]
fn quickstart_makes_private_files_and_shows_its_secrets_once() {
    let directory = scratch();
    let first = quickstart(directory.path());
    let data = directory.path().join("bastionmq-data");
    let publish = printed(&first, "mosquitto_pub");
    let password = publish.split(" -P '").nth(1).and_then(|rest| rest.split('\'').next());
    let password = password.unwrap_or_else(|| panic!("no password in {publish}")).to_owned();
    assert!(password.len() >= 16, "a short password: {}", password.len());
    for line in first.lines(Stream::Err) {
        assert!(!line.contains(&password), "the password is in the log");
    }
    assert_private(&data);
    let before = contents(&data);
    drop(first);

    let second = quickstart(directory.path());
    assert_eq!(contents(&data), before, "the second run keeps what is there");
    assert!(!second.transcript().contains(&password), "a secret is shown again");
    // The same password still serves.
    let port = second.wait_for(Stream::Out, |line| {
        let url = line.strip_prefix("listening on mqtts://")?;
        url.rsplit(':').next().map(str::to_owned)
    });
    let ca = data.join("certs/ca.crt").display().to_string();
    let line = format!(
        "mosquitto_pub -h localhost -p {port} --cafile '{ca}' -u device1 -P '{password}' \
         -t devices/device1/x -m again"
    );
    let mut again = Process::spawn("again", &mut pasted(directory.path(), &line));
    assert!(again.wait().success(), "{}", again.transcript());
}

/// Nobody but the owner reads what is below `directory`.
fn assert_private(directory: &Path) {
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700, "{}", directory.display());
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

/// Names and contents of the files below `directory`.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if path.is_file() {
            files.push((path.display().to_string(), fs::read(&path).expect("it is readable")));
        }
    }
    files.sort();
    files
}

#[test]
fn quickstart_says_where_the_metrics_are() {
    let directory = scratch();
    let broker = quickstart(directory.path());
    let port = broker.wait_for(Stream::Out, |line| {
        let url = line.split_once("http://")?.1;
        url.split('/').next()?.rsplit(':').next()?.parse().ok()
    });
    assert_eq!(http::get(port, "/metrics").0, 200);
}

#[test]
fn the_broker_of_quickstart_can_be_spoken_to_without_another_word() {
    let directory = scratch();
    let _broker = quickstart(directory.path());
    let output = run(directory.path(), &["ctl", "status"]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("policy         in force"), "{output:?}");
}

#[test]
fn quickstart_starts_a_broker_where_there_can_be_no_control_socket() {
    let directory = scratch();
    let deep = directory.path().join("d".repeat(100));
    fs::create_dir(&deep).expect("a directory");
    let _broker = quickstart(&deep);
    let config = fs::read_to_string(deep.join("bastionmq-data/bastionmq.toml"));
    assert!(!config.expect("a configuration").contains("[control]"));
}

#[test]
fn serve_with_the_configuration_of_quickstart_works_from_anywhere() {
    let directory = scratch();
    drop(quickstart(directory.path()));
    let config = directory.path().join("bastionmq-data/bastionmq.toml");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(&config);
    command.args(["--listen", "mqtts://127.0.0.1:0", "--admin", "off"]);
    let elsewhere = scratch();
    assert_ne!(Broker::start(command, elsewhere).tls_port(), 0);
}
