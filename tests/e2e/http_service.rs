//! A service that knows who clients are, asked over HTTP: what it may say, and every way in which it
//! may fail, all of which let nobody in.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};

use crate::harness::http::{get, metric};
use crate::harness::identity_service::{IdentityService, Reply};
use crate::harness::raw::{self, CONNACK, CONNECT, Connect, PUBACK, RawClient};
use crate::harness::site::add_user;
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{
    Broker, Login, PATIENCE, Place, Process, Site, Stream, bastionmq, clients, scratch,
};

const ANN: Login = ("ann", "apple");
const BAD_CREDENTIALS: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const UNAVAILABLE: u8 = 0x88;
const BUSY: u8 = 0x89;

const POLICY: &str = r##"
[[role]]
name = "sensor"
rules = [{ allow = ["publish", "subscribe"], topics = ["sensors/${username}/#"] }]

[[role]]
name = "flow"
rules = [{ allow = ["publish", "subscribe"], topics = ["flow"] }]

[[assign]]
http = { roles = ["sensor"] }
roles = ["sensor"]

[[assign]]
http = { groups = ["flow"] }
roles = ["flow"]
"##;

/// Asks the service at `url`, with more `settings` of `[http]` and a `rest`.
fn broker_with(url: &str, settings: &str, rest: &str) -> Broker {
    let directory = directory_with(url, settings, rest);
    start(&directory.path().join("bastionmq.toml"), directory)
}

fn directory_with(url: &str, settings: &str, rest: &str) -> tempfile::TempDir {
    let directory = scratch();
    let config = format!(
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [acl]\npolicy_file = \"policy.toml\"\n[http]\nurl = \"{url}\"\n{settings}\n{rest}\n"
    );
    fs::write(directory.path().join("bastionmq.toml"), config).expect("a configuration file");
    fs::write(directory.path().join("policy.toml"), POLICY).expect("a policy");
    directory
}

fn start(config: &Path, directory: tempfile::TempDir) -> Broker {
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(config);
    Broker::start(command, directory)
}

fn broker(service: &IdentityService, settings: &str) -> Broker {
    broker_with(&service.url(), settings, "")
}

/// Lets ann in by her password, says `more` of her, and lets nobody else in.
fn knows_ann(more: &Value) -> impl Fn(&Value) -> Reply + Send + Sync + use<> {
    let more = more.clone();
    move |question| {
        let is_ann = question["username"] == ANN.0 && question["password"] == ANN.1;
        Reply::Json(if is_ann { allow(&more) } else { json!({"result": "deny"}) })
    }
}

fn allow(more: &Value) -> Value {
    let mut answer = json!({"result": "allow"});
    for (name, value) in more.as_object().expect("an object") {
        answer[name] = value.clone();
    }
    answer
}

/// The reason code of the CONNACK.
fn log_in_as(port: u16, version: u8, client_id: &str, login: Login) -> u8 {
    let mut client = RawClient::plain(port);
    client.send(&Connect::new(version, client_id).login(login).encode());
    client.expect(CONNACK).reason()
}

fn log_in(port: u16, login: Login) -> u8 {
    log_in_as(port, 5, "client", login)
}

/// Publishes at QoS 1, and says by which reason code that was answered; that nobody has subscribed is
/// no matter.
fn publish(client: &mut RawClient, topic: &str) -> u8 {
    client.send(&raw::publish_with(5, 0x32, topic, Some(1), &[], b"payload"));
    match client.expect_and_keep(PUBACK).acknowledged().1 {
        0x10 => 0,
        reason => reason,
    }
}

/// The value of a series, label and all.
fn series(broker: &Broker, series: &str) -> f64 {
    let (_, text) = get(broker.admin_port(), "/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {series} in {text}"))
}

fn outcomes(broker: &Broker, result: &str) -> f64 {
    series(broker, &format!("bastionmq_http_auth_total{{result=\"{result}\"}}"))
}

/// Tries until `is_so`.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
    }
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

// ── what it may say ────────────────────────────────────────────────────────────────────────────

#[test]
fn it_lets_a_user_in_with_roles_and_with_rules_of_its_own() {
    let service = IdentityService::start(knows_ann(&json!({
        "roles": ["sensor", "unknown to the policy"],
        "acl": [
            {"allow": ["publish", "subscribe"], "topics": ["own/${client_id}/#", "shared"]},
            {"deny": ["publish", "subscribe"], "topics": ["sensors/+/secret"]},
        ],
    })));
    let broker = broker(&service, "");
    let mut ann = RawClient::connected(broker.plain_port(), &Connect::new(5, "c1").login(ANN));
    assert_eq!(ann.subscribe(5, "#", 0), 0);
    for (topic, reason) in [
        ("sensors/ann/heat", 0),
        ("own/c1/a", 0),
        ("shared", 0),
        ("sensors/bob/heat", NOT_AUTHORIZED),
        ("sensors/ann/secret", NOT_AUTHORIZED),
        ("own/c2/a", NOT_AUTHORIZED),
        ("other", NOT_AUTHORIZED),
    ] {
        assert_eq!(publish(&mut ann, topic), reason, "{topic}");
    }
    // It is delivered what it may subscribe to, of all that matches `#`.
    for topic in ["sensors/ann/heat", "own/c1/a", "shared"] {
        assert_eq!(ann.kept_or_next().publish(5).topic, topic);
    }
    ann.expect_silence();
    broker.process().wait_for_text(Stream::Err, "\"principal\":\"http:ann\"");
    broker.process().wait_for_text(Stream::Err, "of those that came with its login: { deny");
    assert_eq!(log_in_as(broker.plain_port(), 4, "c1", ANN), 0);
    assert_eq!(log_in_as(broker.plain_port(), 3, "c1", ANN), 0);
}

#[test]
fn it_is_asked_who_wants_to_log_in_from_where_and_by_what() {
    let service = IdentityService::start(knows_ann(&json!({})));
    let site = Site::shared();
    let directory = scratch();
    let file = directory.path().join("bastionmq.toml");
    let config = site.configuration("optional");
    let http = format!("[http]\nurl = \"{}\"\n", service.url());
    let websocket = "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n";
    fs::write(&file, config + &http + websocket).expect("a configuration file");
    let broker = start(&file, directory);
    assert_eq!(log_in_as(broker.plain_port(), 4, "plain", ANN), 0);
    let mut certified = RawClient::tls(broker.tls_port(), site.tls_as("device1"));
    certified.send(&Connect::new(5, "certified").login(ANN).encode());
    assert_eq!(certified.expect(CONNACK).reason(), 0);
    let mut page = WsClient::open(RawClient::plain(broker.ws_port()));
    page.send(BINARY, &Connect::new(5, "page").login(ANN).encode());
    assert_eq!(page.read_packet()[3], 0);
    let questions = service.questions();
    assert!(questions[0].head.starts_with("POST /login HTTP/1.1\r\n"), "{}", questions[0].head);
    let asked = json!({
        "username": "ann", "password": "apple", "clientid": "plain", "peerhost": "127.0.0.1",
        "listener": "mqtt://127.0.0.1:0", "transport": "plain", "protocol": "3.1.1",
    });
    let listener = questions[0].json["listener"].as_str().expect("a listener");
    assert!(listener.starts_with("mqtt://127.0.0.1:"), "{listener}");
    let mut expected = asked;
    expected["listener"] = json!(listener);
    assert_eq!(questions[0].json, expected);
    let certified = &questions[1].json;
    assert_eq!(certified["transport"], "mtls");
    assert_eq!(certified["certificate"], "device1");
    assert_eq!(certified["protocol"], "5.0");
    let by_page = questions[2].json["listener"].as_str().expect("a listener");
    assert!(by_page.starts_with("ws://127.0.0.1:"), "{by_page}");
}

#[test]
fn whom_it_denies_is_refused_and_asked_about_again() {
    let is_right = Arc::new(AtomicBool::new(false));
    let judge = Arc::clone(&is_right);
    let service = IdentityService::start(move |_| {
        let result = if judge.load(Ordering::SeqCst) { "allow" } else { "deny" };
        Reply::Json(json!({"result": result}))
    });
    let broker = broker(&service, "");
    let port = broker.plain_port();
    assert_eq!(log_in(port, ANN), BAD_CREDENTIALS);
    assert_eq!(log_in_as(port, 4, "client", ANN), 4);
    let line = broker.process().wait_for_text(Stream::Err, "the HTTP service does not let it in");
    assert!(line.contains("\"authenticator\":\"http\"") && !line.contains("apple"), "{line}");
    is_right.store(true, Ordering::SeqCst);
    assert_eq!(log_in(port, ANN), 0);
    assert_eq!(outcomes(&broker, "denied"), 2.0);
    assert_eq!(outcomes(&broker, "allowed"), 1.0);
    assert_eq!(series(&broker, "bastionmq_http_auth_seconds_count"), 3.0);
}

#[test]
fn guesses_at_the_service_lead_to_a_lock_out() {
    let service = IdentityService::start(knows_ann(&json!({})));
    let broker = broker(&service, "[auth]\nlockout_failures = 2\nlockout_seconds = 600");
    for reason in [BAD_CREDENTIALS, BAD_CREDENTIALS, 0x9F] {
        assert_eq!(log_in(broker.plain_port(), ("ann", "guess")), reason);
    }
    assert_eq!(log_in(broker.plain_port(), ANN), 0x9F);
    assert_eq!(service.questions().len(), 2);
}

#[test]
fn whom_it_does_not_know_is_left_to_the_next_authenticator() {
    let service = IdentityService::start(|question| match &question["username"] {
        name if name == ANN.0 => knows_ann(&json!({}))(question),
        _ => Reply::Json(json!({"result": "ignore"})),
    });
    let directory = scratch();
    let users = directory.path().join("users");
    add_user(&users, "bob", "banana");
    let users = format!("[auth]\npassword_file = \"{}\"\n", users.display());
    let broker = broker_with(&service.url(), "", &users);
    let port = broker.plain_port();
    assert_eq!(log_in(port, ANN), 0);
    assert_eq!(log_in_as(port, 5, "other", ("bob", "banana")), 0);
    assert_eq!(log_in(port, ("bob", "pear")), BAD_CREDENTIALS);
    assert_eq!(log_in(port, ("eve", "banana")), BAD_CREDENTIALS);
    // A session belongs to who made it, and these two are not the same.
    assert_eq!(log_in_as(port, 5, "client", ("bob", "banana")), 0);
    broker.process().wait_for_text(Stream::Err, "\"principal\":\"user:bob\"");
    let alone = broker_with(&service.url(), "", "");
    assert_eq!(log_in(alone.plain_port(), ("bob", "banana")), BAD_CREDENTIALS);
    alone.process().wait_for_text(Stream::Err, "the HTTP service does not know the user");
}

#[test]
fn a_login_lasts_as_long_as_it_says() {
    let service = IdentityService::start(|question| {
        let seconds = if question["username"] == "late" { 0 } else { 2 };
        Reply::Json(json!({"result": "allow", "expire_at": unix_time() + seconds}))
    });
    let broker = broker(&service, "cache_seconds = 0");
    let mut ann = RawClient::connected(broker.plain_port(), &Connect::new(5, "c1").login(ANN));
    assert_eq!(log_in(broker.plain_port(), ("late", "apple")), NOT_AUTHORIZED);
    ann.expect_disconnect(NOT_AUTHORIZED);
    broker.process().wait_for_text(Stream::Err, "its proof has expired");
}

#[test]
fn the_same_question_is_not_asked_twice_within_its_time() {
    let service = IdentityService::start(knows_ann(&json!({"groups": ["flow"]})));
    let caching = broker(&service, "");
    for _ in 0..3 {
        let connect = Connect::new(5, "c1").login(ANN);
        let mut ann = RawClient::connected(caching.plain_port(), &connect);
        assert_eq!(publish(&mut ann, "flow"), 0);
        assert_eq!(publish(&mut ann, "other"), NOT_AUTHORIZED);
    }
    assert_eq!(service.questions().len(), 1);
    assert_eq!(outcomes(&caching, "cached"), 2.0);
    assert_eq!(log_in_as(caching.plain_port(), 5, "c2", ANN), 0);
    assert_eq!(log_in_as(caching.plain_port(), 5, "c1", ("ann", "Apple")), BAD_CREDENTIALS);
    assert_eq!(service.questions().len(), 3);
    let asking = broker(&service, "cache_seconds = 0");
    for _ in 0..2 {
        assert_eq!(log_in(asking.plain_port(), ANN), 0);
    }
    assert_eq!(service.questions().len(), 5);
}

#[test]
fn r21_absent_empty_nul_and_64_kib_credentials_are_refused() {
    let service = IdentityService::start(knows_ann(&json!({})));
    let rest = "[auth]\nlockout_failures = 0\nlockout_address_failures = 0\n\
                [network]\nmax_connect_size = 200_000\n";
    let broker = broker_with(&service.url(), "", rest);
    let long = vec![b'x'; 65_535];
    let users = [None, Some(&b""[..]), Some(b"ann"), Some(b"Ann"), Some(b"ann "), Some(&long)];
    let passwords = [
        None,
        Some(&b""[..]),
        Some(b"\0"),
        Some(b"apple\0"),
        Some(b"\xff"),
        Some(b"APPLE"),
        Some(&long),
    ];
    for user in users {
        for password in passwords {
            let mut client = RawClient::plain(broker.plain_port());
            client.send(&connect(user, password));
            let expected = if (user, password) == (None, None) { 0x87 } else { BAD_CREDENTIALS };
            assert_eq!(client.expect(CONNACK).reason(), expected, "{user:.10?} {password:.10?}");
            client.expect_end();
        }
    }
    for question in service.questions() {
        let [user, password] = ["username", "password"].map(|it| question.json[it].clone());
        assert!(user == "ann" || user == "Ann", "{user}");
        let password = password.as_str().expect("a text");
        assert!(!password.is_empty() && !password.contains('\0'));
    }
    assert_eq!(log_in(broker.plain_port(), ANN), 0);
}

fn connect(user: Option<&[u8]>, password: Option<&[u8]>) -> Vec<u8> {
    let mut body = raw::data("MQTT");
    let flags = 2 | u8::from(user.is_some()) << 7 | u8::from(password.is_some()) << 6;
    body.extend([5, flags, 0, 0]);
    body.extend(raw::properties(5, &[]));
    body.extend(raw::data("client"));
    for credential in [user, password].into_iter().flatten() {
        body.extend(raw::data(credential));
    }
    raw::packet(CONNECT, &body)
}

#[test]
fn the_example_of_the_guide_serves() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http-hook.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, example) = guide.split_once("```python\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let mut command = clients::python_of(example);
    let _service = Process::spawn("the example", command.arg(port.to_string()));
    let url = format!("http://127.0.0.1:{port}/login");
    let settings = "breaker_failures = 1000000\nrevalidate_seconds = 1";
    let broker = broker_with(&url, settings, "");
    wait_until("it serves", || log_in(broker.plain_port(), ANN) == 0);
    let mut ann = RawClient::connected(broker.plain_port(), &Connect::new(5, "c").login(ANN));
    assert_eq!(publish(&mut ann, "home/ann/lamp"), 0);
    assert_eq!(publish(&mut ann, "home/bob/lamp"), NOT_AUTHORIZED);
    assert_eq!(log_in(broker.plain_port(), ("ann", "pear")), BAD_CREDENTIALS);
    assert_eq!(log_in(broker.plain_port(), ("eve", "apple")), BAD_CREDENTIALS);
    let stays = "bastionmq_http_revalidations_total{result=\"allowed\"}";
    wait_until("it is asked again", || series(&broker, stays) >= 1.0);
    assert_eq!(publish(&mut ann, "home/ann/lamp"), 0);
}

// ── how it may fail ────────────────────────────────────────────────────────────────────────────

/// Never opens its breaker, so that each login is a question.
const PATIENT: &str = "breaker_failures = 1000";

#[test]
fn an_answer_that_is_not_the_one_expected_lets_nobody_in() {
    let next = Arc::new(Mutex::new(Vec::new()));
    let judge = Arc::clone(&next);
    let service =
        IdentityService::start(move |_| Reply::Bytes(judge.lock().expect("no panic").clone()));
    let elsewhere = IdentityService::start(|_| Reply::Json(json!({"result": "allow"})));
    let broker = broker(&service, PATIENT);
    let redirect = format!("HTTP/1.1 302 Found\nLocation: {}\n", elsewhere.url());
    let allow = "{\"result\":\"allow\"}";
    let answer = |head: &str, body: &str| {
        format!("{}Content-Length: {}\r\n\r\n{body}", head.replace('\n', "\r\n"), body.len())
    };
    let long = format!("{{\"result\":\"allow\",\"roles\":[\"{}\"]}}", "x".repeat(10 << 20));
    let many_headers = format!("HTTP/1.1 200 OK\n{}", "X-Filler: xxxxxxxx\n".repeat(5_000));
    for (what, bytes, why) in [
        ("hangs up", String::new(), "does not speak HTTP as it should"),
        ("no HTTP", "220 smtp.example.com ESMTP\r\n".to_owned(), "does not speak HTTP"),
        ("no JSON", answer("HTTP/1.1 200 OK\n", "allow"), "not the JSON that is expected"),
        ("nothing", answer("HTTP/1.1 200 OK\n", ""), "not the JSON that is expected"),
        ("other JSON", answer("HTTP/1.1 200 OK\n", "{\"ok\":true}"), "unknown field `ok`"),
        (
            "cut off",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"result\":\"allow\"}".into(),
            "breaks off",
        ),
        ("10 MB", answer("HTTP/1.1 200 OK\n", &long), "longer than 64 KiB"),
        ("headers", answer(&many_headers, allow), "does not speak HTTP"),
        ("redirects", answer(&redirect, allow), "status 302"),
        ("201", answer("HTTP/1.1 201 Created\n", allow), "status 201"),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "status 204"),
        ("401", answer("HTTP/1.1 401 Unauthorized\n", allow), "status 401"),
        ("404", answer("HTTP/1.1 404 Not Found\n", allow), "status 404"),
        ("500", answer("HTTP/1.1 500 Internal Server Error\n", allow), "status 500"),
    ] {
        *next.lock().expect("no panic") = bytes.into_bytes();
        assert_eq!(log_in(broker.plain_port(), ANN), UNAVAILABLE, "{what}");
        let line = broker.process().wait_for_text(Stream::Err, why);
        assert!(line.contains("login refused: the HTTP service: "), "{line}");
        assert_eq!(log_in_as(broker.plain_port(), 4, "client", ANN), 3, "{what}");
    }
    assert!(elsewhere.questions().is_empty(), "a redirect was followed");
    *next.lock().expect("no panic") = answer("HTTP/1.1 200 OK\n", allow).into_bytes();
    assert_eq!(log_in(broker.plain_port(), ANN), 0);
}

#[test]
fn an_answer_without_end_lets_nobody_in() {
    for bytes in [&b"x"[..], b"HTTP/1.1 200 OK\r\n\r\n{\"result\":\"allow\"}          "] {
        let service = IdentityService::start(move |_| Reply::Endless(bytes));
        let broker = broker(&service, PATIENT);
        assert_eq!(log_in(broker.plain_port(), ANN), UNAVAILABLE);
    }
}

#[test]
fn a_service_that_is_down_or_says_nothing_lets_nobody_in() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://127.0.0.1:{}/", closed.local_addr().expect("bound").port());
    drop(closed);
    let down = broker_with(&url, "", "");
    assert_eq!(log_in(down.plain_port(), ANN), UNAVAILABLE);
    down.process().wait_for_text(Stream::Err, "the HTTP service: it cannot be reached");

    let service = IdentityService::start(|_| Reply::Silence);
    let silent = broker(&service, "timeout_ms = 300");
    assert_eq!(log_in(silent.plain_port(), ANN), UNAVAILABLE);
    silent.process().wait_for_text(Stream::Err, "has not answered in time");
    assert_eq!(outcomes(&silent, "timeout"), 1.0);
}

/// Says of ann what there is in `said`, also when it is asked again; nothing while there is none.
fn says(said: &Arc<Mutex<Option<Value>>>) -> impl Fn(&Value) -> Reply + Send + Sync + use<> {
    let said = Arc::clone(said);
    move |question| {
        let is_known = question["password"] == ANN.1 || question["revalidate"] == true;
        match said.lock().expect("nobody has panicked").clone() {
            Some(said) if is_known => Reply::Json(said),
            Some(_) => Reply::Json(json!({"result": "deny"})),
            None => Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\n\r\n".to_vec()),
        }
    }
}

fn say(said: &Mutex<Option<Value>>, answer: Option<Value>) {
    *said.lock().expect("nobody has panicked") = answer;
}

/// The client of ann, whose session is kept.
fn ann(broker: &Broker, clean: bool) -> RawClient {
    let connect = Connect::new(5, "c1").login(ANN).keep_session(clean, 3_600);
    RawClient::connected(broker.plain_port(), &connect)
}

#[test]
fn a_client_that_is_inside_is_asked_about_again_and_what_is_said_holds_at_once() {
    let said = Arc::new(Mutex::new(Some(allow(&json!({"groups": ["flow"]})))));
    let service = IdentityService::start(says(&said));
    let broker = broker(&service, "revalidate_seconds = 1");
    let before = unix_time();
    let mut client = ann(&broker, true);
    assert_eq!(client.subscribe(5, "flow", 0), 0);
    service.wait_for_questions(3);
    let questions = service.questions();
    let (first, again) = (&questions[0].json, &questions[1].json);
    assert_eq!(first["password"], ANN.1);
    assert_eq!((first.get("revalidate"), first.get("connected_at")), (None, None));
    assert_eq!((again.get("password"), &again["revalidate"]), (None, &json!(true)));
    let since = again["connected_at"].as_u64().expect("a time");
    assert!(since >= before && since <= unix_time(), "{since}");
    for name in ["username", "clientid", "peerhost", "listener", "transport", "protocol"] {
        assert_eq!(again[name], first[name], "{name}");
    }
    assert_eq!(publish(&mut client, "flow"), 0);

    let rules = json!([{"allow": ["publish"], "topics": ["else"]}]);
    say(&said, Some(allow(&json!({"acl": rules}))));
    broker.process().wait_for_text(Stream::Err, "says otherwise of it now");
    assert_eq!(publish(&mut client, "flow"), NOT_AUTHORIZED);
    assert_eq!(publish(&mut client, "else"), 0);

    say(&said, Some(json!({"result": "deny"})));
    client.expect_disconnect(NOT_AUTHORIZED);
    assert_eq!(series(&broker, "bastionmq_sessions_revoked_total{why=\"http_service\"}"), 1.0);
    // Not even by what was remembered of it.
    assert_eq!(log_in_as(broker.plain_port(), 5, "c1", ANN), BAD_CREDENTIALS);
}

#[test]
fn a_client_stays_while_the_service_is_down_as_long_as_its_last_answer_counts() {
    let said = Arc::new(Mutex::new(Some(allow(&json!({"groups": ["flow"]})))));
    let service = IdentityService::start(says(&said));
    let settings = "revalidate_seconds = 1\nbreaker_seconds = 1\ncache_seconds = 0\n";
    let patient = broker(&service, &format!("{settings}max_stale_seconds = 600"));
    let strict = broker(&service, &format!("{settings}max_stale_seconds = 1"));
    let mut clients = [&patient, &strict].map(|broker| ann(broker, true));
    assert_eq!(clients[1].subscribe(5, "flow", 1), 1);
    say(&said, None);
    clients[1].expect_disconnect(NOT_AUTHORIZED);
    strict.process().wait_for_text(Stream::Err, "has not said for too long");
    let failed = "bastionmq_http_revalidations_total{result=\"failed\"}";
    wait_until("it is asked in vain", || series(&patient, failed) >= 2.0);
    assert_eq!(publish(&mut clients[0], "flow"), 0);
    // Its session was not taken back, and waits for it.
    say(&said, Some(allow(&json!({"groups": ["flow"]}))));
    wait_until("the service is asked again", || {
        let mut client = RawClient::plain(strict.plain_port());
        let connect = Connect::new(5, "c1").login(ANN).keep_session(false, 3_600);
        client.send(&connect.encode());
        let answer = client.expect(CONNACK);
        answer.reason() == 0 && answer.body[0] == 1
    });
    let allowed = "bastionmq_http_revalidations_total{result=\"allowed\"}";
    let before = series(&patient, allowed);
    wait_until("it is asked about again", || series(&patient, allowed) > before);
    assert_eq!(publish(&mut clients[0], "flow"), 0);
}

#[test]
fn clients_are_asked_about_again_from_when_the_file_says_so_until_it_does_not() {
    let said = Arc::new(Mutex::new(Some(allow(&json!({"groups": ["flow"]})))));
    let service = IdentityService::start(says(&said));
    let place = Place::serve(directory_with(&service.url(), "cache_seconds = 0", ""));
    let mut early = ann(&place.broker, true);
    place.edit("bastionmq.toml", "cache_seconds = 0", "cache_seconds = 0\nrevalidate_seconds = 1");
    place.log("`http.revalidate_seconds` is in force");
    let mut late = RawClient::connected(
        place.broker.plain_port(),
        &Connect::new(5, "c2").login(ANN).keep_session(true, 0),
    );
    service.wait_for_questions(4);
    let about = |question: &Value| question["revalidate"] == true && question["clientid"] == "c1";
    assert!(!service.questions().iter().any(|it| about(&it.json)), "it came before");
    place.edit("bastionmq.toml", "revalidate_seconds = 1", "revalidate_seconds = 0");
    place.reloaded_times("config", 2);
    // Each time that a client of another broker is sent away, this one's would have been asked about.
    let other = broker(&service, "cache_seconds = 0\nrevalidate_seconds = 1");
    for _ in 0..2 {
        say(&said, Some(allow(&json!({"groups": ["flow"]}))));
        let mut sent_away = ann(&other, true);
        say(&said, Some(json!({"result": "deny"})));
        sent_away.expect_disconnect(NOT_AUTHORIZED);
    }
    assert_eq!([&mut early, &mut late].map(|client| publish(client, "flow")), [0; 2]);
}

#[test]
fn a_service_that_fails_again_and_again_is_left_alone_until_it_answers() {
    let is_well = Arc::new(AtomicBool::new(false));
    let judge = Arc::clone(&is_well);
    let service = IdentityService::start(move |question| match judge.load(Ordering::SeqCst) {
        true => knows_ann(&json!({}))(question),
        false => Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\n\r\n".to_vec()),
    });
    // So long that none of the logins below is the one that tries again.
    let broker = broker(&service, "breaker_failures = 3\nbreaker_seconds = 600");
    for _ in 0..10 {
        assert_eq!(log_in(broker.plain_port(), ANN), UNAVAILABLE);
    }
    assert_eq!(service.questions().len(), 3);
    assert_eq!(outcomes(&broker, "left_alone"), 7.0);
    assert_eq!(series(&broker, "bastionmq_http_auth_breaker_open"), 1.0);
    broker.process().wait_for_text(Stream::Err, "it is left alone for a while");
    broker.process().wait_for_text(Stream::Err, "after it has failed again and again");

    let soon = self::broker(&service, "breaker_failures = 1\nbreaker_seconds = 1");
    assert_eq!(log_in(soon.plain_port(), ANN), UNAVAILABLE);
    is_well.store(true, Ordering::SeqCst);
    wait_until("it is asked again", || log_in(soon.plain_port(), ANN) == 0);
    assert_eq!(series(&soon, "bastionmq_http_auth_breaker_open"), 0.0);
    soon.process().wait_for_text(Stream::Err, "the HTTP service answers again");
}

#[test]
fn faults_that_it_finds_with_single_questions_shut_nobody_else_out() {
    let service = IdentityService::start(|question| match &question["username"] {
        name if name == ANN.0 => knows_ann(&json!({}))(question),
        _ => Reply::Bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
    });
    let broker = broker(&service, "breaker_failures = 2\nbreaker_seconds = 600");
    for _ in 0..5 {
        assert_eq!(log_in(broker.plain_port(), ("odd", "x")), UNAVAILABLE);
    }
    assert_eq!(log_in(broker.plain_port(), ANN), 0);
}

#[test]
fn a_connection_that_it_has_given_up_is_replaced() {
    let service = IdentityService::start(|_| Reply::JsonAndEnd(json!({"result": "allow"})));
    let broker = broker(&service, "cache_seconds = 0\nbreaker_failures = 1");
    for _ in 0..10 {
        assert_eq!(log_in(broker.plain_port(), ANN), 0);
    }
    assert_eq!(outcomes(&broker, "allowed"), 10.0);
}

// ── who waits for it ───────────────────────────────────────────────────────────────────────────

/// Answers for `slow` once it is told to, and for others at once.
fn with_a_slow_user() -> (IdentityService, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let service = IdentityService::start(move |question| {
        if question["username"] == "slow" {
            // Told to, or the test has failed.
            let _ = held.lock().expect("no panic").recv();
        }
        Reply::Json(json!({"result": "allow", "groups": ["flow"]}))
    });
    (service, release)
}

#[test]
fn u02_a_slow_service_holds_up_nobody_but_the_client_concerned() {
    const MESSAGES: usize = 200;
    let (service, release) = with_a_slow_user();
    let rest = "[network]\nconnect_timeout_seconds = 60\n";
    let broker = broker_with(&service.url(), "timeout_ms = 50_000\nmax_in_flight = 2", rest);
    let port = broker.plain_port();
    let connect = |id| Connect::new(5, id).login(ANN);
    let mut subscriber = RawClient::connected(port, &connect("subscriber"));
    assert_eq!(subscriber.subscribe(5, "flow", 0), 0);
    let mut slow = RawClient::plain(port);
    slow.send(&Connect::new(5, "slow").login(("slow", "x")).encode());
    service.wait_for_questions(2);
    let mut publisher = RawClient::connected(port, &connect("publisher"));
    for _ in 0..MESSAGES {
        publisher.send(&raw::publish(5, "flow", b"payload"));
        assert_eq!(subscriber.read().publish(5).payload, b"payload");
    }
    release.send(()).expect("it waits");
    assert_eq!(slow.expect(CONNACK).reason(), 0);
}

#[test]
fn beyond_those_that_may_wait_clients_are_told_that_the_server_is_busy() {
    let (service, release) = with_a_slow_user();
    let settings = "timeout_ms = 50_000\nmax_in_flight = 1\nmax_waiting_logins = 1";
    let rest = "[network]\nconnect_timeout_seconds = 60\n";
    let broker = broker_with(&service.url(), settings, rest);
    let port = broker.plain_port();
    let mut first = RawClient::plain(port);
    first.send(&Connect::new(5, "first").login(("slow", "x")).encode());
    service.wait_for_questions(1);
    let (answers, answered) = mpsc::channel();
    for (number, version) in [(0, 5), (1, 5), (2, 5)] {
        let answers = answers.clone();
        thread::spawn(move || {
            let reason = log_in_as(port, version, &format!("waits-{number}"), ANN);
            answers.send(reason).expect("the test waits");
        });
    }
    // Whichever came first waits for its turn; the other two find no place.
    for _ in 0..2 {
        assert_eq!(answered.recv_timeout(PATIENCE), Ok(BUSY));
    }
    assert_eq!(log_in_as(port, 4, "of-3.1.1", ANN), 3);
    assert_eq!(outcomes(&broker, "busy"), 3.0);
    release.send(()).expect("it waits");
    assert_eq!(answered.recv_timeout(PATIENCE), Ok(0));
    assert_eq!(first.expect(CONNACK).reason(), 0);
}

#[test]
fn an_address_has_so_many_logins_under_way_and_others_have_theirs() {
    let (service, release) = with_a_slow_user();
    let rest = "[network]\nconnect_timeout_seconds = 60\n\
                [auth]\nmax_logins_per_address = 1\nmax_logins_per_prefix = 2\n";
    let broker = broker_with(&service.url(), "timeout_ms = 50_000", rest);
    let port = broker.plain_port();
    let mut slow = RawClient::plain(port);
    slow.send(&Connect::new(5, "slow").login(("slow", "x")).encode());
    service.wait_for_questions(1);
    assert_eq!([log_in_as(port, 5, "of-5", ANN), log_in_as(port, 4, "of-3.1.1", ANN)], [BUSY, 3]);
    let under_way = || metric(broker.admin_port(), "bastionmq_logins_under_way");
    let begin = Instant::now();
    while under_way() != Some(1.0) {
        assert!(begin.elapsed() < PATIENCE, "{:?} are under way", under_way());
    }
    let mut neighbour = RawClient::plain_from(Ipv4Addr::new(127, 0, 0, 2), port);
    neighbour.send(&Connect::new(5, "neighbour").login(ANN).encode());
    assert_eq!(neighbour.expect(CONNACK).reason(), 0);
    release.send(()).expect("it waits");
    assert_eq!(slow.expect(CONNACK).reason(), 0);
    assert_eq!(log_in_as(port, 5, "of-5", ANN), 0);
}

#[test]
fn who_leaves_while_it_is_asked_about_makes_room_for_the_next() {
    let (service, _never) = with_a_slow_user();
    let settings = "timeout_ms = 50_000\nmax_in_flight = 1";
    let rest = "[network]\nconnect_timeout_seconds = 60\n";
    let broker = broker_with(&service.url(), settings, rest);
    let mut slow = RawClient::plain(broker.plain_port());
    slow.send(&Connect::new(5, "slow").login(("slow", "x")).encode());
    service.wait_for_questions(1);
    slow.break_off();
    assert_eq!(log_in(broker.plain_port(), ANN), 0);
}

#[test]
fn more_are_asked_about_at_once_when_the_file_says_so() {
    let (service, release) = with_a_slow_user();
    let settings = "timeout_ms = 50_000\nmax_in_flight = 1";
    let rest = "[network]\nconnect_timeout_seconds = 60\n";
    let place = Place::serve(directory_with(&service.url(), settings, rest));
    let port = place.broker.plain_port();
    let mut slow = RawClient::plain(port);
    slow.send(&Connect::new(5, "slow").login(("slow", "x")).encode());
    service.wait_for_questions(1);
    place.edit("bastionmq.toml", "max_in_flight = 1", "max_in_flight = 2");
    place.log("`http.max_in_flight` is in force");
    assert_eq!(log_in(port, ANN), 0);
    release.send(()).expect("it waits");
    assert_eq!(slow.expect(CONNACK).reason(), 0);
}

// ── how it is reached ──────────────────────────────────────────────────────────────────────────

/// The TLS of the test site, for `localhost` and 127.0.0.1. It may ask for a certificate.
fn tls(asks_for_certificate: bool) -> Arc<ServerConfig> {
    let site = Site::shared();
    let chain = CertificateDer::pem_file_iter(site.file("server.crt")).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(site.file("server.key")).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.ca()).expect("a CA file")).expect("a CA");
    let builder = ServerConfig::builder();
    let builder = match asks_for_certificate {
        true => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
        false => builder.with_no_client_auth(),
    };
    Arc::new(builder.with_single_cert(chain, key).expect("a pair"))
}

#[test]
fn over_tls_both_sides_prove_who_they_are() {
    let service =
        IdentityService::start_at(Ipv4Addr::LOCALHOST, Some(tls(true)), knows_ann(&json!({})));
    let url = |host: &str| format!("https://{host}:{}/login", service.port());
    let site = Site::shared();
    let at = |name| site.file(name).display().to_string();
    let ca = format!("ca_file = \"{}\"", at("ca.crt"));
    let pair =
        format!("client_cert = \"{}\"\nclient_key = \"{}\"", at("device1.crt"), at("device1.key"));
    for host in ["localhost", "127.0.0.1"] {
        let broker = broker_with(&url(host), &format!("{ca}\n{pair}"), "");
        assert_eq!(log_in(broker.plain_port(), ANN), 0, "{host}");
    }
    let asked = service.questions().len();
    // The service does not know a broker that shows no certificate.
    let nameless = broker_with(&url("localhost"), &ca, "");
    assert_eq!(log_in(nameless.plain_port(), ANN), UNAVAILABLE);
    assert_eq!(service.questions().len(), asked);
}

#[test]
fn a_service_that_cannot_prove_who_it_is_hears_nothing_and_lets_nobody_in() {
    // The certificate names 127.0.0.1.
    let address = Ipv4Addr::new(127, 0, 0, 2);
    let other = IdentityService::start_at(address, Some(tls(false)), knows_ann(&json!({})));
    let service =
        IdentityService::start_at(Ipv4Addr::LOCALHOST, Some(tls(false)), knows_ann(&json!({})));
    let plain = IdentityService::start(knows_ann(&json!({})));
    let stranger = scratch();
    let mut init = bastionmq();
    init.args(["certs", "init", "--dir", "."]).current_dir(stranger.path());
    assert!(init.output().expect("it starts").status.success());
    let ours = Site::shared().ca();
    let theirs = stranger.path().join("ca.crt");
    for (what, host, port, ca) in [
        ("of another name", "127.0.0.2", other.port(), &ours),
        ("of another authority", "127.0.0.1", service.port(), &theirs),
        ("without TLS", "127.0.0.1", plain.port(), &ours),
    ] {
        let settings = format!("ca_file = \"{}\"", ca.display());
        let broker = broker_with(&format!("https://{host}:{port}/login"), &settings, "");
        assert_eq!(log_in(broker.plain_port(), ANN), UNAVAILABLE, "{what}");
        broker.process().wait_for_text(Stream::Err, "the HTTP service: TLS fails: ");
    }
    for service in [other, service, plain] {
        assert!(service.questions().is_empty());
    }
}

#[test]
fn r24_neither_the_token_nor_a_password_shows_anywhere_but_at_the_service() {
    const PASSWORD: &str = "canary-password-7f3a";
    let service = IdentityService::start(|question| {
        let result = if question["username"] == "ann" { "allow" } else { "deny" };
        Reply::Json(json!({"result": result}))
    });
    let directory = scratch();
    let token = directory.path().join("token");
    let write = |text: &str| {
        let aside = directory.path().join("aside");
        fs::write(&aside, text).expect("a file");
        fs::set_permissions(&aside, Permissions::from_mode(0o600)).expect("its mode");
        fs::rename(&aside, &token).expect("a file in its place");
    };
    write("canary-token-1\n");
    let settings = format!("token_file = \"{}\"\ncache_seconds = 0", token.display());
    let broker = broker_with(&service.url(), &settings, "[log]\nlevel = \"trace\"\n");
    let port = broker.plain_port();
    assert_eq!(log_in(port, ("ann", PASSWORD)), 0);
    assert_eq!(log_in(port, ("eve", PASSWORD)), BAD_CREDENTIALS);
    let head = service.questions()[0].head.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer canary-token-1\r\n"), "{head}");
    // Another token counts as soon as it is there; what is none changes nothing.
    write("canary token 3\n");
    broker.process().wait_for_text(Stream::Err, "holds no bearer token");
    write("canary-token-2\n");
    let is_new = || {
        assert_eq!(log_in(port, ("ann", PASSWORD)), 0);
        let head = service.questions().last().expect("asked").head.clone();
        head.contains("canary-token-2")
    };
    wait_until("the new token is sent", is_new);
    let (_, metrics) = get(broker.admin_port(), "/metrics");
    for text in [broker.process().transcript(), metrics] {
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(metric(broker.admin_port(), "bastionmq_internal_errors_total"), Some(0.0));
}
