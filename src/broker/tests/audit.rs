//! What the audit log is told, and a strict one whose disk fails.

use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::{Driver, Visit, id, parts, publish};
use crate::audit::{self, AuditLog, Condition, Event, Keys};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Parts, SanctionOrder};
use crate::clock::Now;
use crate::codec::{Delivery, ReasonCode};
use crate::keys::MasterKeySource;
use crate::sanctions::Author;
use crate::throttle::Rate;

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_any_more_once_the_disk_has_failed_to_sync_a_strict_audit_log() {
    let place = tempfile::tempdir().expect("a directory");
    let source = MasterKeySource::File(place.path().join("master"));
    let (master, _) = source.read_or_make().expect("a master key");
    let directory = place.path().join("audit");
    let keys = Keys::open_or_make(&directory, &master).expect("keys");
    // The disk fails once, and takes everything after that.
    let audit = Some(Arc::new(AuditLog::strict_on_failing_disk(&directory, keys, 1)));
    let parts = Parts { audit, ..parts(PasswordFile::default()) };
    let broker = Arc::new(Broker::new(parts).expect("threads"));
    for id in ["one", "other"] {
        let mut stranger = Driver::knock(&broker, Visit::of(id));
        stranger.log_in().await;
        assert_eq!(stranger.greeted(), Err(ReasonCode::ServerUnavailable));
    }
    let limit = Instant::now() + Duration::from_secs(60);
    while broker.audit_condition() != Some((Condition::Unsynced, true)) {
        assert!(Instant::now() < limit, "{:?}", broker.audit_condition());
        std::thread::yield_now();
    }
    let soon = Instant::now() + Duration::from_secs(2);
    assert!(!broker.may_do(soon, || Event::Reloading { what: "policy" }).await);
    let mut third = Driver::knock(&broker, Visit::of("third"));
    third.log_in().await;
    assert_eq!(third.greeted(), Err(ReasonCode::ServerUnavailable));
}

#[test]
fn all_that_is_refused_to_those_who_are_slowed_down_is_told() {
    let place = tempfile::tempdir().expect("a directory");
    let source = MasterKeySource::File(place.path().join("master"));
    let (master, _) = source.read_or_make().expect("a master key");
    let directory = place.path().join("audit");
    let keys = Keys::open_or_make(&directory, &master).expect("keys");
    let log = AuditLog::open(&directory, keys, &audit::Settings::default(), Now::read());
    let log = Arc::new(log.expect("a log"));
    let parts = Parts { audit: Some(Arc::clone(&log)), ..parts(PasswordFile::default()) };
    let broker = Arc::new(Broker::new(parts).expect("threads"));
    let by = Author::Rule("noise".into());
    let order = SanctionOrder {
        subject: "127.0.0.1".parse().expect("a subject"),
        by: by.clone(),
        why: "too loud".to_owned(),
        lasts: None,
    };
    let hour = NonZeroU32::MIN.saturating_add(3_599);
    let one_an_hour = Rate::new(NonZeroU32::MIN, hour, NonZeroU32::MIN);
    broker.tighten(order, one_an_hour).expect("it is slowed down");
    // The first may, and who comes after that has to wait.
    let mut clients: Vec<_> =
        ["a", "b", "c", "d"].map(|name| Driver::enter(&broker, Visit::of(name)).0).into();
    for client in &mut clients {
        client.say(&publish("t", Delivery::AtLeastOnce(id(9)), false));
    }
    broker.lift_tightening(None, &by);
    drop(clients);
    broker.tell_all_sums();
    log.close();
    let text = fs::read_to_string(directory.join("audit.00000001.jsonl")).expect("a file");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("a record"));
    let told = records.filter(|it: &serde_json::Value| it["event"] == "throttled");
    assert!(told.clone().all(|it| it["rule"] == "rule:noise"), "{text}");
    let count: u64 = told.map(|it| it["count"].as_u64().expect("a count")).sum();
    assert_eq!(count, 3, "{text}");
}
