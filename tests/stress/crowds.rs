//! Many clients at once: more than there are files, and a fleet that comes and gives up.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::floods::until;
use crate::harness::http::metric;
use crate::harness::raw::{Connect, RawClient};
use crate::harness::{ADMIN, Broker, bastionmq, scratch};

#[test]
fn u03_who_finds_no_file_descriptor_waits_and_everybody_else_goes_on() {
    let directory = scratch();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/open.toml");
    // A limit of 64 files, before the broker starts.
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#]).arg(bastionmq().get_program());
    command.args(["serve", "--config", config, "--listen", "mqtt://127.0.0.1:0"]);
    let broker = Broker::start(command, directory);
    let port = broker.plain_port();
    let mut inside = RawClient::connected(port, &Connect::new(5, "inside"));
    let begin = Instant::now();
    let crowd = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a backlog"));
    let crowd = crowd.collect::<Vec<_>>();
    let out_of_files = |line: &str| line.contains("cannot accept").then_some(());
    broker.process().wait_for(crate::harness::Stream::Err, out_of_files);
    inside.expect_silence();
    drop(crowd);
    let mut late = RawClient::connected(port, &Connect::new(5, "late"));
    late.expect_silence();
    inside.expect_silence();
    // It has rested in between.
    let errors = metric(broker.admin_port(), "bastionmq_accept_errors_total").expect("a number");
    let most = begin.elapsed().as_secs_f64() * 10.0 + 1.0;
    assert!((1.0..=most).contains(&errors), "{errors} of {most}");
    let lines = broker.process().lines(crate::harness::Stream::Err);
    let lines = lines.iter().filter(|line| out_of_files(line).is_some()).count() as u64;
    assert!(lines <= begin.elapsed().as_secs() + 1, "{lines} lines");
}

#[test]
fn u01_who_gives_up_while_its_password_waits_gives_its_place_to_the_next() {
    const GIVE_UP: usize = 200;
    let broker = broker_with_slow_logins();
    let port = broker.plain_port();
    let begin = Instant::now();
    drop(RawClient::connected(port, &Connect::new(5, "alone").login(ADMIN)));
    let alone = begin.elapsed();
    let crowd = (0..GIVE_UP).map(|number| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
        let id = number.to_string();
        stream.write_all(&Connect::new(5, &id).login(ADMIN).encode()).expect("it reads");
        stream
    });
    let crowd = crowd.collect::<Vec<_>>();
    until("all of them wait", || {
        metric(broker.admin_port(), "bastionmq_connections_open") == Some(GIVE_UP as f64)
    });
    for stream in &crowd {
        stream.shutdown(Shutdown::Write).expect("it is open");
    }
    let begin = Instant::now();
    RawClient::connected(port, &Connect::new(5, "stays").login(ADMIN)).expect_silence();
    // One after the other they would take a hundred times as long, and more.
    let most = Duration::from_secs(5).max(alone * 30);
    assert!(begin.elapsed() < most, "{:?}, alone {alone:?}", begin.elapsed());
    for mut stream in crowd {
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
        stream.read_to_end(&mut Vec::new()).expect("it is sent away");
    }
}

#[test]
fn u02_passwords_that_wait_to_be_checked_keep_nobody_waiting_who_is_inside() {
    const WAITING: usize = 50;
    let broker = broker_with_slow_logins();
    let port = broker.plain_port();
    let mut inside = RawClient::connected(port, &Connect::new(5, "inside").login(ADMIN));
    let crowd = (0..WAITING).map(|number| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
        let id = number.to_string();
        stream.write_all(&Connect::new(5, &id).login(ADMIN).encode()).expect("it reads");
        stream
    });
    let mut crowd = crowd.collect::<Vec<_>>();
    until("all of them wait", || {
        metric(broker.admin_port(), "bastionmq_connections_open") == Some((WAITING + 1) as f64)
    });
    assert_eq!(inside.subscribe(5, "a", 1), 1);
    inside.expect_silence();
    let last = crowd.last_mut().expect("a crowd");
    last.set_nonblocking(true).expect("a socket");
    let answer = last.read(&mut [0; 4]);
    let error = answer.expect_err("the passwords were checked before who is inside was served");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_crowd_is_accepted_at_once_and_served_in_its_turn() {
    const CROWD: usize = 100;
    let directory = scratch();
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/open.toml");
    // The last of them would have its turn after a minute and a half.
    let config = format!(
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [auth]\nallow_anonymous = true\n[acl]\npolicy_file = \"{policy}\"\n\
         [network]\nmax_connections_per_second = 1\n"
    );
    let file = directory.path().join("bastionmq.toml");
    fs::write(&file, config).expect("a configuration file");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(file);
    let broker = Broker::start(command, directory);
    let port = broker.plain_port();
    let mut first = RawClient::connected(port, &Connect::new(5, "first"));
    let crowd = (0..CROWD).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a queue"));
    let crowd = crowd.collect::<Vec<_>>();
    until("all of them are accepted", || {
        metric(broker.admin_port(), "bastionmq_connections_accepted_total")
            == Some((CROWD + 1) as f64)
    });
    let open = metric(broker.admin_port(), "bastionmq_connections_open").expect("a number");
    assert!(open < CROWD as f64, "{open} are served");
    first.expect_silence();
    // Who waits no longer keeps nobody else waiting: the broker ends in time.
    drop(crowd);
}

/// One thread checks passwords, and takes a tenth of a second or more for each.
fn broker_with_slow_logins() -> Broker {
    let directory = scratch();
    let passwords = directory.path().join("passwd");
    let mut adding = bastionmq();
    adding.args(["passwd", "add", "--stdin", "--memory-kib", "65536", "--iterations", "4"]);
    let mut adding =
        adding.arg(&passwords).arg(ADMIN.0).stdin(Stdio::piped()).spawn().expect("runs");
    adding.stdin.take().expect("piped").write_all(ADMIN.1.as_bytes()).expect("it reads");
    assert!(adding.wait().expect("it ends").success());
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/open.toml");
    let config = format!(
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [auth]\npassword_file = {passwords:?}\nhashing_threads = 1\n\
         credential_cache_seconds = 0\n\
         [acl]\npolicy_file = \"{policy}\"\n"
    );
    let file = directory.path().join("bastionmq.toml");
    fs::write(&file, config).expect("a configuration file");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(file);
    Broker::start(command, directory)
}
