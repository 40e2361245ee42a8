//! What other people's programs and test suites expect of a broker, one scenario for each that once
//! was not met, against the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bridges;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod paho;
