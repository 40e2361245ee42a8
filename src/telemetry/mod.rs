//! What operators see of a running broker: logs and counters.

mod exposition;
mod label;
mod labels;
pub mod logging;
mod metrics;
mod per_worker;
mod process;
mod protocol_labels;
mod register;
mod runtime;
mod settings;

pub use label::{Counters, Gauges, Label};
pub use labels::{
    AclDecision, AuditState, BanKind, DeniedAction, DropReason, EnvelopeRefusal, HttpAuthResult,
    LockoutScope, LoginMethod, LoginResult, PacketKind, ProtocolFault, Refusal, ReloadResult,
    Reloaded, ResponseOutcome, Revocation, SentinelResponse, StoreState, ThrottleAction, Throttled,
    WebhookResult,
};
pub use metrics::{AuditMetrics, Metrics};
pub use per_worker::{WorkerCounters, WorkerGauge, WorkerHistogram};
pub use protocol_labels::{CipherSuite, KeyExchange, ProtocolVersion};
pub use settings::{LogFormat, LogLevel, LogLevelError, LogSettings};
