//! What operators see of a running broker: logs and counters.

mod label;
mod labels;
pub mod logging;
mod metrics;
mod process;
mod settings;

pub use label::{Counters, Gauges, Label};
pub use labels::{
    BanKind, DeniedAction, DropReason, EnvelopeRefusal, HttpAuthResult, LockoutScope, LoginMethod,
    LoginResult, PacketKind, ProtocolFault, Refusal, ReloadResult, Reloaded, Revocation,
    StoreState, ThrottleAction, Throttled,
};
pub use metrics::Metrics;
pub use settings::{LogFormat, LogLevel, LogLevelError, LogSettings};
