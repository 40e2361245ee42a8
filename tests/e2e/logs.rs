//! Where the log goes: files that are rotated, syslog, the journal; and what is logged, changed at run time.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use rustix::process::Signal;
use serde_json::Value;

use crate::budgets::until;
use crate::harness::http::series;
use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Broker, DEVICE1, PATIENCE, Stream, bastionmq, scratch};

/// A client identifier that would be a line of its own, and fields of its own.
const HOSTILE: &str = "eve\n<8>1 - - root - - - all is well\nPRIORITY=0\n_UID=0\" level=\"off";

/// A broker that logs as `settings` say, with whatever follows them.
pub(crate) fn logging(settings: &str) -> Broker {
    Broker::secure_with_settings(&format!("\n[log]\n{settings}\n"))
}

/// Has something logged, over and over: a client that comes and goes.
pub(crate) fn come_and_go(broker: &Broker, client_id: &str) {
    RawClient::connected(broker.plain_port(), &Connect::new(5, client_id).login(ADMIN))
        .send(&raw::packet(raw::DISCONNECT, &[]));
}

/// Has something logged once: a login that is refused.
fn be_refused(broker: &Broker, client_id: &str) {
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(5, client_id).login(("nobody", "a wrong word")).encode());
    client.expect(raw::CONNACK);
}

pub(crate) fn lost(broker: &Broker, target: &str) -> f64 {
    let name = format!("bastionmq_log_lines_lost_total{{target=\"{target}\"}}");
    series(broker.admin_port(), &name)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Files beside `file` whose names begin with its own.
pub(crate) fn set_aside(file: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(file.parent().unwrap()).unwrap();
    let mut found: Vec<_> =
        entries.map(|it| it.unwrap().path()).filter(|path| path != file).collect();
    found.sort();
    found
}

#[test]
fn a_file_is_private_set_aside_when_it_is_full_compressed_and_only_so_many_are_kept() {
    let place = scratch();
    let file = place.path().join("logs/it.log");
    let broker = logging(&format!(
        "targets = [\"file\"]\nfile = {file:?}\nmax_file_mib = 1\nkeep_files = 2"
    ));
    until("it is ready", || text_of(&file).contains("\"ready\""));
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    for round in ["first", "second", "third"] {
        let mut full = OpenOptions::new().append(true).open(&file).unwrap();
        full.write_all(format!("{round}\n{}\n", "x".repeat(1 << 20)).as_bytes()).unwrap();
        until("it is set aside", || {
            come_and_go(&broker, round);
            fs::metadata(&file).is_ok_and(|it| it.len() < 1 << 20)
        });
    }
    until("two are kept, compressed", || {
        let files = set_aside(&file);
        files.len() == 2 && files.iter().all(|it| it.extension().is_some_and(|it| it == "gz"))
    });
    for (path, round) in set_aside(&file).iter().zip(["second", "third"]) {
        assert_eq!(mode(path), 0o600);
        let mut text = String::new();
        GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        assert!(text.contains(&format!("\n{round}\n")), "{}", path.display());
    }
    assert_eq!(broker.process().lines(Stream::Err), [""; 0]);
    assert_eq!(lost(&broker, "file"), 0.0);
}

#[test]
fn a_file_that_logrotate_has_moved_is_opened_anew_at_sighup() {
    let place = scratch();
    let (file, moved) = (place.path().join("it.log"), place.path().join("it.log.1"));
    let broker = logging(&format!("targets = \"stderr,file\"\nfile = {file:?}"));
    until("it is ready", || text_of(&file).contains("\"ready\""));
    fs::rename(&file, &moved).unwrap();
    broker.process().signal(Signal::HUP);
    until("the file is there again", || text_of(&file).contains("reloaded"));
    come_and_go(&broker, "later");
    until("it goes on", || text_of(&file).contains("\"later\""));
    assert!(!text_of(&moved).contains("\"later\""));
    // The other target has all of it.
    broker.process().wait_for_text(Stream::Err, "\"later\"");
}

#[test]
fn a_disk_that_fails_loses_lines_is_told_once_and_is_used_again_once_it_works() {
    let place = scratch();
    let directory = place.path().join("logs");
    let file = directory.join("it.log");
    let broker = logging(&format!("targets = [\"file\"]\nfile = {file:?}"));
    until("it is ready", || text_of(&file).contains("\"ready\""));
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    until("lines are lost", || {
        come_and_go(&broker, "lost");
        lost(&broker, "file") > 0.0
    });
    let told = broker.process().wait_for_text(Stream::Err, "the log target file fails");
    assert!(told.contains(file.to_str().unwrap()), "{told}");
    // The broker serves on.
    come_and_go(&broker, "served");
    fs::remove_file(&directory).unwrap();
    until("it is written again", || {
        come_and_go(&broker, "found");
        text_of(&file).contains("\"found\"")
    });
    broker.process().wait_for_text(Stream::Err, "works again; lines lost meanwhile: ");
    assert_eq!((mode(&file), mode(&directory)), (0o600, 0o700));
    let fails = |line: &&String| line.contains("the log target file fails");
    assert_eq!(broker.process().lines(Stream::Err).iter().filter(fails).count(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_stops_the_start_and_is_named() {
    let place = scratch();
    let file = place.path().join("there").join("it.log");
    fs::write(place.path().join("there"), "a file").unwrap();
    let config = place.path().join("bastionmq.toml");
    let more = format!("\n[log]\ntargets = [\"file\"]\nfile = {file:?}\n");
    fs::write(&config, crate::harness::Site::shared().configuration("off") + &more).unwrap();
    let output = bastionmq().arg("serve").arg("--config").arg(&config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains(file.to_str().unwrap()) && told.contains("`file` in [log]"), "{told}");
}

/// Datagrams until one holds `text`.
fn received(mut receive: impl FnMut(&mut [u8]) -> usize, text: &str) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let length = receive(&mut buffer);
        let found = &buffer[..length];
        if found.windows(text.len()).any(|it| it == text.as_bytes()) {
            return found.to_vec();
        }
    }
}

fn listening(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn syslog_gets_one_line_for_each_event_whatever_clients_say_and_may_come_back() {
    let place = scratch();
    let path = place.path().join("log");
    let daemon = listening(&path);
    let broker = logging(&format!(
        "targets = [\"syslog\"]\nsyslog = \"unix://{}\"\nsyslog_facility = \"local3\"",
        path.display()
    ));
    let get = |buffer: &mut [u8]| daemon.recv(buffer).unwrap();
    let ready = String::from_utf8(received(get, "ready")).unwrap();
    let pid = broker.process().id().as_raw_nonzero();
    assert!(ready.starts_with(&format!("<158>bastionmq[{pid}]: bastionmq::")), "{ready}");
    be_refused(&broker, HOSTILE);
    let refused = String::from_utf8(received(get, "client_id=")).unwrap();
    assert!(!refused.contains(char::is_control), "{refused}");
    let shown = "\"eve\\n<8>1 - - root - - - all is well\\nPRIORITY=0\\n_UID=0\\\" level=\\\"off\"";
    assert!(refused.contains(shown), "{refused}");

    drop(daemon);
    fs::remove_file(&path).unwrap();
    until("lines are lost", || {
        come_and_go(&broker, "lost");
        lost(&broker, "syslog") > 0.0
    });
    broker.process().wait_for_text(Stream::Err, "the log target syslog fails");
    let daemon = listening(&path);
    until("it is told again", || {
        come_and_go(&broker, "found");
        daemon.set_nonblocking(true).unwrap();
        let mut buffer = [0; 9_000];
        daemon.recv(&mut buffer).is_ok()
    });
    broker.process().wait_for_text(Stream::Err, "the log target syslog works again");
}

#[test]
fn syslog_over_udp_is_rfc_5424() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = daemon.local_addr().unwrap();
    let broker = logging(&format!("targets = [\"syslog\"]\nsyslog = \"udp://{address}\""));
    let ready = received(|buffer| daemon.recv(buffer).unwrap(), "ready");
    let ready = String::from_utf8(ready).unwrap();
    let words: Vec<_> = ready.splitn(8, ' ').collect();
    let [first, time, _host, name, pid, id, data, message] = words[..] else { panic!("{ready}") };
    assert_eq!((first, name, id, data), ("<30>1", "bastionmq", "-", "-"));
    assert_eq!(pid, broker.process().id().as_raw_nonzero().to_string());
    assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 24, "{ready}");
    assert!(message.contains(": ready listeners="), "{ready}");
}

/// The fields of a message of the journal.
fn fields(mut message: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while !message.is_empty() {
        let end = message.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&message[..end]).unwrap();
        message = &message[end + 1..];
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let (length, rest) = message.split_first_chunk::<8>().unwrap();
                let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
                message = rest.strip_prefix(b"\n").unwrap();
                (line, String::from_utf8(value.to_vec()).unwrap())
            }
        };
        assert_eq!(found.insert(name.to_owned(), value), None, "{name} twice");
    }
    found
}

#[test]
fn the_journal_gets_fields_and_clients_add_none() {
    let place = scratch();
    let path = place.path().join("socket");
    let journal = listening(&path);
    let broker = logging(&format!("targets = [\"journald\"]\njournald_socket = {path:?}"));
    let get = |buffer: &mut [u8]| journal.recv(buffer).unwrap();
    let ready = fields(&received(get, "MESSAGE=ready"));
    assert_eq!((&*ready["PRIORITY"], &*ready["SYSLOG_IDENTIFIER"]), ("6", "bastionmq"));
    assert!(ready["BASTIONMQ_LISTENERS"].contains("mqtt://127.0.0.1"), "{ready:?}");
    be_refused(&broker, HOSTILE);
    let refused = fields(&received(get, "BASTIONMQ_CLIENT_ID"));
    assert_eq!(refused["BASTIONMQ_CLIENT_ID"], HOSTILE);
    assert_eq!((&*refused["PRIORITY"], refused.get("_UID")), ("4", None));
    assert!(refused["CODE_MODULE"].starts_with("bastionmq::broker"), "{refused:?}");
    assert_eq!(refused["TARGET"], refused["CODE_MODULE"]);
}

#[test]
fn a_line_and_a_field_of_a_file_for_people_end_where_the_broker_ends_them() {
    let place = scratch();
    let file = place.path().join("it.log");
    let broker = logging(&format!("targets = [\"file\"]\nformat = \"human\"\nfile = {file:?}"));
    be_refused(&broker, HOSTILE);
    be_refused(&broker, "a listener=admin");
    until("it is there", || text_of(&file).contains("listener=admin"));
    let text = text_of(&file);
    for shown in [
        " client_id=\"a listener=admin\" ",
        " client_id=\"eve\\n<8>1 - - root - - - all is well\\nPRIORITY=0\\n_UID=0\\\" level=\\\"off\" ",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    assert!(text.lines().all(|line| line.starts_with("20") || line.starts_with("    ")), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

/// `bastionmq ctl` at the broker whose socket is in `place`.
fn ctl(place: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = bastionmq();
    command.arg("ctl").arg("--socket").arg(place.join("control/ctl.sock")).args(words);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn controlled(place: &Path) -> Broker {
    let at = place.display();
    Broker::secure_with_settings(&format!(
        "\n[control]\nsocket = \"{at}/control/ctl.sock\"\n[log]\nlevel = \"warn\"\n[keys]\n\
         master_key_file = \"{at}/master.key\"\n[audit]\ndir = \"{at}/audit\"\n"
    ))
}

#[test]
fn what_is_logged_is_shown_changed_at_once_and_goes_back() {
    let place = scratch();
    let broker = controlled(place.path());
    let log = |words: &[&str]| ctl(place.path(), &[&["log"], words].concat());
    let done = |said: &str| (Some(0), format!("{said}\n"));
    let enters = |client_id: &str| come_and_go(&broker, client_id);
    assert_eq!(log(&[]), done("warn, as the configuration says"));
    enters("unseen-1");
    let until_reload = "until the configuration is read anew; then warn";
    let levels = "warn,bastionmq::broker=info";
    assert_eq!(log(&[levels]), done(&format!("{levels}, {until_reload}")));
    enters("seen-1");
    broker.process().wait_for_text(Stream::Err, "seen-1");
    assert_eq!(log(&["--restore"]), done("warn, as the configuration says"));
    enters("unseen-2");
    assert_eq!(ctl(place.path(), &["log", "info"]).0, Some(0));
    assert_eq!(ctl(place.path(), &["reload"]).0, Some(0));
    assert_eq!(log(&[]), done("warn, as the configuration says"));
    enters("unseen-3");
    let (code, said) = log(&["info", "--for", "1h", "--json"]);
    let row: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &row["level"], &row["configured"]),
        (Some(0), &"info".into(), &"warn".into())
    );
    assert!((3_500..=3_600).contains(&row["seconds"].as_u64().unwrap()), "{row}");
    assert_eq!(log(&["info", "--for", "1s"]).0, Some(0));
    until("it goes back", || log(&[]) == done("warn, as the configuration says"));
    broker.process().wait_for_text(Stream::Err, "the time of this log level is over");
    let stderr = broker.process().lines(Stream::Err).concat();
    assert!(!stderr.contains("unseen"), "{stderr}");

    for bad in [&["loud"][..], &["info", "--for", "31d"], &["--for", "1h"], &["info", "--restore"]]
    {
        assert_ne!(log(bad).0, Some(0), "{bad:?}");
    }
    let mut search = bastionmq();
    search
        .args(["audit", "search", "--event", "operator", "--dir"])
        .arg(place.path().join("audit"));
    let found = String::from_utf8(search.output().unwrap().stdout).unwrap();
    let asked = "{\"set_log_level\":{\"level\":\"info\",\"seconds\":3600}}";
    assert!(found.contains(asked), "{found}");
}

#[test]
fn no_password_is_in_a_line_of_any_target_at_any_level() {
    let place = scratch();
    let at = place.path().display();
    let (syslog, journal) =
        (listening(&place.path().join("log")), listening(&place.path().join("journal")));
    let mut broker = logging(&format!(
        "targets = [\"stderr\", \"file\", \"syslog\", \"journald\"]\nlevel = \"trace\"\n\
         file = \"{at}/it.log\"\nsyslog = \"unix://{at}/log\"\njournald_socket = \"{at}/journal\""
    ));
    RawClient::connected(broker.plain_port(), &Connect::new(5, "right").login(DEVICE1))
        .send(&raw::packet(raw::DISCONNECT, &[]));
    be_refused(&broker, "wrong");
    let mut said = Vec::new();
    for socket in [syslog, journal] {
        let keep = |buffer: &mut [u8]| {
            let length = socket.recv(buffer).unwrap();
            said.extend_from_slice(&buffer[..length]);
            length
        };
        received(keep, "wrong");
    }
    broker.terminate();
    broker.wait();
    said.extend(text_of(&place.path().join("it.log")).into_bytes());
    said.extend(broker.process().transcript().into_bytes());
    let said = String::from_utf8_lossy(&said);
    assert!(said.matches("right").count() >= 4, "{said}");
    for secret in [DEVICE1.1, "a wrong word"] {
        assert!(!said.contains(secret), "{secret}");
    }
}
