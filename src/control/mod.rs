//! Operators speak to a broker that runs: over a Unix socket of its own, and never over the network.
//!
//! One request a line and one or more lines of answer, in JSON, with the version of the protocol in
//! each. The kernel says who asks; what they do is logged with their user.

mod answers;
mod client;
mod desk;
mod files;
mod glob;
mod log_level;
mod protocol;
mod serve;
mod settings;
mod watch;

pub use answers::{
    AttributeRow, FileStatus, KickOutcome, LockoutRow, LogLevelRow, RuleRow, SanctionKept,
    SanctionRow, SessionRow, SessionState, Status, TopicRows,
};
pub use client::{ControlError, Conversation};
pub use desk::Desk;
pub use files::Files;
pub use protocol::{Answer, Lifted, Request, SanctionRequest, SessionQuery};
pub use serve::{ControlSocket, Endpoint};
pub use settings::Settings;
