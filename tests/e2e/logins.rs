//! Passwords as fleets and attackers send them: what is remembered, what is replaced, who is locked
//! out.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::harness::http::metric;
use crate::harness::raw::{self, CONNACK, Connect, RawClient};
use crate::harness::{Broker, Stream, bastionmq, scratch};

const BUSY: u8 = 0x89;
const BAD_CREDENTIALS: u8 = 0x86;
const LOCKED_OUT: u8 = 0x9F;

/// A place for a broker that is started more than once.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(scratch())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The hash of `password`, as `bastionmq passwd add` makes it with `parameters`.
    fn hash(&self, password: &str, parameters: &[&str]) -> String {
        let file = self.path("made");
        let mut adding = bastionmq();
        adding.args(["passwd", "add", "--stdin"]).args(parameters).arg(&file).arg("x");
        let mut adding = adding.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
        adding.stdin.take().expect("piped").write_all(password.as_bytes()).expect("it reads");
        assert!(adding.wait().expect("it ends").success());
        let text = fs::read_to_string(file).expect("a password file");
        text.trim_end().strip_prefix("x:").expect("a line").to_owned()
    }

    /// Starts a broker with the password file `users`, and `settings` in its section `[auth]`.
    fn start(&self, settings: &str) -> Broker {
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/open.toml");
        let config = format!(
            "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [network]\nmax_connect_size = 200_000\n\
             [keys]\nmaster_key_file = \"master.key\"\n[acl]\npolicy_file = \"{policy}\"\n\
             [auth]\npassword_file = \"users\"\ncredential_cache_file = \"credentials\"\n{settings}\n"
        );
        fs::write(self.path("bastionmq.toml"), config).expect("a configuration file");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(self.path("bastionmq.toml"));
        Broker::start(command, scratch())
    }
}

fn stop(mut broker: Broker) {
    broker.terminate();
    assert!(broker.wait().success());
}

/// A CONNECT of MQTT 5.0 with whatever is given.
fn connect(id: &str, user: Option<&[u8]>, password: Option<&[u8]>) -> Vec<u8> {
    let flags = u8::from(user.is_some()) << 7 | u8::from(password.is_some()) << 6 | 0x02;
    let mut body = raw::data("MQTT");
    body.extend([5, flags, 0, 0]);
    body.extend(raw::properties(5, &[]));
    body.extend(raw::data(id));
    body.extend(user.map(raw::data).unwrap_or_default());
    body.extend(password.map(raw::data).unwrap_or_default());
    raw::packet(raw::CONNECT, &body)
}

/// The reason code of the CONNACK, and the connection.
fn answer(port: u16, connect: &[u8]) -> (u8, RawClient) {
    let mut client = RawClient::plain(port);
    client.send(connect);
    let ack = client.read();
    assert_eq!(ack.first, CONNACK, "{ack:?}");
    (ack.reason(), client)
}

fn log_in(port: u16, user: &str, password: &str) -> u8 {
    answer(port, &connect(user, Some(user.as_bytes()), Some(password.as_bytes()))).0
}

/// As [`log_in`], from another address of this machine.
fn log_in_from(address: [u8; 4], port: u16, user: &str, password: &str) -> u8 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address of loopback");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("it listens");
    let mut stream = std::net::TcpStream::from(socket);
    let packet = connect(user, Some(user.as_bytes()), Some(password.as_bytes()));
    stream.write_all(&packet).expect("it reads");
    let mut ack = [0; 4];
    stream.read_exact(&mut ack).expect("a CONNACK");
    assert_eq!(ack[0], CONNACK);
    ack[3]
}

#[test]
fn u01_a_thousand_clients_that_come_back_at_once_are_all_let_in() {
    const CLIENTS: usize = 1_000;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("a soft limit below the hard one");
    let home = Home::new();
    let hash = home.hash("apple", &["--memory-kib=1024", "--iterations=1"]);
    let users = (0..CLIENTS).map(|number| format!("device{number}:{hash}\n")).collect::<String>();
    fs::write(home.path("users"), users).expect("a password file");

    // Few may wait, so many are told to come back, and come back at once.
    let settings = "max_waiting_logins = 50";
    let all_in = |broker: &Broker| {
        let mut inside = Vec::new();
        let mut outside = (0..CLIENTS).collect::<Vec<_>>();
        while !outside.is_empty() {
            let knock = |number: usize| {
                let mut client = RawClient::plain(broker.plain_port());
                let name = format!("device{number}");
                client.send(&connect(&name, Some(name.as_bytes()), Some(b"apple")));
                (number, client)
            };
            let crowd = outside.drain(..).map(knock).collect::<Vec<_>>();
            for (number, mut client) in crowd {
                match client.read().reason() {
                    0 => inside.push(client),
                    BUSY => outside.push(number),
                    other => panic!("{other:#04x}"),
                }
            }
        }
        let open = metric(broker.admin_port(), "bastionmq_connections_open");
        assert_eq!(open, Some(CLIENTS as f64));
        metric(broker.admin_port(), "bastionmq_credential_cache_hits_total")
    };
    let broker = home.start(settings);
    assert_eq!(all_in(&broker), Some(0.0));
    stop(broker);
    let broker = home.start(settings);
    assert_eq!(all_in(&broker), Some(CLIENTS as f64), "each of them without a hash");
}

#[test]
fn what_is_remembered_is_sealed_and_a_file_that_is_spoilt_is_named_and_begun_anew() {
    let home = Home::new();
    let hash = home.hash("apple", &["--memory-kib=8", "--iterations=1"]);
    fs::write(home.path("users"), format!("ann:{hash}\n")).expect("a password file");
    let hits = |broker: &Broker| {
        metric(broker.admin_port(), "bastionmq_credential_cache_hits_total").expect("it is shown")
    };
    let broker = home.start("");
    assert_eq!(log_in(broker.plain_port(), "ann", "apple"), 0);
    assert_eq!(log_in(broker.plain_port(), "ann", "pear"), BAD_CREDENTIALS);
    assert_eq!((log_in(broker.plain_port(), "ann", "apple"), hits(&broker)), (0, 1.0));
    stop(broker);
    let mut sealed = fs::read(home.path("credentials")).expect("it is kept");
    assert!(!sealed.windows(3).any(|bytes| bytes == b"ann"));

    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    fs::write(home.path("credentials"), sealed).expect("it can be written");
    let broker = home.start("");
    let line = broker.process().wait_for_text(Stream::Err, "verified credentials begins empty");
    assert!(line.contains("credentials\"") && line.contains("damaged"), "{line}");
    assert_eq!((log_in(broker.plain_port(), "ann", "apple"), hits(&broker)), (0, 0.0));
    stop(broker);

    let broker = home.start("credential_cache_seconds = 0");
    assert_eq!(log_in(broker.plain_port(), "ann", "apple"), 0);
    assert_eq!((log_in(broker.plain_port(), "ann", "apple"), hits(&broker)), (0, 0.0));
}

#[test]
fn a_hash_of_mosquitto_is_replaced_by_argon2id_at_the_first_login() {
    // Of "secret".
    const OLD: &str = "$7$101$DW8oHJo47f+3TUnM$QFKHMbKiuydmFs0ZrAynU3l48o2nZzg6kGD/8eGq3sWnKI4ZvN6y2hoi\
                       eCUMGHmchXXAmQ7ZjLtlauBNEcxuRw==";
    let home = Home::new();
    let text = format!("# fleet\nann:{OLD}\n# not yet\nbob:{OLD}\n# end\n");
    fs::write(home.path("users"), &text).expect("a password file");
    let broker = home.start("");
    let port = broker.plain_port();
    assert_eq!(log_in(port, "ann", "wrong"), BAD_CREDENTIALS);
    assert_eq!(fs::read_to_string(home.path("users")).expect("text"), text);
    assert_eq!(log_in(port, "ann", "secret"), 0);
    broker.process().wait_for_text(Stream::Err, "replaced by argon2id");
    let now = fs::read_to_string(home.path("users")).expect("text");
    let (before, after) = text.split_once(OLD).expect("the line of ann");
    let replaced = now.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let replaced = replaced.unwrap_or_else(|| panic!("more has changed: {now}"));
    assert!(replaced.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{replaced}");
    assert_eq!(log_in(port, "ann", "secret"), 0);
    stop(broker);
    let broker = home.start("");
    assert_eq!(log_in(broker.plain_port(), "ann", "secret"), 0);
    assert_eq!(log_in(broker.plain_port(), "ann", "wrong"), BAD_CREDENTIALS);
}

#[test]
fn a_password_file_that_cannot_be_written_refuses_nobody() {
    // Of "password". Nothing can be written through a symbolic link.
    const OLD: &str = "$6$vZY4TS+/HBxHw38S$vvjVFECzb8dyuu/mruD2QKTfdFn0WmKxbc+1TsdB0L8EdHk3v9JRmfjHd56+\
                       VaTnUcSZOZ/hzkdvWCtxlX7AUQ==";
    let home = Home::new();
    let text = format!("ann:{OLD}\nbob:{OLD}\n");
    fs::write(home.path("real"), &text).expect("a password file");
    std::os::unix::fs::symlink(home.path("real"), home.path("users")).expect("a link");
    let broker = home.start("credential_cache_seconds = 0");
    for user in ["ann", "bob", "ann"] {
        assert_eq!(log_in(broker.plain_port(), user, "password"), 0);
    }
    broker.process().wait_for_text(Stream::Err, "stay in the password file");
    stop(broker);
    assert_eq!(fs::read_to_string(home.path("real")).expect("text"), text);
}

#[test]
fn who_goes_on_failing_is_locked_out_there_and_nowhere_else() {
    let home = Home::new();
    let hash = home.hash("apple", &["--memory-kib=8", "--iterations=1"]);
    fs::write(home.path("users"), format!("ann:{hash}\nbob:{hash}\n")).expect("a password file");
    let broker = home.start("lockout_seconds = 600");
    let port = broker.plain_port();
    for user in ["ann", "nobody"] {
        for _ in 0..5 {
            assert_eq!(log_in(port, user, "wrong"), BAD_CREDENTIALS, "{user}");
        }
        // Neither the right password nor whether there is such a user makes a difference now.
        assert_eq!(log_in(port, user, "apple"), LOCKED_OUT, "{user}");
    }
    assert_eq!(log_in(port, "bob", "apple"), 0);
    assert_eq!(log_in_from([127, 0, 0, 2], port, "ann", "apple"), 0);
    let line = broker.process().wait_for_text(Stream::Err, "locked out after too many");
    assert!(line.contains("\"ann\"") && line.contains("127.0.0.1"), "{line}");
    assert_eq!(metric(broker.admin_port(), "bastionmq_lockouts_total"), Some(2.0));
}

#[test]
fn r21_absent_empty_nul_and_64_kib_credentials_are_refused() {
    let home = Home::new();
    let hash = home.hash("apple", &["--memory-kib=8", "--iterations=1"]);
    fs::write(home.path("users"), format!("ann:{hash}\n")).expect("a password file");
    let broker = home.start("lockout_failures = 0\nlockout_address_failures = 0");
    let port = broker.plain_port();
    let long = vec![b'x'; 65_535];
    let users = [None, Some(&b""[..]), Some(b"ann"), Some(b"Ann"), Some(b"ann "), Some(&long)];
    let passwords =
        [None, Some(&b""[..]), Some(b"\0"), Some(b"apple\0"), Some(b"APPLE"), Some(&long)];
    for user in users {
        for password in passwords {
            let (reason, mut client) = answer(port, &connect("", user, password));
            let expected = if (user, password) == (None, None) { 0x87 } else { BAD_CREDENTIALS };
            assert_eq!(reason, expected, "{user:.10?} {password:.10?}");
            client.expect_end();
        }
    }
    // A user name is text, and no text has null characters: it is malformed.
    let mut client = RawClient::plain(port);
    client.send(&connect("", Some(b"ann\0"), Some(b"apple")));
    assert!(client.read_or_end().is_none_or(|ack| ack.reason() >= 0x80));
    assert_eq!(log_in(port, "ann", "apple"), 0);
}

#[test]
fn u02_a_login_that_waits_does_not_hold_up_a_flow_of_messages() {
    const MESSAGES: usize = 200;
    const WAITING: usize = 20;
    let home = Home::new();
    let cheap = home.hash("apple", &["--memory-kib=8", "--iterations=1"]);
    let slow = home.hash("apple", &["--memory-kib=65536", "--iterations=4"]);
    fs::write(home.path("users"), format!("ann:{cheap}\nslow:{slow}\n")).expect("a password file");
    let broker = home.start("hashing_threads = 1");
    let port = broker.plain_port();
    let login = Some(("ann", "apple"));
    let mut subscriber =
        RawClient::connected(port, &Connect { login, ..Connect::new(5, "subscriber") });
    assert_eq!(subscriber.subscribe(5, "a", 0), 0);
    let mut publisher =
        RawClient::connected(port, &Connect { login, ..Connect::new(5, "publisher") });
    let crowd = (0..WAITING).map(|number| {
        let mut client = RawClient::plain(port);
        client.send(&connect(&number.to_string(), Some(b"slow"), Some(b"apple")));
        client
    });
    let crowd = crowd.collect::<Vec<_>>();
    for _ in 0..MESSAGES {
        publisher.send(&raw::publish(5, "a", b"payload"));
        assert_eq!(subscriber.read().publish(5).payload, b"payload");
    }
    let accepted = metric(broker.admin_port(), "bastionmq_logins_total");
    assert!(accepted < Some(WAITING as f64), "the logins were done before the messages");
    drop(crowd);
}
