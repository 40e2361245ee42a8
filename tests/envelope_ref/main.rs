//! Envelopes as others make and open them who have nothing of ours but `docs/envelope-format.md`: an
//! implementation in Python, and the devices of `docs/examples`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod command_line;
mod devices;
mod exchange;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod page;
mod reference;
mod small_device;
mod vector;
mod verifying;
