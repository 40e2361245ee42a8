//! Metrics and health over HTTP, for this machine alone: nobody is asked who is asking. A page beside them, for
//! operators who prove who they are.

mod bounded;
mod negotiation;
mod page;
mod readiness;
mod serve;
mod settings;

pub use page::Page;
pub use readiness::{Condition, Part, Readiness};
pub use serve::{AdminState, Inspect, serve};
pub use settings::{Address, AddressError, Settings};
