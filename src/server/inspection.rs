//! How each part of the broker is, for `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::{Condition, Inspect, Part, Readiness};
use crate::audit;
use crate::broker::Broker;
use crate::control::FileStatus;
use crate::reload::ReloadHandle;

/// Looks at everything that may be ill while the broker runs. Clients are kept away where nobody listens,
/// or where what they are acknowledged could not be kept.
pub(super) fn of(broker: Arc<Broker>, files: &ReloadHandle, is_open: Arc<AtomicBool>) -> Inspect {
    let files = files.standings();
    Arc::new(move || {
        let store = broker.store().map(|store| match store.admit() {
            Ok(()) => Condition::Well,
            Err(refused) => Condition::Failed(format!("it takes nothing: {refused}")),
        });
        let http = broker.leaves_http_service_alone().map(|it| match it {
            false => Condition::Well,
            true => Condition::Degraded(
                "left alone for a while, after it has failed again and again".to_owned(),
            ),
        });
        let listeners = match is_open.load(Ordering::Acquire) {
            true => Condition::Well,
            false => Condition::Failed("closed".to_owned()),
        };
        let audit =
            broker.audit_condition().map(|(condition, is_strict)| of_audit(condition, is_strict));
        let parts =
            [("listeners", Some(listeners)), ("store", store), ("audit", audit), ("http", http)];
        let parts = parts.into_iter().filter_map(|(name, condition)| {
            Some(Part { name: name.to_owned(), condition: condition? })
        });
        Readiness::of(parts.chain(files().into_iter().map(part)).collect())
    })
}

/// Where the log is strict, nobody is let in while it is not written.
fn of_audit(condition: audit::Condition, is_strict: bool) -> Condition {
    let why = match condition {
        audit::Condition::Well => return Condition::Well,
        audit::Condition::Waits => "the disk takes nothing",
        audit::Condition::Unsynced => {
            "the disk has failed to sync what it had taken: mend it, and start the broker anew"
        }
    };
    match is_strict {
        true => Condition::Failed(format!("nothing is decided: {why}")),
        false => Condition::Degraded(why.to_owned()),
    }
}

/// The log says what is wrong with a file; who asks here may not be meant to know.
fn part(file: FileStatus) -> Part {
    let condition = match file.fault {
        None => Condition::Well,
        Some(_) => Condition::Degraded(
            "what is on disk is broken, and what was in force stays: see the log".to_owned(),
        ),
    };
    Part { name: file.what, condition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_a_broker_whose_strict_audit_log_is_not_written() {
        for condition in [audit::Condition::Waits, audit::Condition::Unsynced] {
            let of = |is_strict| of_audit(condition, is_strict);
            assert!(matches!(of(true), Condition::Failed(_)), "{condition:?}");
            assert!(matches!(of(false), Condition::Degraded(_)), "{condition:?}");
        }
        for is_strict in [false, true] {
            assert_eq!(of_audit(audit::Condition::Well, is_strict), Condition::Well);
        }
    }
}
