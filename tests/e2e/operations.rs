//! What an operator sees: health, metrics, logs, and a graceful end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::rumqtt::v5::{
    Client, ConnectionError, DisconnectReasonCode, QoS, StateError, options,
};
use crate::harness::websocket::{BINARY, WsClient};
use crate::harness::{
    ADMIN, Broker, DEVICE1, PATIENCE, Place, Site, Stream, bastionmq, http, scratch,
};

#[test]
fn health_and_readiness_answer_while_it_serves() {
    let broker = Broker::secure();
    assert_eq!(http::get(broker.admin_port(), "/healthz").0, 200);
    assert_eq!(http::get(broker.admin_port(), "/readyz").0, 200);
    assert_eq!(http::get(broker.admin_port(), "/").0, 404);
}

#[test]
fn u15_a_part_that_is_degraded_is_named_and_everybody_is_served_all_the_same() {
    let place = Place::of_site();
    let ready = || http::get(place.broker.admin_port(), "/readyz");
    let policy = place.text("policy.toml");
    assert!(ready().1.starts_with("ready\nlisteners: ok\n"), "{}", ready().1);
    assert!(ready().1.contains("\npolicy: ok\n"), "{}", ready().1);
    place.replace("policy.toml", "no policy");
    place.log("not reloaded");
    let said = wait_for_line(&ready, "policy: degraded: ");
    assert!(said.starts_with("ready\n") && said.contains("certificates: ok"), "{said}");
    assert!(!said.contains("no policy"), "{said}");
    let connect = Connect::new(5, "device1").login(DEVICE1);
    let mut device = RawClient::connected(place.broker.plain_port(), &connect);
    assert_eq!(device.subscribe(5, "devices/device1/#", 0), 0);
    place.replace("policy.toml", policy);
    wait_for_line(&ready, "policy: ok");
}

#[test]
fn u15_a_service_that_fails_is_named_and_those_who_do_not_need_it_are_served() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", nobody.local_addr().expect("an address"));
    drop(nobody);
    let plain = "url = \"mqtt://127.0.0.1:0\"";
    let of_password = format!("{plain}\nauthenticators = [\"password\"]");
    let config = Site::shared().configuration("off").replace(plain, &of_password);
    let rest = format!(
        "[[listener]]\nurl = \"ws://127.0.0.1:0\"\n[http]\nurl = \"{url}\"\n\
         breaker_failures = 1\nbreaker_seconds = 600\n"
    );
    let directory = scratch();
    std::fs::write(directory.path().join("bastionmq.toml"), config + &rest).expect("a file");
    let broker = Place::serve(directory).broker;
    let ready = || http::get(broker.admin_port(), "/readyz");
    assert!(ready().1.contains("\nhttp: ok\n"), "{}", ready().1);
    let mut stranger = WsClient::open(RawClient::plain(broker.port("ws")));
    stranger.send(BINARY, &Connect::new(5, "stranger").login(("stranger", "x")).encode());
    assert_ne!(stranger.read_packet()[3], 0);
    let said = wait_for_line(&ready, "http: degraded: ");
    assert!(said.starts_with("ready\n"), "{said}");
    let connect = Connect::new(5, "device1").login(DEVICE1);
    RawClient::connected(broker.plain_port(), &connect).expect_silence();
}

/// What is answered once a line of it begins so.
fn wait_for_line(ready: &impl Fn() -> (u16, String), line: &str) -> String {
    let started = Instant::now();
    loop {
        let (status, text) = ready();
        assert_eq!(status, 200, "{text}");
        if text.lines().any(|it| it.starts_with(line)) {
            return text;
        }
        assert!(started.elapsed() < PATIENCE, "{text} has no {line}");
    }
}

#[test]
fn metrics_count_what_happens() {
    // Without $SYS topics, which are retained messages too.
    let broker = Broker::secure_with_settings("\n[broker]\nsys_interval_seconds = 0\n");
    let metric = |name: &str| http::metric(broker.admin_port(), name).unwrap_or(f64::NAN);
    let before = metric("bastionmq_connections_accepted_total");

    let connect = Connect::new(5, "device1").login(DEVICE1);
    let mut device = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(device.subscribe(5, "devices/device1/#", 0), 0);
    let first = raw::PUBLISH | 1 << 1;
    device.send(&raw::publish_with(5, first, "devices/device2/x", Some(1), &[], b""));
    assert_eq!(device.expect(raw::PUBACK).acknowledged().1, 0x87);
    device.send(&raw::publish_with(5, first | 1, "devices/device1/x", Some(1), &[], b"kept"));
    let mut answers = [device.read().first & 0xF0, device.read().first & 0xF0];
    answers.sort_unstable();
    assert_eq!(answers, [raw::PUBLISH, raw::PUBACK]);
    device.expect_silence();

    assert!(metric("bastionmq_connections_accepted_total") > before);
    for (name, value) in [
        ("bastionmq_connections_open", 1.0),
        ("bastionmq_sessions", 1.0),
        ("bastionmq_subscriptions", 1.0),
        ("bastionmq_acl_decisions_total", 4.0),
        ("bastionmq_retained_messages", 1.0),
        ("bastionmq_publishes_received_total", 2.0),
        ("bastionmq_publishes_sent_total", 1.0),
        ("bastionmq_internal_errors_total", 0.0),
    ] {
        // Gauges are brought up to date once in a while.
        let started = Instant::now();
        let mut found = metric(name);
        while (found - value).abs() > f64::EPSILON && started.elapsed() < PATIENCE {
            found = metric(name);
        }
        assert!((found - value).abs() < f64::EPSILON, "{name} is {found} instead of {value}");
    }
}

#[test]
fn a_login_and_its_end_are_logged_without_a_secret() {
    let broker = Broker::secure();
    let connect = Connect::new(5, "a client with a name").login(ADMIN);
    RawClient::connected(broker.plain_port(), &connect).break_off();
    broker.process().wait_for(Stream::Err, |line| {
        (line.contains("disconnected") && line.contains("a client with a name")).then_some(())
    });
    let mut wrong = RawClient::plain(broker.plain_port());
    wrong.send(&Connect::new(5, "guest").login(("admin", "wr0ng-passw0rd")).encode());
    assert_eq!(wrong.expect(raw::CONNACK).reason(), 0x86);
    broker.process().wait_for_text(Stream::Err, "guest");
    let transcript = broker.process().transcript();
    for secret in [ADMIN.1, "wr0ng-passw0rd", "$argon2id"] {
        assert!(!transcript.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_tells_clients_and_ends_with_exit_code_0() {
    let mut broker = Broker::secure();
    let mut new = Client::connect(options(&broker, "new", ADMIN)).await;
    let mut old = crate::harness::rumqtt::v4::Client::connect(crate::harness::rumqtt::v4::options(
        &broker, "old", ADMIN,
    ))
    .await;
    broker.terminate();
    let end = new.end().await;
    let expected = DisconnectReasonCode::ServerShuttingDown;
    assert!(
        matches!(
            &end,
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
                if *reason_code == expected
        ),
        "{end:?}"
    );
    old.end().await;
    let status = broker.wait();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_shutdown_first_sends_what_is_on_its_way() {
    let mut broker = Broker::secure();
    let connect = Connect::new(5, "reader").login(ADMIN);
    let mut reader = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(reader.subscribe(5, "flow", 0), 0);
    let connect = Connect::new(5, "writer").login(ADMIN);
    let mut writer = RawClient::connected(broker.plain_port(), &connect);
    for _ in 0..100 {
        writer.send(&raw::publish(5, "flow", b"message"));
    }
    // The acknowledgement says that the broker has all of them.
    let first = raw::PUBLISH | 1 << 1;
    writer.send(&raw::publish_with(5, first, "other", Some(1), &[], b""));
    writer.expect(raw::PUBACK);
    broker.terminate();
    let mut messages = 0;
    let end = loop {
        let frame = reader.read();
        if frame.first & 0xF0 == raw::DISCONNECT {
            break frame.reason();
        }
        assert_eq!(frame.publish(5).payload, b"message");
        messages += 1;
    };
    assert_eq!((messages, end), (100, 0x8B));
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn whoever_comes_while_others_are_sent_to_another_server_is_sent_there_too() {
    const REFERENCE: &[u8] = b"other.example.com:8883";
    const USE_ANOTHER_SERVER: u8 = 0x9C;
    let settings = "\n[mqtt]\nserver_reference = \"other.example.com:8883\"\n";
    let mut broker = Broker::secure_with_settings(settings);
    let login = |version, id| Connect::new(version, id).login(ADMIN);
    // More is on its way to it than it reads: its connection ends last.
    let mut slow = RawClient::connected(broker.plain_port(), &login(5, "slow"));
    assert_eq!(slow.subscribe(5, "flow", 0), 0);
    let mut told = RawClient::connected(broker.plain_port(), &login(5, "told"));
    for _ in 0..32 {
        told.send(&raw::publish(5, "flow", &vec![b'x'; 500_000]));
    }
    told.expect_silence();
    let mut newcomers = [3, 4, 5].map(|version| (version, RawClient::plain(broker.plain_port())));
    broker.terminate();
    let farewell = told.expect(raw::DISCONNECT);
    let refers = |body: &[u8]| body.windows(REFERENCE.len()).any(|part| part == REFERENCE);
    assert_eq!(farewell.reason(), USE_ANOTHER_SERVER);
    assert!(refers(&farewell.body), "{farewell:?}");
    for (version, newcomer) in &mut newcomers {
        newcomer.send(&login(*version, "newcomer").encode());
        let answer = newcomer.expect(raw::CONNACK);
        if *version == 5 {
            assert_eq!(answer.reason(), USE_ANOTHER_SERVER);
            assert!(refers(&answer.body), "{answer:?}");
        } else {
            assert_eq!(answer.body, [0, 3]);
        }
        newcomer.expect_end();
    }
    slow.break_off();
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_will_that_waits_is_published_before_the_end() {
    let mut broker = Broker::secure();
    let connect = Connect::new(5, "reader").login(ADMIN);
    let mut reader = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(reader.subscribe(5, "wills", 0), 0);
    let an_hour = [&[0x18], &3_600_u32.to_be_bytes()[..]].concat();
    let will = raw::Will { properties: an_hour, ..raw::Will::new("wills", b"gone") };
    let connect = Connect { will: Some(will), ..Connect::new(5, "away").login(ADMIN) };
    let connect = connect.keep_session(true, 3_600);
    RawClient::connected(broker.plain_port(), &connect).break_off();
    broker.process().wait_for(Stream::Err, |line| {
        (line.contains("disconnected") && line.contains("away")).then_some(())
    });
    reader.expect_silence();
    broker.terminate();
    assert_eq!(reader.read().publish(5).payload, b"gone");
    reader.expect_disconnect(0x8B);
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_client_that_does_not_leave_does_not_hold_up_the_end() {
    let settings = "\n[broker]\nshutdown_timeout_seconds = 1\n";
    let mut broker = Broker::secure_with_settings(settings);
    let connect = Connect::new(5, "deaf").login(ADMIN);
    let _deaf = RawClient::connected(broker.plain_port(), &connect);
    let _mute = RawClient::plain(broker.plain_port());
    let since = Instant::now();
    broker.terminate();
    assert_eq!(broker.wait().code(), Some(0));
    assert!(since.elapsed().as_secs() < 10, "{:?}", since.elapsed());
}

#[tokio::test]
async fn sys_topics_are_there_for_who_may_read_them() {
    let broker = Broker::secure_with_settings("\n[broker]\nsys_interval_seconds = 1\n");
    let mut admin = Client::connect(options(&broker, "admin", ADMIN)).await;
    admin.subscribe("$SYS/#", QoS::AtMostOnce).await;
    let message = admin.message().await;
    assert!(message.topic.starts_with(b"$SYS/"), "{message:?}");
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/open.toml");
    let mut process = Unread(
        bastionmq()
            .args(["serve", "--config", config, "--listen", "mqtt://127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = said.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();

    // Several times what a pipe holds.
    for number in 0..1_000 {
        let client_id = format!("{}-{number}", "x".repeat(500));
        RawClient::connected(port, &Connect::new(5, &client_id)).expect_silence();
    }
}

/// Growing it later holds up whoever is served by the thread that accepts.
#[cfg(target_os = "linux")]
#[test]
fn the_table_of_open_files_is_large_enough_before_the_first_connection() {
    let broker = Broker::secure_with_settings("\n[broker]\nmax_connections = 500\n");
    let size = status(&broker, "FDSize:");
    assert!(size.parse::<u32>().unwrap() >= 500, "{size}");
}

/// Clearing a huge one holds up whoever is served by the thread that touches it.
#[cfg(target_os = "linux")]
#[test]
fn its_memory_does_not_come_in_huge_pages() {
    assert_eq!(status(&Broker::secure(), "THP_enabled:"), "0");
}

#[cfg(target_os = "linux")]
fn status(broker: &Broker, line: &str) -> String {
    let file = format!("/proc/{}/status", broker.process().id().as_raw_nonzero());
    let status = std::fs::read_to_string(file).unwrap();
    status.lines().find_map(|it| it.strip_prefix(line)).unwrap().trim().to_owned()
}

/// A broker whose log nobody reads. It ends with the test, however that ends.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
