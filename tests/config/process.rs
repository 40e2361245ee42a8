//! The binary itself: what it prints, and with which exit code it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::site::{PLAIN, Site};

/// The binary, with no settings but those that a test gives it.
fn bastionmq(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bastionmq"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BASTIONMQ_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(site: &Site, arguments: &[&str]) -> Output {
    bastionmq(arguments).current_dir(site.home()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A broker that has said `ready`, and what it said before.
struct Running {
    child: Child,
    said: Vec<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        for line in lines.map(Result::unwrap) {
            let ready = line == "ready";
            said.push(line);
            if ready {
                return Self { child, said };
            }
        }
        panic!("never ready: {said:?}, {:?}", child.wait());
    }

    fn address_after(&self, prefix: &str) -> String {
        let line = self.said.iter().find_map(|line| line.strip_prefix(prefix));
        line.unwrap_or_else(|| panic!("no {prefix} in {:?}", self.said)).to_owned()
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already where the test was about its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(site: &Site) -> Command {
    let mut command = bastionmq(&["serve", "--config", "bastionmq.toml", "--admin", "127.0.0.1:0"]);
    command.current_dir(site.home());
    command
}

#[test]
fn serve_prints_its_listeners_and_then_ready() {
    let broker = Running::start(&mut serve(&Site::new(PLAIN)));
    let address = broker.address_after("listening on mqtt://");
    assert!(!address.ends_with(":0"), "{address}");
    TcpStream::connect(&address).unwrap();
    assert_eq!(broker.said.len(), 3, "{:?}", broker.said);
}

#[test]
fn metrics_and_health_are_where_serve_says() {
    let broker = Running::start(&mut serve(&Site::new(PLAIN)));
    let url = broker.address_after("metrics on http://");
    let address = url.strip_suffix("/metrics").unwrap();
    for (path, start) in [("/readyz", "HTTP/1.1 200"), ("/metrics", "HTTP/1.1 200")] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(start), "{path}: {answer}");
    }
}

#[test]
fn either_signal_stops_the_broker_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut broker = Running::start(&mut serve(&Site::new(PLAIN)));
        broker.signal(signal);
        assert_eq!(broker.child.wait().unwrap().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn the_open_configuration_serves_where_it_is_told_to() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/open.toml");
    let mut command = bastionmq(&["serve", "--listen", "mqtt://127.0.0.1:0"]);
    let broker = Running::start(command.arg("--config").arg(config));
    TcpStream::connect(broker.address_after("listening on mqtt://")).unwrap();
}

#[test]
fn a_port_that_is_taken_is_named_with_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = Site::new(PLAIN);
    let url = format!("mqtt://{address}");
    for mut command in [
        bastionmq(&["serve", "--config", "bastionmq.toml", "--admin", "off", "--listen", &url]),
        bastionmq(&["serve", "--config", "bastionmq.toml", "--admin", &address]),
    ] {
        let output = command.current_dir(site.home()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(said.contains("error: ") && said.contains(&address), "{said}");
    }
}

#[test]
fn a_broken_configuration_is_exit_code_1_and_says_what_to_do() {
    let site = Site::new("[mqtt]\nmax_inflght = 1\n");
    for arguments in
        [&["serve", "--config", "bastionmq.toml"][..], &["check-config", "bastionmq.toml"]]
    {
        let output = output(&site, arguments);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: bastionmq.toml:2: unknown key `max_inflght`"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named_once() {
    let output = output(&Site::new(""), &["serve", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said.matches("nowhere.toml").count(), 1, "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn u12_an_unknown_variable_stops_the_start() {
    let site = Site::new(PLAIN);
    let output = serve(&site).env("BASTIONMQ_ALLOW_ANONYMOUS", "false").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("did you mean `BASTIONMQ_AUTH_ALLOW_ANONYMOUS`?"), "{said}");
}

#[test]
fn u12_check_config_prints_what_is_in_force() {
    let site = Site::new(PLAIN);
    let output = bastionmq(&["check-config", "bastionmq.toml"])
        .env("BASTIONMQ_LOG_LEVEL", "debug")
        .current_dir(site.home())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("level = \"debug\"  # BASTIONMQ_LOG_LEVEL\n"), "{said}");
    assert!(said.contains("url = \"mqtt://127.0.0.1:0\"  # bastionmq.toml:2\n"), "{said}");
}

#[test]
fn every_shell_gets_its_completions_and_man_its_pages() {
    let site = Site::new("");
    for shell in ["bash", "zsh", "fish"] {
        let output = output(&site, &["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("check-config"), "{shell}");
    }
    assert!(output(&site, &["man", "pages"]).status.success());
    let page = std::fs::read_to_string(site.home().join("pages/bastionmq-serve.1")).unwrap();
    assert!(page.contains("BASTIONMQ_CONFIG"), "{page}");
}

#[test]
fn help_teaches_by_example() {
    let site = Site::new("");
    for command in [
        &["--help"][..],
        &["quickstart", "--help"],
        &["serve", "--help"],
        &["check-config", "--help"],
        &["passwd", "--help"],
        &["certs", "--help"],
        &["keys", "--help"],
        &["seal", "--help"],
        &["open", "--help"],
        &["verify", "--help"],
        &["inspect", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let output = output(&site, command);
        assert!(output.status.success(), "{command:?}");
        assert!(text(&output.stdout).contains("Examples:"), "{command:?}");
    }
}

#[test]
fn systemd_is_told_when_the_broker_is_ready_and_when_it_stops() {
    let site = Site::new(PLAIN);
    let path = site.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut broker = Running::start(serve(&site).env("NOTIFY_SOCKET", &path));
    let heard = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        text(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(heard(), "READY=1");
    broker.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert!(broker.child.wait().unwrap().success());
}
