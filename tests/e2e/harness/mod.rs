//! What every scenario stands on: a broker, clients, and patience with a limit.

#![allow(dead_code, unused_imports, reason = "several suites share it, each uses its part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and then says why"
)]

pub(crate) mod answer;
pub(crate) mod authority;
pub(crate) mod broker;
pub(crate) mod chromium;
pub(crate) mod clients;
pub(crate) mod http;
pub(crate) mod identity_service;
pub(crate) mod issuer;
pub(crate) mod place;
mod process;
mod proxy;
pub(crate) mod raw;
pub(crate) mod rumqtt;
pub(crate) mod scram;
pub(crate) mod site;
pub(crate) mod websocket;

use std::time::Duration;

pub(crate) use answer::{Answer, Ground, expect_thrown_out};
pub(crate) use authority::Authority;
pub(crate) use broker::{Broker, bastionmq, scratch};
pub(crate) use place::Place;
pub(crate) use process::{Process, Stream};
pub(crate) use proxy::Proxy;
pub(crate) use site::{ADMIN, DEVICE1, DEVICE2, Login, Site, VISITOR};

/// How long any single event may take: far more than it needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `event`, and fails when it does not come.
pub(crate) async fn within_patience<T>(what: &str, event: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, event).await;
    waited.unwrap_or_else(|_| panic!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// Lets time itself pass, where the passing of time is what is tested. Nothing else sleeps.
pub(crate) async fn let_pass(time: Duration) {
    tokio::time::sleep(time).await;
}
