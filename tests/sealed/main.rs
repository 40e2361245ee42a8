//! Sealed payloads through the real binary: what is attacked is refused by name, nothing comes twice over
//! an end or a crash, and what the broker cannot read is nowhere to be read.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod attacks;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod memory;
mod plant;
mod replays;
mod retained;
mod rotation;
mod sentinel;
mod signatures;
mod ways;
mod wrapped;
