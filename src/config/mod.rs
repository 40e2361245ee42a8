//! The configuration, in two steps: as written, then resolved.
//!
//! *As written* ([`Config`]) is what file, environment and flags say, checked for its form.
//! *Resolved* ([`Resolved`]) is what the server needs: files read, names looked up, keys loaded.
//! Each step reports everything that is wrong, not the first thing alone, and says where.
//!
//! A setting is looked for in this order: flag, environment variable (`BASTIONMQ_<SECTION>_<KEY>`),
//! file, default.

mod document;
mod entry;
mod environment;
mod fields;
mod findings;
mod limits;
mod listeners;
mod load;
mod overrides;
mod problem;
mod read_file;
mod resolve;
mod resolve_access;
mod resolve_authenticators;
mod resolve_control;
mod resolve_http;
mod resolve_listener;
mod resolve_log;
mod resolve_passwords;
mod resolve_proxy;
mod resolve_sentinel;
mod resolve_throttle;
mod resolve_tracing;
mod resolve_unix;
mod resolve_webhook;
mod section;
mod settings;
mod show;
mod suggest;

pub use entry::Origin;
pub use load::{Flags, Loaded, Sources};
pub use problem::{ConfigError, Problem};
pub use resolve::Resolved;
pub use resolve_listener::ResolvedListener;
pub use settings::{AclSettings, Config};
