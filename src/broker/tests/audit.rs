//! A strict audit log whose disk fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::{Driver, Visit, parts};
use crate::audit::{AuditLog, Condition, Event, Keys};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Parts};
use crate::codec::ReasonCode;
use crate::keys::MasterKeySource;

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
