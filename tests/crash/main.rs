//! The real binary, killed without warning and started again on what it has left: what it acknowledged
//! is there. Its files say nothing to anybody else.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then says why"
)]

mod audit;
mod chooser;
mod device;
mod directory;
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod mortal;
mod network;
mod place;
mod random;
mod reader;
mod records;
mod retained;
mod rights;
mod rounds;
mod secrecy;
mod sessions;
mod small_disk;
mod steps;
mod tools;
mod writer;
