//! What operators see of a running broker: logs and counters.

mod exposition;
mod label;
mod labels;
mod log_targets;
pub mod logging;
mod metrics;
mod per_worker;
mod process;
mod protocol_labels;
mod readings;
mod register;
mod runtime;
mod settings;
mod syslog_settings;
mod tally;

pub use label::{Counters, Gauges, Label};
pub use labels::{
    AclDecision, AdminLogin, AuditState, BanKind, DeniedAction, DropReason, EnvelopeRefusal,
    HttpAuthResult, LockoutScope, LoginMethod, LoginResult, PacketKind, ProtocolFault, Refusal,
    ReloadResult, Reloaded, ResponseOutcome, Revocation, RuleSort, SentinelResponse, SpanResult,
    StoreState, ThrottleAction, Throttled, TraceDecision, WebhookResult,
};
pub use log_targets::{LogTarget, LogTargetError, LogTargets};
pub use metrics::{AuditMetrics, Metrics, TracingMetrics};
pub use per_worker::{WorkerCounters, WorkerGauge, WorkerHistogram, WorkerTotal};
pub use protocol_labels::{CipherSuite, KeyExchange, ProtocolVersion};
pub use readings::Readings;
pub use settings::{LogFormat, LogLevel, LogLevelError, LogRotation, LogSettings};
pub use syslog_settings::{SyslogAddress, SyslogAddressError, SyslogFacility, SyslogFormat};
pub use tally::Tally;
