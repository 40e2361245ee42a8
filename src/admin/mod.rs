//! Metrics and health over HTTP, for this machine alone: nothing here asks who is asking.

mod bounded;
mod negotiation;
mod readiness;
mod serve;
mod settings;

pub use readiness::{Condition, Part, Readiness};
pub use serve::{AdminState, Inspect, serve};
pub use settings::{Address, AddressError, Settings};
