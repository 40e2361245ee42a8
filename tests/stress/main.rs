//! The real binary among clients that flood it, stall it, crowd it, or leave without a word.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and then says why"
)]

mod crowds;
mod floods;
mod half_connects;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod neighbours;
