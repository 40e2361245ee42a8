//! `bastionmq quickstart`: from nothing to a broker that keeps what it was given, as somebody does who follows
//! the README.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::harness::http::{self, ask, basic};
use crate::harness::raw::{self, CONNACK, Connect, PUBACK, PUBLISH, RawClient};
use crate::harness::{Broker, Process, Stream, bastionmq, scratch};

/// A QoS 1 message, and one that is to be retained.
const QOS_1: u8 = PUBLISH | 1 << 1;
const RETAINED: u8 = QOS_1 | 1;

/// Runs `bastionmq` with `arguments` in `directory` to its end.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    let output = bastionmq().args(arguments).current_dir(directory).output();
    output.expect("bastionmq starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What quickstart says where it must fail: with `arguments`, in `directory`.
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let listen = ["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let output = run(directory, &[&listen, arguments].concat());
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{arguments:?}: {errors}");
    errors
}

/// `bastionmq quickstart` in `directory`, ready.
fn quickstart(directory: &Path) -> Process {
    quickstart_with(directory, &[])
}

fn quickstart_with(directory: &Path, more: &[&str]) -> Process {
    let mut command = bastionmq();
    command.args(["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(more);
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

/// The password of `user`, as it is shown once.
fn password(process: &Process, user: &str) -> String {
    let lines = process.lines(Stream::Out);
    let mut words = lines.iter().map(|line| line.split_whitespace());
    let shown = words.find_map(|mut it| (it.next() == Some(user)).then(|| it.next()).flatten());
    shown.unwrap_or_else(|| panic!("no password of {user} in {lines:#?}")).to_owned()
}

/// The port of a line that begins with `beginning`.
fn port(process: &Process, beginning: &str) -> u16 {
    process.wait_for(Stream::Out, |line| {
        let place = line.trim_start().strip_prefix(beginning)?;
        place.split('/').next()?.rsplit(':').next()?.parse().ok()
    })
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
    for shown in [&password, &self::password(&first, "operator"), &self::password(&first, "admin")]
    {
        assert!(shown.len() >= 16, "a short password: {}", shown.len());
        let log = first.lines(Stream::Err);
        assert!(!log.iter().any(|line| line.contains(shown)), "the password is in the log");
    }
    assert_private(&data);
    let before = made(&data);
    drop(first);

    let second = quickstart(directory.path());
    assert_eq!(made(&data), before, "the second run keeps what is there");
    assert!(!second.transcript().contains(&password), "a secret is shown again");
    let found = second.wait_for_text(Stream::Out, "Using ");
    let parts = "bastionmq.toml, policy.toml, passwords, operators, certs, store, audit.";
    assert!(found.ends_with(parts), "{found}");
    // The same password still serves.
    let port = port(&second, "listening on mqtts://");
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

/// Names and contents of what quickstart has made in `directory`, and of the master key; the broker goes on
/// writing the rest.
fn made(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = contents(directory);
    files.retain(|(path, _)| {
        !["/store/", "/audit/", "/credentials"].iter().any(|it| path.contains(it))
    });
    files
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
    let port = port(&broker, "metrics on http://");
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

#[test]
fn what_a_broker_of_quickstart_was_given_outlives_its_death_and_its_audit_log_verifies() {
    const PLAIN: &[&str] = &["--listen", "mqtt://127.0.0.1:0"];
    let directory = scratch();
    let mut first = quickstart_with(directory.path(), PLAIN);
    // As long as a login of the tests is known.
    let login = ("admin", &*password(&first, "admin").leak());
    let connect = |broker: &Process, connect: Connect<'static>| {
        let mut client = RawClient::plain(port(broker, "listening on mqtt://"));
        client.send(&connect.login(login).encode());
        let connack = client.expect(CONNACK);
        assert_eq!(connack.reason(), 0);
        (client, connack.body[0] == 1)
    };
    let sleeper = || Connect::new(5, "sleeper").keep_session(false, 3_600);
    let (mut asleep, _) = connect(&first, sleeper());
    assert_eq!(asleep.subscribe(5, "to/sleeper", 1), 1);
    asleep.send(&raw::packet(raw::DISCONNECT, &[]));
    asleep.expect_orderly_end();
    let (mut publisher, _) = connect(&first, Connect::new(5, "publisher"));
    for (id, first_byte, topic) in [(1, RETAINED, "to/all"), (2, QOS_1, "to/sleeper")] {
        let payload = b"a payload that stays";
        publisher.send(&raw::publish_with(5, first_byte, topic, Some(id), &[], payload));
        assert_eq!(publisher.expect(PUBACK).acknowledged().0, id);
    }
    first.kill();
    let kept = contents(&directory.path().join("bastionmq-data/store"));
    let is_readable = |bytes: &[u8]| bytes.windows(14).any(|it| it == b"a payload that");
    assert!(!kept.is_empty() && !kept.iter().any(|(_, bytes)| is_readable(bytes)));

    let mut second = quickstart_with(directory.path(), PLAIN);
    let (mut awake, is_present) = connect(&second, sleeper());
    assert!(is_present);
    let message = awake.expect(PUBLISH).publish(5);
    assert_eq!((&*message.topic, &*message.payload), ("to/sleeper", &b"a payload that stays"[..]));
    let (mut other, _) = connect(&second, Connect::new(5, "other"));
    assert_eq!(other.subscribe(5, "to/all", 1), 1);
    let message = other.kept_or_next().publish(5);
    assert_eq!((&*message.topic, &*message.payload), ("to/all", &b"a payload that stays"[..]));

    second.signal(Signal::TERM);
    assert!(second.wait().success(), "{}", second.transcript());
    let config = "bastionmq-data/bastionmq.toml";
    let output = run(directory.path(), &["audit", "verify", "--config", config]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).ends_with("\nwhole\n"), "{output:?}");
    let output =
        run(directory.path(), &["audit", "search", "--config", config, "--event", "connected"]);
    assert_eq!(text(&output.stdout).lines().count(), 4, "{output:?}");
}

#[test]
fn the_page_of_quickstart_takes_the_password_that_was_shown_and_no_other() {
    let directory = scratch();
    let broker = quickstart(directory.path());
    let page = port(&broker, "http://localhost");
    assert_eq!(page, port(&broker, "metrics on http://"));
    let status = |user: &str, password: &str| ask(page, "/", &basic((user, password))).status;
    assert_eq!(ask(page, "/", "").status, 401);
    assert_eq!(status("operator", &password(&broker, "operator")), 200);
    assert_eq!(status("operator", "another"), 401);
    for user in ["admin", "device1"] {
        assert_eq!(status(user, &password(&broker, user)), 401);
    }
}

#[test]
fn new_passwords_are_shown_take_the_place_of_the_old_and_nothing_else_changes() {
    let directory = scratch();
    let first = quickstart(directory.path());
    let old = password(&first, "operator");
    drop(first);
    let second = quickstart_with(directory.path(), &["--new-passwords"]);
    let new = password(&second, "operator");
    let page = port(&second, "metrics on http://");
    assert_ne!(old, new);
    assert_eq!(ask(page, "/", &basic(("operator", &new))).status, 200);
    assert_eq!(ask(page, "/", &basic(("operator", &old))).status, 401);
    let publish = pasted(directory.path(), &printed(&second, "mosquitto_pub"));
    let mut publisher = Process::spawn("pasted pub", &mut { publish });
    assert!(publisher.wait().success(), "{}", publisher.transcript());
}

#[test]
fn a_directory_of_quickstart_that_is_not_whole_is_named_with_what_is_missing_and_what_to_do() {
    let directory = scratch();
    drop(quickstart(directory.path()));
    let data = directory.path().join("bastionmq-data");
    for part in ["policy.toml", "passwords", "operators", "master.key"] {
        fs::rename(data.join(part), directory.path().join("aside")).expect("it was made");
        let error = refused(directory.path(), &[]);
        assert!(error.contains(part) && error.contains("No such file"), "{part}: {error}");
        assert!(error.contains(": put ") && error.contains("makes a new one"), "{part}: {error}");
        assert!(!data.join(part).exists(), "{part} is made anew");
        fs::rename(directory.path().join("aside"), data.join(part)).expect("it is put back");
    }
    fs::rename(data.join("bastionmq.toml"), directory.path().join("aside")).expect("it was made");
    let error = refused(directory.path(), &[]);
    assert!(error.contains("and no bastionmq.toml: put that back"), "{error}");
    fs::rename(directory.path().join("aside"), data.join("bastionmq.toml"))
        .expect("it is put back");
    drop(quickstart(directory.path()));
}

#[test]
fn where_nothing_can_be_made_quickstart_says_so_and_leaves_nothing() {
    let directory = scratch();
    fs::write(directory.path().join("file"), "").expect("a file");
    for place in ["file", "file/below"] {
        let error = refused(directory.path(), &["--dir", place]);
        assert!(error.contains("choose another --dir"), "{place}: {error}");
    }
    // Nobody may write there, not even root.
    let error = refused(directory.path(), &["--dir", "/sys/bastionmq-data"]);
    assert!(error.contains("choose another --dir, where you may write"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
}

#[test]
fn a_second_quickstart_in_the_same_directory_says_that_one_runs() {
    let directory = scratch();
    let _first = quickstart(directory.path());
    let error = refused(directory.path(), &[]);
    assert!(error.contains("another broker"), "{error}");
}

#[test]
fn a_broker_of_quickstart_has_no_page_where_its_port_is_off() {
    let directory = scratch();
    drop(quickstart(directory.path()));
    let mut command = bastionmq();
    command.args(["quickstart", "--listen", "mqtts://127.0.0.1:0", "--admin", "off"]);
    let broker = Process::spawn("quickstart", command.current_dir(directory.path()));
    broker.wait_for(Stream::Out, |line| (line == "ready").then_some(()));
    assert!(!broker.transcript().contains("http://"), "{}", broker.transcript());
}
