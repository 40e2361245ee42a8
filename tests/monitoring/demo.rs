//! `grafana/demo` shows what it says: a broker that is looked at and attacked, its page and its audit log; and when it
//! is ended, nothing of it is left.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use rustix::process::Signal;

use crate::files::path;
use crate::harness::broker::binary;
use crate::harness::{PATIENCE, Process, Stream, bastionmq, scratch};
use crate::prometheus::{ask, program};

/// How long an attack may take to be an alert: seconds, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// What the page answers while the clients of the demo have their passwords checked.
const BUSY: u16 = 503;

#[test]
fn the_demo_shows_an_attack_as_an_alert_and_leaves_nothing_behind() {
    let directory = scratch();
    let mut demo = Process::spawn("grafana/demo", &mut demo_in(directory.path()));
    let said = |text: &'static str| {
        demo.wait_for_at_most(LIMIT, Stream::Out, |line| {
            line.contains(text).then(|| line.to_owned())
        })
    };
    let (page, audit, prometheus) = (said("its page:"), said("audit log:"), said("Prometheus:"));

    assert_eq!(status_of_page(&page, &word_after(&page, "password ")), 200);
    assert_eq!(status_of_page(&page, "guessed"), 401);
    said("fires:      BastionMQSentinelFindings");
    let alerts = ask(port_after(&prometheus, "127.0.0.1:"), "/api/v1/alerts");
    assert!(alerts.to_string().contains("BastionMQSentinelFindings"), "{alerts}");
    let config = word_after(&audit, "--config ");
    let verified = bastionmq().args(["audit", "verify", "--config", &config]).output();
    assert!(verified.expect("it runs").status.success(), "{audit}");
    assert!(processes_of(directory.path()).len() >= 3, "the broker, Prometheus and the traffic");

    demo.signal(Signal::TERM);
    let status = demo.wait_at_most(PATIENCE);
    assert!(status.success(), "{status}");
    assert_eq!(processes_of(directory.path()), Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(directory.path()).expect("it is ours").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The demo, which makes its directory below this one.
fn demo_in(directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command.arg(path("grafana/demo")).arg("--fast").env("TMPDIR", directory);
    command.env("BASTIONMQ", binary()).env("PROMETHEUS", program("prometheus"));
    // Its port is not free to choose for several at once.
    command.env("GRAFANA", "none");
    command
}

/// What the page answers to its operator with this password, once it has the time to check one.
fn status_of_page(line: &str, password: &str) -> u16 {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = asked_page(line, password);
        if status != BUSY || Instant::now() >= deadline {
            return status;
        }
    }
}

fn asked_page(line: &str, password: &str) -> u16 {
    let port = port_after(line, "localhost:");
    let login = format!("{}:{password}", word_after(line, "user "));
    let login = Base64::encode_string(login.as_bytes());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the page is there");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {login}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

fn port_after(line: &str, text: &str) -> u16 {
    let digits = line.split_once(text).expect(text).1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().expect("a port")
}

fn word_after(line: &str, text: &str) -> String {
    let word = line.split_once(text).expect(text).1.split([' ', ',']).next();
    word.unwrap_or_default().to_owned()
}

/// The command lines of processes that have to do with this directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().expect("UTF-8");
    let entries = fs::read_dir("/proc").expect("a system with /proc").flatten();
    // Others end while they are looked at.
    let commands = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let commands = commands.map(|it| String::from_utf8_lossy(&it).replace('\0', " "));
    commands.filter(|it| it.contains(directory)).collect()
}
