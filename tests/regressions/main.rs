//! What has gone wrong in other brokers: every row of README.md has a test or a reason to wait. Here
//! stand the tests of rows that need the real binary.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../e2e/harness/mod.rs"]
mod harness;
mod identities;
mod limits;
mod matrix;
mod secrets;
mod security;
mod stage;
mod table;
