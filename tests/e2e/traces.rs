//! Traces, as a collector of OpenTelemetry gets them: what is in them, whose they are, and that nobody waits for them.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::budgets::until;
use crate::harness::identity_service::{IdentityService, Reply};
use crate::harness::raw::{
    CONNACK, Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawClient, acknowledge, data,
    publish_with,
};
use crate::harness::{ADMIN, Broker, DEVICE1, Login, Site, Stream, http, scratch};

const EVERYTHING: &str = "connect_ratio = 1\npublish_ratio = 1\n";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A collector that takes all that it gets.
fn collector() -> IdentityService {
    IdentityService::start(|_| Reply::Json(json!({})))
}

fn tracing_to(collector: &IdentityService, settings: &str) -> String {
    let port = collector.port();
    format!("\n[tracing]\nendpoint = \"http://127.0.0.1:{port}/v1/traces\"\n{settings}\n")
}

fn broker(collector: &IdentityService, settings: &str) -> Broker {
    Broker::secure_with_settings(&tracing_to(collector, settings))
}

/// Every span that has come.
fn spans(collector: &IdentityService) -> Vec<Value> {
    let list = |value: &Value, key: &str| value[key].as_array().expect(key).clone();
    let resources =
        collector.questions().into_iter().flat_map(|it| list(&it.json, "resourceSpans"));
    let scopes = resources.flat_map(|resource| list(&resource, "scopeSpans"));
    scopes.flat_map(|scope| list(&scope, "spans")).collect()
}

fn named(collector: &IdentityService, name: &str) -> Vec<Value> {
    spans(collector).into_iter().filter(|span| span["name"] == name).collect()
}

/// Waits for so many spans of a name, and gives those.
fn wait_for(collector: &IdentityService, name: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} spans {name:?} have come"), || named(collector, name).len() >= count);
    named(collector, name)
}

/// An attribute that is a text or a number, which is a text as well.
fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    let attributes = span["attributes"].as_array().expect("attributes");
    let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
    found["value"].as_object()?.values().next()
}

fn is(span: &Value, key: &str, value: &str) -> bool {
    attribute(span, key).is_some_and(|found| *found == value)
}

/// Nanoseconds since 1970.
fn time(span: &Value, key: &str) -> u128 {
    span[key].as_str().expect("a text").parse().expect("a number")
}

fn assert_is_child(child: &Value, parent: &Value) {
    assert_eq!(child["traceId"], parent["traceId"], "{child}");
    assert_eq!(child["parentSpanId"], parent["spanId"], "{child}");
    assert!(time(child, "startTimeUnixNano") >= time(parent, "startTimeUnixNano"), "{child}");
}

fn child_of<'a>(spans: &'a [Value], parent: &Value, name: &str) -> &'a Value {
    let is_it = |it: &&Value| it["name"] == name && it["parentSpanId"] == parent["spanId"];
    let child = spans.iter().find(is_it);
    let child = child.unwrap_or_else(|| panic!("no {name:?} below {parent}\n{spans:?}"));
    assert_is_child(child, parent);
    assert!(time(child, "endTimeUnixNano") <= time(parent, "endTimeUnixNano"), "{child} {parent}");
    child
}

fn log_in(broker: &Broker, id: &str, login: Login) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(5, id).login(login))
}

fn traceparent(flags: &str) -> Vec<u8> {
    let value = format!("00-{TRACE}-{SPAN}-{flags}");
    [vec![0x26], data("traceparent"), data(value)].concat()
}

#[test]
fn a_login_arrives_with_its_stages_and_nothing_that_names_anybody() {
    let (collector, began) = (collector(), SystemTime::now());
    let broker = broker(&collector, EVERYTHING);
    let mut client = RawClient::tls(broker.tls_port(), Site::shared().tls());
    client.send(&Connect::new(5, "canary-id").login(DEVICE1).encode());
    assert_eq!(client.expect(CONNACK).reason(), 0);
    let connect = &wait_for(&collector, "connect", 1)[0];
    let all = spans(&collector);
    assert!(connect.get("parentSpanId").is_none() && connect.get("status").is_none(), "{connect}");
    assert_eq!(connect["kind"], 2);
    for (key, value) in [
        ("messaging.system", "mqtt"),
        ("network.protocol.version", "5.0"),
        ("network.transport", "tcp"),
        ("mqtt.reason_code", "0"),
    ] {
        assert!(is(connect, key, value), "{key} of {connect}");
    }
    let names = ["wait for turn", "tls handshake", "read connect", "authenticate", "open session"];
    let stages = names.map(|name| child_of(&all, connect, name));
    for pair in stages.windows(2) {
        let (end, start) = (time(pair[0], "endTimeUnixNano"), time(pair[1], "startTimeUnixNano"));
        assert!(end <= start, "{pair:?}");
    }
    assert!(is(stages[1], "tls.protocol.version", "1.3"), "{}", stages[1]);
    assert!(is(stages[3], "bastionmq.login.method", "password"), "{}", stages[3]);
    let began = began.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    assert!(time(connect, "startTimeUnixNano") >= began, "{connect}");
    let posted = collector.questions();
    assert!(posted[0].head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", posted[0].head);
    assert!(posted[0].head.to_lowercase().contains("content-type: application/json\r\n"));
    let text = posted.iter().map(|it| String::from_utf8_lossy(&it.body)).collect::<String>();
    for secret in ["canary-id", DEVICE1.0, DEVICE1.1, "network.peer.address"] {
        assert!(!text.contains(secret), "{secret}\n{text}");
    }
    until("they are counted", || counted(&broker, "exported") >= 6.0);
}

fn counted(broker: &Broker, result: &str) -> f64 {
    let name = format!("bastionmq_trace_spans_total{{result=\"{result}\"}}");
    http::series(broker.admin_port(), &name)
}

#[test]
fn a_refused_login_is_a_failure_where_it_was_refused() {
    let collector = collector();
    let broker = broker(&collector, EVERYTHING);
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(5, "c").login((ADMIN.0, "wrong")).encode());
    assert_eq!(client.expect(CONNACK).reason(), 0x86);
    let connect = &wait_for(&collector, "connect", 1)[0];
    let all = spans(&collector);
    let authenticate = child_of(&all, connect, "authenticate");
    for span in [connect, authenticate] {
        assert_eq!(span["status"], json!({"code": 2, "message": "BadUserNameOrPassword"}));
        assert!(is(span, "error.type", "BadUserNameOrPassword"), "{span}");
    }
    assert!(!all.iter().any(|span| span["name"] == "open session"));
    // One that says no CONNECT at all.
    let mut stranger = RawClient::plain(broker.plain_port());
    stranger.send(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    stranger.expect_end();
    let connects = wait_for(&collector, "connect", 2);
    assert!(connects[1]["status"]["code"] == 2, "{}", connects[1]);
}

#[test]
fn a_message_arrives_with_its_deliveries_at_every_qos() {
    let collector = collector();
    let broker = broker(&collector, EVERYTHING);
    let mut subscribers = ["one", "two"].map(|id| log_in(&broker, id, ADMIN));
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.subscribe(5, "a/#", 2), 2);
    }
    let mut publisher = log_in(&broker, "publisher", ADMIN);
    for (qos, answer) in [(0, None), (1, Some(PUBACK)), (2, Some(PUBREC))] {
        let id = answer.map(|_| 7);
        publisher.send(&publish_with(5, PUBLISH | qos << 1, "a/b", id, &[], b"payload"));
        if let Some(answer) = answer {
            assert_eq!(publisher.expect(answer).acknowledged(), (7, 0));
        }
        if answer == Some(PUBREC) {
            publisher.send(&acknowledge(PUBREL, 7));
            publisher.expect(PUBCOMP);
        }
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.expect(PUBLISH).publish(5).payload, b"payload");
        }
    }
    let publications = wait_for(&collector, "publish", 3);
    wait_for(&collector, "deliver", 6);
    let all = spans(&collector);
    for (qos, publication) in publications.iter().enumerate() {
        for (key, value) in [
            ("mqtt.qos", qos.to_string().as_str()),
            ("messaging.message.body.size", "7"),
            ("bastionmq.recipients", "2"),
            ("mqtt.reason_code", "0"),
        ] {
            assert!(is(publication, key, value), "{key} of {publication}");
        }
        assert!(publication.get("parentSpanId").is_none() && publication.get("status").is_none());
        let mine =
            |it: &&Value| it["parentSpanId"] == publication["spanId"] && it["name"] == "deliver";
        let deliveries: Vec<_> = all.iter().filter(mine).collect();
        assert_eq!(deliveries.len(), 2, "{publication}");
        deliveries.iter().for_each(|delivery| assert_is_child(delivery, publication));
        assert_ne!(deliveries[0]["spanId"], deliveries[1]["spanId"]);
    }
    assert!(!all.iter().any(|span| attribute(span, "messaging.destination.name").is_some()));
}

#[test]
fn a_message_that_is_kept_waits_for_the_store_and_one_that_is_refused_has_failed() {
    let (collector, place) = (collector(), scratch());
    let tracing = tracing_to(
        &collector,
        "publish_ratio = 1\nconnect_ratio = 1\ninclude_identifiers = true\n",
    );
    let key = place.path().join("master.key");
    let broker = Broker::secure_with_settings(&format!(
        "[keys]\nmaster_key_file = \"{}\"\n[store]\ndir = \"{}\"\n{tracing}",
        key.display(),
        place.path().join("store").display()
    ));
    let connect = Connect::new(5, "keeper").login(ADMIN).keep_session(true, 600);
    let mut keeper = RawClient::connected(broker.plain_port(), &connect);
    assert_eq!(keeper.subscribe(5, "a/b", 1), 1);
    let mut publisher = log_in(&broker, "publisher", ADMIN);
    publisher.send(&publish_with(5, PUBLISH | 2, "a/b", Some(1), &[], b"kept"));
    assert_eq!(publisher.expect(PUBACK).acknowledged(), (1, 0));
    let mut device = log_in(&broker, "device1", DEVICE1);
    device.send(&publish_with(5, PUBLISH | 2, "devices/device2/x", Some(1), &[], b""));
    assert_eq!(device.expect(PUBACK).acknowledged(), (1, 0x87));
    let publications = wait_for(&collector, "publish", 2);
    let connects = wait_for(&collector, "connect", 3);
    let all = spans(&collector);
    let [keeping, publication, refused] =
        [(&connects, "keeper"), (&publications, "publisher"), (&publications, "device1")]
            .map(|(spans, client)| spans.iter().find(|it| is(it, "messaging.client.id", client)))
            .map(|span| span.expect("one of each"));
    child_of(&all, publication, "store commit");
    child_of(&all, keeping, "store commit");
    for (key, value) in [
        ("messaging.destination.name", "a/b"),
        ("user.name", ADMIN.0),
        ("network.peer.address", "127.0.0.1"),
    ] {
        assert!(is(publication, key, value), "{key} of {publication}");
    }
    assert_eq!(refused["status"], json!({"code": 2, "message": "NotAuthorized"}), "{refused}");
    assert!(is(refused, "bastionmq.recipients", "0"), "{refused}");
}

#[test]
fn a_publisher_has_its_messages_traced_in_its_own_trace_so_often_and_no_oftener() {
    const MESSAGES: u16 = 300;
    let collector = collector();
    let settings = "connect_ratio = 0\npublish_ratio = 0\nforced_per_client_per_second = 2\n";
    let broker = broker(&collector, settings);
    let mut subscriber = log_in(&broker, "subscriber", ADMIN);
    assert_eq!(subscriber.subscribe(5, "a", 0), 0);
    let mut publisher = log_in(&broker, "publisher", ADMIN);
    let message = |with: &[u8], id| publish_with(5, PUBLISH | 2, "a", Some(id), with, b"x");
    let rubbish = [vec![0x26], data("traceparent"), data(format!("00-{TRACE}-{SPAN}"))].concat();
    for (id, with) in [(1, traceparent("00")), (2, rubbish)] {
        publisher.send(&message(&with, id));
        publisher.expect(PUBACK);
    }
    let all: Vec<_> =
        (1..=MESSAGES).flat_map(|id| message(&traceparent("01"), id % 16 + 1)).collect();
    let began = std::time::Instant::now();
    publisher.send(&all);
    (0..MESSAGES).for_each(|_| drop(publisher.expect(PUBACK)));
    let seconds = began.elapsed().as_secs() as usize;
    // What travels with a message reaches its subscribers as it was.
    let heard: Vec<_> = (0..3).map(|_| subscriber.expect(PUBLISH).publish(5).properties).collect();
    assert_eq!(heard[2], traceparent("01"));
    let traced = wait_for(&collector, "publish", 2);
    assert!(traced.len() <= 2 + 2 * (seconds + 1), "{} in {seconds} s", traced.len());
    for span in &traced {
        assert_eq!((&span["traceId"], &span["parentSpanId"]), (&TRACE.into(), &SPAN.into()));
        assert_ne!(span["spanId"], SPAN);
    }
    let deliver = &wait_for(&collector, "deliver", 1)[0];
    assert_eq!(deliver["traceId"], TRACE);
    let name = "bastionmq_traces_total{decision=\"refused\"}";
    let refused = http::series(broker.admin_port(), name);
    assert!(refused >= f64::from(MESSAGES) - 2.0 * (seconds as f64 + 2.0), "{refused}");
    assert!(named(&collector, "connect").is_empty());
}

#[test]
fn nobody_waits_for_a_collector_that_says_nothing_and_what_is_too_much_is_dropped() {
    let collector = IdentityService::start(|_| Reply::Silence);
    let settings = format!("{EVERYTHING}max_queued_spans = 8\ntimeout_ms = 600_000\n");
    let mut broker = broker(&collector, &settings);
    let mut client = log_in(&broker, "client", ADMIN);
    let publish = |client: &mut RawClient, id| {
        client.send(&publish_with(5, PUBLISH | 2, "a", Some(id), &[], b"x"));
        client.expect(PUBACK);
    };
    collector.wait_for_questions(1);
    (1..=100).for_each(|id| publish(&mut client, id));
    until("what is too much is dropped", || counted(&broker, "dropped") >= 80.0);
    assert_eq!(counted(&broker, "exported"), 0.0);
    broker.terminate();
    assert!(broker.wait().success());
}

#[test]
fn a_collector_that_fails_is_tried_again_and_one_that_does_not_want_a_span_is_not() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let answer = |status: &str| {
        Reply::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes())
    };
    let collector = IdentityService::start(move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => answer("503 Service Unavailable"),
            1 => Reply::Bytes(Vec::new()),
            2 => Reply::Json(json!({"partialSuccess": {"rejectedSpans": "1"}})),
            _ => answer("400 Bad Request"),
        }
    });
    let broker = broker(&collector, EVERYTHING);
    let _client = log_in(&broker, "client", ADMIN);
    broker
        .process()
        .wait_for_text(Stream::Err, "the collector of traces fails: it answers with status 503");
    broker.process().wait_for_text(Stream::Err, "the collector of traces answers again");
    until("one is rejected", || counted(&broker, "rejected") == 1.0);
    let exported = counted(&broker, "exported");
    assert!(exported >= 4.0, "{exported}");
    let bodies: Vec<_> = collector.questions().into_iter().map(|it| it.body).collect();
    assert!(bodies.len() >= 3 && bodies[0] == bodies[1] && bodies[1] == bodies[2]);
    let _client = log_in(&broker, "other", ADMIN);
    until("all of a batch are rejected", || counted(&broker, "rejected") >= 6.0);
    assert_eq!(counted(&broker, "exported"), exported);
}

#[test]
fn a_collector_that_is_busy_is_asked_again_when_it_wants_and_not_before() {
    const ASKED_FOR: Duration = Duration::from_secs(3);
    let times = Arc::<Mutex<Vec<Instant>>>::default();
    let seen = Arc::clone(&times);
    let collector = IdentityService::start(move |_| {
        let mut times = seen.lock().expect("nobody has panicked");
        times.push(Instant::now());
        let busy = |status: &str, retry_after: &str| {
            let head = format!("HTTP/1.1 {status}\r\n{retry_after}Content-Length: 0\r\n\r\n");
            Reply::Bytes(head.into_bytes())
        };
        match times.len() {
            1 => busy("429 Too Many Requests", "Retry-After: 3\r\n"),
            2 => busy("503 Service Unavailable", ""),
            _ => Reply::Json(json!({})),
        }
    });
    let broker = broker(&collector, EVERYTHING);
    let _client = log_in(&broker, "client", ADMIN);
    wait_for(&collector, "connect", 3);
    let times = times.lock().expect("nobody has panicked");
    let pauses: Vec<_> = times.windows(2).map(|it| it[1] - it[0]).collect();
    assert!(pauses[0] >= ASKED_FOR, "{pauses:?}");
    // A second failure waits for one to two seconds.
    assert!(pauses[1] >= Duration::from_secs(1) && pauses[1] < ASKED_FOR, "{pauses:?}");
    let bodies: Vec<_> = collector.questions().into_iter().map(|it| it.body).collect();
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
}

#[test]
fn what_waits_is_posted_before_the_broker_ends() {
    let collector = collector();
    let mut broker = broker(&collector, EVERYTHING);
    let mut client = log_in(&broker, "client", ADMIN);
    client.send(&publish_with(5, PUBLISH | 2, "a", Some(1), &[], b"x"));
    client.expect(PUBACK);
    broker.terminate();
    assert!(broker.wait().success());
    assert_eq!(named(&collector, "connect").len(), 1);
    assert_eq!(named(&collector, "publish").len(), 1);
}

#[test]
fn nothing_is_traced_unless_somebody_asks_for_it_and_ratios_change_while_it_runs() {
    let collector = collector();
    let place = scratch();
    let file = place.path().join("bastionmq.toml");
    let write = |settings: &str| {
        let config = Site::shared().configuration("off") + &tracing_to(&collector, settings);
        fs::write(&file, config).expect("a file");
    };
    write("connect_ratio = 0.0\npublish_ratio = 0.0\n");
    let broker = started(&file);
    let mut client = log_in(&broker, "client", ADMIN);
    let mut publish = |id| {
        client.send(&publish_with(5, PUBLISH | 2, "a", Some(id), &[], b"x"));
        client.expect(PUBACK);
    };
    publish(1);
    write("connect_ratio = 0.0\npublish_ratio = 1.0\n");
    broker.process().signal(rustix::process::Signal::HUP);
    broker.process().wait_for_text(Stream::Err, "tracing.publish_ratio");
    publish(2);
    let publications = wait_for(&collector, "publish", 1);
    assert_eq!((publications.len(), spans(&collector).len()), (1, 1));
    // Without a collector there is nothing of it.
    let silent = Broker::secure();
    let mut client = log_in(&silent, "client", ADMIN);
    client.send(&publish_with(5, PUBLISH | 2, "a", Some(1), &traceparent("01"), b"x"));
    client.expect(PUBACK);
    assert_eq!(http::metric(silent.admin_port(), "bastionmq_traces_total"), Some(0.0));
}

fn started(file: &Path) -> Broker {
    let mut command = crate::harness::bastionmq();
    command.arg("serve").arg("--config").arg(file);
    Broker::start(command, scratch())
}
