//! Nothing that clients say or are called is found in any file of the data directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64ct::{Base64, Encoding};
use serde_json::Value;

use crate::directory::contents;
use crate::harness::raw::{
    Connect, PUBACK, PUBLISH, PUBREC, RawClient, SUBACK, Will, publish_with, subscribe,
};
use crate::harness::{Broker, bastionmq, scratch};
use crate::place::{Place, VERSION, kill, stop};

const LOGIN: (&str, &str) = ("marked-user", "marked-password");
/// QoS 1 to be retained, QoS 1, QoS 2.
const FIRST: [u8; 3] = [PUBLISH | 1 | 1 << 1, PUBLISH | 1 << 1, PUBLISH | 2 << 1];
/// Whatever a mark belongs to, it has this in it.
const MARK: &[u8] = b"marked-";

/// The files in which something is found that is marked, by content or by name.
fn found(files: &[(PathBuf, Vec<u8>)]) -> Vec<&Path> {
    let shows = |bytes: &[u8]| bytes.windows(MARK.len()).any(|window| window == MARK);
    let files = files.iter();
    let files = files
        .filter(|(path, content)| shows(content) || shows(path.as_os_str().as_encoded_bytes()));
    files.map(|(path, _)| path.as_path()).collect()
}

fn password_file(path: &Path) {
    let mut command = bastionmq();
    command.args(["passwd", "add", "--memory-kib=8", "--iterations=1"]).arg(path).arg(LOGIN.0);
    command.stdin(Stdio::piped());
    let mut passwd = command.spawn().expect("bastionmq passwd");
    let mut input = passwd.stdin.take().expect("its input");
    input.write_all(LOGIN.1.as_bytes()).expect("it reads");
    drop(input);
    assert!(passwd.wait().expect("it ends").success());
}

/// A client that is away with a session, a subscription and a will, and messages that wait for it; retained
/// ones, and one of QoS 2 that was not released.
fn leave_marks(broker: &Broker) {
    let connect = Connect::new(VERSION, "marked-client").login(LOGIN);
    let mut connect = connect.keep_session(true, 3_600);
    let mut will = Will::new("a/marked-will-topic", b"marked-will");
    will.qos = 1;
    // Will delay interval: an hour.
    will.properties = vec![0x18, 0, 0, 0x0E, 0x10];
    connect.will = Some(will);
    let mut away = RawClient::connected(broker.plain_port(), &connect);
    away.send(&subscribe(VERSION, 1, "a/marked-filter/#", 2));
    away.expect(SUBACK);
    away.break_off();

    let publisher = Connect::new(VERSION, "marked-publisher").login(LOGIN);
    let mut publisher =
        RawClient::connected(broker.plain_port(), &publisher.keep_session(true, 3_600));
    let property = [&[0x26, 0, 1, b'n', 0, 15][..], b"marked-property"].concat();
    let answers = [PUBACK, PUBACK, PUBREC];
    for (number, (first, answer)) in (1..).zip(FIRST.into_iter().zip(answers)) {
        let (topic, payload) = ("a/marked-filter/marked-topic", b"marked-payload");
        publisher.send(&publish_with(VERSION, first, topic, Some(number), &property, payload));
        publisher.expect(answer);
    }
}

/// What the store has, as whoever has the key reads it.
fn opened(place: &Place) -> Vec<u8> {
    let mut command = bastionmq();
    command.args(["store", "export", "--plain", "-", "--dir"]).arg(place.store());
    command.arg("--master-key-file").arg(place.master_key());
    let output = command.output().expect("bastionmq store export");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let values = lines.filter_map(|line| {
        let line: Value = serde_json::from_slice(line).expect("JSON");
        Some(Base64::decode_vec(line["value"].as_str()?).expect("base64"))
    });
    values.collect::<Vec<_>>().concat()
}

#[test]
fn nothing_that_clients_say_or_are_called_is_found_in_any_file() {
    let place = Place::new();
    let files = scratch();
    let users = files.path().join("users");
    password_file(&users);
    let start = || {
        let mut command = place.command();
        command.env("BASTIONMQ_AUTH_PASSWORD_FILE", &users);
        Broker::start(command, scratch())
    };
    let broker = start();
    leave_marks(&broker);
    kill(broker);
    let killed = contents(&place.store());
    stop(start());
    let stopped = contents(&place.store());
    assert!(killed.iter().map(|(_, content)| content.len()).sum::<usize>() > 500);
    for files in [&killed, &stopped] {
        assert_eq!(found(files), [] as [&Path; 0]);
    }

    // It is there all the same, and would be found.
    let plain = opened(&place);
    for mark in ["marked-topic", "marked-payload", "marked-property"] {
        assert!(plain.windows(mark.len()).any(|window| window == mark.as_bytes()), "{mark}");
    }
    fs::write(place.store().join("plain"), plain).expect("written");
    assert_eq!(found(&contents(&place.store())), [place.store().join("plain")]);
}
