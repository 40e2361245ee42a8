//! From Mosquitto: its files translated, or read as they are, and the clients that go on as before.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answers;
mod command;
mod configurations;
mod guide;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod moved;
mod site;
mod strangers;
