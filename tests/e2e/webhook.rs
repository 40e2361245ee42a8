//! Alerts, as whoever they are posted to gets them: signed, again where that fails, and never in anybody's way.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::budgets::until;
use crate::harness::identity_service::{IdentityService, Question, Reply};
use crate::harness::raw::{Connect, RawClient};
use crate::harness::{Broker, DEVICE1, Place, Stream, http, scratch};

const SECRET: [u8; 32] = [7; 32];

/// A broker that posts to `service` of each denied topic.
fn broker(service: &IdentityService, place: &Path, rule: &str) -> Broker {
    let secret = place.join("webhook.secret");
    fs::write(&secret, format!("whsec_{}\n", Base64::encode_string(&SECRET))).expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a mode");
    Broker::secure_with_settings(&format!(
        "\n[webhook]\nurl = \"http://127.0.0.1:{}/alerts\"\nsecret_file = \"{}\"\n\
         [[sentinel.rule]]\nname = \"denial\"\nevents = [\"denied\"]\nper = [\"topic\"]\n\
         threshold = 1\n{rule}\n",
        service.port(),
        secret.display()
    ))
}

/// Has a rule broken for each of these topics.
fn ask_for(broker: &Broker, topics: &[&str]) {
    let connect = Connect::new(5, "device1").login(DEVICE1);
    let mut device = RawClient::connected(broker.plain_port(), &connect);
    for topic in topics {
        assert_eq!(device.subscribe(5, topic, 0), 0x87);
    }
}

fn header<'a>(question: &'a Question, name: &str) -> &'a str {
    let mut lines = question.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).expect(name).1
}

fn is_signed(question: &Question) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("a key");
    let (id, time) = (header(question, "webhook-id"), header(question, "webhook-timestamp"));
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(&question.body);
    let wanted = format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()));
    header(question, "webhook-signature") == wanted
}

fn alerts(broker: &Broker, result: &str) -> f64 {
    let name = format!("bastionmq_webhook_alerts_total{{result=\"{result}\"}}");
    http::series(broker.admin_port(), &name)
}

#[test]
fn an_alert_is_posted_and_signed() {
    let (place, service) = (scratch(), IdentityService::start(|_| Reply::Json(json!({}))));
    let broker = broker(&service, place.path(), "");
    ask_for(&broker, &["one", "two"]);
    service.wait_for_questions(2);
    let questions = service.questions();
    assert!(questions.iter().all(is_signed), "{questions:?}");
    let (one, two) = (&questions[0], &questions[1]);
    assert!(one.head.starts_with("POST /alerts HTTP/1.1\r\n"), "{}", one.head);
    assert_eq!(header(one, "content-type"), "application/json");
    assert_eq!((&one.json["rule"], &one.json["topic"]), (&"denial".into(), &"one".into()));
    assert_eq!(two.json["key"]["topic"], "two");
    assert_ne!(header(one, "webhook-id"), header(two, "webhook-id"));
    until("it is counted", || alerts(&broker, "delivered") > 1.5);
}

#[test]
fn an_alert_that_fails_is_posted_again_under_the_same_number() {
    let asked = AtomicUsize::new(0);
    let place = scratch();
    let service = IdentityService::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => {
            Reply::Bytes(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec())
        }
        1 => Reply::Bytes(Vec::new()),
        _ => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    });
    let broker = broker(&service, place.path(), "");
    ask_for(&broker, &["one"]);
    broker.process().wait_for_text(Stream::Err, "the webhook fails: it answers with status 503");
    broker.process().wait_for_text(Stream::Err, "the webhook answers again");
    let questions = service.questions();
    assert_eq!(questions.len(), 3);
    assert!(questions.iter().all(is_signed), "{questions:?}");
    let ids: Vec<_> = questions.iter().map(|it| header(it, "webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    until("it is counted", || alerts(&broker, "delivered") > 0.5);
}

#[test]
fn an_alert_that_is_refused_is_not_posted_again() {
    let place = scratch();
    let service = IdentityService::start(|alert| match alert["topic"] == "one" {
        true => Reply::Bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        false => Reply::Json(json!({})),
    });
    let broker = broker(&service, place.path(), "");
    ask_for(&broker, &["one", "two"]);
    until("both are counted", || {
        alerts(&broker, "refused") > 0.5 && alerts(&broker, "delivered") > 0.5
    });
    assert_eq!(service.questions().len(), 2);
}

#[test]
fn nobody_waits_for_a_webhook_that_says_nothing_and_rules_that_are_tried_are_not_posted() {
    let place = scratch();
    let service = IdentityService::start(|_| Reply::Silence);
    let tried = "[[sentinel.rule]]\nname = \"tried\"\nevents = [\"denied\"]\nthreshold = 1\n\
                 dry_run = true\n";
    let broker = broker(&service, place.path(), tried);
    let topics: Vec<_> = (0..20).map(|number| format!("else/{number}")).collect();
    ask_for(&broker, &topics.iter().map(String::as_str).collect::<Vec<_>>());
    let found = "bastionmq_sentinel_findings_total{rule=\"denial\",severity=\"warning\"}";
    until("all are found", || http::series(broker.admin_port(), found) > 19.5);
    service.wait_for_questions(1);
    assert!(service.questions().iter().all(|it| it.json["rule"] == "denial"));
    assert_eq!(alerts(&broker, "delivered"), 0.0);
}

#[test]
fn alerts_go_elsewhere_are_signed_otherwise_and_stay_while_the_broker_runs() {
    let [one, other] = [(); 2].map(|()| IdentityService::start(|_| Reply::Json(json!({}))));
    let place = Place::of_site();
    let secret = place.file("webhook.secret");
    let write_secret = |bytes: [u8; 32]| {
        fs::write(&secret, format!("whsec_{}\n", Base64::encode_string(&bytes))).expect("a file");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a mode");
    };
    write_secret([9; 32]);
    let rule = "[[sentinel.rule]]\nname = \"denial\"\nevents = [\"denied\"]\n\
                per = [\"topic\"]\nthreshold = 1\n";
    let before = place.text("bastionmq.toml") + rule;
    let posting_to = |service: &IdentityService, more: &str| {
        let url = format!("http://127.0.0.1:{}/alerts", service.port());
        format!("{before}[webhook]\nurl = \"{url}\"\n{more}")
    };
    place.replace("bastionmq.toml", posting_to(&one, ""));
    place.reloaded("config");
    ask_for(&place.broker, &["first"]);
    one.wait_for_questions(1);

    let signed = format!("secret_file = \"{}\"\n", secret.display());
    place.replace("bastionmq.toml", posting_to(&other, &signed));
    place.reloaded_times("config", 2);
    ask_for(&place.broker, &["second"]);
    other.wait_for_questions(1);
    assert!(!is_signed(&other.questions()[0]), "by another secret");

    // Its file is another one than before, which was none.
    place.reloaded("webhook");
    write_secret(SECRET);
    place.reloaded_times("webhook", 2);
    ask_for(&place.broker, &["third"]);
    other.wait_for_questions(2);
    assert!(is_signed(&other.questions()[1]));

    place.replace("bastionmq.toml", before.clone());
    place.reloaded_times("config", 3);
    ask_for(&place.broker, &["fourth"]);
    let found = "bastionmq_sentinel_findings_total{rule=\"denial\",severity=\"warning\"}";
    until("it is found", || http::series(place.broker.admin_port(), found) > 3.5);
    assert_eq!((one.questions().len(), other.questions().len()), (1, 2));
    until("three are counted", || alerts(&place.broker, "delivered") > 2.5);
}
