//! `bastionmq ctl`, as an operator runs it beside a broker that has clients.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::raw::{self, CONNACK, Connect, RawClient, Will};
use crate::harness::{ADMIN, Broker, DEVICE1, Login, PATIENCE, Site, Stream, bastionmq, scratch};
use crate::unix_sockets::as_user;

const ADMINISTRATIVE_ACTION: u8 = 0x98;
/// A user without a name, and a group without one.
const STRANGER: (u32, u32) = (3_999_999_001, 4_242);

pub(crate) struct Place {
    broker: Broker,
    directory: PathBuf,
}

/// What a command has said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    fn open() -> Self {
        Self::with("")
    }

    /// With more settings in `[control]`.
    pub(crate) fn with(settings: &str) -> Self {
        let (site, directory) = (Site::shared(), scratch());
        for name in ["policy.toml", "passwd"] {
            fs::copy(site.file(name), directory.path().join(name)).expect("a copy");
        }
        let config = format!(
            "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [auth]\npassword_file = \"passwd\"\nlockout_failures = 1\nlockout_seconds = 600\n\
             [acl]\npolicy_file = \"policy.toml\"\n\
             [control]\nsocket = \"control/ctl.sock\"\n{settings}\n"
        );
        fs::write(directory.path().join("bastionmq.toml"), config).expect("a configuration");
        let path = directory.path().to_owned();
        let mut command = bastionmq();
        command.args(["serve", "--config", "bastionmq.toml"]);
        Self { broker: Broker::start(command, directory), directory: path }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn socket(&self) -> PathBuf {
        self.file("control/ctl.sock")
    }

    fn run(&self, words: &[&str]) -> Said {
        let output =
            bastionmq().args(words).current_dir(&self.directory).output().expect("it runs");
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// `bastionmq ctl` at this broker.
    pub(crate) fn ctl(&self, words: &[&str]) -> Said {
        self.run(&[&["ctl", "--socket", "control/ctl.sock"], words].concat())
    }

    /// What it prints, which is JSON, a value on each line.
    fn json(&self, words: &[&str]) -> Vec<Value> {
        let said = self.ctl(words);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn connect(&self, connect: &Connect) -> RawClient {
        RawClient::connected(self.broker.plain_port(), connect)
    }

    /// Tries to log in; the reason code.
    fn log_in(&self, login: Login) -> u8 {
        let mut client = RawClient::plain(self.broker.plain_port());
        client.send(&Connect::new(5, "").login(login).encode());
        client.expect(CONNACK).reason()
    }

    /// Sends bytes as whoever has their own program, and gives the lines that come back.
    fn ask_raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        // It may have been told that it says too much.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }

    fn log(&self, text: &str) -> String {
        self.broker.process().wait_for_text(Stream::Err, text)
    }
}

#[test]
fn status_shows_how_the_broker_is_for_people_and_for_scripts() {
    let place = Place::open();
    let mut client = place.connect(&Connect::new(5, "c1").login(DEVICE1));
    assert_eq!(client.subscribe(5, "devices/device1/#", 1), 1);
    let [status] = &place.json(&["status", "--json"])[..] else { panic!("one line") };
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["connected"], &status["sessions"]), (&1.into(), &1.into()));
    assert_eq!(status["subscriptions"], 1);
    let url = format!("mqtt://127.0.0.1:{}", place.broker.plain_port());
    assert_eq!(status["listeners"][0], url);
    let policy = status["files"].as_array().unwrap().iter().find(|it| it["what"] == "policy");
    let policy = policy.expect("it has a policy");
    assert!(policy["read_at"].as_u64() > Some(1_700_000_000), "{policy}");
    let said = place.ctl(&["status"]);
    for line in [&*url, "connected      1", "policy         in force, read "] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    // Whoever asks is named in the log.
    let uid = rustix::process::geteuid().as_raw();
    let line = place.log("an operator");
    assert!(line.contains(&format!("\"uid\":{uid}")) && line.contains("status"), "{line}");
}

#[test]
fn reload_waits_and_says_what_is_broken() {
    let place = Place::open();
    let said = place.ctl(&["reload"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    for what in ["config ", "policy ", "passwords "] {
        let line = said.out.lines().find(|line| line.starts_with(what)).expect(what);
        let seconds =
            line.split_once("in force, read ").and_then(|(_, it)| it.strip_suffix(" s ago"));
        // It was read for this answer, however long that took.
        assert!(seconds.is_some_and(|it| it.parse::<u32>().unwrap() < 30), "{line}");
    }
    let policy = fs::read_to_string(place.file("policy.toml")).unwrap();
    fs::write(place.file("policy.toml"), "[[role]]\nname = 1\n").unwrap();
    let said = place.ctl(&["reload"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("policy         BROKEN; in force is what was read"), "{}", said.out);
    assert!(said.out.contains("policy.toml: line 2, column "), "{}", said.out);
    // What was in force still is.
    assert_eq!(place.log_in(DEVICE1), 0);
    fs::write(place.file("policy.toml"), policy).unwrap();
    let files = &place.json(&["reload", "--json"])[0];
    assert!(files.as_array().unwrap().iter().all(|file| file.get("fault").is_none()), "{files}");
}

#[test]
fn what_ought_to_be_known_of_a_file_is_said_once_with_each_reload() {
    let place = Place::open();
    let warning = "is assigned to nobody";
    let policy = fs::read_to_string(place.file("policy.toml")).unwrap();
    let rules = "rules = [{ allow = [\"publish\"], topics = [\"x\"] }]";
    let policy = format!("{policy}\n[[role]]\nname = \"idle\"\n{rules}\n");
    fs::write(place.file("policy.toml"), policy).unwrap();
    place.log(warning);
    let logged = || {
        let lines = place.broker.process().lines(Stream::Err);
        lines.iter().filter(|line| line.contains(warning)).count()
    };
    for _ in 0..3 {
        let said = place.ctl(&["reload"]);
        assert_eq!(said.out.matches(warning).count(), 1, "{}", said.out);
    }
    // Nor again with what names the file.
    let config = fs::read_to_string(place.file("bastionmq.toml")).unwrap();
    let config = format!("{config}\n[mqtt]\nreceive_maximum = 17\n");
    fs::write(place.file("bastionmq.toml"), config).unwrap();
    place.log("`mqtt.receive_maximum` is in force");
    place.ctl(&["lift", "--all"]);
    place.log("lock-outs lifted");
    assert_eq!(logged(), 4);
}

#[test]
fn reload_names_what_needs_a_restart() {
    let place = Place::open();
    let config = fs::read_to_string(place.file("bastionmq.toml")).unwrap();
    fs::write(place.file("bastionmq.toml"), config + "group = \"root\"\n").unwrap();
    let said = place.ctl(&["reload"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    let note = "note: `control.group` has changed and needs a restart";
    assert!(said.out.contains(note), "{}", said.out);
}

#[test]
fn sessions_are_listed_with_who_where_from_and_what_they_use() {
    let place = Place::open();
    let mut here = place.connect(&Connect::new(5, "here").login(DEVICE1));
    assert_eq!(here.subscribe(5, "devices/device1/#", 1), 1);
    let mut admin = place.connect(&Connect::new(4, "admin-1").login(ADMIN));
    let mut gone = place.connect(&Connect::new(5, "gone").login(ADMIN).keep_session(true, 600));
    assert_eq!(gone.subscribe(5, "news/+", 1), 1);
    gone.break_off();
    // The session waits once it is away: from then on, messages do.
    let away = || {
        let rows = place.json(&["sessions", "--client-id", "gone", "--json"]);
        rows[0]["state"] == "away"
    };
    while !away() {}
    for number in 1..=3 {
        admin.send(&raw::publish_with(4, raw::PUBLISH | 2, "news/1", Some(number), &[], b"x"));
        admin.expect(raw::PUBACK);
    }

    let rows = place.json(&["sessions", "--topics", "--json"]);
    let ids: Vec<_> = rows.iter().map(|row| row["client_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["admin-1", "gone", "here"]);
    let [of_admin, of_gone, of_here] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (&of_here["state"], &of_here["principal"]),
        (&"connected".into(), &"user:device1".into())
    );
    assert!(of_here["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{of_here}");
    assert!(of_here["listener"].as_str().unwrap().starts_with("mqtt://127.0.0.1"), "{of_here}");
    assert_eq!((&of_here["subscriptions"], &of_here["queued"]), (&1.into(), &0.into()));
    assert_eq!(of_here["topics"]["filters"][0], "devices/device1/#");
    assert_eq!((&of_gone["state"], &of_gone["queued"]), (&"away".into(), &3.into()));
    assert_eq!(of_gone["topics"]["filters"][0], "news/+");
    assert_eq!(of_admin["topics"]["published"][0], "news/1");

    let said = place.ctl(&["sessions", "--principal", "user:adm*", "--limit", "1"]);
    assert!(said.out.starts_with("admin-1  user:admin  connected "), "{}", said.out);
    assert!(
        said.out.contains("1 of 2 sessions\nmore of them: add --after 'admin-1'"),
        "{}",
        said.out
    );
    let said = place.ctl(&["sessions", "--principal", "user:adm*", "--after", "admin-1"]);
    assert!(said.out.starts_with("gone  user:admin  away, connected last "), "{}", said.out);
}

#[test]
fn a_connection_that_never_rests_tells_of_itself_as_well() {
    let place = Place::open();
    let mut busy = place.connect(&Connect::new(4, "busy").login(DEVICE1));
    let batch = raw::publish(4, "devices/device1/x", b"x").repeat(1_000);
    std::thread::scope(|scope| {
        let listed = scope.spawn(|| place.json(&["sessions", "--json"]));
        while !listed.is_finished() {
            busy.send(&batch);
        }
        let rows = listed.join().unwrap();
        assert_eq!(rows[0]["state"], "connected", "{rows:?}");
    });
}

#[test]
fn a_client_that_is_kicked_is_told_so_and_may_come_back_to_its_session() {
    let place = Place::open();
    let visit = Connect::new(5, "pump").login(DEVICE1).keep_session(false, 600);
    let mut client = place.connect(&visit);
    let said = place.ctl(&["kick", "pump"]);
    assert_eq!(
        (said.code, &*said.out),
        (Some(0), "pump is disconnected; its session waits for it\n")
    );
    client.expect_disconnect(ADMINISTRATIVE_ACTION);
    let line = place.log("\"kick\"");
    assert!(line.contains("\\\"pump\\\""), "{line}");

    let said = place.ctl(&["kick", "pump"]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.starts_with("pump is not connected"), "{}", said.out);

    let mut client = RawClient::plain(place.broker.plain_port());
    client.send(&visit.encode());
    assert_eq!(client.expect(CONNACK).body[..2], [1, 0], "the session is present");
    let said = place.ctl(&["kick", "--forget", "pump"]);
    assert_eq!(said.out, "pump is disconnected, and its session has ended\n");
    client.expect_disconnect(ADMINISTRATIVE_ACTION);
    let said = place.ctl(&["kick", "pump"]);
    assert_eq!((said.code, &*said.out), (Some(1), "pump has no session here\n"));
    let mut client = RawClient::plain(place.broker.plain_port());
    client.send(&visit.encode());
    assert_eq!(client.expect(CONNACK).body[..2], [0, 0], "the session is gone");
}

#[test]
fn a_session_that_waits_can_be_forgotten() {
    let place = Place::open();
    let visit = Connect::new(5, "pump").login(DEVICE1).keep_session(true, 600);
    let _client = place.connect(&visit);
    assert_eq!(place.ctl(&["kick", "pump"]).code, Some(0));
    let said = place.ctl(&["kick", "--forget", "pump"]);
    assert_eq!(
        (said.code, &*said.out),
        (Some(0), "pump was not connected; its session has ended\n")
    );
    assert_eq!(place.json(&["status", "--json"])[0]["sessions"], 0);
}

#[test]
fn the_will_of_a_client_that_is_kicked_is_published_and_3_x_is_cut_off() {
    let place = Place::open();
    let mut admin = place.connect(&Connect::new(5, "admin").login(ADMIN));
    assert_eq!(admin.subscribe(5, "devices/#", 0), 0);
    let will = Will::new("devices/device1/will", b"gone");
    let visit = Connect { will: Some(will), ..Connect::new(4, "pump").login(DEVICE1) };
    let mut client = place.connect(&visit);
    let said = place.ctl(&["kick", "pump"]);
    assert_eq!(said.out, "pump is disconnected, and its session has ended\n");
    client.expect_end();
    assert_eq!(admin.expect(raw::PUBLISH).publish(5).topic, "devices/device1/will");
}

#[test]
fn lock_outs_are_shown_and_lifted() {
    let place = Place::open();
    assert_eq!(place.ctl(&["lift", "device1"]).code, Some(1));
    assert_eq!(place.log_in(("device1", "wrong")), 0x86);
    assert_eq!(place.log_in(DEVICE1), 0x9F);
    let rows = place.json(&["lockouts", "--json"]);
    assert_eq!((rows.len(), &rows[0]["user"]), (1, &"device1".into()));
    assert_eq!(rows[0]["address"], "127.0.0.1");
    let said = place.ctl(&["lockouts"]);
    let line = "user \"device1\" from 127.0.0.1: 1 failures, locked out for ";
    assert!(said.out.starts_with(line) && said.out.ends_with("1 of 1 lock-outs\n"), "{}", said.out);
    let said = place.ctl(&["lift", "device1"]);
    assert_eq!((said.code, &*said.out), (Some(0), "1 lock-out lifted\n"));
    assert_eq!(place.log_in(DEVICE1), 0);
    assert_eq!(place.log_in(("nobody", "wrong")), 0x86);
    assert_eq!(place.ctl(&["lift", "127.0.0.1"]).out, "1 lock-out lifted\n");
    assert_eq!(place.ctl(&["lockouts"]).out, "0 of 0 lock-outs\n");
}

#[test]
fn acl_diff_asks_the_running_broker_who_would_notice() {
    let place = Place::open();
    let mut client = place.connect(&Connect::new(5, "c1").login(DEVICE1));
    assert_eq!(client.subscribe(5, "devices/device1/#", 0), 0);
    let _other = place.connect(&Connect::new(5, "c2").login(ADMIN));
    let policy = fs::read_to_string(place.file("policy.toml")).unwrap();
    let other = policy.replace("users = [\"device1\", \"device2\"]", "users = [\"device2\"]");
    assert_ne!(policy, other);
    fs::write(place.file("new.toml"), other).unwrap();
    let said = place.run(&["acl", "diff", "--running=control/ctl.sock", "policy.toml", "new.toml"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    let wanted = "user:device1 as \"c1\"\n  - subscribe        devices/device1/#\n  - receive          \
                  devices/device1/#\n1 of 2 clients of the running broker would notice: 0 gained, 2 lost \
                  of what they use\n";
    assert!(said.out.ends_with(wanted), "{}", said.out);
    let said = place.run(&["acl", "diff", "--running=/no/such", "policy.toml", "new.toml"]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(said.err.contains("cannot speak to the broker at /no/such"), "{}", said.err);
}

#[test]
fn what_is_no_request_is_answered_and_holds_nobody_up() {
    let place = Place::open();
    for (bytes, told) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "this is no request"),
        (b"\xff\xfe\n".to_vec(), "this is no request"),
        (b"{\"version\":7,\"request\":\"status\"}\n".to_vec(), "was asked in version 7"),
        (vec![b'x'; 100_000], "a request has at most 16384 bytes"),
        (b"{\"version\":1,\"request\":\"sta".to_vec(), ""),
        (
            b"{\"version\":1,\"request\":{\"lift\":{\"address\":\"10.0.0.0/8\"}}}\n".to_vec(),
            "is no address",
        ),
    ] {
        let answer = place.ask_raw(&bytes);
        assert!(answer.contains(told) && (told.is_empty() == answer.is_empty()), "{answer}");
    }
    // More than are served at once, and none of them says a word.
    let silent: Vec<_> = (0..12).map(|_| UnixStream::connect(place.socket()).unwrap()).collect();
    assert_eq!(place.ctl(&["status"]).code, Some(0));
    for stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        assert_eq!(BufReader::new(stream).read_line(&mut line).unwrap_or(0), 0, "{line}");
    }
}

#[test]
fn the_socket_is_for_the_broker_s_own_user_root_and_the_group() {
    let place = Place::with("group = \"root\"");
    let mode = |name: &str| fs::metadata(place.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control"), mode("control/ctl.sock")), (0o750, 0o660));
    fs::set_permissions(place.file(""), Permissions::from_mode(0o711)).unwrap();
    let ask = |gid: u32| {
        let socket = place.socket();
        as_user(STRANGER.0, gid, move || {
            let mut stream = UnixStream::connect(socket).ok()?;
            // Whoever is not let in may have been left by now.
            let _ = stream.write_all(b"{\"version\":1,\"request\":\"status\"}\n");
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).ok()?;
            Some(line)
        })
    };
    assert!(ask(0).unwrap().contains("uptime_seconds"));
    assert_eq!(ask(STRANGER.1), None, "the file system keeps it out");
    fs::set_permissions(place.file("control"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.socket(), Permissions::from_mode(0o666)).unwrap();
    let refused = ask(STRANGER.1).unwrap();
    assert!(refused.contains("is not let in here"), "{refused}");
    place.log("refused at the control socket");
}

#[test]
fn the_socket_goes_with_its_broker_and_a_stale_one_is_replaced() {
    let mut place = Place::open();
    let mode = |name: &str| fs::metadata(place.file(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control"), mode("control/ctl.sock")), (0o700, 0o600));
    // A second broker does not take it from the first.
    let second = place.run(&["serve", "--config", "bastionmq.toml"]);
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("cannot open the control socket: "), "{}", second.err);
    assert!(second.err.contains("is served by process"), "{}", second.err);
    // A socket of a broker that was killed is there and of no use.
    let stale = place.file("stale/ctl.sock");
    fs::create_dir(place.file("stale")).unwrap();
    fs::set_permissions(place.file("stale"), Permissions::from_mode(0o700)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let said = place.run(&["ctl", "--socket", "stale/ctl.sock", "status"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("it is not running"), "{}", said.err);
    let config = fs::read_to_string(place.file("bastionmq.toml")).unwrap();
    fs::write(place.file("other.toml"), config.replace("control/", "stale/")).unwrap();
    let mut command = bastionmq();
    command.args(["serve", "--config"]).arg(place.file("other.toml"));
    let other = Broker::start(command, scratch());
    assert_eq!(place.run(&["ctl", "--socket", "stale/ctl.sock", "status"]).code, Some(0));
    drop(other);

    place.broker.terminate();
    place.broker.wait();
    assert!(!place.socket().exists());
}
