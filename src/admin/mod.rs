//! Metrics and health over HTTP, for this machine alone: nothing here asks who is asking.

mod bounded;
mod serve;
mod settings;

pub use serve::{AdminState, serve};
pub use settings::{Address, AddressError, Settings};
