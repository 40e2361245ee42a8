//! How each part of the broker is, for `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::{Condition, Inspect, Part, Readiness};
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
        let parts = [("listeners", Some(listeners)), ("store", store), ("http", http)];
        let parts = parts.into_iter().filter_map(|(name, condition)| {
            Some(Part { name: name.to_owned(), condition: condition? })
        });
        Readiness::of(parts.chain(files().into_iter().map(part)).collect())
    })
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
