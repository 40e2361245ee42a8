//! What the audit log is told, and a strict one whose disk fails.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::{Driver, Visit, id, parts, publish};
use crate::audit::{self, AuditLog, Condition, Event, Keys};
use crate::auth::{self, Origin, PasswordFile};
use crate::broker::lockouts::Attempt;
use crate::broker::{Broker, OperatorLogin, OperatorLogins, Parts, SanctionOrder};
use crate::clock::Now;
use crate::codec::{Connect, Delivery, Packet, ReasonCode, Version};
use crate::keys::MasterKeySource;
use crate::sanctions::Author;
use crate::throttle::Rate;

/// A broker with a strict audit log in `place`, whose disk fails once and takes everything after that.
fn on_failing_disk(place: &Path) -> Arc<Broker> {
    let source = MasterKeySource::File(place.join("master"));
    let (master, _) = source.read_or_make().expect("a master key");
    let directory = place.join("audit");
    let keys = Keys::open_or_make(&directory, &master).expect("keys");
    let audit = Some(Arc::new(AuditLog::strict_on_failing_disk(&directory, keys, 1)));
    let parts = Parts { audit, ..parts(PasswordFile::default()) };
    Arc::new(Broker::new(parts).expect("threads"))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_any_more_once_the_disk_has_failed_to_sync_a_strict_audit_log() {
    let place = tempfile::tempdir().expect("a directory");
    let broker = on_failing_disk(place.path());
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

#[tokio::test(start_paused = true)]
async fn nobody_learns_of_a_lock_out_that_a_strict_audit_log_has_not_on_disk() {
    let place = tempfile::tempdir().expect("a directory");
    let broker = on_failing_disk(place.path());
    let locked_out = |user: &str| {
        let origin = Origin::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        Attempt { user: user.into(), origin }
    };
    let failures = auth::Settings::default().lockout_failures;
    (0..failures).for_each(|_| broker.lockouts.failed(&locked_out("ann")));
    assert_eq!(broker.lockouts().len(), 1);
    let login = Connect {
        user_name: Some("ann"),
        password: Some(b"a guess"),
        ..Visit::of("a").connect(Version::V5)
    };
    let mut ann = Driver::stranger(&broker);
    ann.say(&Packet::Connect(Box::new(login)));
    ann.log_in().await;
    assert_eq!(ann.greeted(), Err(ReasonCode::ServerUnavailable));
    // The page has lock-outs of its own.
    let place = tempfile::tempdir().expect("a directory");
    let broker = on_failing_disk(place.path());
    let logins = OperatorLogins { max_waiting: NonZeroU32::MIN, idle: Duration::ZERO };
    broker.replace_operators(Some(PasswordFile::default()), logins).expect("a thread");
    (0..failures).for_each(|_| broker.operators.lockouts.failed(&locked_out("admin:olga")));
    assert_eq!(broker.lockouts().len(), 1);
    let guess = broker.admit_operator("olga", "a guess".into(), Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(guess, OperatorLogin::Unwritten);
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
