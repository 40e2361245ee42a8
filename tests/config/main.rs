//! Configuration from the outside: files, variables and flags in, settings or errors out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy spares tests, but not what they share"
)]

mod authenticators;
mod control;
mod defaults;
mod files;
mod http;
mod listeners;
mod log;
mod precedence;
mod process;
mod ranges;
mod site;
mod slips;
mod tracing;
mod webhook;
