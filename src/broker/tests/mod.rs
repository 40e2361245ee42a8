//! The broker without sockets: clients in the hands of a test, policies that change under them.

mod audit;
mod authentication;
mod crashes;
pub(super) mod driver;
mod endings;
mod envelopes;
mod faults;
mod judging;
mod latency;
mod matrix;
mod model;
mod operators;
mod policies;
mod restarts;
mod roles;
mod shares;
mod shutdown;
mod spilling;
mod tokens;
mod work;

/// The client of the end-to-end tests.
#[path = "../../../tests/e2e/harness/scram.rs"]
mod scram_client;
/// The identity service of the end-to-end tests.
#[path = "../../../tests/e2e/harness/issuer.rs"]
mod issuer;
