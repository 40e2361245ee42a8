//! What operators look at: metrics, dashboards and alerts, and the real Prometheus that evaluates them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod dashboards;
mod demo;
mod drill;
mod files;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod openmetrics;
mod prometheus;
mod real;
mod rules;
mod schema;
mod thresholds;
