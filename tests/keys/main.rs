//! `bastionmq keys`, `seal`, `open`, `verify` and `inspect`, as a person or a script runs them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod broker;
mod desk;
mod envelopes;
mod master_key;
mod ring;
mod wrapping;
